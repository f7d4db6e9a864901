// Programs that the story starts: their output goes to files, their end is ours to bring about.

import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const startMs = 30000;
const stopMs = 35000;

export class Program {
  /** `command` is an array; all output goes to the file `log`. */
  constructor(name, command, { cwd, env, log }) {
    Object.assign(this, { name, command, cwd, env, log, child: null });
  }

  /** Starts it and waits until a line of its output since this start gives `isReady(text)` something; resolves to that. */
  async start(isReady) {
    const from = this.output().length;
    const file = openSync(this.log, 'a');
    this.child = spawn(this.command[0], this.command.slice(1), { cwd: this.cwd, env: this.env, stdio: ['ignore', file, file], detached: true });
    closeSync(file);
    const failed = new Promise((resolve) => { this.child.once('error', resolve); });
    for (const until = Date.now() + startMs; ;) {
      const found = isReady(this.output().slice(from));
      if (found) return found;
      const error = await Promise.race([failed, pause(20)]);
      if (error) throw new Error(`cannot start ${this.name}: ${error.message}`);
      if (this.hasEnded()) throw new Error(`${this.name} ended with ${this.child.exitCode ?? this.child.signalCode} instead of starting:\n${lastLines(this.output().slice(from))}`);
      if (Date.now() > until) throw new Error(`${this.name} is not ready after ${startMs / 1000} s:\n${lastLines(this.output().slice(from))}`);
    }
  }

  output() {
    try {
      return readFileSync(this.log, 'utf8');
    } catch (error) {
      if (error.code === 'ENOENT') return '';
      throw error;
    }
  }

  hasEnded() { return this.child.exitCode !== null || this.child.signalCode !== null; }

  /** Ends it with a signal; resolves to its exit code, or null if the signal ended it. */
  async end(signal) {
    if (!this.child?.pid || this.hasEnded()) return this.child?.exitCode ?? null;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    const late = setTimeout(() => this.child.kill('SIGKILL'), stopMs);
    const [code] = await ended;
    clearTimeout(late);
    return code;
  }

  /** Lets it run on after us. */
  release() { this.child.unref(); }

  /** When there is no time to wait. */
  killNow() {
    if (this.child?.pid && !this.hasEnded()) this.child.kill('SIGKILL');
  }
}

export const lastLines = (text, count = 5) => text.trimEnd().split('\n').slice(-count).join('\n');

/** Runs a command to its end: { code, out, err }. */
export function run([file, ...words], options) {
  return new Promise((resolve) => {
    execFile(file, words, { ...options, timeout: 60000, maxBuffer: 16 << 20 }, (error, out, err) => {
      resolve({ code: error ? error.code ?? error.signal : 0, out, err });
    });
  });
}
