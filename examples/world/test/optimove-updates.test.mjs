import assert from 'node:assert/strict';
import test, { after, before, beforeEach, afterEach } from 'node:test';
import { call, openReceiver, start } from './support.mjs';

let world;
let netmove;
before(async () => { world = await start('optimove'); });
after(() => world.stop());
beforeEach(async () => {
  await world.post('/reset');
  await world.post('/settings', { rateLimit: null, updates: { callbackDelayMs: 1 } });
  netmove = await openReceiver();
});
afterEach(() => netmove.close());

const item = (customer, fields) => ({ CustomerID: customer, Attributes: Object.entries(fields).map(([RealFieldName, Value]) => ({ RealFieldName, Value })) });
const update = (list, callback = '/optimove/callback/acme?k=s&b=1') => call(`${world.url}/Customers/UpdateCustomerAttributes`, {
  headers: { 'X-API-KEY': 'optimove-key' }, body: { CustomerNewAttributesValuesList: list, ...(callback === null ? {} : { CallbackURL: netmove.url + callback }) },
});

test('an update is answered at once, called back with success, and kept', async () => {
  const answer = await update([item('C1', { VIP_LEVEL: 'Gold', SCORE: '5' }), item('C2', { VIP_LEVEL: 'Silver' })]);
  assert.deepEqual([answer.status, answer.text], [200, '']);
  const [callback] = await netmove.until(1);
  assert.equal(callback.url, '/optimove/callback/acme?k=s&b=1');
  const { isSuccess, requestId, ...rest } = JSON.parse(callback.body);
  assert.equal(isSuccess, true);
  assert.match(requestId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {});
  assert.deepEqual(await world.get('/ledger/updates?customer=C1'), [
    { customer: 'C1', field: 'VIP_LEVEL', value: 'Gold', times: 1 }, { customer: 'C1', field: 'SCORE', value: '5', times: 1 },
  ]);
  assert.deepEqual((await world.get('/ledger/updates?field=VIP_LEVEL')).map(({ value }) => value), ['Gold', 'Silver']);
  const { updates } = await world.get('/ledger');
  assert.deepEqual([updates.calls, updates.values, updates.customers, updates.largestCall], [1, 3, 2, 2]);
});

test('the last value wins and is what later rows carry', async () => {
  await world.post('/campaigns', { campaign: 7, channel: 459, count: 2, attributes: { VIP_LEVEL: 'None' } });
  await update([item('C2', { VIP_LEVEL: 'Gold' })], null);
  await update([item('C2', { VIP_LEVEL: 'Platinum' })], null);
  const rows = await call(`${world.url}/Customers/GetCustomerExecutionDetailsByCampaign?CampaignID=7&ChannelID=459&CustomerAttributes=VIP_LEVEL`, { method: 'GET', headers: { 'X-API-KEY': 'optimove-key' } });
  assert.deepEqual(rows.value.map(({ CustomerAttributes }) => CustomerAttributes), [['None'], ['Platinum']]);
  assert.equal((await world.get('/ledger/updates'))[0].times, 2);
});

test('each error is named with its customer and field, and the rest is applied', async () => {
  await world.post('/settings', { updates: { knownFields: ['A', 'B', 'N'], frozenFields: ['B'], numberFields: ['N'], unknownCustomers: ['nobody'], unknownPrefix: 'ghost-' } });
  await update([item('C1', { A: 'x', B: 'x', N: 'x', Z: 'x' }), item('nobody', { A: 'x' }), item('ghost-1', { A: 'x' })]);
  const [{ body }] = await netmove.until(1);
  const { isSuccess, errors } = JSON.parse(body);
  assert.equal(isSuccess, false);
  assert.deepEqual(errors, [
    { error: 'UPDATE_FIELD_TEMPORARY_UNAVAILABLE', customerId: 'C1', realFieldName: 'B' },
    { error: 'INVALID_VALUE', customerId: 'C1', realFieldName: 'N' },
    { error: 'INVALID_FIELD', customerId: 'C1', realFieldName: 'Z' },
    { error: 'INVALID_CUSTOMER', customerId: 'nobody', realFieldName: 'A' },
    { error: 'INVALID_CUSTOMER', customerId: 'ghost-1', realFieldName: 'A' },
  ]);
  assert.deepEqual(await world.get('/ledger/updates'), [{ customer: 'C1', field: 'A', value: 'x', times: 1 }]);
});

test('more than a thousand customers or ten attributes are refused whole', async () => {
  const customers = Array.from({ length: 1001 }, (_, i) => item(`C${i}`, { A: '1' }));
  const attributes = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`F${i}`, '1']));
  for (const list of [customers, [item('C1', attributes)], [], [item('C1', {})], [{ CustomerID: 5, Attributes: [] }]]) {
    const answer = await update(list);
    assert.deepEqual([answer.status, answer.text], [400, '"Bad Request"']);
  }
  assert.equal((await update(customers.slice(1))).status, 200);
  const { updates } = await world.get('/ledger');
  assert.deepEqual([updates.calls, updates.refused, updates.values], [1, 5, 1000]);
});

test('the answer can be 202 with the request id, the callback twice or never', async () => {
  await world.post('/settings', { updates: { status: 202, answerRequestId: true, callback: 'twice' } });
  const answer = await update([item('C1', { A: '1' })]);
  assert.equal(answer.status, 202);
  const received = await netmove.until(2);
  assert.equal(JSON.parse(received[0].body).requestId, answer.value.requestId);
  assert.equal(received[0].body, received[1].body);
  await world.post('/settings', { updates: { callback: 'never' } });
  await update([item('C1', { A: '2' })]);
  assert.equal((await world.get('/ledger')).updates.unsettled, 1);
});

test('a customer in two calls before the first is settled is noticed', async () => {
  await update([item('C1', { A: '1' })]);
  await world.get('/ledger/wait?callbacks=1');
  await update([item('C1', { A: '2' })]);
  await world.get('/ledger/wait?callbacks=2');
  assert.equal((await world.get('/ledger')).updates.overlapping, 0);
  await world.post('/settings', { updates: { callback: 'never' } });
  await update([item('C1', { A: '3' })]);
  await update([item('C1', { A: '4' }), item('C2', { A: '4' })]);
  assert.equal((await world.get('/ledger')).updates.overlapping, 1);
});

test('the answer to a callback is written down', async () => {
  await update([item('C1', { A: '1' })]);
  await world.get('/ledger/wait?callbacks=1');
  const [entry] = await world.get('/ledger/callbacks');
  assert.deepEqual([entry.status, entry.answer], [200, '{"status":"accepted"}']);
});
