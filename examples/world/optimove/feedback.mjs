// What a channel reports back: metrics, interactions, preferences.

import { Bad, done, readInteger, readList, readText } from './errors.mjs';

const mostMetrics = 100;
const mostInteractions = 10000;
const mostPreferences = 50000;

function readCustomerIds(value, most) {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) throw new Bad('CustomerIDs');
  for (const id of value) readText(id);
  return value;
}

export class Feedback {
  constructor() {
    this.clear();
  }

  clear() {
    this.metrics = new Map();
    this.interactions = new Map();
    this.preferences = new Map(); // channel -> Map of customer -> mode
  }

  updateMetrics(body) {
    const rows = readList(body, mostMetrics).map((row) => ({
      key: { ChannelID: readInteger(row.ChannelID), CampaignID: readInteger(row.CampaignID), TemplateID: readInteger(row.TemplateID), MetricID: readInteger(row.MetricID) },
      value: readInteger(row.MetricValue),
    }));
    for (const { key, value } of rows) {
      const name = JSON.stringify(key);
      const held = this.metrics.get(name) ?? { ...key, last: 0, sum: 0, calls: 0 };
      this.metrics.set(name, { ...held, last: value, sum: held.sum + value, calls: held.calls + 1 });
    }
    return done();
  }

  /** Repeated calls add up, as the real ones do. */
  updateInteractions(body) {
    const ids = readCustomerIds(body?.CustomerIDs, mostInteractions);
    readText(body.InteractionDate);
    const key = { CampaignID: readInteger(body.CampaignID), ChannelID: readInteger(body.ChannelID), TemplateID: readInteger(body.TemplateID), EventID: readInteger(body.EventID) };
    const name = JSON.stringify(key);
    const held = this.interactions.get(name) ?? { ...key, customers: 0, calls: 0 };
    this.interactions.set(name, { ...held, customers: held.customers + ids.length, calls: held.calls + 1 });
    return done();
  }

  setPreference(body) {
    const channel = readInteger(body?.ChannelID);
    const mode = readInteger(body.CommunicationMode);
    const ids = readCustomerIds(body.CustomerIDs, mostPreferences);
    const held = this.preferences.get(channel) ?? new Map();
    for (const id of ids) held.set(id, mode);
    this.preferences.set(channel, held);
    return done();
  }

  * listPreferences() {
    for (const [channel, held] of this.preferences) for (const [customer, mode] of held) yield { channel, customer, mode };
  }
}
