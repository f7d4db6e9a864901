import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { call, start } from './support.mjs';

let world;
before(async () => { world = await start('optimove', '--key', 'admin', '--thirdparty-key', 'partner'); });
after(() => world.stop());
beforeEach(async () => {
  await world.post('/reset');
  await world.post('/settings', { rateLimit: null });
});

const api = (method, path, body, key = 'admin') => call(`${world.url}${path}`, { method, headers: key === null ? {} : { 'X-API-KEY': key }, body });
const get = (path, key) => api('GET', path, undefined, key);
const post = (path, body, key) => api('POST', path, body, key);
const register = (type, channel, url = 'http://127.0.0.1:1/l') => post('/General/RegisterEventListener', { EventTypeID: type, ListenerURL: url, ChannelID: channel });
const listeners = async () => (await get('/General/GetRegisteredEventListeners')).value;

test('both path styles lead to the same function, in any letter case', async () => {
  for (const path of ['/Actions/GetExecutionChannels', '/current/actions/GetExecutionChannels', '/CURRENT/ACTIONS/getexecutionchannels']) {
    const answer = await get(path);
    assert.equal(answer.status, 200, path);
    assert.deepEqual(answer.value[0], { ChannelID: 459, ChannelName: 'Push' });
  }
  assert.equal((await get('/Integrations/getchanneltemplates?channelId=459')).status, 200);
});

test('errors are quoted strings and plain text, never objects', async () => {
  const unauthorized = await get('/Actions/GetExecutionChannels', 'wrong');
  assert.deepEqual([unauthorized.status, unauthorized.text], [401, '"Unauthorized"']);
  assert.equal((await get('/Actions/GetExecutionChannels', null)).status, 401);
  const wrongMethod = await post('/Actions/GetExecutionChannels', {});
  assert.deepEqual([wrongMethod.status, wrongMethod.text], [405, '"Method Not Allowed"']);
  const bad = await post('/General/RegisterEventListener', '{');
  assert.deepEqual([bad.status, bad.text], [400, '"Bad Request"']);
  const nowhere = await get('/General/Nothing');
  assert.deepEqual([nowhere.status, nowhere.type], [404, 'text/plain']);
});

test('a third-party key may call the published functions and no others', async () => {
  assert.equal((await get('/General/GetRegisteredEventListeners', 'partner')).status, 200);
  assert.equal((await get('/Integrations/GetChannelTemplates?ChannelID=459', 'partner')).status, 200);
  for (const path of ['/Actions/GetExecutionChannels', '/Model/GetCustomerAttributeList']) assert.equal((await get(path, 'partner')).status, 403, path);
  assert.equal((await post('/Customers/UpdateCustomerAttributes', {}, 'partner')).status, 403);
  await world.post('/settings', { thirdpartyStatus: 401 });
  assert.equal((await get('/Actions/GetExecutionChannels', 'partner')).status, 401);
});

test('the fifty-first request of a key in the window is 429 and another key is not concerned', async () => {
  await world.post('/settings', { rateLimit: { requests: 50, windowMs: 60000 } });
  for (let i = 0; i < 50; i++) assert.equal((await get('/Actions/GetExecutionChannels')).status, 200);
  const refused = await get('/Actions/GetExecutionChannels');
  assert.equal(refused.status, 429);
  assert.equal(refused.value.status, 429);
  assert.equal(refused.value.error, 'Too Many Requests');
  assert.equal(refused.headers.get('retry-after'), null);
  assert.equal((await get('/General/GetRegisteredEventListeners', 'partner')).status, 200);
  const ledger = await world.get('/ledger');
  assert.deepEqual(ledger.rate.admin, { requests: 51, violations: 1, mostInWindow: 51 });
  assert.equal(ledger.violations, 1);
});

test('a listener is one a pair of type and channel, and the last one registered holds', async () => {
  const registered = await register(13, 459, 'http://h/optimove/event/KEY?k=1');
  assert.deepEqual([registered.status, registered.text], [200, '']);
  await register(13, 481);
  await register(4);
  await register(13, 459, 'http://h/optimove/event/KEY?k=2');
  assert.deepEqual(await listeners(), [
    { EventTypeID: 13, ListenerURL: 'http://127.0.0.1:1/l', ChannelID: 481 },
    { EventTypeID: 4, ListenerURL: 'http://127.0.0.1:1/l' },
    { EventTypeID: 13, ListenerURL: 'http://h/optimove/event/KEY?k=2', ChannelID: 459 },
  ]);
  assert.deepEqual((await get('/current/general/GetRegisteredEventListener')).value, await listeners());
});

