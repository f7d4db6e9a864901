// What a handler returns: { status, type, body, headers }. The server sends it.

export const json = (status, value, headers) => ({ status, type: 'application/json', body: JSON.stringify(value), headers });

/** Text that is JSON already. */
export const jsonText = (status, body, headers) => ({ status, type: 'application/json', body, headers });

export const text = (status, body, headers) => ({ status, type: 'text/plain', body, headers });

export const empty = (status, headers) => ({ status, body: '', headers });

/** One JSON value a line, from any iterable: sent as the reader takes it, never held whole. */
export const lines = (values) => ({ status: 200, type: 'application/x-ndjson', values });

/** What is wrong with a control call. */
export class WrongCall extends Error {}

/** Refuses keys that nobody reads: a typo in a test must not pass silently. */
export function onlyKeys(object, allowed, where) {
  if (object === null || typeof object !== 'object' || Array.isArray(object)) throw new WrongCall(`${where}: an object is needed`);
  for (const key of Object.keys(object)) {
    if (!allowed.includes(key)) throw new WrongCall(`${where}: unknown key "${key}" (known: ${allowed.join(', ')})`);
  }
  return object;
}
