import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { call, start } from './support.mjs';

let world;
before(async () => { world = await start('optimove'); });
after(() => world.stop());
beforeEach(async () => {
  await world.post('/reset');
  await world.post('/settings', { rateLimit: null });
});

const get = (path) => call(`${world.url}${path}`, { method: 'GET', headers: { 'X-API-KEY': 'optimove-key' } });
const make = (more) => world.post('/campaigns', { campaign: 7, channel: 459, ...more });
const page = (more = '') => get(`/Customers/GetCustomerExecutionDetailsByCampaign?CampaignID=7&ChannelID=459${more}`);

/** As the daemon should: on by the rows received, until a page is empty. */
async function readAll(top) {
  const rows = [];
  for (;;) {
    const { value } = await page(`&%24top=${top}&%24skip=${rows.length}`);
    if (!value || value.length === 0) return rows;
    rows.push(...value);
  }
}

const customers = (rows) => rows.map(({ CustomerID }) => CustomerID);

test('rows carry what a client needs, attributes in the order asked for, null where there is none', async () => {
  const made = await make({ templates: [1201, 1202], count: 5, attributes: { EMAIL: 'c{n}@example.test', CITY: ['Izmir'] }, promoCodes: ['B1', 'B2'], scheduleTime: '2030-01-01 10:00:00' });
  assert.deepEqual(made, { status: 200, campaign: 7, channel: 459, rows: 5, customers: 5, control: 0 });
  const { value } = await page('&$top=2&$skip=1&CustomerAttributes=CITY;NOPE;EMAIL');
  assert.deepEqual(value[0], {
    CustomerID: 'C2', ActionID: 49, ChannelID: 459, TemplateID: 1202, TemplateName: 'Template 1202', ScheduleTime: '2030-01-01 10:00:00', PromoCode: 'B1,B2',
    CustomerAttributes: ['Izmir', null, 'c2@example.test'],
  });
  assert.equal(value.length, 2);
  assert.equal('CustomerAttributes' in (await page('&$top=1')).value[0], false);
});

test('rows given one by one come as they are', async () => {
  await make({ rows: [{ CustomerID: 'u1', TemplateID: 7, ActionID: 1 }, { CustomerID: 'u2', TemplateID: 8, ScheduleTime: '2030-01-01 00:00:00', PromoCode: 'P', attributes: { EMAIL: 'a@b.c' } }] });
  const { value } = await page('&CustomerAttributes=EMAIL');
  assert.deepEqual(value, [
    { CustomerID: 'u1', ActionID: 1, ChannelID: 459, TemplateID: 7, TemplateName: 'Template 7', CustomerAttributes: [null] },
    { CustomerID: 'u2', ActionID: 49, ChannelID: 459, TemplateID: 8, TemplateName: 'Template 8', ScheduleTime: '2030-01-01 00:00:00', PromoCode: 'P', CustomerAttributes: ['a@b.c'] },
  ]);
});

test('the same script makes the same rows, another seed others', async () => {
  const attributes = { NAME: ['Ada', 'Can', null, 'Ece'] };
  const names = async (seed) => {
    await make({ count: 50, attributes, seed });
    return (await page('&CustomerAttributes=NAME')).text;
  };
  assert.equal(await names(3), await names(3));
  assert.notEqual(await names(3), await names(4));
});

test('pages add up to the whole, are capped, and end empty', async () => {
  await make({ count: 25000 });
  assert.equal((await page('&$top=20000')).value.length, 10000);
  assert.equal((await page()).value.length, 10000);
  const all = await readAll(20000);
  assert.deepEqual(customers(all), Array.from({ length: 25000 }, (_, i) => `C${i + 1}`));
  assert.equal((await page('&$skip=25000')).text, '[]');
  await world.post('/settings', { emptyAs: 'null' });
  assert.equal((await page('&$skip=25000')).text, 'null');
});

test('an unknown campaign has no rows, and nonsense is refused', async () => {
  assert.equal((await page()).text, '[]');
  assert.equal((await page('&$top=-1')).status, 400);
  assert.equal((await get('/Customers/GetCustomerExecutionDetailsByCampaign?CampaignID=7')).status, 400);
});

test('a control group is marked by ActionID 1 and not counted as customers', async () => {
  const { customers: people, control } = await make({ count: 100, controlEvery: 10 });
  assert.deepEqual([people, control], [90, 10]);
  assert.equal((await page()).value.filter(({ ActionID }) => ActionID === 1).length, 10);
});

