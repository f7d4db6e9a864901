// Starts the programs as a user would, and listens as netmove would.

import { spawn } from 'node:child_process';
import http from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const pathOf = (program) => fileURLToPath(new URL(`../${program}.mjs`, import.meta.url));

/** A running program: `api` calls as a client, `control` calls under /_world. */
class Running {
  constructor(child, url) {
    this.child = child;
    this.url = url;
  }

  async control(method, path, body) {
    const response = await fetch(`${this.url}/_world${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await response.text();
    if ((response.headers.get('content-type') ?? '').includes('ndjson')) return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
    return { status: response.status, ...wrap(JSON.parse(text)) };
  }

  get(path) { return this.control('GET', path); }
  post(path, body = {}) { return this.control('POST', path, body); }

  async stop() {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const [code] = await exited;
    return code;
  }
}

const wrap = (value) => (Array.isArray(value) ? { list: value } : value);

export async function start(program, ...args) {
  const child = spawn(process.execPath, [pathOf(program), '--port', '0', '--ends-with-stdin', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return new Running(child, JSON.parse(line).url);
}

/** POSTs as a client of the fake; the answer's status, text, and JSON where it is. */
export async function call(url, { method = 'POST', headers = {}, body } = {}) {
  const response = await fetch(url, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: typeof body === 'object' ? JSON.stringify(body) : body });
  const text = await response.text();
  let value;
  try { value = JSON.parse(text); } catch { value = undefined; }
  return { status: response.status, text, value, type: response.headers.get('content-type'), headers: response.headers };
}

/** One request over raw http, so that nothing between us and the wire repeats it. Resolves to { error } or { status, text }. */
export function raw(url, { method = 'POST', headers = {}, body = '' } = {}) {
  return new Promise((resolve) => {
    const request = http.request(url, { method, agent: false, headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers } });
    request.on('error', (error) => resolve({ error: error.code ?? error.message }));
    request.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString('latin1') }));
      response.on('error', (error) => resolve({ error: error.code ?? error.message, status: response.statusCode, partial: Buffer.concat(chunks).length }));
    });
    request.end(body);
  });
}

/** Takes what the fakes POST. `received` grows; `until(n)` resolves when there are n. */
export async function openReceiver({ status = 200, answer = '{"status":"accepted"}' } = {}) {
  const received = [];
  const waiting = [];
  const server = http.createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => { body += chunk; });
    req.on('end', () => {
      received.push({ url: req.url, method: req.method, headers: req.headers, body });
      res.writeHead(status);
      res.end(answer);
      for (const { count, resolve } of waiting) if (received.length >= count) resolve(received);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    received,
    until: (count) => new Promise((resolve) => { if (received.length >= count) resolve(received); else waiting.push({ count, resolve }); }),
    close: () => { server.close(); server.closeAllConnections(); },
  };
}
