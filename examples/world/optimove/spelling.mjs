// The three ways in which event bodies are spelt in the field.

const names = {
  pascal: { type: 'EventTypeID', time: 'TimeStamp', campaign: 'CampaignID', channel: 'ChannelID', template: 'TemplateID', customer: 'CustomerID', promoCode: 'PromoCode', notes: 'Notes' },
  camel: { type: 'eventTypeID', time: 'timeStamp', campaign: 'campaignID', channel: 'channelID', template: 'templateID', customer: 'customerID', promoCode: 'promoCode', notes: 'notes' },
  netmera: { type: 'eventTypeId', time: 'timeStamp', campaign: 'campaignId', channel: 'channelId', template: 'templateId', customer: 'customerId', promoCode: 'promoCode', notes: 'notes' },
};

export const spellings = Object.keys(names);

/** `values` by our names; those that are undefined are left out. */
export function spell(spelling, values, more = {}) {
  const body = {};
  for (const [name, value] of Object.entries(values)) if (value !== undefined) body[names[spelling][name]] = value;
  return Object.assign(body, more);
}
