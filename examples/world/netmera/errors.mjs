// Netmera's three ways of saying no: coded errors, the framework's problems, and (nowhere here) plain text.

import { json } from '../lib/reply.mjs';

const codedErrors = {
  '500/2001': 'Internal error',
  '400/2004': 'Field type mismatch or required field absent',
  '400/2009': 'Invalid JSON',
  '403/2010': 'API key is invalid',
  '400/2020': 'Missing required parameter',
  '400/2021': 'Invalid configuration',
  '403/2021': 'IP address is not allowed',
  '403/2022': 'Not authorized',
  '403/4000': 'Not allowed',
  '400/2101': 'Push message size exceeds limit',
  '400/2102': 'List not found',
  '400/2103': 'Message is not in draft status',
  '500/2104': 'Application settings not found',
  '500/2105': 'Message is not intelligent',
  '400/2106': 'Time restriction settings do not allow sending now',
  '400/5003': 'Message id not found',
  '400/5016': 'User or external id not found',
  '400/5021': 'Service is not allowed',
  '400/5022': 'Service quota exceeded',
  '400/5028': 'Event not found',
  '400/5042': 'Segment not found',
  '400/6000': 'Invalid address',
  '500/6001': 'Delivery error',
};

export const knowsError = (name) => Object.hasOwn(codedErrors, name);

/** `name` is "status/code". */
export function coded(name, error = codedErrors[name]) {
  const [status, code] = name.split('/').map(Number);
  return json(status, { code, error });
}

const titles = { 404: 'Not Found', 405: 'Method Not Allowed', 415: 'Unsupported Media Type' };

/** RFC 9457, as the framework below answers what never reaches the application. */
export function problem(status, detail, instance, headers) {
  const body = { type: 'about:blank', title: titles[status], status, detail, instance };
  return { ...json(status, body, headers), type: 'application/problem+json' };
}

/** Thrown by what checks a request; becomes a 400/2004 or another row. */
export class Refused extends Error {
  constructor(name, message) {
    super(message);
    this.reply = coded(name, message);
  }
}
