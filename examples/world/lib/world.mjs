// What both programs are: settings, faults, a request log and the control calls common to both.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { json, lines, onlyKeys, WrongCall } from './reply.mjs';
import { Requests } from './requests.mjs';
import { Watch } from './watch.mjs';

const loopResolutionMs = 10;

export class World {
  /** `parts`: what reset can clear besides; `figures`: what `wait` can wait for. Subclasses give `arrive` and `answer`. */
  constructor({ name, settings, faults, parts = {}, figures = {} }) {
    this.name = name;
    this.settingsStore = settings;
    this.faults = faults;
    this.requests = new Requests();
    this.connections = { opened: 0, open: 0 };
    this.log = null;
    this.url = null;
    this.since = Date.now();
    this.loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
    this.loop.enable();
    this.watch = new Watch({ requests: () => this.requests.total, ...figures }, () => this.requests.lastArrival);
    this.parts = {
      ledger: () => this.clearCommonLedger(),
      faults: () => faults.clear(),
      settings: () => settings.reset(),
      ...parts,
    };
    this.calls = new Map();
    this.addCommonCalls();
  }

  get settings() {
    return this.settingsStore.values;
  }

  /** `handler({ body, query })` returns a reply, or a promise of one. */
  addCall(method, path, handler) {
    this.calls.set(`${method} ${path}`, handler);
  }

  clearCommonLedger() {
    this.since = Date.now();
    this.requests.clear();
    this.loop.reset();
    this.connections.opened = this.connections.open;
  }

  commonSummary() {
    const ms = (nanoseconds) => Math.max(0, Math.round(nanoseconds / 1e6) - loopResolutionMs);
    return {
      since: this.since, now: Date.now(), requests: this.requests.total,
      inFlight: { now: this.requests.inFlight, most: this.requests.mostInFlight },
      connections: { ...this.connections },
      faults: this.faults.summary(),
      loopDelayMs: { p99: ms(this.loop.percentile(99)), max: ms(this.loop.max) },
    };
  }

  addCommonCalls() {
    this.addCall('GET', '', () => json(200, { name: this.name, url: this.url, since: this.since, calls: [...this.calls.keys()].map((call) => call.replace(' ', ' /_world')) }));
    this.addCall('POST', '/reset', ({ body }) => this.reset(body));
    this.addCall('GET', '/settings', () => json(200, this.settings));
    this.addCall('POST', '/settings', ({ body }) => {
      this.settingsStore.merge(body);
      return json(200, this.settings);
    });
    this.addCall('GET', '/faults', () => json(200, this.faults.summary()));
    this.addCall('POST', '/faults', ({ body, query }) => {
      this.faults.set(body, query.get('add') === '1');
      return json(200, this.faults.summary());
    });
    this.addCall('DELETE', '/faults', () => {
      this.faults.clear();
      return json(200, []);
    });
    this.addCall('GET', '/ledger', ({ query }) => json(200, this.summary(query)));
    this.addCall('GET', '/ledger/requests', ({ query }) => lines(this.requests.list(query)));
    this.addCall('GET', '/ledger/wait', ({ query }) => this.wait(query));
    this.addCall('POST', '/down', ({ body }) => {
      onlyKeys(body, ['ms'], 'down');
      return { ...json(200, { downMs: body.ms ?? 500 }), thenDownMs: body.ms ?? 500 };
    });
  }

  reset(body) {
    onlyKeys(body, ['only'], 'reset');
    const wanted = body.only ?? Object.keys(this.parts);
    for (const part of wanted) {
      if (!Object.hasOwn(this.parts, part)) throw new WrongCall(`reset: no part "${part}" (known: ${Object.keys(this.parts).join(', ')})`);
    }
    for (const part of wanted) this.parts[part]();
    return json(200, { reset: wanted });
  }

  async wait(query) {
    const { quietMs = '0', timeoutMs = '10000', key, apiKey, function: name, ...wanted } = Object.fromEntries(query);
    for (const figure of Object.keys(wanted)) {
      if (!Object.hasOwn(this.watch.figures, figure)) {
        throw new WrongCall(`wait: no figure "${figure}" (known: ${Object.keys(this.watch.figures).join(', ')})`);
      }
      wanted[figure] = Number(wanted[figure]);
    }
    return json(200, await this.watch.until(wanted, query, Number(quietMs), Number(timeoutMs)));
  }
}
