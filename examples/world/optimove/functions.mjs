// The API's functions by path: "category/function" in lower case, and who may call them.

import { json } from '../lib/reply.mjs';
import { channelsReply } from './listeners.mjs';

// The published list of what integrations may call. What is on it and not here, nobody has needed yet.
const openToThirdParties = new Set(['registereventlistener', 'unregistereventlistener', 'getregisteredeventlistener', 'getregisteredeventlisteners', 'getcampaigndetails',
  'getexecutedcampaignsbychannel', 'getcustomersenddetailsbychannel', 'getcustomerexecutiondetailsbycampaign', 'addchanneltemplates', 'getchanneltemplates',
  'deletechanneltemplates', 'updatecampaignmetrics', 'updatecampaigninteractions', 'setcustomerchannelpreference']);

/** Maps the path to { name, method, open, run(call) }; a call is { query, body, request, act }. */
export function makeFunctions(world) {
  const { listeners, templates, campaigns, updates, feedback } = world;
  const functions = new Map();
  const add = (method, category, name, run) => functions.set(`${category}/${name}`.toLowerCase(), { name, method, run, open: openToThirdParties.has(name.toLowerCase()) });

  add('POST', 'General', 'RegisterEventListener', ({ body }) => listeners.register(body ?? {}));
  add('POST', 'General', 'UnregisterEventListener', ({ body }) => listeners.unregister(body ?? {}));
  add('GET', 'General', 'GetRegisteredEventListeners', () => listeners.list());
  add('GET', 'General', 'GetRegisteredEventListener', () => listeners.list());

  add('GET', 'Actions', 'GetExecutionChannels', () => channelsReply(world.settings.channels));
  add('GET', 'Actions', 'GetCampaignDetails', ({ query }) => campaigns.details(query));
  add('GET', 'Actions', 'GetExecutedCampaignsByChannel', ({ query }) => campaigns.executedByChannel(query));
  add('GET', 'Actions', 'GetExecutedCampaignDetails', ({ query }) => campaigns.executedDetails(query));

  add('GET', 'Customers', 'GetCustomerExecutionDetailsByCampaign', ({ query, request, act }) => campaigns.recipients(query, request, act, false));
  add('GET', 'Customers', 'GetCustomerSendDetailsByChannel', ({ query, request, act }) => campaigns.recipients(query, request, act, true));
  add('GET', 'Customers', 'GetCanceledCampaignCustomers', ({ query }) => campaigns.canceled(query));
  add('POST', 'Customers', 'UpdateCustomerAttributes', ({ body, request }) => updates.update(request, body));

  add('GET', 'Model', 'GetCustomerAttributeList', () => json(200, world.settings.attributes));

  add('POST', 'Integrations', 'AddChannelTemplates', ({ query, body }) => templates.add(query, body));
  add('GET', 'Integrations', 'GetChannelTemplates', ({ query }) => templates.list(query));
  add('POST', 'Integrations', 'DeleteChannelTemplates', ({ body }) => templates.remove(body));
  add('POST', 'Integrations', 'UpdateCampaignMetrics', ({ body }) => feedback.updateMetrics(body));
  add('POST', 'Integrations', 'UpdateCampaignInteractions', ({ body }) => feedback.updateInteractions(body));
  add('POST', 'Integrations', 'SetCustomerChannelPreference', ({ body }) => feedback.setPreference(body));
  return functions;
}

/** "/current/general/X" and "/General/X" are the same. */
export function functionPath(path) {
  const lower = path.toLowerCase().replace(/\/+$/, '');
  return lower.startsWith('/current/') ? lower.slice('/current/'.length) : lower.slice(1);
}
