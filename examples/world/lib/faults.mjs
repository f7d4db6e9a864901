// Scripted faults: which request they hit, and what becomes of it.

import { onlyKeys, WrongCall } from './reply.mjs';
import { seeded } from './seeded.mjs';

const matchKeys = ['path', 'method', 'extId', 'apiKey', 'after', 'nth', 'every', 'share', 'seed', 'times'];
const doKeys = ['status', 'body', 'headers', 'error', 'raw', 'delayMs', 'hang', 'close', 'reset', 'garbage', 'work'];
const closings = ['before', 'after', 'midbody'];

const isReplaced = (act) => act.status !== undefined || act.raw !== undefined || act.error !== undefined;

function doesWork(act) {
  if (act.work !== undefined) return act.work;
  if (act.close === 'before') return false;
  if (act.error !== undefined || act.raw !== undefined) return false;
  if (act.status !== undefined) return act.status >= 200 && act.status < 300;
  return true;
}

function hasValue(request, id) {
  if (request.body.includes(JSON.stringify(id))) return true;
  for (const value of new URLSearchParams(request.query).values()) if (value === id) return true;
  return false;
}

class Fault {
  constructor(script, number) {
    this.match = script.match ?? {};
    this.act = script.do;
    this.name = script.name ?? number;
    this.path = this.match.path?.toLowerCase();
    this.work = doesWork(this.act);
    this.replaces = isReplaced(this.act);
    this.seen = 0;
    this.applied = 0;
  }

  concerns(request) {
    const { method, extId, apiKey } = this.match;
    if (this.path !== undefined && !request.path.toLowerCase().includes(this.path)) return false;
    if (method !== undefined && request.method !== method) return false;
    if (apiKey !== undefined && request.apiKey !== apiKey) return false;
    return extId === undefined || hasValue(request, extId);
  }

  /** Counts the request; true if this is one to hit. */
  hits(request) {
    if (!this.concerns(request)) return false;
    this.seen++;
    const { after = 0, nth, every, share, seed = 1, times } = this.match;
    const position = this.seen - after;
    if (position < 1) return false;
    if (nth !== undefined && position !== nth) return false;
    if (every !== undefined && position % every !== 0) return false;
    if (share !== undefined && seeded(seed, position) >= share) return false;
    return times === undefined || this.applied < times;
  }

  summary() {
    const { name, match, act, seen, applied } = this;
    return { name, match, do: act, seen, applied };
  }
}

export class Faults {
  /** `moreDoKeys`: what this program can do besides; `knowsError(name)`: whether its error table has that row. */
  constructor(moreDoKeys, knowsError) {
    this.doKeys = [...doKeys, ...moreDoKeys];
    this.knowsError = knowsError;
    this.clear();
  }

  clear() {
    this.list = [];
  }

  check(script, number) {
    const where = `faults[${number}]`;
    onlyKeys(script, ['name', 'match', 'do'], where);
    onlyKeys(script.match ?? {}, matchKeys, `${where}.match`);
    onlyKeys(script.do, this.doKeys, `${where}.do`);
    const { close, error } = script.do;
    if (close !== undefined && !closings.includes(close)) throw new WrongCall(`${where}.do.close: one of ${closings.join(', ')}`);
    if (error !== undefined && !this.knowsError(error)) throw new WrongCall(`${where}.do.error: "${error}" is not in the error table`);
  }

  set(scripts, add) {
    if (!Array.isArray(scripts)) throw new WrongCall('faults: an array is needed');
    scripts.forEach((script, number) => this.check(script, number));
    const before = add ? this.list : [];
    this.list = [...before, ...scripts.map((script, number) => new Fault(script, before.length + number))];
  }

  /** The fault that this request meets, or null. */
  pick(request) {
    let chosen = null;
    for (const fault of this.list) {
      if (fault.hits(request) && chosen === null) chosen = fault;
    }
    if (chosen !== null) chosen.applied++;
    return chosen;
  }

  summary() {
    return this.list.map((fault) => fault.summary());
  }
}
