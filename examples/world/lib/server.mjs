// Takes requests in, hands them to the world or to its control calls, and sends what comes back, faults applied.

import http from 'node:http';
import https from 'node:https';
import { drawMs } from './seeded.mjs';
import { handleControl } from './control.mjs';
import { sendReply } from './send.mjs';

const nothing = Buffer.alloc(0);

function readBody(req, then) {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => then(chunks.length === 0 ? nothing : chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
  req.on('error', () => {}); // left half way: there is nothing to answer
}

function makeRequest(req, at, body) {
  const mark = req.url.indexOf('?');
  return {
    at, body, method: req.method, headers: req.headers,
    path: mark < 0 ? req.url : req.url.slice(0, mark),
    query: mark < 0 ? '' : req.url.slice(mark + 1),
    apiKey: undefined, // the world knows which header it is in
    name: '', recipients: 0, fault: null, entry: null, n: 0,
    answeredLater: false, // known before the work is done: it is what makes requests overlap
    whenDone: null,
  };
}

function replaced(world, act, reply) {
  if (act.error !== undefined) return world.errorReply(act.error);
  if (act.raw !== undefined) return { status: 200, type: 'application/json', body: JSON.stringify(act.raw) };
  if (act.status !== undefined) {
    const isText = typeof act.body === 'string';
    return { status: act.status, type: isText ? 'text/plain' : 'application/json', body: act.body === undefined ? '' : isText ? act.body : JSON.stringify(act.body), headers: act.headers };
  }
  if (act.garbage) return { status: 200, type: 'application/json', body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x00, 0x3c, 0x68, 0x74, 0x6d, 0x6c]) };
  return act.headers ? { ...reply, headers: { ...reply.headers, ...act.headers } } : reply;
}

/** The work, unless a fault stands before it; then the answer, as the fault wants it. */
function decide(world, request) {
  const refusal = world.arrive(request);
  if (refusal) return refusal;
  const fault = world.faults.pick(request);
  request.fault = fault;
  request.delayMs += fault === null ? 0 : drawMs(fault.act.delayMs, request.n);
  request.answeredLater = request.delayMs > 0 || Boolean(fault?.act.hang);
  if (fault === null) return world.answer(request, {});
  const reply = fault.work ? world.answer(request, fault.act) : { status: 200, body: '' };
  return replaced(world, fault.act, reply);
}

function decideSafely(world, request) {
  try {
    return decide(world, request);
  } catch (error) {
    process.stderr.write(`${world.name}: ${request.method} ${request.path}: ${error.stack}\n`);
    return { status: 500, type: 'text/plain', body: 'the fake world is at fault, see its stderr' };
  }
}

function handle(world, req, res, at, body) {
  const request = makeRequest(req, at, body);
  world.requests.begin(request);
  request.delayMs = drawMs(world.settings.latencyMs, request.n);
  const reply = decideSafely(world, request);
  let ended = false;
  const end = (status) => {
    if (ended) return;
    ended = true;
    world.requests.end(request, status);
    request.whenDone?.();
    world.log?.(`${request.method} ${request.path} ${status} ${request.fault === null ? '' : `fault ${request.fault.name}`}`);
    world.watch.changed();
  };
  const act = request.fault?.act ?? {};
  if (!request.answeredLater) return sendReply(res, reply, act, end);
  world.watch.changed();
  const timer = act.hang ? null : setTimeout(() => { if (!ended) sendReply(res, reply, act, end); }, request.delayMs);
  res.on('close', () => { clearTimeout(timer); end('gone'); });
}

function makeServer(tls, listener) {
  return tls ? https.createServer(tls, listener) : http.createServer({ noDelay: true }, listener);
}

export async function openServer(world, { port, host, tls, keepAliveMs }) {
  const server = makeServer(tls, (req, res) => {
    const at = Date.now();
    const isControl = req.url.startsWith('/_world');
    readBody(req, (body) => (isControl ? handleControl(world, req, res, body, goDown) : handle(world, req, res, at, body)));
  });
  server.keepAliveTimeout = keepAliveMs;
  server.requestTimeout = 0;
  server.on('connection', (socket) => {
    world.connections.opened++;
    world.connections.open++;
    socket.on('close', () => world.connections.open--);
    socket.on('error', () => {}); // the other side may leave as it likes
  });
  server.on('clientError', (error, socket) => socket.destroy());
  const listen = (onPort) => new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(onPort, host, () => { server.removeListener('error', reject); resolve(); });
  });
  await listen(port);
  const bound = server.address().port;
  function goDown(ms) {
    server.close();
    server.closeAllConnections();
    setTimeout(() => listen(bound).catch((error) => { process.stderr.write(`${world.name}: cannot listen again: ${error.message}\n`); process.exit(3); }), ms);
  }
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return { url: `${tls ? 'https' : 'http'}://${shownHost}:${bound}` };
}
