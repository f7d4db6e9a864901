// Settings with defaults: merged key by key, and a key or choice that does not exist is refused.

import { WrongCall } from './reply.mjs';

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function merge(target, patch, known, choices, where) {
  for (const [key, value] of Object.entries(patch)) {
    const path = where ? `${where}.${key}` : key;
    if (!(key in known)) throw new WrongCall(`settings: unknown key "${path}" (known: ${Object.keys(known).join(', ')})`);
    if (choices[path] && !choices[path].includes(value)) {
      throw new WrongCall(`settings: ${path} is one of ${JSON.stringify(choices[path])}, not ${JSON.stringify(value)}`);
    }
    if (isObject(value) && isObject(known[key])) {
      target[key] = isObject(target[key]) ? { ...target[key] } : structuredClone(known[key]);
      merge(target[key], value, known[key], choices, path);
    } else {
      target[key] = value;
    }
  }
}

export class Settings {
  /**
   * `choices` maps "key" or "key.inner" to the values allowed; `shapes` gives the keys of objects whose default is
   * null; `refuse(values)` throws a WrongCall for what neither can say.
   */
  constructor(defaults, { choices = {}, shapes = {}, refuse = () => {} } = {}) {
    this.defaults = defaults;
    this.choices = choices;
    this.known = { ...defaults, ...shapes };
    this.refuse = refuse;
    this.reset();
  }

  reset() {
    this.values = structuredClone(this.defaults);
  }

  /** All of it or nothing. */
  merge(patch) {
    const values = structuredClone(this.values);
    if (!isObject(patch)) throw new WrongCall('settings: an object is needed');
    merge(values, patch, this.known, this.choices, '');
    this.refuse(values);
    this.values = values;
  }
}
