// Plays Netmera's side: posts hook events to netmove.

import { count } from '../lib/counts.mjs';
import { Poster } from '../lib/post.mjs';
import { json, onlyKeys, WrongCall } from '../lib/reply.mjs';

const known = ['url', 'appKey', 'apiKey', 'as', 'events', 'count', 'event', 'extIdPrefix', 'startExtId', 'batch', 'duplicates', 'timeoutMs'];
const shapes = ['single', 'array', 'ndjson'];
const keptAnswers = 100;

export class Firing {
  constructor() {
    this.run = Math.random().toString(36).slice(2, 10); // ids differ between processes: netmove remembers them for two days
    this.nextId = 1;
    this.clear();
  }

  clear() {
    this.totals = { requests: 0, events: 0, failed: 0, byStatus: {} };
  }

  complete(event) {
    return { id: `evt-${this.run}-${this.nextId++}`, type: 'EVENT', time: new Date().toISOString(), ...event };
  }

  events(body) {
    if (body.events !== undefined) {
      if (!Array.isArray(body.events)) throw new WrongCall('fire: events is an array');
      return body.events.map((event) => this.complete(event));
    }
    if (!Number.isInteger(body.count)) throw new WrongCall('fire: events, or count and event, are needed');
    const { extIdPrefix = 'C', startExtId = 1 } = body;
    return Array.from({ length: body.count }, (_, i) => this.complete({ extId: `${extIdPrefix}${startExtId + i}`, ...body.event }));
  }

  /** The bodies to post, with the number of events in each. */
  bodies(events, shape, batch) {
    if (shape === 'single') return events.map((event) => [JSON.stringify(event), 1]);
    const result = [];
    for (let i = 0; i < events.length; i += batch) {
      const part = events.slice(i, i + batch);
      const body = shape === 'array' ? JSON.stringify(part) : part.map((event) => `${JSON.stringify(event)}\n`).join('');
      result.push([body, part.length]);
    }
    return result;
  }

  async fire(body) {
    onlyKeys(body, known, 'fire');
    const { url, appKey, apiKey, as: shape = 'single', duplicates = 0, timeoutMs } = body;
    if (typeof url !== 'string' || typeof appKey !== 'string') throw new WrongCall('fire: url and appKey are needed');
    if (!shapes.includes(shape)) throw new WrongCall(`fire: as is one of ${shapes.join(', ')}`);
    const events = this.events(body);
    const bodies = this.bodies(events, shape, body.batch ?? (body.events === undefined ? 100 : Math.max(1, events.length)));
    const address = `${url.replace(/\/$/, '')}/hooks/${encodeURIComponent(appKey)}/events`;
    const headers = apiKey === undefined ? {} : { 'X-netmera-api-key': apiKey };
    const type = shape === 'ndjson' ? 'application/x-ndjson' : 'application/json';
    const poster = new Poster(1);
    const result = { requests: 0, events: 0, byStatus: {}, failed: 0, answers: [] };
    for (const [text, events] of bodies) {
      for (let copy = 0; copy <= duplicates; copy++) this.note(result, await poster.post(address, text, { type, headers, timeoutMs }), events);
    }
    poster.close();
    return json(200, result);
  }

  note(result, { status, answer, error }, events) {
    for (const totals of [result, this.totals]) {
      totals.requests++;
      totals.events += events;
      if (status === null) totals.failed++;
      else count(totals.byStatus, status);
    }
    if (result.answers.length < keptAnswers) result.answers.push({ status, answer, error });
  }
}
