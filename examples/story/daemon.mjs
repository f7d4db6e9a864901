// netmove as a user has it: a folder with settings, a tenant and rules, the program, its commands.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Program, run } from './processes.mjs';

export const keys = { ACME_REST_KEY: 'acme-rest-key', ACME_OPTIMOVE_KEY: 'optimove-key', ACME_NETMERA_KEY: 'netmera-key' };

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function replaceIn(text, file, from, to) {
  if (!text.includes(from)) throw new Error(`${file}: nothing reads ${from} any more; examples/story needs to follow`);
  return text.replaceAll(from, to);
}

export class Daemon {
  /** `top`: of the tree, where everything runs; `folder`: below it. */
  constructor({ top, folder, program }) {
    Object.assign(this, { top, folder, program });
    this.settings = join(folder, 'netmove.lua');
    this.tenantFile = join(folder, 'tenants', 'acme.lua');
    this.rulesFile = join(folder, 'rules', 'acme.lua');
    this.log = join(top, folder, 'netmove.log');
    this.env = { ...process.env, ...keys };
  }

  write(path, text) { // whole or not at all, as an editor does
    writeFileSync(join(this.top, `${path}.part`), text);
    renameSync(join(this.top, `${path}.part`), join(this.top, path));
  }

  read(path) { return readFileSync(join(this.top, path), 'utf8'); }

  async prepare() {
    for (const name of ['tenants', 'rules']) mkdirSync(join(this.top, this.folder, name), { recursive: true });
    this.url = `http://127.0.0.1:${await freePort()}`;
    this.adminUrl = `http://127.0.0.1:${await freePort()}`;
    this.write(this.settings, `-- Made by examples/quickstart.
return {
  public = { listen = "${this.url.slice(7)}", url = "${this.url}" },
  admin = { listen = "${this.adminUrl.slice(7)}", socket = "${this.folder}/netmove.sock" },
  store = "sqlite:${this.folder}/netmove.db",
  rules = "${this.folder}/rules",
  outbound = { allow = { "127.0.0.0/8" } },
}
`);
    this.write(this.rulesFile, this.read('rules/acme.lua'));
  }

  /** Starts it; resolves when it says that it is ready. */
  async start() {
    this.process = new Program('netmove', [this.program, 'serve', '--config', this.settings], { cwd: this.top, env: this.env, log: this.log });
    await this.process.start((text) => text.includes('"message":"ready"'));
  }

  /** What it has logged at error level. */
  errors() { return this.process.output().split('\n').filter((line) => line.includes('"level":"error"')); }

  /** A command as a person would give it, with --json: { code, data, out, err }. */
  async command(...words) {
    const result = await run([this.program, '--config', this.settings, '--json', ...words], { cwd: this.top, env: this.env });
    try { result.data = JSON.parse(result.out); } catch { result.data = null; }
    return result;
  }

  /** As command, but it must succeed; resolves to its data. */
  async ask(...words) {
    const { code, data, out, err } = await this.command(...words);
    if (code !== 0 || data === null) throw new Error(`netmove ${words.join(' ')}: exit ${code}\n${out}${err}`);
    return data;
  }

  /** The repository's own tenant, its addresses those of the fakes, at most `rate` messages a second (0: as fast as it goes). */
  writeTenant({ optimove, netmera, rate }) {
    const file = 'config/tenants/acme.lua';
    let text = this.read(file);
    text = replaceIn(text, file, 'https://api5.optimove.net', optimove);
    text = replaceIn(text, file, 'https://restapi.netmera.com', netmera);
    text = replaceIn(text, file, '{ realFieldName = "EMAIL", name = "email" }', '{ realFieldName = "EMAIL", name = "email" }, { realFieldName = "FIRST_NAME", name = "first_name" }');
    if (rate) text = replaceIn(text, file, 'adapter = "netmera",', `adapter = "netmera", rate = ${rate},`);
    this.write(this.tenantFile, text);
  }

  editRules(from, to) { this.write(this.rulesFile, replaceIn(this.read(this.rulesFile), this.rulesFile, from, to)); }
}
