// The fake Optimove and the fake Netmera: starting them, and asking their ledgers, which are the story's only witnesses.

import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { Program } from './processes.mjs';

const stalledMs = 60000;

/** What was found is not what was expected. */
export class Mismatch extends Error {}

export function expect(what, found, expected) {
  if (found !== expected) throw new Mismatch(`${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`);
}

export function expectAtMost(what, found, most) {
  if (!(found <= most)) throw new Mismatch(`${what}: expected at most ${most}, found ${JSON.stringify(found)}`);
}

/**
 * Looks again until `isEnough(seen)`; resolves to what was seen. Gives up when nothing has changed for a minute: a slow machine is no failure,
 * a standstill is.
 */
export async function watch(what, look, isEnough) {
  let last = '';
  let changedAt = Date.now();
  for (;;) {
    const seen = await look();
    if (isEnough(seen)) return seen;
    const text = JSON.stringify(seen);
    if (text !== last) [last, changedAt] = [text, Date.now()];
    if (Date.now() - changedAt > stalledMs) throw new Mismatch(`waited in vain for ${what}; last seen: ${text.slice(0, 400)}`);
    await pause(50);
  }
}

function request(url, method, body) {
  return new Promise((resolve, reject) => {
    const asked = http.request(url, { method, headers: { 'Content-Type': 'application/json' } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'] ?? '', text: Buffer.concat(chunks).toString() }));
    });
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export class Fake {
  constructor(name, options) {
    this.name = name;
    const path = fileURLToPath(new URL(`../world/${name}.mjs`, import.meta.url));
    this.program = new Program(`the fake ${name}`, [process.execPath, path, '--port', '0'], options);
  }

  async start() {
    const line = await this.program.start((text) => text.split('\n').find((row) => row.startsWith('{"ready":true') && row.endsWith('}')));
    this.url = JSON.parse(line).url;
  }

  async ask(method, path, body) {
    const { status, type, text } = await request(`${this.url}/_world/${path}`, method, body);
    if (status !== 200) throw new Error(`${this.name}: ${method} /_world/${path}: ${status} ${text}`);
    if (type.includes('ndjson')) return text.split('\n').filter(Boolean).map((row) => JSON.parse(row));
    return JSON.parse(text);
  }

  get(path) { return this.ask('GET', path); }
  post(path, body) { return this.ask('POST', path, body); }

  /** The figures of one notification key at Netmera; zeros while it is unknown. */
  async figures(key) {
    const { deliveries, recipients, repeated } = await this.get(`ledger?key=${key}`);
    return { deliveries, recipients, repeated };
  }
}
