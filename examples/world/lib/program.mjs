// Starts one of the two programs: options, the ready line, the end.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openServer } from './server.mjs';

const commonOptions = {
  port: { type: 'string', default: '0' },
  host: { type: 'string', default: '127.0.0.1' },
  key: { type: 'string', multiple: true },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'keep-alive-ms': { type: 'string', default: '65000' },
  'ends-with-stdin': { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

const commonHelp = `  --port N            where to listen; 0 = any free port (0)
  --host H            (127.0.0.1)
  --tls-cert F        speak HTTPS with this certificate ...
  --tls-key F         ... and this key
  --keep-alive-ms N   how long an idle connection stays open (65000)
  --ends-with-stdin   end when standard input does, as it does with who started this
  --verbose           log requests on stderr
  --help`;

function wrongUsage(message) {
  process.stderr.write(`${message}\nTry --help.\n`);
  process.exit(2);
}

function wholeNumber(text, option, most) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > most) wrongUsage(`--${option}: a whole number up to ${most}, not "${text}"`);
  return number;
}

function readTls(values) {
  if (!values['tls-cert'] && !values['tls-key']) return null;
  if (!values['tls-cert'] || !values['tls-key']) wrongUsage('--tls-cert and --tls-key go together');
  return { cert: readFileSync(values['tls-cert']), key: readFileSync(values['tls-key']) };
}

function readOptions(name, summary, ownOptions, ownHelp) {
  let values;
  try {
    ({ values } = parseArgs({ options: { ...commonOptions, ...ownOptions } }));
  } catch (error) {
    wrongUsage(error.message);
  }
  if (values.help) {
    process.stdout.write(`node ${name}.mjs [options]: ${summary}\n${ownHelp}\n${commonHelp}\n`);
    process.exit(0);
  }
  return values;
}

/** `makeWorld(values)` gets the parsed options and returns the World to serve. */
export async function runProgram({ name, summary, options = {}, help, makeWorld }) {
  const values = readOptions(name, summary, options, help);
  const world = makeWorld(values, wrongUsage);
  if (values.verbose) world.log = (line) => process.stderr.write(`${line}\n`);
  const server = await openServer(world, {
    port: wholeNumber(values.port, 'port', 65535),
    host: values.host,
    tls: readTls(values),
    keepAliveMs: wholeNumber(values['keep-alive-ms'], 'keep-alive-ms', 2 ** 31 - 1),
  }).catch((error) => {
    process.stderr.write(`${name}: cannot listen: ${error.message}\n`);
    process.exit(3);
  });
  world.url = server.url;
  const end = () => process.exit(0); // nothing here is worth keeping
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (values['ends-with-stdin']) process.stdin.on('close', end).resume();
  process.stdout.write(`${JSON.stringify({ ready: true, name, url: server.url })}\n`);
}
