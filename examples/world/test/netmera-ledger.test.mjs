import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { call, openReceiver, start } from './support.mjs';

let world;
before(async () => { world = await start('netmera', '--key', 'key-a', '--key', 'key-b'); });
after(() => world.stop());
beforeEach(() => world.post('/reset'));

const send = (extId, { key = '106', apiKey = 'key-a', params } = {}) => call(`${world.url}/rest/3.0/sendNotification`, {
  headers: { 'X-netmera-api-key': apiKey }, body: { notificationKey: key, target: { extId }, message: { params } },
});
const figures = ({ deliveries, recipients, repeated }) => ({ deliveries, recipients, repeated });

test('deliveries, people and repetitions are counted for all, per notification key and per REST key', async () => {
  await send(['u1', 'u2']);
  await send('u1');
  await send('u2', { key: '107' });
  await send(['u1', 'u3'], { apiKey: 'key-b' });
  const ledger = await world.get('/ledger');
  assert.deepEqual(figures(ledger), { deliveries: 6, recipients: 3, repeated: 1 });
  assert.deepEqual(figures(ledger.byKey['106']), { deliveries: 5, recipients: 3, repeated: 1 });
  assert.deepEqual(figures(ledger.byKey['107']), { deliveries: 1, recipients: 1, repeated: 0 });
  assert.deepEqual(figures(ledger.byApiKey['key-b']), { deliveries: 2, recipients: 2, repeated: 0 });
  assert.deepEqual(figures(await world.get('/ledger?key=106&apiKey=key-a')), { deliveries: 3, recipients: 2, repeated: 1 });
  assert.deepEqual(ledger.duplicates, [{ key: '106', apiKey: 'key-a', extId: 'u1', count: 2 }]);
  assert.deepEqual(ledger.byPath, { sendNotification: { 200: 4 } });
});

test('counts per person come as lines, those of a key or all, from a least count on', async () => {
  await send(['u1', 'u2']);
  await send('u1', { key: '107' });
  const all = await world.get('/ledger/recipients');
  assert.deepEqual(all.map(({ extId, count }) => [extId, count]), [['u1', 2], ['u2', 1]]);
  assert.ok(all[0].firstAt <= all[0].lastAt);
  assert.deepEqual((await world.get('/ledger/recipients?key=106')).map(({ extId, count }) => [extId, count]), [['u1', 1], ['u2', 1]]);
  assert.deepEqual((await world.get('/ledger/recipients?min=2')).map(({ extId }) => extId), ['u1']);
});

test('deliveredAfter counts what began to arrive later, not what was answered later', async () => {
  await world.post('/faults', [{ match: { nth: 1 }, do: { delayMs: 200 } }]);
  const slow = send(['u1', 'u2', 'u3']);
  const { lastStartedAt } = await world.get('/ledger/wait?deliveries=3').then(() => world.get('/ledger'));
  let fence = Date.now();
  while (fence <= lastStartedAt) fence = Date.now(); // a later millisecond
  assert.equal((await world.get(`/ledger?deliveredAfter=${fence}`)).deliveredAfter, 0);
  await slow;
  assert.equal((await world.get(`/ledger?deliveredAfter=${fence}`)).deliveredAfter, 0);
  while (Date.now() <= fence);
  await send(['u4', 'u5']);
  assert.equal((await world.get(`/ledger?deliveredAfter=${fence}`)).deliveredAfter, 2);
  assert.equal((await world.get(`/ledger?deliveredAfter=${fence}&key=107`)).deliveredAfter, 0);
});

test('a person in two requests at once is noticed, and one after another is not', async () => {
  await world.post('/settings', { latencyMs: 50 });
  await send('u1');
  await send('u1');
  assert.equal((await world.get('/ledger')).overlapping, 0);
  await Promise.all([send('u1'), send(['u2', 'u1'])]);
  assert.equal((await world.get('/ledger')).overlapping, 1);
});

test('a person twice in one request is noticed and delivered once a message', async () => {
  await send(['u1', 'u1', 'u2']);
  const { samePersonTwice, deliveries } = await world.get('/ledger');
  assert.deepEqual([samePersonTwice, deliveries], [1, 2]);
});

test('the densest window is found', async () => {
  await send(['u1', 'u2', 'u3']);
  await send(['u4']);
  const { most } = await world.get('/ledger/rate?windowMs=60000');
  assert.equal(most, 4);
  assert.equal((await world.get('/ledger/rate?windowMs=60000&key=107')).most, 0);
});

