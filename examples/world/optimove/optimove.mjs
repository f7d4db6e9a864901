// The fake Optimove: its API, its ledger, its control calls.

import { Faults } from '../lib/faults.mjs';
import { jsonText, lines } from '../lib/reply.mjs';
import { Settings } from '../lib/settings.mjs';
import { Windows } from '../lib/window.mjs';
import { World } from '../lib/world.mjs';
import { Campaigns } from './campaigns.mjs';
import { Bad, badRequest, forbidden, notFound, tooMany, unauthorized, wrongMethod, wrongType } from './errors.mjs';
import { Feedback } from './feedback.mjs';
import { functionPath, makeFunctions } from './functions.mjs';
import { Listeners } from './listeners.mjs';
import { Notifier } from './notify.mjs';
import { Realtime, realtimePath } from './realtime.mjs';
import { Templates } from './templates.mjs';
import { Updates } from './updates.mjs';

const pageFaults = ['emptyPage', 'shortPages', 'repeatRows', 'lateRows', 'missingAttribute'];

const defaults = ({ keys, channels }) => ({
  keys,
  thirdpartyStatus: 403,
  channels,
  reregister: 'overwrite',
  unregisterWithoutChannel: 'pair',
  rateLimit: { requests: 50, windowMs: 10000, retryAfterSeconds: null },
  pageCap: 10000,
  latencyMs: 0,
  utcOffsetMinutes: 0,
  emptyAs: '[]',
  rowStyle: { time: 'ScheduleTime', ids: 'number', attributes: 'array', nulls: 'null' },
  attributes: [{ RealFieldName: 'EMAIL', Description: 'E-mail address' }],
  updates: {
    status: 200, answerRequestId: false, callback: 'normal', callbackDelayMs: 100,
    knownFields: null, frozenFields: [], numberFields: [], unknownCustomers: [], unknownPrefix: null,
  },
  realtime: { tenant: 999, token: null, events: null, errorStatus: 200 },
});

const choices = {
  thirdpartyStatus: [401, 403],
  reregister: ['overwrite', 'duplicate'],
  unregisterWithoutChannel: ['pair', 'all'],
  emptyAs: ['[]', 'null', ''],
  'rowStyle.time': ['ScheduleTime', 'ScheduledTime'],
  'rowStyle.ids': ['number', 'text'],
  'rowStyle.attributes': ['array', 'string'],
  'rowStyle.nulls': ['null', 'NULL'],
  'updates.status': [200, 202],
  'realtime.errorStatus': [200, 400],
  'updates.callback': ['normal', 'never', 'twice'],
};

function lowerNames(query) {
  const result = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) result.append(name.toLowerCase(), value);
  return result;
}

function parse(request) {
  try {
    return JSON.parse(request.body.toString('utf8'));
  } catch {
    throw new Bad('JSON');
  }
}

export class Optimove extends World {
  constructor(account) {
    super({
      name: 'optimove',
      settings: new Settings(defaults(account), { choices }),
      faults: new Faults(pageFaults, () => false),
      parts: {
        ledger: () => this.clearLedger(),
        listeners: () => this.listeners.clear(),
        campaigns: () => this.campaigns.clear(),
        templates: () => this.templates.clear(),
      },
      figures: {
        calls: (query) => this.answeredCalls(query.get('function')),
        listeners: () => this.listeners.held.length,
        rows: () => this.campaigns.rowsServed,
        updates: () => this.updates.calls,
        values: () => this.updates.values,
        callbacks: () => this.updates.callbackCounts.sent,
        tracked: () => this.realtime.taken,
        notifications: () => this.notifier.answered,
        violations: () => this.windows.violations,
      },
    });
    this.windows = new Windows();
    this.listeners = new Listeners(this);
    this.templates = new Templates(this);
    this.campaigns = new Campaigns(this);
    this.updates = new Updates(this);
    this.feedback = new Feedback();
    this.realtime = new Realtime(this);
    this.notifier = new Notifier(this);
    this.functions = makeFunctions(this);
    this.addOwnCalls();
    this.notifier.addCalls();
  }

