// The fake Netmera: its REST calls, its ledger, its control calls.

import { Faults } from '../lib/faults.mjs';
import { empty, json, lines } from '../lib/reply.mjs';
import { Settings } from '../lib/settings.mjs';
import { Windows } from '../lib/window.mjs';
import { World } from '../lib/world.mjs';
import { Deliveries } from './deliveries.mjs';
import { coded, knowsError, problem, Refused } from './errors.mjs';
import { Firing } from './fire.mjs';
import { Profiles } from './profiles.mjs';
import { Reports } from './reports.mjs';
import { Sending } from './send.mjs';

const prefix = '/rest/3.0/';

// Writes that answer 200 without a body, whatever the JSON.
const silentWrites = ['tagUsers', 'untagUsers', 'enablePush', 'disablePush', 'enableMail', 'disableMail', 'enableSms', 'disableSms', 'enableWhatsApp',
  'disableWhatsApp', 'updateWhatsApp', 'removeWhatsApp', 'setCategoryPreferences', 'addEmail', 'updateEmail', 'removeEmail', 'addMsisdn', 'updateMsisdn',
  'removeMsisdn', 'pushProfileAttributes', 'pullProfileAttributes', 'deleteProfileAttributes', 'deleteProfileAttributeValue', 'registerUsers'];

const defaults = (keys) => ({
  keys,
  definitions: null,
  latencyMs: 0,
  rateLimit: null,
  unknown: { answer: 'ignore', extIds: [], prefix: null, share: 0, seed: 1, names: true },
});

function parse(request) {
  try {
    return JSON.parse(request.body.toString('utf8'));
  } catch {
    throw new Refused('400/2009', 'Invalid JSON');
  }
}

export class Netmera extends World {
  constructor(keys) {
    const deliveries = new Deliveries();
    const profiles = new Profiles();
    const windows = new Windows();
    const firing = new Firing();
    const of = (query) => deliveries.chosen(query.get('key'), query.get('apiKey'));
    super({
      name: 'netmera',
      settings: new Settings(defaults(keys), {
        choices: { 'unknown.answer': ['ignore', 'refuse', 'partial'] },
        shapes: { rateLimit: { requests: 0, windowMs: 1000, retryAfterSeconds: null } },
      }),
      faults: new Faults([], knowsError),
      parts: {
        ledger: () => {
          this.clearCommonLedger();
          deliveries.clear();
          profiles.clear();
          windows.clear();
          firing.clear();
          this.sending.clearDefinitions();
        },
      },
      figures: {
        deliveries: (query) => deliveries.deliveriesOf(of(query)),
        recipients: (query) => deliveries.people(of(query)),
        repeated: (query) => deliveries.repeatedOf(of(query)),
        undeliverable: (query) => deliveries.undeliverableOf(of(query)),
        events: () => profiles.eventCount,
        violations: () => windows.violations,
      },
    });
    Object.assign(this, { deliveries, profiles, windows, firing, of });
    this.sending = new Sending(this);
    this.reports = new Reports(deliveries);
    this.endpoints = this.makeEndpoints();
    this.addOwnCalls();
  }

  errorReply(name) {
    return coded(name);
  }

  makeEndpoints() {
    const { sending, profiles, reports } = this;
    const input = (request) => (request.method === 'GET' ? Object.fromEntries(new URLSearchParams(request.query)) : parse(request));
    const endpoints = {
      sendNotification: { POST: (request) => sending.sendNotification(request, parse(request)) },
      createNotificationDefinition: { POST: (request) => { parse(request); return json(200, { notificationKey: sending.define() }); } },
      setProfileAttributes: { POST: (request) => profiles.set(request, parse(request)) },
      unsetProfileAttributes: { POST: (request) => profiles.unset(request, parse(request)) },
      getProfileAttributes: { GET: (request) => profiles.get(new URLSearchParams(request.query)) },
      fireEvents: { POST: (request) => profiles.fire(request, parse(request)) },
      getPushStats: { GET: (request) => reports.stats(request, input(request)), POST: (request) => reports.stats(request, input(request)) },
      getPushResult: { GET: (request) => reports.results(request, input(request)), POST: (request) => reports.results(request, input(request)) },
    };
    for (const name of ['sendEmailAndSms', 'sendBulkNotification', 'sendBulkEmail']) {
      endpoints[name] = { POST: (request) => sending.sendOwn(request, parse(request)) };
    }
    for (const name of silentWrites) endpoints[name] = { POST: (request) => { parse(request); return empty(200); } };
    return endpoints;
  }

