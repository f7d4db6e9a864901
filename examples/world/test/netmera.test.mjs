import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { call, start } from './support.mjs';

let world;
before(async () => { world = await start('netmera', '--key', 'key-a', '--key', 'key-b'); });
after(() => world.stop());
beforeEach(() => world.post('/reset'));

const post = (name, body, key = 'key-a') => call(`${world.url}/rest/3.0/${name}`, { headers: { 'x-netmera-api-key': key }, body });
const get = (name) => call(`${world.url}/rest/3.0/${name}`, { method: 'GET', headers: { 'X-Netmera-Api-Key': 'key-a' } });
const notification = (extId, key = '106') => ({ notificationKey: key, message: { params: { name: 'x' } }, target: { extId } });
const ids = (count, from = 0) => Array.from({ length: count }, (_, i) => `u${from + i}`);

test('sendNotification answers {} for one, for several people and for an array', async () => {
  for (const body of [notification('u1'), notification(['u1', 'u2']), [notification('u1'), notification('u3', '107')]]) {
    const answer = await post('sendNotification', body);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
  }
  const ledger = await world.get('/ledger');
  assert.equal(ledger.deliveries, 5);
  assert.equal(ledger.recipients, 3);
});

test('notificationKey must be a text, though createNotificationDefinition answers a number', async () => {
  const { value } = await post('createNotificationDefinition', { message: {} });
  assert.equal(typeof value.notificationKey, 'number');
  const answer = await post('sendNotification', { notificationKey: value.notificationKey, target: { extId: 'u1' } });
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.value, { code: 2004, error: "Field 'notificationKey' should be a text" });
  assert.equal((await post('sendNotification', notification('u1', String(value.notificationKey)))).status, 200);
});

test('a request may name a thousand different people and not one more', async () => {
  assert.equal((await post('sendNotification', notification(ids(1000)))).status, 200);
  assert.equal((await post('sendNotification', notification(ids(1001)))).status, 400);
  assert.equal((await post('sendNotification', [notification(ids(600)), notification(ids(600, 400), '107')])).status, 200);
  assert.equal((await post('sendNotification', [notification(ids(600)), notification(ids(600, 600), '107')])).status, 400);
  assert.equal((await world.get('/ledger')).deliveries, 2200);
});

test('nothing of a request that is refused is delivered', async () => {
  const answer = await post('sendNotification', [notification('u1'), { notificationKey: '1' }]);
  assert.equal(answer.value.code, 2004);
  assert.equal((await world.get('/ledger')).deliveries, 0);
});

test('a wrong key, bad JSON, an unknown path, a wrong method and a wrong type are told apart', async () => {
  const wrongKey = await post('sendNotification', notification('u1'), 'nobody');
  assert.equal(wrongKey.status, 403);
  assert.equal(wrongKey.value.code, 2010);
  const badJson = await post('sendNotification', '{');
  assert.equal(badJson.status, 400);
  assert.equal(badJson.value.code, 2009);
  const nowhere = await post('sendNothing', {});
  assert.equal(nowhere.status, 404);
  assert.equal(nowhere.type, 'application/problem+json');
  assert.equal(nowhere.value.instance, '/rest/3.0/sendNothing');
  assert.equal((await get('sendNotification')).status, 405);
  const form = await call(`${world.url}/rest/3.0/sendNotification`, { headers: { 'X-netmera-api-key': 'key-a', 'Content-Type': 'text/plain' }, body: '{}' });
  assert.equal(form.status, 415);
});

test('writes answer 200 without a body, and attributes can be read back', async () => {
  for (const [name, body] of [['setProfileAttributes', [{ extId: 'u1', profile: { age: 24, city: 'Izmir' } }]], ['unsetProfileAttributes', [{ extId: 'u1', profile: ['age'] }]],
    ['fireEvents', [{ extId: 'u1', name: 'OrderCancelEvent', subTotal: 20 }]], ['enablePush', { extId: 'u1' }]]) {
    const answer = await post(name, body);
    assert.equal(answer.status, 200, name);
    assert.equal(answer.text, '', name);
  }
  assert.deepEqual((await get('getProfileAttributes?extId=u1')).value, { city: 'Izmir' });
  assert.equal((await world.get('/ledger')).events, 1);
  assert.equal((await world.get('/ledger/events'))[0].subTotal, 20);
});

test('people who do not exist are ignored, refused whole, or left out, as the settings say', async () => {
  await world.post('/settings', { unknown: { extIds: ['u2'], prefix: 'ghost-' } });
  assert.equal((await post('sendNotification', notification(['u1', 'u2', 'ghost-1']))).status, 200);
  let ledger = await world.get('/ledger');
  assert.deepEqual([ledger.deliveries, ledger.undeliverable], [1, 2]);

  await world.post('/settings', { unknown: { answer: 'refuse' } });
  const refused = await post('sendNotification', notification(['u1', 'u2']));
  assert.equal(refused.status, 400);
  assert.deepEqual(refused.value, { code: 5016, error: 'User or external id not found: u2' });
  assert.equal((await world.get('/ledger')).deliveries, 1);

  await world.post('/settings', { unknown: { answer: 'partial', names: false } });
  const partial = await post('sendNotification', notification(['u1', 'u2']));
  assert.deepEqual(partial.value, { code: 5016, error: 'User or external id not found' });
  ledger = await world.get('/ledger');
  assert.deepEqual([ledger.deliveries, ledger.undeliverable], [2, 3]);
});

test('a list of definitions makes other keys unknown', async () => {
  await world.post('/settings', { definitions: ['106'] });
  assert.equal((await post('sendNotification', notification('u1'))).status, 200);
  assert.equal((await post('sendNotification', notification('u1', '107'))).value.code, 5003);
});

test('SMS by sendEmailAndSms needs its IYS message type', async () => {
  const sms = { target: { msisdn: '+905550000000' }, platforms: ['SMS'], message: 'x', smsHeader: 'NETMERA' };
  assert.equal((await post('sendEmailAndSms', sms)).value.code, 2004);
  const { value } = await post('sendEmailAndSms', { ...sms, smsIysMessageType: 'N' });
  assert.equal(typeof value.notificationKey, 'number');
  assert.equal((await world.get(`/ledger?key=${value.notificationKey}`)).deliveries, 1);
});

test('the reports tell what was sent, page by page', async () => {
  await world.post('/settings', { unknown: { extIds: ['u11'] } });
  await post('sendNotification', notification(ids(12)));
  const stats = (await get('getPushStats?notificationKey=106')).value;
  assert.deepEqual(stats.stats, [{ platform: 'ANDROID', sent: 11, failed: 1, clicked: 0 }]);
  const first = (await get('getPushResult?notificationKey=106')).value;
  assert.equal(first.items.length, 10);
  const second = (await get(`getPushResult?notificationKey=106&nextPage=${first.nextPage}`)).value;
  assert.equal(second.nextPage, null);
  assert.deepEqual(second.items.map((item) => [item.extId, item.status]), [['u10', 'SUCCESS'], ['u11', 'FAILED']]);
  assert.equal((await get('getPushStats?notificationKey=999')).value.code, 5003);
});

test('a rate limit, once set, is kept and counted per key', async () => {
  await world.post('/settings', { rateLimit: { requests: 2, windowMs: 60000, retryAfterSeconds: 3 } });
  await post('sendNotification', notification('u1'));
  await post('sendNotification', notification('u1'));
  const refused = await post('sendNotification', notification('u1'));
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get('retry-after'), '3');
  assert.equal((await post('sendNotification', notification('u1'), 'key-b')).status, 200);
  assert.equal((await world.get('/ledger')).violations, 1);
});
