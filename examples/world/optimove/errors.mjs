// Optimove's errors: quoted strings, plain text, and one object.

import { empty, json, jsonText, text } from '../lib/reply.mjs';

/** 200 without a payload: what most POSTs answer. */
export const done = () => empty(200);

export const badRequest = () => jsonText(400, '"Bad Request"');
export const unauthorized = () => jsonText(401, '"Unauthorized"');
export const forbidden = () => text(403, 'Forbidden');
export const notFound = () => text(404, 'Not Found');
export const wrongMethod = () => jsonText(405, '"Method Not Allowed"');
export const wrongType = () => text(415, 'Unsupported Media Type');

export function tooMany(limit) {
  const { requests, windowMs, retryAfterSeconds } = limit;
  const message = `Rate limit of ${requests} requests in ${windowMs / 1000} seconds exceeded`;
  return json(429, { status: 429, error: 'Too Many Requests', message }, retryAfterSeconds == null ? undefined : { 'Retry-After': String(retryAfterSeconds) });
}

/** Thrown by what checks a request. */
export class Bad extends Error {}

export function readList(body, most) {
  if (!Array.isArray(body) || body.length === 0 || body.length > most) throw new Bad('list');
  for (const item of body) if (item === null || typeof item !== 'object') throw new Bad('item');
  return body;
}

/** An integer, or the text of one. */
export function readInteger(value) {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (!Number.isInteger(number)) throw new Bad('integer');
  return number;
}

export function readText(value) {
  if (typeof value !== 'string' || value === '') throw new Bad('text');
  return value;
}

/** A channel, or null where none is given. */
export const readChannel = (value) => (value === undefined || value === null || value === '' ? null : readInteger(value));