  clearLedger() {
    this.clearCommonLedger();
    this.windows.clear();
    this.updates.clear();
    this.feedback.clear();
    this.realtime.clear();
    this.notifier.clear();
    this.campaigns.clearCounts();
  }

  /** "YYYY-MM-DD HH:MM:SS", in the account's time. */
  formatTime(ms) {
    return new Date(ms + this.settings.utcOffsetMinutes * 60000).toISOString().slice(0, 19).replace('T', ' ');
  }

  /** A list; when it is empty it looks as the settings say. */
  listReply(items) {
    return items.length === 0 ? jsonText(200, this.settings.emptyAs) : jsonText(200, JSON.stringify(items));
  }

  /** Before any fault: whose request it is, and whether it is one too many. */
  arrive(request) {
    request.isRealtime = request.path.toLowerCase() === realtimePath; // no key and no function
    if (request.isRealtime) {
      request.name = 'reportServer';
      return null;
    }
    request.apiKey = request.headers['x-api-key'] ?? '';
    request.function = this.functions.get(functionPath(request.path));
    request.name = request.function?.name ?? 'unknown';
    const limit = this.settings.rateLimit;
    return this.windows.admit(request.apiKey, limit) ? null : tooMany(limit);
  }

  answer(request, act) {
    if (request.isRealtime) return this.realtime.report(request);
    const key = this.settings.keys.find((held) => held.key === request.apiKey);
    if (key === undefined) return unauthorized();
    const { function: called } = request;
    if (called === undefined) return notFound();
    if (called.method !== request.method) return wrongMethod();
    if (key.kind !== 'admin' && !called.open) return this.settings.thirdpartyStatus === 401 ? unauthorized() : forbidden();
    if (request.method === 'POST' && !/^application\/json\b/i.test(request.headers['content-type'] ?? '')) return wrongType();
    try {
      return called.run({ query: lowerNames(request.query), body: request.method === 'POST' ? parse(request) : null, request, act });
    } catch (error) {
      if (error instanceof Bad) return badRequest();
      throw error;
    }
  }

  answeredCalls(name) {
    let calls = 0;
    for (const [called, byStatus] of Object.entries(this.requests.byName)) {
      if (name !== null && called.toLowerCase() !== name.toLowerCase()) continue;
      for (const [status, times] of Object.entries(byStatus)) if (status.startsWith('2')) calls += times;
    }
    return calls;
  }

  summary() {
    return {
      ...this.commonSummary(),
      listeners: this.listeners.shown(),
      templates: this.templates.shown(),
      calls: this.requests.byName,
      rate: this.windows.summary(), violations: this.windows.violations,
      pages: this.campaigns.counts(),
      updates: this.updates.summary(),
      realtime: this.realtime.summary(),
      metrics: [...this.feedback.metrics.values()],
      interactions: [...this.feedback.interactions.values()],
      notifications: this.notifier.totals,
    };
  }

  addOwnCalls() {
    const { campaigns, updates, feedback, notifier } = this;
    this.addCall('GET', '/campaigns', () => campaigns.list());
    this.addCall('POST', '/campaigns', ({ body }) => campaigns.make(body));
    this.addCall('POST', '/campaigns/add', ({ body }) => campaigns.addRows(body));
    this.addCall('GET', '/ledger/updates', ({ query }) => lines(updates.list(query)));
    this.addCall('GET', '/ledger/callbacks', () => lines(updates.callbacks));
    this.addCall('GET', '/ledger/tracked', ({ query }) => lines(this.realtime.list(query)));
    this.addCall('GET', '/ledger/preferences', () => lines(feedback.listPreferences()));
    this.addCall('GET', '/ledger/notifications', ({ query }) => {
      const type = query.get('eventType');
      return lines(notifier.ring.last(query.has('limit') ? Number(query.get('limit')) : undefined, (entry) => type === null || String(entry.eventType) === type));
    });
  }
}