test('schedule times can advance by rows', async () => {
  await make({ count: 3, scheduleTime: { inSeconds: 60, everyRows: 1, stepSeconds: 60 } });
  const times = (await page()).value.map(({ ScheduleTime }) => Date.parse(`${ScheduleTime.replace(' ', 'T')}Z`));
  assert.equal(times[1] - times[0], 60000);
  assert.ok(times[0] > Date.now() && times[0] <= Date.now() + 60000);
});

test('rows can be written in every style seen in the field', async () => {
  await make({ count: 1, scheduleTime: '2030-01-01 10:00:00', attributes: { A: 'x' } });
  await world.post('/settings', { rowStyle: { time: 'ScheduledTime', ids: 'text', attributes: 'string', nulls: 'NULL' } });
  const [row] = (await page('&CustomerAttributes=A;B')).value;
  assert.deepEqual([row.TemplateID, row.ScheduledTime, row.CustomerAttribute], ['1', '2030-01-01 10:00:00', 'x;NULL']);
});

test('faults can shorten, empty and repeat pages, and who advances by rows received misses nobody', async () => {
  await make({ count: 1000 });
  await world.post('/faults', [
    { match: { path: 'ExecutionDetails', nth: 2 }, do: { shortPages: 7 } },
    { match: { path: 'ExecutionDetails', nth: 4 }, do: { repeatRows: 20 } },
    { match: { path: 'ExecutionDetails', nth: 6 }, do: { repeatRows: 5 } },
  ]);
  const rows = await readAll(100);
  assert.equal(rows.length, 1025);
  assert.equal(new Set(customers(rows)).size, 1000);
  await world.post('/faults', [{ do: { emptyPage: 'null' } }]);
  assert.equal((await page()).text, 'null');
  await world.post('/faults', [{ do: { emptyPage: 'blank' } }]);
  assert.equal((await page()).text, '');
});

test('late rows are there when the fault is over, and attributes can be one too few', async () => {
  await make({ count: 10, attributes: { A: 'a', B: 'b' } });
  await world.post('/faults', [{ match: { times: 1 }, do: { lateRows: 4 } }, { match: { nth: 3 }, do: { missingAttribute: true } }]);
  assert.equal((await page()).value.length, 6);
  assert.equal((await page()).value.length, 10);
  assert.deepEqual((await page('&CustomerAttributes=A;B')).value[0].CustomerAttributes, ['a']);
});

test('rows can be added to a campaign later', async () => {
  await make({ count: 10 });
  await world.post('/campaigns/add', { campaign: 7, channel: 459, rows: 5 });
  assert.equal((await page()).value.at(-1).CustomerID, 'C15');
});

test('the ledger knows pages, rows and what was served twice', async () => {
  await make({ count: 30 });
  await page('&$top=20&$skip=0');
  await page('&$top=20&$skip=15');
  const { pages } = await world.get('/ledger');
  assert.deepEqual(pages, { '7/459': { pages: 2, rows: 35, rowsServedTwice: 5 } });
});

test('a campaign is among those of today once it is executed, and its details are an object', async () => {
  await make({ count: 3, details: { Duration: 3 } });
  const today = new Date().toISOString().slice(0, 10);
  const executed = async (channel) => (await get(`/current/actions/GetExecutedCampaignsByChannel?ChannelID=${channel}&Date=${today}`)).value;
  assert.deepEqual(await executed(459), []);
  await world.post('/execute', { campaign: 7, channel: 459, silent: true });
  assert.deepEqual(await executed(459), [{ CampaignID: 7 }]);
  assert.deepEqual(await executed(481), []);
  const { value } = await get('/Actions/GetCampaignDetails?CampaignID=7');
  assert.deepEqual([value.TestGroupSize, value.Channels, value.Duration, value.Status], [3, [{ Id: 459 }], 3, 'Successful']);
});

test('customers of a cancelled campaign can be read after the cancel, without its control group', async () => {
  await make({ count: 4, controlEvery: 4, promoCodes: ['B1'] });
  const cancelled = async () => (await get('/Customers/GetCanceledCampaignCustomers?CampaignID=7')).value;
  assert.deepEqual(await cancelled(), []);
  await world.post('/cancel', { campaign: 7 });
  assert.deepEqual(await cancelled(), ['C1', 'C2', 'C3'].map((CustomerID) => ({ CustomerID, ActionID: 49, PromoCode: 'B1' })));
});

test('a million rows cost no memory until they are asked for', async () => {
  const { rows } = await make({ count: 1000000 });
  assert.equal(rows, 1000000);
  assert.equal((await page('&$skip=999999')).value[0].CustomerID, 'C1000000');
});
