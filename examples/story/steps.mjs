// The story, a function a step. Each resolves to the line that says what it came to, or throws a Mismatch. What was delivered is asked of
// the fakes' ledgers; netmove itself is asked only for what it promises about a run.

import { setTimeout as pause } from 'node:timers/promises';
import { Mismatch, expect, expectAtMost, watch } from './fakes.mjs';
import { keys } from './daemon.mjs';
import { count, seconds } from './screen.mjs';

const push = 459;
const sms = 481;
const names = ['Ada', 'Can', 'Deniz', 'Elif'];
const attributes = { FIRST_NAME: names, EMAIL: 'c{n}@example.test' };
// What the repository's rules make of these templates.
const welcome = { template: 1201, key: '106' };
const reminder = { template: 1202, key: '107' };
const shipped = { template: 1203, key: '108' };
const edited = { template: 1201, key: '206' };
// An outcome may wait this long for its commit; until then the message counts as in flight.
const settleMs = 250;
// How long Netmera takes to answer where something should be in flight, in ms.
const slow = [80, 160];

const withoutSecret = (url) => url.replace(/([?&]k=)[^&]*/, '$1...');

async function apply(story, rate) {
  const { optimove, netmera } = story;
  story.daemon.writeTenant({ optimove: optimove.url, netmera: netmera.url, rate });
  await story.daemon.ask('tenant', 'apply', story.daemon.tenantFile);
}

function accepted(answer, what) {
  expect(`${what}: listeners called`, answer.notified, 1);
  expect(`${what}: netmove's answer`, answer.notifications[0].status, 200);
}

export async function connector(story) {
  await apply(story, 0);
  const { listeners } = await story.optimove.get('ledger');
  const pairs = listeners.map((listener) => `${listener.EventTypeID}${listener.ChannelID ? ` on ${listener.ChannelID}` : ''}`).sort();
  expect('listeners at Optimove', pairs.join(', '), [`11 on ${push}`, `11 on ${sms}`, `13 on ${push}`, `13 on ${sms}`, '4'].sort().join(', '));
  return [`saved; Optimove lists ${listeners.length} listeners`,
    listeners.map((listener) => `${String(listener.EventTypeID).padStart(2)} ${listener.ChannelID ? `on ${listener.ChannelID}` : '      '}  ${withoutSecret(listener.ListenerURL)}`)];
}

/** Event 11 for one customer; resolves to the delivery that came of it. */
async function single(story, customer, firstName, { template, key }) {
  const before = await story.netmera.get('ledger');
  accepted(await story.optimove.post('trigger', { campaign: `single-${customer}`, channel: push, template, customer, fields: { first_name: firstName } }), 'event 11');
  await watch(`a delivery to ${customer}`, () => story.netmera.get(`ledger/deliveries?extId=${customer}`), (rows) => rows.length > 0);
  await pause(settleMs); // so that a second one would be seen
  const rows = await story.netmera.get(`ledger/deliveries?extId=${customer}`);
  expect(`deliveries to ${customer}`, rows.length, 1);
  expect(`notification key of ${customer}'s push`, rows[0].key, key);
  expect(`its parameters`, JSON.stringify(rows[0].params), JSON.stringify({ name: firstName }));
  expect('deliveries in all', (await story.netmera.get('ledger')).deliveries - before.deliveries, 1);
  return rows[0];
}

export async function one(story) {
  const { key, params } = await single(story, 'ada', 'Ada', welcome);
  return [`event 11 became one push to ada: key ${key}, name ${params.name}`];
}

async function launch(story, { campaign, channel, template, prefix }) {
  await story.optimove.post('campaigns', { campaign, channel, templates: [template], count: story.people, customerPrefix: prefix, attributes });
  accepted(await story.optimove.post('execute', { campaign, channel }), 'event 13');
}

