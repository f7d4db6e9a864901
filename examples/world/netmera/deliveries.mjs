// Every delivery, counted per REST key, notification key and person, in typed arrays: a million people cost about a
// hundred megabytes, and a million deliveries more to the same people a few more.

import { Growing, Paged } from '../lib/growing.mjs';

const listedDuplicates = 100;
const keptUndeliverable = 10000;

/** Milliseconds with thousandths: how long a single message took is a few of them. */
const exactNow = () => Math.round((performance.timeOrigin + performance.now()) * 1000) / 1000;

/** What one REST key sent with one notification key. */
class Tally {
  constructor(number, apiKey, key) {
    this.number = number;
    this.apiKey = apiKey;
    this.key = key;
    this.counts = new Paged(Uint32Array);
    this.first = new Paged(Float64Array);
    this.last = new Paged(Float64Array);
    this.order = new Growing(Uint32Array); // people, in order of their first delivery
    this.deliveries = 0;
    this.undeliverable = 0;
    this.undeliverableIds = [];
    this.firstAt = null;
    this.lastAt = null;
    this.lastStartedAt = null;
  }
}

const least = (a, b) => (a === null ? b : b === null ? a : Math.min(a, b));
const most = (a, b) => (a === null ? b : b === null ? a : Math.max(a, b));

export class Deliveries {
  constructor() {
    this.clear();
  }

  clear() {
    this.ids = new Map(); // extId -> number
    this.names = []; // number -> extId
    this.tallies = new Map();
    this.byNumber = [];
    this.duplicates = []; // [tally, person]: the first to come twice
    // One entry a message of a request: when the request began to arrive, how many people, which tally.
    this.began = new Growing(Float64Array);
    this.sizes = new Growing(Uint32Array);
    this.streams = new Growing(Uint32Array);
    this.total = 0;
    this.busy = new Map(); // people in requests that are not answered yet
    this.overlapping = 0;
    this.samePersonTwice = 0;
    this.largestRequest = 0;
  }

  tally(apiKey, key) {
    const name = `${apiKey}\n${key}`;
    let tally = this.tallies.get(name);
    if (tally === undefined) {
      tally = new Tally(this.byNumber.length, apiKey, key);
      this.tallies.set(name, tally);
      this.byNumber.push(tally);
    }
    return tally;
  }

  person(extId) {
    let id = this.ids.get(extId);
    if (id === undefined) {
      id = this.names.length;
      this.ids.set(extId, id);
      this.names.push(extId);
    }
    return id;
  }

  add(apiKey, key, extIds, startedAt) {
    const tally = this.tally(apiKey, key);
    const now = Date.now();
    const exact = exactNow();
    for (const extId of extIds) {
      const id = this.person(extId);
      const count = tally.counts.get(id);
      tally.counts.set(id, count + 1);
      tally.last.set(id, exact);
      if (count === 0) {
        tally.first.set(id, exact);
        tally.order.push(id);
      } else if (count === 1 && this.duplicates.length < listedDuplicates) {
        this.duplicates.push([tally, id]);
      }
    }
    tally.deliveries += extIds.length;
    this.total += extIds.length;
    tally.firstAt ??= now;
    tally.lastAt = now;
    tally.lastStartedAt = most(tally.lastStartedAt, startedAt);
    this.began.push(startedAt);
    this.sizes.push(extIds.length);
    this.streams.push(tally.number);
  }

  addUndeliverable(apiKey, key, extIds) {
    const tally = this.tally(apiKey, key);
    tally.undeliverable += extIds.length;
    for (const extId of extIds) {
      if (tally.undeliverableIds.length < keptUndeliverable) tally.undeliverableIds.push({ extId, at: Date.now() });
    }
  }

  /** Notes who is in a request; with `stays`, they are busy until the returned function is called. */
  occupy(extIds, stays) {
    if (this.busy.size > 0) {
      for (const extId of extIds) if (this.busy.has(extId)) this.overlapping++;
    }
    if (!stays) return null;
    for (const extId of extIds) this.busy.set(extId, (this.busy.get(extId) ?? 0) + 1);
    const { busy } = this; // a reset in between starts another
    return () => {
      for (const extId of extIds) {
        const left = busy.get(extId) - 1;
        if (left > 0) busy.set(extId, left);
        else busy.delete(extId);
      }
    };
  }

