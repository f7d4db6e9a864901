// Plays the whole story on a built netmove; examples/quickstart builds it and starts this.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Daemon } from './daemon.mjs';
import { Fake, Mismatch, expect } from './fakes.mjs';
import { Screen, count, seconds } from './screen.mjs';
import * as steps from './steps.mjs';

const help = `node examples/story/story.mjs [options]: plays netmove's story against the fake world
  --program F   the netmove to play it on (build/netmove)
  --people N    recipients of each campaign (20000)
  --keep        leave everything running and print the addresses
  --help`;

const told = [
  ['connector', steps.connector], ['one send', steps.one], ['campaign', steps.campaign], ['cancel', steps.cancel], ['purchase', steps.purchase],
  ['edit', steps.edit], ['broken edit', steps.refusal], ['the plug', steps.plug],
];

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({ options: {
      program: { type: 'string', default: 'build/netmove' }, people: { type: 'string', default: '20000' },
      keep: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
    } }));
  } catch (error) {
    process.stderr.write(`${error.message}\nTry --help.\n`);
    process.exit(2);
  }
  if (values.help) {
    process.stdout.write(`${help}\n`);
    process.exit(0);
  }
  values.people = Number(values.people);
  if (!Number.isInteger(values.people) || values.people < 3000 || values.people > 1000000) {
    process.stderr.write('--people: a whole number from 3,000 (fewer are gone before they can be stopped) to 1,000,000\n');
    process.exit(2);
  }
  return values;
}

const options = readOptions();
const top = fileURLToPath(new URL('../..', import.meta.url));
if (!existsSync(resolve(options.program))) {
  process.stderr.write(`quickstart: there is no ${options.program}; examples/quickstart builds it\n`);
  process.exit(1);
}
mkdirSync(join(top, 'var'), { recursive: true });
const folder = relative(top, mkdtempSync(join(top, 'var', 'quickstart-')));
const screen = new Screen();
const daemon = new Daemon({ top, folder, program: relative(top, resolve(options.program)) });
const fake = (name) => new Fake(name, { cwd: top, log: join(top, folder, `${name}.log`) });
const story = { daemon, optimove: fake('optimove'), netmera: fake('netmera'), people: options.people, rate: Math.max(1000, Math.round(options.people / 10)) };

const running = () => [daemon.process, story.optimove.program, story.netmera.program].filter((program) => program?.child?.pid && !program.hasEnded());
let isKept = false;
process.on('exit', () => { if (!isKept) for (const program of running()) program.killNow(); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    screen.fail();
    process.stderr.write(`quickstart: ended by ${signal}\n`);
    process.exit(1);
  });
}

/** Ends the daemon as an operator would: it must stop cleanly. */
async function stop() {
  const code = await daemon.process.end('SIGTERM');
  if (code !== 0) throw new Mismatch(`netmove at SIGTERM: expected exit 0, found ${code}`);
  for (const program of running()) await program.end('SIGTERM');
  rmSync(join(top, folder), { recursive: true });
}

/** Leaves everything running and says how to go on. */
function keep() {
  isKept = true;
  const pids = running().map((program) => { program.release(); return program.child.pid; });
  const stopFile = join(folder, 'stop');
  writeFileSync(join(top, stopFile), `#!/bin/sh\n# Ends what examples/quickstart --keep left running, and removes its folder.\nkill ${pids.join(' ')}\nwhile kill -0 ${daemon.process.child.pid} 2>/dev/null; do sleep 0.1; done\nrm -rf '${join(top, folder)}'\n`, { mode: 0o755 });
  const netmove = `${daemon.program} --config ${daemon.settings}`;
  for (const line of [
    '', 'Left running:',
    `  netmove    ${daemon.url}   admin ${daemon.adminUrl} (/healthz, /readyz, /metrics)`,
    `  Optimove   ${story.optimove.url}   (fake; GET /_world/ledger)`,
    `  Netmera    ${story.netmera.url}   (fake; GET /_world/ledger)`,
    '', 'Try, from the top of the tree:',
    `  ${netmove} run list`,
    `  ${netmove} queue list`,
    `  curl -d '{"campaign":"c1","channel":459,"template":1201,"customer":"you"}' ${story.optimove.url}/_world/trigger`,
    `  curl '${story.netmera.url}/_world/ledger/deliveries?limit=3'`,
    `  $EDITOR ${daemon.rulesFile}   then   ${netmove} reload`,
    `  tail -f ${folder}/netmove.log`,
    `  ${stopFile}     ends it all`, '',
  ]) screen.line(line);
}

function report(error) {
  screen.fail();
  process.stderr.write(`quickstart: ${screen.title ? `step ${screen.title.trim().replace(/\s+/, ', ')}: ` : ''}${error instanceof Mismatch || error.constructor === Error ? error.message : error.stack}\n`);
  process.stderr.write(`Logs: ${folder}/netmove.log, ${folder}/optimove.log, ${folder}/netmera.log\n`);
  process.exitCode = 1;
}

try {
  const startedAt = Date.now();
  await daemon.prepare();
  await Promise.all([story.optimove.start(), story.netmera.start(), daemon.start()]);
  for (const [title, play] of told) {
    screen.begin(title);
    const [line, details] = await play(story, screen);
    screen.end(line, details);
  }
  screen.title = '';
  expect("errors in netmove's log", daemon.errors().join('\n'), '');
  const { deliveries, recipients, repeated } = await story.netmera.get('ledger');
  screen.line(`\nNetmera's ledger in all: deliveries=${count(deliveries)} recipients=${count(recipients)} repeated=${count(repeated)}; the story took ${seconds(Date.now() - startedAt)}`);
  if (options.keep) keep();
  else await stop();
  screen.line('quickstart: ok');
} catch (error) {
  report(error);
} finally {
  if (!isKept) for (const program of running()) await program.end('SIGTERM');
}
