// Real-time events (Track & Trigger, server side): one event a POST, signed where the account has a token.

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { json } from '../lib/reply.mjs';
import { Ring } from '../lib/ring.mjs';

export const realtimePath = '/reportserver';
const keptEvents = 100000;
const mostCharacters = 255;
const stampPattern = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,3})? UTC$/;

const refused = (status, message) => json(status, { status: 'error', message });

function wrongIn(event, { tenant, events }) {
  if (event === null || typeof event !== 'object' || Array.isArray(event)) return 'not an event';
  if (event.tenant !== tenant) return 'unknown tenant';
  if (typeof event.event !== 'string' || !/^[a-z][a-z0-9_]*$/.test(event.event)) return 'event names are snake_case';
  if (events !== null && !events.includes(event.event)) return `event ${event.event} is not configured`;
  const people = ['customer', 'visitor'].filter((who) => typeof event[who] === 'string' && event[who] !== '');
  if (people.length !== 1) return 'either customer or visitor, not both';
  if (typeof event.timestamp !== 'string' || !stampPattern.test(event.timestamp)) return 'timestamp';
  if (event.context === null || typeof event.context !== 'object' || Array.isArray(event.context)) return 'context';
  for (const [name, value] of Object.entries(event.context)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) return `context.${name}`;
    if (typeof value === 'string' && [...value].length > mostCharacters) return `context.${name} is too long`;
  }
  return null;
}

export class Realtime {
  constructor(world) {
    this.world = world;
    this.clear();
  }

  clear() {
    this.events = new Ring(keptEvents);
    this.taken = 0;
    this.refused = 0;
    this.repeated = 0;
    this.seen = new Set();
  }

  isSigned(request, token) {
    if (token === null) return true;
    const given = request.headers['x-optimove-signature-content'] ?? '';
    const right = createHmac('sha256', token).update(request.body).digest('hex');
    return request.headers['x-optimove-signature-version'] === '1' && given.length === right.length
      && timingSafeEqual(Buffer.from(given), Buffer.from(right));
  }

  report(request) {
    const settings = this.world.settings.realtime;
    if (request.method !== 'POST') return refused(405, 'POST an event');
    if (!this.isSigned(request, settings.token)) return this.refuse(401, 'wrong signature');
    let event;
    try {
      event = JSON.parse(request.body.toString('utf8'));
    } catch {
      return this.refuse(400, 'not JSON');
    }
    const wrong = wrongIn(event, settings);
    if (wrong !== null) return this.refuse(settings.errorStatus, wrong);
    const identity = JSON.stringify([event.event, event.customer ?? null, event.visitor ?? null, event.timestamp]);
    if (this.seen.has(identity)) this.repeated++;
    this.seen.add(identity);
    this.taken++;
    this.events.push(event);
    return json(200, { status: 'success', message: randomUUID() });
  }

  refuse(status, message) {
    this.refused++;
    return refused(status, message);
  }

  list(query) {
    const customer = query.get('customer');
    return this.events.last(undefined, (event) => customer === null || event.customer === customer);
  }

  summary() {
    return { taken: this.taken, refused: this.refused, repeated: this.repeated };
  }
}