export async function campaign(story, screen) {
  const startedAt = Date.now();
  await launch(story, { campaign: 38085, channel: push, template: reminder.template, prefix: 'C' });
  await watch('the campaign', async () => {
    const figures = await story.netmera.figures(reminder.key);
    const pages = (await story.optimove.get('ledger')).pages[`38085/${push}`]?.pages ?? 0;
    screen.progress(figures.recipients, story.people, `recipients, page ${pages}`);
    return { ...figures, pages };
  }, (seen) => seen.recipients >= story.people);
  const tookMs = Date.now() - startedAt;
  await pause(settleMs);
  const figures = await story.netmera.figures(reminder.key);
  expect('recipients', figures.recipients, story.people);
  expect('repeated', figures.repeated, 0);
  const { pages, violations } = await story.optimove.get('ledger');
  const served = pages[`38085/${push}`];
  expect('rows that Optimove served', served.rows, story.people);
  expect('calls above Optimove\'s rate limit', violations, 0);
  return [`event 13: pages=${served.pages} rows=${count(served.rows)} from Optimove; recipients=${count(figures.recipients)} repeated=${figures.repeated} at Netmera, ${seconds(tookMs)}`];
}

async function runOf(story, campaignId) {
  const { items } = await story.daemon.ask('run', 'list');
  const row = items.find((item) => item.campaign === String(campaignId));
  return row ? story.daemon.ask('run', 'show', String(row.id)) : null;
}

export async function cancel(story, screen) {
  await apply(story, story.rate);
  await story.netmera.post('settings', { latencyMs: slow });
  await launch(story, { campaign: 38086, channel: sms, template: shipped.template, prefix: 'S' });
  await watch('a third of the campaign', async () => {
    const figures = await story.netmera.figures(shipped.key);
    screen.progress(figures.recipients, story.people, 'recipients');
    return figures;
  }, (seen) => seen.recipients >= story.people / 3);
  accepted(await story.optimove.post('cancel', { campaign: 38086 }), 'event 4');
  const run = await watch('the fence', async () => {
    const shown = await runOf(story, 38086);
    const { recipients } = await story.netmera.figures(shipped.key);
    return { ...shown, recipients };
  }, (seen) => seen.state === 'cancelled' && seen.sent === seen.recipients && seen.sent + seen.stopped === seen.made);
  await pause(settleMs * 4); // so that what starts late would be seen
  const ledger = await story.netmera.get(`ledger?key=${shipped.key}&deliveredAfter=${run.fenced_at_ms}`);
  const unmade = run.rows_fetched - run.made; // recipients fetched whose messages were never made
  expect('sent, stopped and never made together', ledger.recipients + run.stopped + unmade, story.people);
  expect('repeated', ledger.repeated, 0);
  expectAtMost('deliveries begun after the fence', ledger.deliveredAfter, run.in_flight_at_fence);
  if (ledger.recipients >= story.people) throw new Mismatch('the campaign ended before it was cancelled');
  return [`event 4 half way: ${count(ledger.recipients)} sent + ${count(run.stopped)} stopped + ${count(unmade)} never made = ${count(story.people)} promised`,
    [`begun after the fence: ${ledger.deliveredAfter} (in flight at it: ${run.in_flight_at_fence}), repeated=${ledger.repeated}`]];
}

export async function purchase(story) {
  const { updates } = await story.optimove.get('ledger');
  const fired = await story.netmera.post('fire', {
    url: story.daemon.url, appKey: 'acme-app-key', apiKey: keys.ACME_REST_KEY,
    events: [{ type: 'EVENT', name: 'PURCHASE', extId: 'ada', time: '2024-05-01T10:11:12Z', attributes: { total: 120.5, store: 'Kadikoy' } }],
  });
  expect("netmove's answers to PURCHASE", JSON.stringify(fired.byStatus), '{"200":1}');
  await watch('the update and its callback', async () => (await story.optimove.get('ledger')).updates,
    (seen) => seen.values >= updates.values + 4 && seen.unsettled === 0);
  const rows = await story.optimove.get('ledger/updates?customer=ada');
  const found = Object.fromEntries(rows.map(({ field, value }) => [field, value]));
  const wanted = { BASKET_SIZE: 'medium', FAVOURITE_STORE: 'Kadikoy', LAST_PURCHASE_DATE: '2024-05-01', LAST_PURCHASE_TOTAL: '120.5' };
  expect('fields updated', Object.keys(found).sort().join(', '), Object.keys(wanted).join(', '));
  for (const [field, value] of Object.entries(wanted)) expect(`${field} of ada at Optimove`, String(found[field]), value);
  return [`a PURCHASE of ada became, at Optimove: ${Object.keys(wanted).map((field) => `${field}=${found[field]}`).join(' ')}`];
}

