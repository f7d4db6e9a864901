// The templates that an integration puts under its channels.

import { Bad, done, readInteger, readList, readText } from './errors.mjs';

const mostTemplates = 100;

export class Templates {
  constructor(world) {
    this.world = world;
    this.clear();
  }

  clear() {
    this.byChannel = new Map();
  }

  /** Channels are Optimove's to make: an integration can only name those that exist. */
  knownChannel(value) {
    const channel = readInteger(value);
    if (!this.world.settings.channels.some(({ id }) => id === channel)) throw new Bad('ChannelID');
    return channel;
  }

  add(query, body) {
    const channel = this.knownChannel(query.get('channelid'));
    const templates = readList(body, mostTemplates).map((item) => {
      const id = item.TemplateID;
      if (!Number.isInteger(id) || id < 1) throw new Bad('TemplateID');
      return [id, readText(item.TemplateName)];
    });
    const held = this.byChannel.get(channel) ?? new Map();
    for (const [id, name] of templates) held.set(id, name);
    this.byChannel.set(channel, held);
    return done();
  }

  list(query) {
    const held = this.byChannel.get(this.knownChannel(query.get('channelid'))) ?? new Map();
    return this.world.listReply([...held].map(([TemplateID, TemplateName]) => ({ TemplateID, TemplateName })));
  }

  remove(body) {
    const pairs = readList(body, mostTemplates).map((item) => [readInteger(item.ChannelID), readInteger(item.TemplateID)]);
    for (const [channel, template] of pairs) this.byChannel.get(channel)?.delete(template);
    return done();
  }

  shown() {
    return [...this.byChannel].flatMap(([ChannelID, held]) => [...held].map(([TemplateID, TemplateName]) => ({ ChannelID, TemplateID, TemplateName })));
  }

  nameOf(channel, template) {
    return this.byChannel.get(channel)?.get(template) ?? `Template ${template}`;
  }
}
