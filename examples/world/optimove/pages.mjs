// Pages of recipients, written as text row by row: a page of ten thousand takes some milliseconds.

import { jsonText } from '../lib/reply.mjs';
import { Bad, readInteger } from './errors.mjs';

function readCount(query, name, otherwise) {
  if (!query.has(name)) return otherwise;
  const number = readInteger(query.get(name));
  if (number < 0) throw new Bad(name);
  return number;
}

/** { top, skip, names, only } of a request. */
export function readPage(query, cap) {
  const names = query.get('customerattributes');
  return {
    skip: readCount(query, '$skip', 0),
    top: Math.min(readCount(query, '$top', cap), cap),
    names: names ? names.split(';') : null,
  };
}

/** How many rows this page may have after the fault's wish. */
function shortened(top, shortPages) {
  if (shortPages === undefined) return top;
  return shortPages < 1 ? Math.max(1, Math.floor(top * shortPages)) : Math.min(top, shortPages);
}

function attributesText(values, style) {
  const shown = values.map((value) => (value === null && style.nulls === 'NULL' ? 'NULL' : value));
  if (style.attributes === 'string') return `,"CustomerAttribute":${JSON.stringify(shown.map((value) => value ?? 'NULL').join(';'))}`;
  return `,"CustomerAttributes":${JSON.stringify(shown)}`;
}

class RowWriter {
  constructor(plan, names, style, { templateName, updated, timeName, brief, missingAttribute }) {
    Object.assign(this, { plan, names, style, templateName, updated, timeName, brief, missingAttribute });
    this.nameTexts = new Map(); // template -> its name as JSON
  }

  number(value) {
    return this.style.ids === 'text' ? `"${value}"` : JSON.stringify(value);
  }

  nameText(template) {
    let name = this.nameTexts.get(template);
    if (name === undefined) this.nameTexts.set(template, (name = JSON.stringify(this.templateName(template))));
    return name;
  }

  attributes(i, customer) {
    const values = this.names.map((name) => this.updated(customer, name) ?? this.plan.attribute(i, name));
    if (this.missingAttribute) values.pop();
    return attributesText(values, this.style);
  }

  row(i) {
    const { plan } = this;
    const customer = plan.customer(i);
    const template = plan.template(i);
    const time = plan.time(i);
    const promo = plan.promo(i);
    let text = `{"CustomerID":${JSON.stringify(customer)}`;
    if (!this.brief) text += `,"ActionID":${this.number(plan.action(i))},"ChannelID":${this.number(plan.channel)}`;
    text += `,"TemplateID":${this.number(template)}`;
    if (!this.brief) text += `,"TemplateName":${this.nameText(template)}`;
    if (time !== null) text += `,"${this.timeName}":${JSON.stringify(time)}`;
    if (promo !== null && !this.brief) text += `,"PromoCode":${JSON.stringify(promo)}`;
    if (this.names !== null) text += this.attributes(i, customer);
    return `${text}}`;
  }
}

function emptyPage(kind) {
  return jsonText(200, kind === 'null' ? 'null' : kind === 'blank' ? '' : '[]');
}

/** `act` is what a fault does to the page, or {}. Returns { reply, rows }. */
export function pageReply(plan, page, act, style, parts) {
  if (act.emptyPage) return { reply: emptyPage(act.emptyPage), rows: 0 };
  if (act.repeatRows !== undefined) plan.repeatBefore(page.skip, act.repeatRows);
  const end = Math.min(plan.length - (act.lateRows ?? 0), page.skip + shortened(page.top, act.shortPages));
  const writer = new RowWriter(plan, page.names, style, { ...parts, missingAttribute: act.missingAttribute });
  const rows = [];
  for (let position = page.skip; position < end; position++) rows.push(writer.row(plan.rowAt(position)));
  plan.note(page.skip, rows.length);
  return { reply: jsonText(200, `[${rows.join(',')}]`), rows: rows.length };
}
