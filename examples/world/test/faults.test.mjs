import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { raw, start } from './support.mjs';

let world;
before(async () => { world = await start('netmera'); });
after(() => world.stop());
beforeEach(() => world.post('/reset'));

const send = (extId = 'u1') => raw(`${world.url}/rest/3.0/sendNotification`, {
  headers: { 'X-netmera-api-key': 'netmera-key' }, body: JSON.stringify({ notificationKey: '1', target: { extId } }),
});

async function statuses(times) {
  const seen = [];
  for (let i = 0; i < times; i++) seen.push((await send()).status);
  return seen;
}

const deliveries = async () => (await world.get('/ledger')).deliveries;

test('nth hits one, every hits each nth, after skips, times ends it', async () => {
  await world.post('/faults', [{ match: { path: 'SENDnotification', nth: 2 }, do: { status: 503 } }]);
  assert.deepEqual(await statuses(3), [200, 503, 200]);
  await world.post('/faults', [{ match: { every: 2, after: 1, times: 1 }, do: { status: 503 } }]);
  assert.deepEqual(await statuses(6), [200, 200, 503, 200, 200, 200]);
  const [fault] = (await world.get('/faults')).list;
  assert.equal(fault.seen, 6);
  assert.equal(fault.applied, 1);
});

test('share draws the same requests from the same seed', async () => {
  const draw = async (seed) => {
    await world.post('/faults', [{ match: { share: 0.3, seed }, do: { status: 503 } }]);
    return statuses(40);
  };
  const first = await draw(5);
  assert.deepEqual(await draw(5), first);
  assert.notDeepEqual(await draw(6), first);
  assert.ok(first.includes(503) && first.includes(200));
});

test('extId hits only requests that name this person whole', async () => {
  await world.post('/faults', [{ match: { extId: 'u7' }, do: { status: 500 } }]);
  assert.equal((await send('u77')).status, 200);
  assert.equal((await send(['u1', 'u7'])).status, 500);
});

test('the first fault that applies wins and the others count it as seen', async () => {
  await world.post('/faults', [{ match: { nth: 1 }, do: { status: 501 } }]);
  await world.post('/faults?add=1', [{ do: { status: 502 } }]);
  assert.deepEqual(await statuses(2), [501, 502]);
  assert.equal((await world.get('/faults')).list[1].seen, 2);
});

test('an error status does no work unless it is told to', async () => {
  await world.post('/faults', [{ match: { nth: 1 }, do: { status: 500 } }, { match: { nth: 2 }, do: { status: 500, work: true } }]);
  await send();
  assert.equal(await deliveries(), 0);
  assert.equal((await send()).status, 500);
  assert.equal(await deliveries(), 1);
});

test('status carries its body and headers', async () => {
  await world.post('/faults', [{ do: { status: 429, body: { a: 1 }, headers: { 'Retry-After': '7' } } }]);
  const response = await fetch(`${world.url}/rest/3.0/sendNotification`, { method: 'POST' });
  assert.equal(response.status, 429);
  assert.equal(response.headers.get('retry-after'), '7');
  assert.deepEqual(await response.json(), { a: 1 });
});

test('close before: no byte and no work; close after: no byte, but the work is done', async () => {
  await world.post('/faults', [{ match: { nth: 1 }, do: { close: 'before' } }, { match: { nth: 2 }, do: { close: 'after' } }]);
  assert.equal((await send()).error, 'ECONNRESET'); // socket hang up
  assert.equal(await deliveries(), 0);
  assert.equal((await send()).error, 'ECONNRESET');
  assert.equal(await deliveries(), 1);
  assert.deepEqual((await world.get('/ledger')).byPath, { sendNotification: { closed: 2 } });
});

test('close with reset does the same by a TCP reset', async () => {
  await world.post('/faults', [{ do: { close: 'after', reset: true } }]);
  assert.equal((await send()).error, 'ECONNRESET');
  assert.equal(await deliveries(), 1);
});

test('midbody promises more than it sends, after the work', async () => {
  await world.post('/faults', [{ do: { close: 'midbody' } }]);
  const answer = await send();
  assert.equal(answer.status, 200);
  assert.equal(answer.partial, 1);
  assert.ok(answer.error);
  assert.equal(await deliveries(), 1);
});

test('garbage is a 200 that is not JSON', async () => {
  await world.post('/faults', [{ do: { garbage: true } }]);
  const answer = await send();
  assert.equal(answer.status, 200);
  assert.throws(() => JSON.parse(answer.text));
});

test('raw is a quoted string in a 200, without the work', async () => {
  await world.post('/faults', [{ do: { raw: 'Something broke' } }]);
  assert.deepEqual(await send(), { status: 200, text: '"Something broke"' });
  assert.equal(await deliveries(), 0);
});

test('error gives the row of the error table', async () => {
  await world.post('/faults', [{ do: { error: '400/5022' } }]);
  const answer = await send();
  assert.equal(answer.status, 400);
  assert.deepEqual(JSON.parse(answer.text), { code: 5022, error: 'Service quota exceeded' });
  assert.match((await world.post('/faults', [{ do: { error: '400/1' } }])).error, /error table/);
});

test('a delay does the work at once and answers later', async () => {
  await world.post('/faults', [{ do: { delayMs: 300 } }]);
  const began = Date.now();
  const answer = send();
  assert.equal((await world.get('/ledger/wait?deliveries=1')).reached, true);
  const { inFlight } = await world.get('/ledger');
  assert.equal(inFlight.now, 1);
  assert.equal((await answer).status, 200);
  assert.ok(Date.now() - began >= 295);
});

test('hang never answers, and the ledger says that the client left', async () => {
  await world.post('/faults', [{ name: 'silence', do: { hang: true } }]);
  const leaving = new AbortController();
  const answer = fetch(`${world.url}/rest/3.0/sendNotification`, {
    method: 'POST', signal: leaving.signal, headers: { 'X-netmera-api-key': 'netmera-key', 'Content-Type': 'application/json' }, body: '{"notificationKey":"1","target":{"extId":"u1"}}',
  });
  await world.get('/ledger/wait?deliveries=1');
  leaving.abort();
  await assert.rejects(answer);
  let entry;
  do [entry] = await world.get('/ledger/requests'); while (entry.status === null);
  assert.equal(entry.status, 'gone');
  assert.equal(entry.fault, 'silence');
});
