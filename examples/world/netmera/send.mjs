// sendNotification and the other calls that reach people.

import { json } from '../lib/reply.mjs';
import { seededText } from '../lib/seeded.mjs';
import { coded, Refused } from './errors.mjs';

const mostIds = 1000;

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** The ids of a target, each once; how many were there twice is added to `repeats`. */
function readIds(target, repeats) {
  const { extId } = target;
  const list = Array.isArray(extId) ? extId : extId === undefined ? [] : [extId];
  for (const id of list) if (typeof id !== 'string' || id === '') throw new Refused('400/2004', "Field 'extId' should be a text");
  const ids = list.length > 1 ? [...new Set(list)] : list;
  repeats.n += list.length - ids.length;
  return ids;
}

function readMessage(item, repeats) {
  if (!isObject(item)) throw new Refused('400/2004', 'A notification should be an object');
  if (item.notificationKey === undefined) throw new Refused('400/2004', "Field 'notificationKey' is required");
  if (typeof item.notificationKey !== 'string') throw new Refused('400/2004', "Field 'notificationKey' should be a text");
  if (!isObject(item.target) || Object.keys(item.target).length === 0) throw new Refused('400/2004', "Field 'target' is required");
  if (item.message !== undefined && !isObject(item.message)) throw new Refused('400/2004', "Field 'message' should be an object");
  return { key: item.notificationKey, ids: readIds(item.target, repeats) };
}

/** Everyone in the request, once; counts who is there more than once. */
function everyone(messages, repeats) {
  if (messages.length === 1) return messages[0].ids;
  const all = new Set();
  let listed = 0;
  for (const { ids } of messages) {
    listed += ids.length;
    for (const id of ids) all.add(id);
  }
  repeats.n += listed - all.size;
  return [...all];
}

export class Sending {
  constructor(world) {
    this.world = world;
    this.clearDefinitions();
  }

  clearDefinitions() {
    this.nextKey = 97;
    this.created = new Set();
  }

  define() {
    const key = this.nextKey++;
    this.created.add(String(key));
    return key;
  }

  isUnknown(extId) {
    const { extIds, prefix, share, seed } = this.world.settings.unknown;
    if (prefix !== null && extId.startsWith(prefix)) return true;
    if (share > 0 && seededText(seed, extId) < share) return true;
    return extIds.includes(extId);
  }

  refuseUndefined(messages) {
    const { definitions } = this.world.settings;
    if (definitions === null) return;
    for (const { key } of messages) {
      if (!definitions.includes(key) && !this.created.has(key)) throw new Refused('400/5003', `Message id not found: ${key}`);
    }
  }

  /** Splits each message's ids into those that exist and those that do not. */
  split(messages) {
    const { prefix, share, extIds } = this.world.settings.unknown;
    const unknown = [];
    if (prefix === null && share === 0 && extIds.length === 0) return unknown;
    for (const message of messages) {
      message.ghosts = message.ids.filter((id) => this.isUnknown(id));
      if (message.ghosts.length === 0) continue;
      const ghosts = new Set(message.ghosts);
      message.ids = message.ids.filter((id) => !ghosts.has(id));
      unknown.push(...message.ghosts);
    }
    return unknown;
  }

  deliver(request, messages) {
    const { deliveries } = this.world;
    for (const { key, ids, ghosts = [] } of messages) {
      request.recipients += ids.length;
      if (ids.length > 0) deliveries.add(request.apiKey, key, ids, request.at);
      if (ghosts.length > 0) deliveries.addUndeliverable(request.apiKey, key, ghosts);
    }
    deliveries.largestRequest = Math.max(deliveries.largestRequest, request.recipients);
  }

  sendNotification(request, body) {
    const repeats = { n: 0 };
    const items = Array.isArray(body) ? body : [body];
    if (items.length === 0) throw new Refused('400/2020', 'No notification');
    const messages = items.map((item) => readMessage(item, repeats));
    const people = everyone(messages, repeats);
    if (people.length > mostIds) throw new Refused('400/2004', `At most ${mostIds} unique external ids in a request`);
    this.refuseUndefined(messages);
    const { deliveries, settings } = this.world;
    deliveries.samePersonTwice += repeats.n;
    request.whenDone = deliveries.occupy(people, request.answeredLater);
    const unknown = this.split(messages);
    const refused = unknown.length > 0 && settings.unknown.answer !== 'ignore';
    if (refused && settings.unknown.answer === 'refuse') return this.sayUnknown(unknown);
    this.deliver(request, messages);
    return refused ? this.sayUnknown(unknown) : json(200, {});
  }

  sayUnknown(unknown) {
    const names = this.world.settings.unknown.names ? `: ${unknown.join(', ')}` : '';
    return coded('400/5016', `User or external id not found${names}`);
  }

  /** The calls that make their own definition; who is reached is counted under its key. */
  sendOwn(request, body) {
    if (!isObject(body)) throw new Refused('400/2004', 'The body should be an object');
    if (body.sendToAll === undefined && !isObject(body.target)) throw new Refused('400/2004', "Field 'target' is required");
    if ((body.platforms ?? []).includes('SMS') && !['N', 'C'].includes(body.smsIysMessageType)) {
      throw new Refused('400/2004', "Field 'smsIysMessageType' is required");
    }
    const { extId, email, msisdn } = body.target ?? {};
    const ids = [extId, email, msisdn].filter((value) => value !== undefined).flat().map(String);
    if (ids.length > mostIds) throw new Refused('400/2004', `At most ${mostIds} unique external ids in a request`);
    const key = this.define();
    this.deliver(request, [{ key: String(key), ids }]);
    return json(200, { notificationKey: key });
  }
}
