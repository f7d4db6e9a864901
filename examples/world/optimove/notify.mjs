// Plays Optimove: tells listeners what happened, and writes down what they answered. Never repeats by itself.

import { count } from '../lib/counts.mjs';
import { Poster } from '../lib/post.mjs';
import { json, onlyKeys, WrongCall } from '../lib/reply.mjs';
import { Ring } from '../lib/ring.mjs';
import { spell, spellings } from './spelling.mjs';

const keptNotifications = 10000;
const optionKeys = ['spelling', 'fields', 'timeStamp', 'withoutTimeStamp', 'duplicates', 'delayMs', 'together', 'url', 'timeoutMs', 'wait'];
const bulkKeys = ['campaign', 'channel', 'template', 'count', 'startCustomer', 'customerPrefix', 'concurrency', 'url', 'spelling', 'withEventType', 'withTimeStamp', 'timeoutMs'];
const executed = 13;
const triggered = 11;
const cancelled = 4;

const later = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function spellingOf(body, otherwise) {
  const spelling = body.spelling ?? otherwise;
  if (!spellings.includes(spelling)) throw new WrongCall(`spelling: one of ${spellings.join(', ')}`);
  return spelling;
}

export class Notifier {
  constructor(world) {
    this.world = world;
    this.poster = new Poster();
    this.clear();
  }

  clear() {
    this.ring = new Ring(keptNotifications);
    this.totals = { sent: 0, failed: 0, waiting: 0, byStatus: {} };
    this.answered = 0;
    this.nextNumber = 1;
  }

  addCalls() {
    const { world } = this;
    world.addCall('POST', '/execute', ({ body }) => this.execute(body));
    world.addCall('POST', '/trigger', ({ body }) => (body.count === undefined ? this.trigger(body) : this.triggerMany(body)));
    world.addCall('POST', '/cancel', ({ body }) => this.cancel(body));
    world.addCall('POST', '/notify', ({ body }) => this.notify(body));
  }

  time(body, otherwise = true) {
    if (body.withoutTimeStamp) return undefined;
    return body.timeStamp ?? (otherwise ? this.world.formatTime(Date.now()) : undefined);
  }

  execute(body) {
    onlyKeys(body, [...optionKeys, 'campaign', 'channel', 'unknown', 'silent'], 'execute');
    const plan = this.world.campaigns.execute(body.campaign, body.channel);
    if (plan === null && !body.unknown) throw new WrongCall(`execute: there is no campaign ${body.campaign} on channel ${body.channel}; make it first, or say "unknown": true`);
    if (body.silent) return json(200, { notified: 0, notifications: [] });
    const text = JSON.stringify(spell(spellingOf(body, 'pascal'), { type: executed, time: this.time(body), campaign: body.campaign, channel: body.channel }, body.fields));
    return this.tell(executed, [body.channel], text, body);
  }

  triggerText(body) {
    const { campaign, channel, template, customer, promoCode, notes } = body;
    return JSON.stringify(spell(spellingOf(body, 'camel'), {
      type: body.withEventType ? triggered : undefined, time: this.time(body, body.withTimeStamp === true), campaign, channel, template, customer, promoCode, notes,
    }, body.fields));
  }

  trigger(body) {
    onlyKeys(body, [...optionKeys, 'campaign', 'channel', 'template', 'customer', 'promoCode', 'notes', 'withEventType', 'withTimeStamp'], 'trigger');
    return this.tell(triggered, [body.channel], this.triggerText(body), body);
  }

  /** Many customers at once, over kept connections: totals only. */
  async triggerMany(body) {
    onlyKeys(body, bulkKeys, 'trigger');
    const { count: wanted, startCustomer = 1, customerPrefix = 'C', concurrency = 32, timeoutMs } = body;
    const urls = this.addresses(triggered, [body.channel], body);
    const poster = new Poster(concurrency);
    const result = { notified: 0, byStatus: {}, failed: 0 };
    const began = Date.now();
    let next = 0;
    const worker = async () => {
      while (next < wanted) {
        const text = this.triggerText({ ...body, customer: `${customerPrefix}${startCustomer + next++}` });
        for (const url of urls) {
          const entry = await this.send(triggered, url, text, timeoutMs, poster);
          result.notified++;
          if (entry.status === null) result.failed++;
          else count(result.byStatus, entry.status);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.max(1, concurrency) }, worker));
    poster.close();
    return json(200, { ...result, ms: Date.now() - began });
  }

  cancel(body) {
    onlyKeys(body, [...optionKeys, 'campaign', 'channel'], 'cancel');
    const channels = this.world.campaigns.cancel(body.campaign, body.channel);
    const text = JSON.stringify(spell(spellingOf(body, 'pascal'), { type: cancelled, time: this.time(body), campaign: body.campaign, channel: body.channel }, body.fields));
    return this.tell(cancelled, channels, text, body);
  }

  notify(body) {
    onlyKeys(body, ['eventType', 'channel', 'body', 'raw', 'duplicates', 'delayMs', 'together', 'url', 'timeoutMs', 'wait'], 'notify');
    if (!Number.isInteger(body.eventType)) throw new WrongCall('notify: eventType is a whole number');
    const text = body.raw ?? JSON.stringify(body.body ?? {});
    return this.tell(body.eventType, body.channel === undefined ? [] : [body.channel], text, body);
  }

  addresses(type, channels, { url }) {
    return url === undefined ? this.world.listeners.matching(type, channels) : [url];
  }

  async tell(type, channels, text, options) {
    const jobs = this.addresses(type, channels, options).map((url) => this.tellOne(type, url, text, options));
    if (options.wait === false) return json(200, { notified: jobs.length * (1 + (options.duplicates ?? 0)), notifications: [] });
    const notifications = (await Promise.all(jobs)).flat();
    return json(200, { notified: notifications.length, notifications });
  }

  async tellOne(type, url, text, { duplicates = 0, delayMs = 0, together = false, timeoutMs }) {
    if (delayMs > 0) await later(delayMs);
    const copies = Array.from({ length: 1 + duplicates });
    if (together) return Promise.all(copies.map(() => this.send(type, url, text, timeoutMs)));
    const entries = [];
    for (let i = 0; i < copies.length; i++) entries.push(await this.send(type, url, text, timeoutMs));
    return entries;
  }

  async send(eventType, url, body, timeoutMs, poster = this.poster) {
    const { ring, totals } = this;
    const n = this.nextNumber++;
    const at = Date.now();
    totals.waiting++;
    const { status, answer, error, ms } = await poster.post(url, body, { timeoutMs });
    totals.waiting--;
    totals.sent++;
    if (status === null) totals.failed++;
    else {
      this.answered++;
      count(totals.byStatus, status);
    }
    const entry = { n, at, ms, url, eventType, body, status, answer, error };
    ring.push(entry);
    this.world.watch.changed();
    return entry;
  }
}
