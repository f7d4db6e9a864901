// Profile attributes and events that are written to Netmera.

import { empty, json } from '../lib/reply.mjs';
import { Ring } from '../lib/ring.mjs';
import { Refused } from './errors.mjs';

const keptEvents = 1000;
const mostItems = 1000;
const mostEventAttributes = 25;

function readItems(body) {
  const items = Array.isArray(body) ? body : [body];
  if (items.length > mostItems) throw new Refused('400/2004', `At most ${mostItems} items in a request`);
  for (const item of items) {
    if (item === null || typeof item !== 'object' || typeof item.extId !== 'string') throw new Refused('400/2004', "Field 'extId' should be a text");
  }
  return items;
}

export class Profiles {
  constructor() {
    this.clear();
  }

  clear() {
    this.byId = new Map();
    this.events = new Ring(keptEvents);
    this.eventCount = 0;
  }

  set(request, body) {
    const items = readItems(body);
    for (const { profile } of items) {
      if (profile === null || typeof profile !== 'object' || Array.isArray(profile)) throw new Refused('400/2004', "Field 'profile' should be an object");
    }
    for (const { extId, profile } of items) this.byId.set(extId, { ...this.byId.get(extId), ...profile });
    request.recipients = items.length;
    return empty(200);
  }

  unset(request, body) {
    const items = readItems(body);
    for (const { profile } of items) if (!Array.isArray(profile)) throw new Refused('400/2004', "Field 'profile' should be a list");
    for (const { extId, profile } of items) {
      const attributes = this.byId.get(extId);
      if (attributes !== undefined) for (const name of profile) delete attributes[name];
    }
    request.recipients = items.length;
    return empty(200);
  }

  get(query) {
    const extId = query.get('extId');
    if (extId === null) throw new Refused('400/2020', "Parameter 'extId' is missing");
    if (!this.byId.has(extId)) throw new Refused('400/5016', 'User or external id not found');
    return json(200, this.byId.get(extId));
  }

  fire(request, body) {
    const items = readItems(body);
    for (const event of items) {
      if (typeof event.name !== 'string') throw new Refused('400/2004', "Field 'name' should be a text");
      if (Object.keys(event).length - 2 > mostEventAttributes) throw new Refused('400/2004', `At most ${mostEventAttributes} attributes in an event`);
    }
    for (const event of items) this.events.push(event);
    this.eventCount += items.length;
    request.recipients = items.length;
    return empty(200);
  }
}
