// Nested counters that print as they are: { outer: { inner: n } }.

export function count(object, key, by = 1) {
  object[key] = (object[key] ?? 0) + by;
}

export function countIn(object, outer, inner) {
  count((object[outer] ??= {}), inner);
}
