// One campaign on one channel: its recipients, computed from a few numbers, or given row by row.
//
// Positions are those that $skip counts. Repeated rows, whether the plan has them or a fault put them in, take
// positions of their own, so that who advances by the rows received meets every row.

import { onlyKeys, WrongCall } from '../lib/reply.mjs';
import { seeded, seededText } from '../lib/seeded.mjs';

const known = ['campaign', 'channel', 'templates', 'count', 'rows', 'startCustomer', 'customerPrefix', 'seed', 'attributes', 'scheduleTime', 'promoCodes',
  'actionId', 'controlEvery', 'repeatEvery', 'details'];
const rowKeys = ['CustomerID', 'TemplateID', 'ActionID', 'ScheduleTime', 'PromoCode', 'attributes'];
const scheduleKeys = ['inSeconds', 'everyRows', 'stepSeconds'];
export const controlGroup = 1;

function checkScript(script) {
  onlyKeys(script, known, 'campaign');
  if (script.campaign === undefined) throw new WrongCall('campaign: campaign is needed');
  if (!Number.isInteger(script.channel)) throw new WrongCall('campaign: channel is a whole number');
  if (script.rows === undefined && !Number.isInteger(script.count)) throw new WrongCall('campaign: count, or rows, is needed');
  if (script.rows !== undefined && script.repeatEvery) throw new WrongCall('campaign: repeatEvery goes with count');
  script.rows?.forEach((row, i) => onlyKeys(row, rowKeys, `campaign: rows[${i}]`));
  if (script.scheduleTime !== null && typeof script.scheduleTime === 'object') onlyKeys(script.scheduleTime, scheduleKeys, 'campaign: scheduleTime');
  if (script.templates !== undefined && !(Array.isArray(script.templates) && script.templates.length > 0)) throw new WrongCall('campaign: templates is a list');
}

export class Plan {
  /** `formatTime(ms)` writes a time as Optimove does. */
  constructor(script, formatTime) {
    checkScript(script);
    this.formatTime = formatTime;
    this.madeAt = Date.now();
    this.campaign = script.campaign;
    this.channel = script.channel;
    this.given = script.rows ?? null;
    this.count = script.rows?.length ?? script.count;
    this.templates = script.templates ?? [1];
    this.startCustomer = script.startCustomer ?? 1;
    this.customerPrefix = script.customerPrefix ?? 'C';
    this.seed = script.seed ?? 1;
    this.attributes = script.attributes ?? {};
    this.scheduleTime = script.scheduleTime ?? null;
    this.promoCode = script.promoCodes?.join(',') ?? null;
    this.actionId = script.actionId ?? 49;
    this.controlEvery = script.controlEvery ?? 0;
    this.repeatEvery = script.repeatEvery ?? 0;
    this.details = script.details ?? {};
    this.inserted = []; // [position, rows]: what repeatRows faults put in, oldest first
    this.executedAt = null;
    this.pages = 0;
    this.served = 0;
    this.servedTwice = 0;
    this.servedUpTo = 0;
  }

  /** Positions there are. */
  get length() {
    const repeats = this.repeatEvery > 0 ? Math.floor(this.count / this.repeatEvery) : 0;
    return this.inserted.reduce((sum, [, rows]) => sum + rows, this.count + repeats);
  }

  get control() {
    if (this.given !== null) return this.given.filter((row) => row.ActionID === controlGroup).length;
    return this.controlEvery > 0 ? Math.floor(this.count / this.controlEvery) : 0;
  }

  /** The rows before this position come once more, here. */
  repeatBefore(position, rows) {
    const repeated = Math.min(rows, position);
    if (repeated > 0 && position < this.length) this.inserted.push([position, repeated]);
  }

  /** Which row stands at a position. */
  rowAt(position) {
    let at = position;
    for (let i = this.inserted.length - 1; i >= 0; i--) {
      const [from, rows] = this.inserted[i];
      if (at >= from) at -= rows;
    }
    if (this.repeatEvery === 0) return at;
    const group = this.repeatEvery + 1;
    return Math.floor(at / group) * this.repeatEvery + Math.min(at % group, this.repeatEvery - 1);
  }

  more(rows) {
    if (Array.isArray(rows)) throw new WrongCall('add: rows is a number');
    if (this.given !== null) throw new WrongCall('add: the campaign was given row by row');
    this.count += rows;
  }

  customer(i) {
    return this.given !== null ? String(this.given[i].CustomerID) : `${this.customerPrefix}${this.startCustomer + i}`;
  }

  template(i) {
    return this.given?.[i].TemplateID ?? this.templates[i % this.templates.length];
  }

  action(i) {
    if (this.given !== null) return this.given[i].ActionID ?? this.actionId;
    return this.controlEvery > 0 && (i + 1) % this.controlEvery === 0 ? controlGroup : this.actionId;
  }

  promo(i) {
    return this.given?.[i].PromoCode ?? this.promoCode;
  }

  time(i) {
    if (this.given?.[i].ScheduleTime !== undefined) return this.given[i].ScheduleTime;
    if (this.scheduleTime === null || typeof this.scheduleTime === 'string') return this.scheduleTime;
    const { inSeconds = 0, everyRows = 0, stepSeconds = 0 } = this.scheduleTime;
    const steps = everyRows > 0 ? Math.floor(i / everyRows) : 0;
    return this.formatTime(this.madeAt + (inSeconds + steps * stepSeconds) * 1000);
  }

  /** The value of an attribute, text or null. */
  attribute(i, name) {
    const maker = this.given?.[i].attributes?.[name] ?? this.attributes[name] ?? null;
    if (maker === null) return null;
    if (Array.isArray(maker)) return maker[Math.floor(seeded(this.seed ^ Math.floor(seededText(0, name) * 0x7fffffff), i) * maker.length)];
    return String(maker).replaceAll('{n}', String(this.startCustomer + i)).replaceAll('{customer}', this.customer(i));
  }

  note(from, rows) {
    this.pages++;
    this.served += rows;
    this.servedTwice += Math.max(0, Math.min(from + rows, this.servedUpTo) - from);
    this.servedUpTo = Math.max(this.servedUpTo, from + rows);
  }
}
