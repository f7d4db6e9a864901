// Campaigns, their channels, and the API's questions about them.

import { json, onlyKeys, WrongCall } from '../lib/reply.mjs';
import { Bad, readInteger } from './errors.mjs';
import { pageReply, readPage } from './pages.mjs';
import { controlGroup, Plan } from './plan.mjs';

const canceledReadableMs = 2 * 60 * 60 * 1000;

export class Campaigns {
  constructor(world) {
    this.world = world;
    this.clear();
  }

  clear() {
    this.byId = new Map(); // campaign as text -> { id, plans: Map of channel -> Plan, cancelledAt }
    this.rowsServed = 0;
  }

  /** Only what was counted: campaigns stay. */
  clearCounts() {
    this.rowsServed = 0;
    for (const plan of this.plans()) plan.pages = plan.served = plan.servedTwice = plan.servedUpTo = 0;
  }

  * plans() {
    for (const { plans } of this.byId.values()) yield* plans.values();
  }

  find(campaign, channel) {
    return this.byId.get(String(campaign))?.plans.get(channel);
  }

  make(script) {
    const plan = new Plan(script, (ms) => this.world.formatTime(ms));
    const id = String(plan.campaign);
    if (!this.byId.has(id)) this.byId.set(id, { id: plan.campaign, plans: new Map(), cancelledAt: null });
    this.byId.get(id).plans.set(plan.channel, plan);
    return json(200, this.shown(plan));
  }

  shown(plan) {
    return { campaign: plan.campaign, channel: plan.channel, rows: plan.length, customers: plan.count - plan.control, control: plan.control };
  }

  addRows(body) {
    onlyKeys(body, ['campaign', 'channel', 'rows'], 'add');
    const plan = this.find(body.campaign, body.channel);
    if (plan === undefined) throw new WrongCall('add: no such campaign on this channel');
    plan.more(body.rows);
    return json(200, this.shown(plan));
  }

  list() {
    return json(200, [...this.plans()].map((plan) => ({ ...this.shown(plan), executedAt: plan.executedAt, cancelledAt: this.byId.get(String(plan.campaign)).cancelledAt })));
  }

  counts() {
    const result = {};
    for (const plan of this.plans()) {
      if (plan.pages > 0) result[`${plan.campaign}/${plan.channel}`] = { pages: plan.pages, rows: plan.served, rowsServedTwice: plan.servedTwice };
    }
    return result;
  }

  /** Marks a campaign executed on a channel; null if there is none. */
  execute(campaign, channel) {
    const plan = this.find(campaign, channel);
    if (plan === undefined) return null;
    plan.executedAt = Date.now();
    return plan;
  }

  /** Marks it cancelled; the channels it concerns. */
  cancel(campaign, channel) {
    const found = this.byId.get(String(campaign));
    if (found !== undefined) found.cancelledAt = Date.now();
    if (channel !== undefined) return [channel];
    return found === undefined ? [] : [...found.plans.keys()];
  }

  askedFor(query) {
    const campaign = query.get('campaignid');
    if (!campaign) throw new Bad('CampaignID');
    return campaign;
  }

  /** `brief` is GetCustomerSendDetailsByChannel: fewer fields, another name for the time. */
  recipients(query, request, act, brief) {
    const { settings, templates, updates } = this.world;
    const campaign = this.askedFor(query);
    const channel = readInteger(query.get('channelid'));
    const page = readPage(query, settings.pageCap);
    const plan = this.find(campaign, channel);
    if (plan === undefined) return this.world.listReply([]);
    const { reply, rows } = pageReply(plan, page, act, settings.rowStyle, {
      brief, timeName: brief ? 'ScheduledTime' : settings.rowStyle.time,
      templateName: (template) => templates.nameOf(channel, Number(template)),
      updated: (customer, field) => updates.lastValue(customer, field),
    });
    request.recipients = rows;
    this.rowsServed += rows;
    return rows === 0 && !act.emptyPage ? this.world.listReply([]) : reply;
  }

  details(query) {
    const found = this.byId.get(this.askedFor(query));
    if (found === undefined) return this.world.listReply([]);
    const plans = [...found.plans.values()];
    const sum = (field) => plans.reduce((total, plan) => total + plan[field], 0);
    return json(200, {
      TestGroupSize: sum('count') - sum('control'), ControlGroupSize: sum('control'), Channels: plans.map((plan) => ({ Id: plan.channel })), Tags: [],
      TargetGroupID: 1, CampaignType: 'Test/Control', Duration: 7, LeadTime: 0, Notes: '', IsMultiChannel: plans.length > 1, IsRecurrence: false,
      Status: 'Successful', Error: '', ...Object.assign({}, ...plans.map((plan) => plan.details)),
    });
  }

  executedOn(date) {
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date ?? '')) throw new Bad('Date');
    return [...this.plans()].filter((plan) => plan.executedAt !== null && this.world.formatTime(plan.executedAt).startsWith(date));
  }

  executedByChannel(query) {
    const channel = readInteger(query.get('channelid'));
    const plans = this.executedOn(query.get('date')).filter((plan) => plan.channel === channel);
    return this.world.listReply(plans.map((plan) => ({ CampaignID: plan.campaign })));
  }

  executedDetails(query) {
    const campaigns = new Map(this.executedOn(query.get('date')).map((plan) => [plan.campaign, plan]));
    return this.world.listReply([...campaigns].map(([CampaignID, plan]) => ({
      CampaignID, TargetGroupID: 1, CampaignType: 'Test/Control', Duration: 7, LeadTime: 0, Notes: '', IsMultiChannel: this.byId.get(String(CampaignID)).plans.size > 1,
      IsRecurrence: false, Status: 'Successful', Error: '', ...plan.details,
    })));
  }

  canceled(query) {
    const found = this.byId.get(this.askedFor(query));
    if (found?.cancelledAt == null || Date.now() - found.cancelledAt > canceledReadableMs) return this.world.listReply([]);
    const rows = [];
    for (const plan of found.plans.values()) {
      for (let i = 0; i < plan.count; i++) {
        if (plan.action(i) === controlGroup) continue;
        rows.push({ CustomerID: plan.customer(i), ActionID: plan.action(i), PromoCode: plan.promo(i) });
      }
    }
    return this.world.listReply(rows);
  }
}