test('wait answers when the figure is reached, and says so when it is not', async () => {
  const waiting = world.get('/ledger/wait?deliveries=3&key=106');
  await send('u1', { key: '107' });
  await send(['u1', 'u2']);
  await send('u3');
  assert.deepEqual(await waiting, { status: 200, reached: true, deliveries: 3 });
  assert.deepEqual(await world.get('/ledger/wait?deliveries=9&timeoutMs=20'), { status: 200, reached: false, deliveries: 4 });
});

test('wait with quietMs holds on while requests keep coming', async () => {
  const began = Date.now();
  const waiting = world.get('/ledger/wait?deliveries=1&quietMs=150').then(() => Date.now());
  let last = 0;
  while (Date.now() - began < 200) {
    last = Date.now();
    await send('u1');
  }
  assert.ok(await waiting - last >= 140);
});

test('the last requests can be read back with what was in them', async () => {
  await send(['u1', 'u2'], { params: { name: 'Ada' } });
  await send('u2', { key: '107' });
  const [first] = await world.get('/ledger/requests?contains=Ada');
  assert.deepEqual([first.status, first.recipients, first.fault, first.path], [200, 2, null, '/rest/3.0/sendNotification']);
  assert.ok(first.at <= first.doneAt);
  assert.equal(JSON.parse(first.body).message.params.name, 'Ada');
  const ofU2 = await world.get('/ledger/deliveries?extId=u2');
  assert.deepEqual(ofU2.map(({ key, params }) => [key, params]), [['106', { name: 'Ada' }], ['107', null]]);
});

test('two hundred thousand people stay countable, exactly', { timeout: 240000 }, async () => {
  const batch = (from) => Array.from({ length: 1000 }, (_, i) => `customer-${from + i}`);
  for (let i = 0; i < 200; i++) await send(batch(i * 1000));
  await send('customer-77');
  const ledger = await world.get('/ledger');
  assert.deepEqual(figures(ledger), { deliveries: 200001, recipients: 200000, repeated: 1 });
  assert.equal(ledger.largestRequest, 1000);
  const people = await world.get('/ledger/recipients');
  assert.equal(people.length, 200000);
  assert.equal(people.reduce((sum, { count }) => sum + count, 0), 200001);
});

test('fire posts events singly, as an array and as lines, with the key and with ids of their own', async () => {
  const netmove = await openReceiver();
  const events = [{ name: 'PURCHASE', extId: 'u1', attributes: { total: 12.5 } }, { name: 'PURCHASE', extId: 'u2' }];
  const fire = (as) => world.post('/fire', { url: netmove.url, appKey: 'acme', apiKey: 'rest', as, events });
  assert.deepEqual((await fire('single')).byStatus, { 200: 2 });
  await fire('array');
  await fire('ndjson');
  const [one, , array, ndjson] = netmove.received;
  assert.equal(one.url, '/hooks/acme/events');
  assert.equal(one.headers['x-netmera-api-key'], 'rest');
  const event = JSON.parse(one.body);
  assert.deepEqual([event.type, event.name, event.extId, event.attributes.total], ['EVENT', 'PURCHASE', 'u1', 12.5]);
  assert.equal(JSON.parse(array.body).length, 2);
  const lines = ndjson.body.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(lines.length, 2);
  assert.equal(new Set([event.id, ...JSON.parse(array.body).map(({ id }) => id), ...lines.map(({ id }) => id)]).size, 5);
  assert.ok(Math.abs(Date.parse(event.time) - Date.now()) < 60000);
  netmove.close();
});

test('fire makes events by number, and repeats them with the same ids', async () => {
  const netmove = await openReceiver();
  const fired = await world.post('/fire', {
    url: netmove.url, appKey: 'acme', as: 'array', count: 250, event: { name: 'PURCHASE' }, extIdPrefix: 'C', startExtId: 10, duplicates: 1,
  });
  assert.deepEqual([fired.requests, fired.events], [6, 500]);
  assert.equal(netmove.received[0].body, netmove.received[1].body);
  assert.equal(netmove.received[0].headers['x-netmera-api-key'], undefined);
  assert.equal(JSON.parse(netmove.received[0].body)[0].extId, 'C10');
  netmove.close();
});
