// UpdateCustomerAttributes: taken at once, applied, and answered later by the callback.

import { randomUUID } from 'node:crypto';
import { count } from '../lib/counts.mjs';
import { Poster } from '../lib/post.mjs';
import { empty, json } from '../lib/reply.mjs';
import { Ring } from '../lib/ring.mjs';
import { Bad, readText } from './errors.mjs';

const mostCustomers = 1000;
const mostAttributes = 10;
const keptCallbacks = 1000;

const isScalar = (value) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

function readCustomers(body) {
  const list = body?.CustomerNewAttributesValuesList;
  if (!Array.isArray(list) || list.length === 0 || list.length > mostCustomers) throw new Bad('CustomerNewAttributesValuesList');
  for (const item of list) {
    readText(item?.CustomerID);
    if (!Array.isArray(item.Attributes) || item.Attributes.length === 0 || item.Attributes.length > mostAttributes) throw new Bad('Attributes');
    for (const attribute of item.Attributes) {
      readText(attribute?.RealFieldName);
      if (!isScalar(attribute.Value ?? null)) throw new Bad('Value');
    }
  }
  return list;
}

export class Updates {
  constructor(world) {
    this.world = world;
    this.poster = new Poster();
    this.clear();
  }

  clear() {
    this.fields = new Map(); // field -> { values: Map of customer -> value, times: Map of customer -> n }
    this.calls = 0;
    this.values = 0;
    this.refused = 0;
    this.errors = {};
    this.largestCall = 0;
    this.overlapping = 0;
    this.customers = new Set();
    this.unsettled = new Map(); // customer -> calls whose callback is still to come
    this.callbacks = new Ring(keptCallbacks);
    this.callbackCounts = { sent: 0, failed: 0, byStatus: {} };
  }

  lastValue(customer, field) {
    return this.fields.get(field)?.values.get(customer);
  }

  isUnknown(customer) {
    const { unknownCustomers, unknownPrefix } = this.world.settings.updates;
    return unknownCustomers.includes(customer) || (unknownPrefix !== null && customer.startsWith(unknownPrefix));
  }

  errorOf({ RealFieldName: field, Value: value }) {
    const { knownFields, frozenFields, numberFields } = this.world.settings.updates;
    if (frozenFields.includes(field)) return 'UPDATE_FIELD_TEMPORARY_UNAVAILABLE';
    if (knownFields !== null && !knownFields.includes(field)) return 'INVALID_FIELD';
    if (numberFields.includes(field) && (value === null || value === '' || Number.isNaN(Number(value)))) return 'INVALID_VALUE';
    return null;
  }

  apply(customer, { RealFieldName: field, Value: value }) {
    let held = this.fields.get(field);
    if (held === undefined) this.fields.set(field, (held = { values: new Map(), times: new Map() }));
    held.values.set(customer, value);
    held.times.set(customer, (held.times.get(customer) ?? 0) + 1);
    this.values++;
  }

  /** Applies what is right; the errors of what is not. */
  applyAll(list) {
    const errors = [];
    for (const { CustomerID: customerId, Attributes: attributes } of list) {
      if (this.isUnknown(customerId)) {
        errors.push({ error: 'INVALID_CUSTOMER', customerId, realFieldName: attributes[0].RealFieldName });
        continue;
      }
      this.customers.add(customerId);
      for (const attribute of attributes) {
        const error = this.errorOf(attribute);
        if (error === null) this.apply(customerId, attribute);
        else errors.push({ error, customerId, realFieldName: attribute.RealFieldName });
      }
    }
    for (const { error } of errors) count(this.errors, error);
    return errors;
  }

  update(request, body) {
    const { settings } = this.world;
    let list;
    try {
      list = readCustomers(body);
    } catch (error) {
      this.refused++;
      throw error;
    }
    this.calls++;
    this.largestCall = Math.max(this.largestCall, list.length);
    request.recipients = list.length;
    const requestId = randomUUID();
    const errors = this.applyAll(list);
    if (typeof body.CallbackURL === 'string') this.planCallback(body.CallbackURL, requestId, errors, list);
    const { status, answerRequestId } = settings.updates;
    if (answerRequestId) return json(status, { requestId });
    return status === 202 ? json(202, {}) : empty(status);
  }

  /** Notes the customers as unsettled until the callback goes out: from then on the caller may know. */
  planCallback(url, requestId, errors, list) {
    const { callback, callbackDelayMs } = this.world.settings.updates;
    const { unsettled } = this;
    const customers = [...new Set(list.map((item) => item.CustomerID))];
    for (const customer of customers) {
      const calls = unsettled.get(customer) ?? 0;
      if (calls > 0) this.overlapping++;
      unsettled.set(customer, calls + 1);
    }
    if (callback === 'never') return;
    const body = errors.length === 0 ? { isSuccess: true, requestId } : { isSuccess: false, requestId, errors };
    setTimeout(() => {
      for (const customer of customers) {
        const left = unsettled.get(customer) - 1;
        if (left > 0) unsettled.set(customer, left);
        else unsettled.delete(customer);
      }
      this.callBack(url, JSON.stringify(body));
    }, callbackDelayMs);
    if (callback === 'twice') setTimeout(() => this.callBack(url, JSON.stringify(body)), callbackDelayMs * 2);
  }

  async callBack(url, body) {
    const at = Date.now();
    const { callbacks, callbackCounts } = this;
    const { status, answer, error } = await this.poster.post(url, body);
    callbacks.push({ at, url, body, status, answer, error });
    if (status === null) callbackCounts.failed++;
    else {
      callbackCounts.sent++;
      count(callbackCounts.byStatus, status);
    }
    this.world.watch.changed();
  }

  summary() {
    const { calls, values, refused, errors, largestCall, overlapping } = this;
    return { calls, values, customers: this.customers.size, refused, errors, largestCall, unsettled: this.unsettled.size, overlapping, callbacks: this.callbackCounts };
  }

  * list(query) {
    const [customer, wanted] = [query.get('customer'), query.get('field')];
    for (const [field, { values, times }] of this.fields) {
      if (wanted !== null && field !== wanted) continue;
      for (const [id, value] of customer === null ? values : values.has(customer) ? [[customer, values.get(customer)]] : []) {
        yield { customer: id, field, value, times: times.get(id) };
      }
    }
  }
}
