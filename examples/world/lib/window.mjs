// A sliding window, as a service counts requests. What is refused does not fill it.

/** A queue of times; forgets from the front. */
class Times {
  constructor() {
    this.items = [];
    this.head = 0;
  }

  push(time) {
    this.items.push(time);
  }

  forgetUntil(time) {
    while (this.head < this.items.length && this.items[this.head] <= time) this.head++;
    if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
  }

  get length() {
    return this.items.length - this.head;
  }
}

export class SlidingWindow {
  constructor() {
    this.accepted = new Times();
    this.arrived = new Times();
    this.requests = 0;
    this.violations = 0;
    this.mostInWindow = 0;
  }

  /** True if one more request is within the limit. `limit` is { requests, windowMs } or null. */
  admit(limit, now) {
    const windowMs = limit?.windowMs ?? 10000;
    this.requests++;
    this.arrived.forgetUntil(now - windowMs);
    this.arrived.push(now);
    this.mostInWindow = Math.max(this.mostInWindow, this.arrived.length);
    if (limit === null) return true;
    this.accepted.forgetUntil(now - windowMs);
    if (this.accepted.length >= limit.requests) {
      this.violations++;
      return false;
    }
    this.accepted.push(now);
    return true;
  }
}

/** One window a key. */
export class Windows {
  constructor() {
    this.clear();
  }

  clear() {
    this.byKey = new Map();
    this.violations = 0;
  }

  admit(key, limit) {
    let window = this.byKey.get(key);
    if (window === undefined) this.byKey.set(key, (window = new SlidingWindow()));
    const within = window.admit(limit, performance.now());
    if (!within) this.violations++;
    return within;
  }

  summary() {
    const result = {};
    for (const [key, { requests, violations, mostInWindow }] of this.byKey) result[key] = { requests, violations, mostInWindow };
    return result;
  }
}