  /** Those of the REST key and notification key named; null or undefined means any. */
  chosen(key, apiKey) {
    return this.byNumber.filter((tally) => (key == null || tally.key === key) && (apiKey == null || tally.apiKey === apiKey));
  }

  /** Different people in these tallies. */
  people(tallies) {
    if (tallies.length === 0) return 0;
    if (tallies.length === 1) return tallies[0].order.length;
    if (tallies.length === this.byNumber.length) return this.names.length;
    const seen = new Uint8Array(this.names.length);
    let people = 0;
    for (const { order } of tallies) {
      for (let i = 0; i < order.length; i++) {
        const id = order.values[i];
        if (seen[id] === 0) people++;
        seen[id] = 1;
      }
    }
    return people;
  }

  deliveriesOf(tallies) {
    return tallies.reduce((sum, tally) => sum + tally.deliveries, 0);
  }

  undeliverableOf(tallies) {
    return tallies.reduce((sum, tally) => sum + tally.undeliverable, 0);
  }

  /** Deliveries beyond the first of one key to one person. */
  repeatedOf(tallies) {
    return tallies.reduce((sum, tally) => sum + tally.deliveries - tally.order.length, 0);
  }

  figures(tallies) {
    return {
      deliveries: this.deliveriesOf(tallies), recipients: this.people(tallies), repeated: this.repeatedOf(tallies), undeliverable: this.undeliverableOf(tallies),
      firstAt: tallies.reduce((at, tally) => least(at, tally.firstAt), null),
      lastAt: tallies.reduce((at, tally) => most(at, tally.lastAt), null),
      lastStartedAt: tallies.reduce((at, tally) => most(at, tally.lastStartedAt), null),
    };
  }

  duplicatesOf(tallies) {
    return this.duplicates.filter(([tally]) => tallies.includes(tally))
      .map(([tally, id]) => ({ key: tally.key, apiKey: tally.apiKey, extId: this.names[id], count: tally.counts.get(id) }));
  }

  grouped(field) {
    const result = {};
    for (const name of new Set(this.byNumber.map((tally) => tally[field]))) {
      result[name] = this.figures(this.byNumber.filter((tally) => tally[field] === name));
    }
    return result;
  }

  /** How many began after this time. */
  after(tallies, time) {
    const chosen = new Set(tallies.map((tally) => tally.number));
    let found = 0;
    for (let i = 0; i < this.began.length; i++) {
      if (this.began.values[i] > time && chosen.has(this.streams.values[i])) found += this.sizes.values[i];
    }
    return found;
  }

  /** The most that began within any window of this length. */
  densest(tallies, windowMs) {
    const chosen = new Set(tallies.map((tally) => tally.number));
    const all = [];
    for (let i = 0; i < this.began.length; i++) if (chosen.has(this.streams.values[i])) all.push(i);
    all.sort((a, b) => this.began.values[a] - this.began.values[b]); // answers end in another order than requests begin
    let mostInWindow = 0;
    let at = null;
    let inWindow = 0;
    let head = 0;
    for (const i of all) {
      inWindow += this.sizes.values[i];
      while (this.began.values[all[head]] <= this.began.values[i] - windowMs) inWindow -= this.sizes.values[all[head++]];
      if (inWindow > mostInWindow) [mostInWindow, at] = [inWindow, this.began.values[all[head]]];
    }
    return { windowMs, most: mostInWindow, at };
  }

  * recipients(tallies, min) {
    const seen = tallies.length > 1 ? new Uint8Array(this.names.length) : null;
    for (const { order } of tallies) {
      for (let i = 0; i < order.length; i++) {
        const id = order.values[i];
        if (seen !== null && seen[id]++ > 0) continue;
        const entry = this.recipient(tallies, id);
        if (entry.count >= min) yield entry;
      }
    }
  }

  recipient(tallies, id) {
    let count = 0;
    let firstAt = null;
    let lastAt = null;
    for (const tally of tallies) {
      const here = tally.counts.get(id);
      if (here === 0) continue;
      count += here;
      firstAt = least(firstAt, tally.first.get(id));
      lastAt = most(lastAt, tally.last.get(id));
    }
    return { extId: this.names[id], count, firstAt, lastAt };
  }
}
