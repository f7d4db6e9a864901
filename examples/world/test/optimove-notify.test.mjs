import assert from 'node:assert/strict';
import test, { after, before, beforeEach, afterEach } from 'node:test';
import { call, openReceiver, start } from './support.mjs';

let world;
let netmove;
before(async () => { world = await start('optimove'); });
after(() => world.stop());
beforeEach(async () => {
  await world.post('/reset');
  netmove = await openReceiver();
});
afterEach(() => netmove.close());

const register = (type, channel, path = '/optimove/event/acme?k=s%2Fs&t=x') => call(`${world.url}/General/RegisterEventListener`, {
  headers: { 'X-API-KEY': 'optimove-key' }, body: { EventTypeID: type, ListenerURL: netmove.url + path, ChannelID: channel },
});
const bodies = () => netmove.received.map(({ body }) => JSON.parse(body));

test('execute tells the listeners of the channel, at their address exactly, and writes down the answer', async () => {
  await world.post('/campaigns', { campaign: 38085, channel: 459, count: 1 });
  await register(13, 459);
  await register(13, 481);
  await register(11, 459);
  const { notified, notifications } = await world.post('/execute', { campaign: 38085, channel: 459 });
  assert.equal(notified, 1);
  assert.deepEqual([notifications[0].status, notifications[0].answer], [200, '{"status":"accepted"}']);
  const [{ url, headers, body }] = netmove.received;
  assert.equal(url, '/optimove/event/acme?k=s%2Fs&t=x');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['x-netmera-api-key'], undefined);
  const { TimeStamp, ...rest } = JSON.parse(body);
  assert.deepEqual(rest, { EventTypeID: 13, CampaignID: 38085, ChannelID: 459 });
  assert.match(TimeStamp, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  assert.deepEqual((await world.get('/ledger')).notifications, { sent: 1, failed: 0, waiting: 0, byStatus: { 200: 1 } });
});

test('a listener without channel hears of every channel', async () => {
  await world.post('/campaigns', { campaign: 1, channel: 481, count: 1 });
  await register(13);
  assert.equal((await world.post('/execute', { campaign: 1, channel: 481 })).notified, 1);
});

test('execute refuses a campaign that was not made, unless told that it is unknown', async () => {
  assert.match((await world.post('/execute', { campaign: 9, channel: 459 })).error, /no campaign 9/);
  assert.equal((await world.post('/execute', { campaign: 9, channel: 459, unknown: true })).status, 200);
});

test('trigger is spelt as seen in the field, without type and time unless asked', async () => {
  await register(11, 459);
  const trigger = { campaign: 'a1B2c3', channel: 459, template: 7, customer: 'C123', promoCode: ['B77'], notes: '{"duration":3}' };
  await world.post('/trigger', trigger);
  await world.post('/trigger', { ...trigger, spelling: 'netmera', withEventType: true, timeStamp: '2022-09-19 05:04:54' });
  await world.post('/trigger', { campaign: 1, channel: 459, customer: 'C1', spelling: 'pascal', fields: { extra: 1 } });
  assert.deepEqual(bodies(), [
    { campaignID: 'a1B2c3', channelID: 459, templateID: 7, customerID: 'C123', promoCode: ['B77'], notes: '{"duration":3}' },
    { eventTypeId: 11, timeStamp: '2022-09-19 05:04:54', campaignId: 'a1B2c3', channelId: 459, templateId: 7, customerId: 'C123', promoCode: ['B77'], notes: '{"duration":3}' },
    { CampaignID: 1, ChannelID: 459, CustomerID: 'C1', extra: 1 },
  ]);
});

test('cancel is told without channel, and reaches the listeners of the channels that the campaign has', async () => {
  await world.post('/campaigns', { campaign: 7, channel: 459, count: 1 });
  await register(4);
  await register(4, 459);
  await register(4, 481);
  assert.equal((await world.post('/cancel', { campaign: 7, withoutTimeStamp: true })).notified, 2);
  assert.deepEqual(bodies(), [{ EventTypeID: 4, CampaignID: 7 }, { EventTypeID: 4, CampaignID: 7 }]);
});

test('duplicates are the same bytes again, one after another or together', async () => {
  await world.post('/campaigns', { campaign: 7, channel: 459, count: 1 });
  await register(13, 459);
  await world.post('/execute', { campaign: 7, channel: 459, duplicates: 2 });
  await world.post('/execute', { campaign: 7, channel: 459, duplicates: 1, together: true, timeStamp: 'T' });
  const all = netmove.received.map(({ body }) => body);
  assert.equal(all.length, 5);
  assert.equal(new Set(all.slice(0, 3)).size, 1);
  assert.equal(new Set(all.slice(3)).size, 1);
});

test('without waiting the call answers at once and the ledger tells the rest', async () => {
  await register(11, 459);
  const answer = await world.post('/trigger', { campaign: 1, channel: 459, customer: 'C1', wait: false, delayMs: 50 });
  assert.deepEqual([answer.notified, answer.notifications], [1, []]);
  assert.equal((await world.get('/ledger/wait?notifications=1')).reached, true);
  assert.equal(netmove.received.length, 1);
});

test('a listener that is away is an error in the ledger, and nobody tries again', async () => {
  const away = await openReceiver();
  away.close();
  const { notifications: [entry] } = await world.post('/trigger', { campaign: 1, channel: 459, customer: 'C1', url: `${away.url}/x` });
  assert.equal(entry.status, null);
  assert.match(entry.error, /ECONNREFUSED/);
  assert.equal((await world.get('/ledger')).notifications.failed, 1);
  assert.equal((await world.get('/ledger/notifications?eventType=11')).length, 1);
});

test('a raw body goes out as it is', async () => {
  await world.post('/notify', { eventType: 99, raw: '{"EventTypeID":99,', url: `${netmove.url}/x` });
  assert.equal(netmove.received[0].body, '{"EventTypeID":99,');
});

test('many triggers come one a customer, and the answer is totals', async () => {
  await register(11, 459);
  const result = await world.post('/trigger', { campaign: 1, channel: 459, template: 7, count: 300, startCustomer: 5, concurrency: 8 });
  assert.deepEqual([result.notified, result.byStatus, result.failed], [300, { 200: 300 }, 0]);
  assert.deepEqual(new Set(bodies().map(({ customerID }) => customerID)), new Set(Array.from({ length: 300 }, (_, i) => `C${i + 5}`)));
});
