// Who is told of what: one listener an event type and channel, or several where the settings say so.

import { json } from '../lib/reply.mjs';
import { Bad, done, readChannel, readInteger, readText } from './errors.mjs';

const onHold = 5; // must be registered without a channel

function readAddress(value) {
  const address = readText(value);
  let url;
  try {
    url = new URL(address);
  } catch {
    throw new Bad('ListenerURL');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Bad('ListenerURL');
  return address;
}

export class Listeners {
  constructor(world) {
    this.world = world;
    this.clear();
  }

  clear() {
    this.held = [];
  }

  register(body) {
    const type = readInteger(body.EventTypeID);
    const channel = readChannel(body.ChannelID);
    const url = readAddress(body.ListenerURL);
    if (type < 1 || (type === onHold && channel !== null)) throw new Bad('EventTypeID');
    if (this.world.settings.reregister === 'overwrite') this.remove((held) => held.type === type && held.channel === channel);
    this.held.push({ type, channel, url });
    return done();
  }

  unregister(body) {
    const type = readInteger(body.EventTypeID);
    const channel = readChannel(body.ChannelID);
    const all = channel === null && this.world.settings.unregisterWithoutChannel === 'all';
    this.remove((held) => held.type === type && (all || held.channel === channel));
    return done();
  }

  remove(matches) {
    this.held = this.held.filter((held) => !matches(held));
  }

  shown() {
    return this.held.map(({ type, channel, url }) => ({ EventTypeID: type, ListenerURL: url, ...(channel === null ? {} : { ChannelID: channel }) }));
  }

  list() {
    return this.world.listReply(this.shown());
  }

  /** Addresses for an event that concerns these channels. */
  matching(type, channels) {
    return this.held.filter((held) => held.type === type && (held.channel === null || channels.includes(held.channel))).map((held) => held.url);
  }
}

export const channelsReply = (channels) => json(200, channels.map(({ id, name }) => ({ ChannelID: id, ChannelName: name })));
