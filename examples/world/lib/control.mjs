// The control calls under /_world: JSON in, JSON or NDJSON out, 400 with a reason for what is wrong.

import { json, WrongCall } from './reply.mjs';
import { sendLines } from './send.mjs';

function parse(body) {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new WrongCall(`the body is not JSON: ${error.message}`);
  }
}

async function callFor(world, req, body) {
  const url = new URL(req.url, 'http://world');
  const path = url.pathname.slice('/_world'.length).replace(/\/$/, '');
  const handler = world.calls.get(`${req.method} ${path}`);
  if (handler === undefined) return json(404, { error: `no control call ${req.method} ${url.pathname}; GET /_world lists them` });
  try {
    return await handler({ body: parse(body), query: url.searchParams });
  } catch (error) {
    if (error instanceof WrongCall) return json(400, { error: error.message });
    process.stderr.write(`${world.name}: control ${req.method} ${req.url}: ${error.stack}\n`);
    return json(500, { error: error.message });
  }
}

export async function handleControl(world, req, res, body, goDown) {
  const reply = await callFor(world, req, body);
  if (res.destroyed) return;
  if (reply.values) {
    await sendLines(res, reply.values);
    return;
  }
  res.writeHead(reply.status, { 'Content-Type': reply.type, 'Content-Length': Buffer.byteLength(reply.body) });
  res.end(reply.body, reply.thenDownMs === undefined ? undefined : () => goDown(reply.thenDownMs));
}
