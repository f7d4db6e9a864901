// getPushStats and getPushResult: what a sender that got `{}` can ask afterwards.

import { json } from '../lib/reply.mjs';
import { Refused } from './errors.mjs';

const platform = 'ANDROID';

function readNumber(input, name, otherwise) {
  const value = input[name];
  if (value === undefined || value === null) return otherwise;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new Refused('400/2004', `Field '${name}' should be a number`);
  return number;
}

export class Reports {
  constructor(deliveries) {
    this.deliveries = deliveries;
  }

  stats(request, input) {
    if (input.notificationKey !== undefined) return json(200, this.statsOf(this.tallies(request, input)));
    if (input.start === undefined || input.end === undefined) throw new Refused('400/2020', "Parameter 'notificationKey', or 'start' and 'end', is missing");
    const [start, end] = [readNumber(input, 'start'), readNumber(input, 'end')];
    const inTime = this.deliveries.chosen(null, request.apiKey).filter((tally) => tally.firstAt !== null && tally.firstAt <= end && tally.lastAt >= start);
    return json(200, inTime.map((tally) => this.statsOf([tally])));
  }

  tallies(request, input) {
    const key = String(input.notificationKey);
    const tallies = this.deliveries.chosen(key, request.apiKey);
    if (tallies.length === 0) throw new Refused('400/5003', `Message id not found: ${key}`);
    return tallies;
  }

  statsOf(tallies) {
    const { deliveries, undeliverable, firstAt, lastAt } = this.deliveries.figures(tallies);
    return {
      notificationKey: Number.isNaN(Number(tallies[0].key)) ? tallies[0].key : Number(tallies[0].key),
      status: 'FINISHED', startDate: firstAt, endDate: lastAt,
      stats: [{ platform, sent: deliveries, failed: undeliverable, clicked: 0 }],
    };
  }

  results(request, input) {
    if (input.notificationKey === undefined) throw new Refused('400/2020', "Parameter 'notificationKey' is missing");
    const [tally] = this.tallies(request, input);
    const from = readNumber(input, 'nextPage', 0);
    const to = from + readNumber(input, 'max', 10);
    const reached = tally.order.length;
    const all = reached + tally.undeliverableIds.length;
    const items = [];
    for (let i = from; i < Math.min(to, all); i++) items.push(i < reached ? this.reached(tally, i) : this.failed(tally, i - reached));
    return json(200, { items, nextPage: to < all ? String(to) : null });
  }

  reached(tally, position) {
    const id = tally.order.values[position];
    return { platform, status: 'SUCCESS', extId: this.deliveries.names[id], timeStamp: Math.floor(tally.last.get(id)) };
  }

  failed(tally, position) {
    const { extId, at } = tally.undeliverableIds[position];
    return { platform, status: 'FAILED', errorCode: '8', errorMsg: 'INVALID_TOKEN', extId, timeStamp: at };
  }
}
