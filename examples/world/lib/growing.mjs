// Numbers in typed arrays: a million of them cost megabytes, not a million objects.

/** An append-only list. */
export class Growing {
  constructor(ArrayType) {
    this.ArrayType = ArrayType;
    this.values = new ArrayType(1024);
    this.length = 0;
  }

  push(value) {
    if (this.length === this.values.length) {
      const wider = new this.ArrayType(this.length * 2);
      wider.set(this.values);
      this.values = wider;
    }
    this.values[this.length++] = value;
  }
}

const pageBits = 12;
const pageSize = 1 << pageBits;

/** Indexed by id; ids that nobody wrote cost nothing, so that many tallies can share one id space. */
export class Paged {
  constructor(ArrayType) {
    this.ArrayType = ArrayType;
    this.pages = [];
  }

  get(id) {
    const page = this.pages[id >>> pageBits];
    return page === undefined ? 0 : page[id & (pageSize - 1)];
  }

  set(id, value) {
    const number = id >>> pageBits;
    (this.pages[number] ??= new this.ArrayType(pageSize))[id & (pageSize - 1)] = value;
  }
}
