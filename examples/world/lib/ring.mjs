// The last so many of something.

export class Ring {
  constructor(size) {
    this.size = size;
    this.clear();
  }

  clear() {
    this.items = [];
    this.next = 0;
  }

  /** Returns what had to go, if anything. */
  push(item) {
    if (this.items.length < this.size) {
      this.items.push(item);
      return undefined;
    }
    const gone = this.items[this.next];
    this.items[this.next] = item;
    this.next = (this.next + 1) % this.size;
    return gone;
  }

  /** Oldest first. */
  *[Symbol.iterator]() {
    for (let i = 0; i < this.items.length; i++) yield this.items[(this.next + i) % this.items.length];
  }

  /** The last `limit` of those that pass, oldest first. */
  last(limit, passes = () => true) {
    const found = [...this].filter(passes);
    return limit === undefined ? found : found.slice(-limit);
  }
}
