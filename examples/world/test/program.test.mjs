import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import test from 'node:test';
import { call, pathOf, raw, start } from './support.mjs';

for (const program of ['optimove', 'netmera']) {
  test(`${program} says where it listens and ends with status 0 on SIGTERM`, async () => {
    const world = await start(program);
    assert.match(world.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal((await world.get('')).name, program);
    assert.equal(await world.stop(), 0);
  });

  test(`${program} ends with who holds its standard input`, async () => {
    const world = await start(program);
    const exited = once(world.child, 'exit');
    world.child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });

  test(`${program} explains itself and refuses options that do not exist`, () => {
    const help = spawnSync(process.execPath, [pathOf(program), '--help'], { encoding: 'utf8' });
    assert.equal(help.status, 0);
    assert.match(help.stdout, /--key K/);
    assert.equal(spawnSync(process.execPath, [pathOf(program), '--nope']).status, 2);
  });

  test(`${program} refuses control calls and keys that do not exist`, async () => {
    const world = await start(program);
    assert.equal((await world.get('/nope')).status, 404);
    assert.match((await world.post('/settings', { nope: 1 })).error, /nope/);
    assert.match((await world.post('/faults', [{ match: { nope: 1 }, do: {} }])).error, /nope/);
    assert.match((await world.post('/reset', { only: ['nope'] })).error, /nope/);
    assert.match((await world.get('/ledger/wait?nope=1')).error, /nope/);
    await world.stop();
  });
}

test('a kept connection serves many requests', async () => {
  const world = await start('netmera');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => { http.get(`${world.url}/rest/3.0/nothing`, { agent }, (response) => response.resume().on('end', resolve)); });
  }
  agent.destroy();
  const { requests, connections } = await world.get('/ledger');
  assert.equal(requests, 5);
  assert.ok(connections.opened <= 3, `${connections.opened} connections`); // the agent's, and those of the control calls
  await world.stop();
});

test('down refuses connections for a while and comes back on the same port', async () => {
  const world = await start('netmera');
  await world.post('/down', { ms: 300 });
  let refused = 0;
  let answer;
  do {
    answer = await raw(`${world.url}/_world`, { method: 'GET' });
    if (answer.error) refused++;
  } while (answer.error);
  assert.ok(refused > 0);
  assert.equal(answer.status, 200);
  await world.stop();
});

test('reset clears what it is told and settings go back to the defaults', async () => {
  const world = await start('netmera', '--key', 'k1');
  await world.post('/settings', { latencyMs: 5 });
  await world.post('/faults', [{ do: { status: 500 } }]);
  await call(`${world.url}/rest/3.0/sendNotification`);
  await world.post('/reset', { only: ['ledger', 'faults'] });
  assert.equal((await world.get('/ledger')).requests, 0);
  assert.deepEqual((await world.get('/faults')).list, []);
  assert.equal((await world.get('/settings')).latencyMs, 5);
  await world.post('/reset');
  const settings = await world.get('/settings');
  assert.equal(settings.latencyMs, 0);
  assert.deepEqual(settings.keys, ['k1']);
  await world.stop();
});
