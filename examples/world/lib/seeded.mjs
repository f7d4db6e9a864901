// Numbers that look random and are the same for the same seed and position.

/** 0 <= result < 1. Both arguments are whole numbers. */
export function seeded(seed, position) {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(position + 0x632be5ab, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return ((h ^ (h >>> 15)) >>> 0) / 0x100000000;
}

/** The same for a text, whatever order texts come in. */
export function seededText(seed, value) {
  let h = 0x811c9dc5;
  for (let i = 0; i < value.length; i++) h = Math.imul(h ^ value.charCodeAt(i), 0x01000193);
  return seeded(seed, h | 0);
}

/** A setting that is a number, or [least, most] to draw from. */
export function drawMs(setting, position) {
  if (Array.isArray(setting)) return Math.round(setting[0] + (setting[1] - setting[0]) * seeded(1, position));
  return setting || 0;
}