test('registering a pair again makes a second listener where the settings say so', async () => {
  await world.post('/settings', { reregister: 'duplicate' });
  await register(13, 459, 'http://h/1');
  await register(13, 459, 'http://h/2');
  assert.equal((await listeners()).length, 2);
  await post('/General/UnregisterEventListener', { EventTypeID: 13, ChannelID: 459 });
  assert.deepEqual(await listeners(), []);
});

test('unregistering without channel takes the pair without channel, or all where the settings say so', async () => {
  await register(13, 459);
  await register(13);
  await post('/General/UnregisterEventListener', { EventTypeID: 13 });
  assert.deepEqual((await listeners()).map(({ ChannelID }) => ChannelID), [459]);
  await world.post('/settings', { unregisterWithoutChannel: 'all' });
  await post('/General/UnregisterEventListener', { EventTypeID: 13 });
  assert.deepEqual(await listeners(), []);
});

test('a listener without type or address, or of type 5 with a channel, is refused', async () => {
  for (const body of [{ ListenerURL: 'http://h/' }, { EventTypeID: 13 }, { EventTypeID: 13, ListenerURL: 'h' }, { EventTypeID: 5, ListenerURL: 'http://h/', ChannelID: 459 }]) {
    assert.equal((await post('/General/RegisterEventListener', body)).status, 400, JSON.stringify(body));
  }
  assert.deepEqual(await listeners(), []);
});

test('templates are added, renamed, listed and deleted under a channel that exists', async () => {
  const add = (templates, channel = 459) => post(`/Integrations/AddChannelTemplates?ChannelID=${channel}`, templates);
  assert.equal((await add([{ TemplateID: 1, TemplateName: 'One' }, { TemplateID: 2, TemplateName: 'Two' }])).text, '');
  await add([{ TemplateID: 2, TemplateName: 'Second' }]);
  const list = async (channel = 459) => (await get(`/Integrations/GetChannelTemplates?ChannelID=${channel}`)).value;
  assert.deepEqual(await list(), [{ TemplateID: 1, TemplateName: 'One' }, { TemplateID: 2, TemplateName: 'Second' }]);
  assert.deepEqual(await list(481), []);
  await post('/Integrations/DeleteChannelTemplates', [{ ChannelID: 459, TemplateID: 1 }]);
  assert.deepEqual(await list(), [{ TemplateID: 2, TemplateName: 'Second' }]);
  const many = Array.from({ length: 101 }, (_, i) => ({ TemplateID: i + 1, TemplateName: `T${i}` }));
  assert.equal((await add(many)).status, 400);
  assert.equal((await add(many.slice(1))).status, 200);
  for (const wrong of [[{ TemplateID: 'x', TemplateName: 'T' }], [{ TemplateID: 0, TemplateName: 'T' }], [{ TemplateID: 3, TemplateName: '' }], [], {}]) {
    assert.equal((await add(wrong)).status, 400, JSON.stringify(wrong));
  }
  assert.equal((await add([{ TemplateID: 1, TemplateName: 'One' }], 999)).status, 400);
});

test('metrics keep the last value and the sum, at most a hundred rows a call', async () => {
  const row = (MetricValue) => ({ ChannelID: 459, CampaignID: 1, TemplateID: 7, MetricID: 0, MetricValue });
  assert.equal((await post('/Integrations/UpdateCampaignMetrics', [row(10)])).text, '');
  await post('/Integrations/UpdateCampaignMetrics', [row(25)]);
  assert.equal((await post('/Integrations/UpdateCampaignMetrics', Array(101).fill(row(1)))).status, 400);
  assert.deepEqual((await world.get('/ledger')).metrics, [{ ChannelID: 459, CampaignID: 1, TemplateID: 7, MetricID: 0, last: 25, sum: 35, calls: 2 }]);
});

test('preferences are kept per channel and customer', async () => {
  await post('/Integrations/SetCustomerChannelPreference', { ChannelID: 459, CustomerIDs: ['C1', 'C2'], CommunicationMode: 2 });
  assert.deepEqual(await world.get('/ledger/preferences'), [{ channel: 459, customer: 'C1', mode: 2 }, { channel: 459, customer: 'C2', mode: 2 }]);
});