  /** Before any fault: whose request it is, and whether it is one too many. */
  arrive(request) {
    request.apiKey = request.headers['x-netmera-api-key'] ?? '';
    const name = request.path.startsWith(prefix) ? request.path.slice(prefix.length) : '';
    request.name = Object.hasOwn(this.endpoints, name) ? name : 'unknown';
    const { rateLimit } = this.settings;
    if (rateLimit === null || this.windows.admit(request.apiKey, rateLimit)) return null;
    const { retryAfterSeconds } = rateLimit;
    return json(429, { code: 429, error: 'Too many requests' }, retryAfterSeconds == null ? undefined : { 'Retry-After': String(retryAfterSeconds) });
  }

  answer(request) {
    if (request.name === 'unknown') return problem(404, `No endpoint ${request.method} ${request.path}.`, request.path);
    const endpoint = this.endpoints[request.name];
    if (!Object.hasOwn(endpoint, request.method)) {
      return problem(405, `Method '${request.method}' is not supported.`, request.path, { Allow: Object.keys(endpoint).join(', ') });
    }
    if (!this.settings.keys.includes(request.apiKey)) return coded('403/2010');
    if (request.method === 'POST' && !/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
      return problem(415, `Content-Type '${request.headers['content-type'] ?? ''}' is not supported.`, request.path);
    }
    try {
      return endpoint[request.method](request);
    } catch (error) {
      if (error instanceof Refused) return error.reply;
      throw error;
    }
  }

  summary(query) {
    const { deliveries, windows, profiles, firing, requests } = this;
    const tallies = this.of(query);
    const after = query.get('deliveredAfter');
    return {
      ...this.commonSummary(),
      byPath: requests.byName,
      ...deliveries.figures(tallies),
      duplicates: deliveries.duplicatesOf(tallies),
      ...(after === null ? {} : { deliveredAfter: deliveries.after(tallies, Number(after)) }),
      largestRequest: deliveries.largestRequest, samePersonTwice: deliveries.samePersonTwice, overlapping: deliveries.overlapping,
      byKey: deliveries.grouped('key'), byApiKey: deliveries.grouped('apiKey'),
      violations: windows.violations, events: profiles.eventCount, profiles: profiles.byId.size, fired: firing.totals,
    };
  }

  addOwnCalls() {
    const { deliveries, profiles, firing, of } = this;
    this.addCall('GET', '/ledger/recipients', ({ query }) => lines(deliveries.recipients(of(query), Number(query.get('min') ?? 1))));
    this.addCall('GET', '/ledger/deliveries', ({ query }) => lines(this.recentDeliveries(query)));
    this.addCall('GET', '/ledger/rate', ({ query }) => json(200, deliveries.densest(of(query), Number(query.get('windowMs') ?? 1000))));
    this.addCall('GET', '/ledger/events', ({ query }) => lines(profiles.events.last(query.has('limit') ? Number(query.get('limit')) : undefined)));
    this.addCall('GET', '/ledger/profile', ({ query }) => json(200, profiles.byId.get(query.get('extId')) ?? null));
    this.addCall('POST', '/fire', ({ body }) => firing.fire(body));
  }

  /** Who got what in the last requests, read from their bodies. */
  recentDeliveries(query) {
    const extId = query.get('extId');
    const found = [];
    for (const entry of this.requests.ring) {
      if (entry.recipients === 0 || entry.body === null || !entry.path.endsWith('/sendNotification')) continue;
      let items;
      try {
        items = JSON.parse(entry.body.toString('utf8'));
      } catch {
        continue; // longer than what is kept
      }
      for (const { notificationKey: key, target, message } of [items].flat()) {
        for (const id of new Set([target.extId].flat())) {
          if (extId === null || id === extId) found.push({ at: entry.at, doneAt: entry.doneAt, status: entry.status, key, extId: id, params: message?.params ?? null });
        }
      }
    }
    return query.has('limit') ? found.slice(-Number(query.get('limit'))) : found;
  }
}
