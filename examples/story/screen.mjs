// One line a step; on a terminal the line of the step under way moves.

const barWidth = 24;

export const count = (number) => Number(number).toLocaleString('en-US');
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

export class Screen {
  constructor(out = process.stdout) {
    this.out = out;
    this.isLive = Boolean(out.isTTY);
    this.number = 0;
  }

  line(text = '') { this.out.write(`${text}\n`); }

  begin(title) {
    this.number += 1;
    this.title = `${String(this.number).padStart(2)}  ${title.padEnd(13)}`;
    this.show('');
  }

  /** What is going on: `done` of `all`. */
  progress(done, all, what) {
    const full = Math.min(barWidth, Math.floor((done / all) * barWidth));
    this.show(`[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] ${count(done)} of ${count(all)} ${what}`);
  }

  show(text) {
    if (this.isLive) this.out.write(`\r\x1b[K${this.title}${text}`.slice(0, (this.out.columns ?? 80) + 3));
  }

  /** What the step came to: one line, and details below it. */
  end(text, details = []) {
    if (this.isLive) this.out.write('\r\x1b[K');
    this.line(`${this.title}${text}`);
    for (const detail of details) this.line(`${' '.repeat(17)}${detail}`);
  }

  fail() {
    if (this.isLive && this.title) this.out.write('\r\x1b[K');
    this.isLive = false;
  }
}