export async function edit(story) {
  const { key } = await single(story, 'can', 'Can', welcome);
  story.daemon.editRules(`"${welcome.key}"`, `"${edited.key}"`);
  await story.daemon.ask('reload');
  const next = await single(story, 'deniz', 'Deniz', edited);
  return [`rules/acme.lua edited: can's push carried key ${key}, deniz's, a moment later, key ${next.key}`];
}

export async function refusal(story) {
  story.daemon.editRules('[1201] = "welcome"', '[1201] = "welcom"');
  const { code, out, err } = await story.daemon.command('reload');
  const said = /acme\.lua: (templates\[1201\]: no message named \\?"welcom\\?".*?\?\))/.exec(out + err);
  if (code !== 1 || !said) throw new Mismatch(`a broken edit: expected exit 1 and the reason, found exit ${code}\n${out}${err}`);
  const next = await single(story, 'elif', 'Elif', edited);
  story.daemon.editRules('[1201] = "welcom"', '[1201] = "welcome"');
  await story.daemon.ask('reload');
  return [`refused, exit ${code}; the rules before it still serve (elif's push: key ${next.key})`,
    [`${story.daemon.rulesFile}: ${said[1].replaceAll('\\"', '"')}`]];
}

/** Who was being written to, or had been so lately that it need not be on disk, when the plug was pulled. */
async function inFlightAt(story, pulledAt) {
  await watch('Netmera to finish', () => story.netmera.get('ledger'), (seen) => seen.inFlight.now === 0);
  const rows = await story.netmera.get('ledger/deliveries');
  return new Set(rows.filter((row) => row.doneAt === null || row.doneAt >= pulledAt - settleMs).map((row) => row.extId));
}

export async function plug(story, screen) {
  const before = await story.netmera.figures(edited.key);
  await launch(story, { campaign: 38087, channel: push, template: edited.template, prefix: 'P' });
  const look = async (what) => {
    const figures = await story.netmera.figures(edited.key);
    const recipients = figures.recipients - before.recipients;
    screen.progress(recipients, story.people, what);
    return { recipients, repeated: figures.repeated - before.repeated };
  };
  await watch('a third of the campaign', () => look('recipients'), (seen) => seen.recipients >= story.people / 3);
  const pulledAt = Date.now();
  await story.daemon.process.end('SIGKILL');
  const inFlight = await inFlightAt(story, pulledAt);
  const { recipients: reached } = await look('recipients, kill -9');
  await story.daemon.start();
  await watch('the rest of the campaign', () => look('recipients, started again'), (seen) => seen.recipients >= story.people);
  await watch('the end of the run', () => runOf(story, 38087), (run) => run.state === 'done');
  const figures = await look('recipients');
  expect('recipients', figures.recipients, story.people);
  const twice = await story.netmera.get(`ledger/recipients?key=${edited.key}&min=2`);
  const wrong = twice.filter((row) => row.count > 2 || !inFlight.has(row.extId));
  if (wrong.length) throw new Mismatch(`written to twice without having been in flight: ${wrong.slice(0, 5).map((row) => row.extId).join(', ')} (${wrong.length} in all)`);
  expect('repeated', figures.repeated, twice.length);
  await story.netmera.post('settings', { latencyMs: 0 });
  return [`kill -9 after ${count(reached)}, started again: recipients=${count(figures.recipients)} repeated=${figures.repeated}, of ${count(inFlight.size)} in flight at the kill`];
}
