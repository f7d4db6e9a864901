// Lets a test wait until a figure of the ledger is reached, instead of sleeping and asking again.

const lookAgainMs = 2; // changes come thousands a second; one look at them is enough

export class Watch {
  /** `figures` maps a name to a function of the query that gives its number; `lastArrival` to when something last came. */
  constructor(figures, lastArrival) {
    this.figures = figures;
    this.lastArrival = lastArrival;
    this.waiters = new Set();
    this.timer = null;
  }

  changed() {
    if (this.waiters.size === 0 || this.timer !== null) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      for (const waiter of [...this.waiters]) waiter.look();
    }, lookAgainMs);
  }

  /** Resolves to { reached, ...figures asked for }. */
  until(wanted, query, quietMs, timeoutMs) {
    return new Promise((resolve) => {
      const began = Date.now();
      let quietTimer = null;
      const now = () => Object.fromEntries(Object.keys(wanted).map((name) => [name, this.figures[name](query)]));
      const end = (reached) => {
        clearTimeout(deadline);
        clearTimeout(quietTimer);
        this.waiters.delete(waiter);
        resolve({ reached, ...now() });
      };
      const look = () => {
        for (const [name, least] of Object.entries(wanted)) if (this.figures[name](query) < least) return;
        const quietLeft = quietMs - (Date.now() - Math.max(this.lastArrival(), began));
        if (quietMs > 0 && quietLeft > 0) {
          clearTimeout(quietTimer);
          quietTimer = setTimeout(look, quietLeft);
        } else {
          end(true);
        }
      };
      const waiter = { look };
      const deadline = setTimeout(() => end(false), timeoutMs);
      this.waiters.add(waiter);
      look();
    });
  }
}
