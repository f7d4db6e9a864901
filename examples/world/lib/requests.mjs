// The log of requests: counters for all of them, full entries for the last ones, bodies within a budget.

import { countIn } from './counts.mjs';
import { Ring } from './ring.mjs';

const keptRequests = 1000;
const keptBodyBytes = 64 * 1024;
const keptBytesInAll = 32 * 1024 * 1024;

export class Requests {
  constructor() {
    this.inFlight = 0;
    this.clear();
  }

  clear() {
    this.ring = new Ring(keptRequests);
    this.bytes = 0;
    this.oldestBody = 0;
    this.total = 0;
    this.mostInFlight = this.inFlight;
    this.lastArrival = 0;
    this.byName = {};
  }

  begin(request) {
    request.n = ++this.total;
    this.lastArrival = request.at;
    this.inFlight++;
    if (this.inFlight > this.mostInFlight) this.mostInFlight = this.inFlight;
    this.keep(request);
  }

  /** A copy of the body: the parser's own buffers are slices of much larger ones. */
  keep(request) {
    const entry = {
      n: request.n, at: request.at, doneAt: null, method: request.method, path: request.path, query: request.query, status: null,
      bytes: request.body.length, recipients: 0, fault: null, body: Buffer.from(request.body.subarray(0, keptBodyBytes)),
    };
    request.entry = entry;
    this.bytes += entry.body.length;
    const gone = this.ring.push(entry);
    if (gone?.body) this.bytes -= gone.body.length;
    if (this.bytes > keptBytesInAll) this.dropOldBodies();
  }

  dropOldBodies() {
    for (const entry of this.ring) {
      if (this.bytes <= keptBytesInAll) return;
      if (entry.body === null) continue;
      this.bytes -= entry.body.length;
      entry.body = null;
    }
  }

  end(request, status) {
    this.inFlight--;
    const { entry } = request;
    entry.doneAt = Date.now();
    entry.status = status;
    entry.recipients = request.recipients;
    entry.fault = request.fault === null ? null : request.fault.name;
    countIn(this.byName, request.name, status);
  }

  /** NDJSON of what passes the filters, oldest first. */
  list(query) {
    const limit = query.has('limit') ? Number(query.get('limit')) : undefined;
    const path = query.get('path')?.toLowerCase();
    const status = query.get('status');
    const contains = query.get('contains');
    return this.ring.last(limit, (entry) => (path === undefined || entry.path.toLowerCase().includes(path))
      && (status === null || String(entry.status) === status)
      && (contains === null || (entry.body !== null && entry.body.includes(contains))))
      .map((entry) => ({ ...entry, body: entry.body === null ? null : entry.body.toString('utf8') }));
  }
}
