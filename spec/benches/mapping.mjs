// The mapping of rules/acme.lua's event 11, as one would write it in JavaScript.
const channels = { 459: "push", 481: "sms" };
const templates = { 1201: "welcome" };
const messages = { welcome: { channel: "push", key: "106", params: { name: "{first_name|friend}" } } };

const fill = (text, attributes) =>
  text.replace(/\{([\w.]+)\|?([^}]*)\}/g, (_, field, fallback) => attributes?.[field] ?? fallback);

export function message(event) {
  const found = messages[templates[event.TemplateID]];
  if (!found || found.channel !== channels[event.ChannelID]) throw new Error("held");
  const params = {};
  for (const name in found.params) params[name] = fill(found.params[name], event.attributes);
  return { to: event.CustomerID, key: found.key, params };
}
