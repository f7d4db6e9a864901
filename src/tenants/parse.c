/* parse.c - a tenant's document into a struct nm_tenant, with every mistake at once. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "net/guard.h"
#include "tenants/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ARENA_MAX_BYTES = 4 * 1024 * 1024, SECRET_NUMBER_MAX = 1000000000 };

static const char *const tenant_keys[] = { "name",     "appKey",  "restApiKey", "restApiKeys",
                                           "allow",    "inbound", "optimove",   "providers",
                                           "channels", "hooks",   "urlSecret",  "guard",
                                           "removing" };
static const char *const connector_keys[] = {
  "baseUrl", "apiKey",       "adminApiKey", "status",          "channels",       "timeZone",
  "params",  "repeat",       "timeout",     "callbackTimeout", "realtime",       "checkEvery",
  "catchUp", "catchUpAfter", "metrics",     "metricsAfter",    "unsubscribeMode"
};
static const char *const statuses[] = { "ACTIVE", "INACTIVE" };

static bool is_word(struct nm_text text, const char *more)
{
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_letter && (c == '\0' || !strchr(more, c))) return false;
  }
  return text.len > 0;
}

/* ---- name and keys --------------------------------------------------------------------------- */

static void read_identity(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                          const json_t *document)
{
  bool is_open;
  tenant->name = nm_tenant_text(reader, "", document, "name", true, NULL);
  if (tenant->name.len > NM_TENANT_NAME_MAX_BYTES)
    nm_tenant_complain(reader, "name", "%zu bytes, at most %d are allowed", tenant->name.len,
                       NM_TENANT_NAME_MAX_BYTES);
  else if (tenant->name.len > 0 && (!is_word(tenant->name, "_-") || tenant->name.ptr[0] == '-'))
    nm_tenant_complain(reader, "name",
                       "\"%.*s\" may hold only letters, digits, _ and - (rules/NAME.lua is"
                       " its rules file)",
                       NM_TEXT_ARG(tenant->name));

  tenant->app_key = nm_tenant_text(reader, "", document, "appKey", true, &is_open);
  if (tenant->app_key.len > NM_TENANT_APP_KEY_MAX_BYTES)
    nm_tenant_complain(reader, "appKey", "%zu bytes, at most %d are allowed", tenant->app_key.len,
                       NM_TENANT_APP_KEY_MAX_BYTES);
  else if (!is_open && tenant->app_key.len > 0 && !is_word(tenant->app_key, "_-.~"))
    nm_tenant_complain(reader, "appKey", "\"%.*s\" stands in URLs: letters, digits, _ - . ~ only",
                       NM_TEXT_ARG(tenant->app_key));
  nm_tenant_read_door(reader, tenant, document);
}

/* The daemon's own note of which `k` its listeners carry; people leave it out. */
static void read_url_secret(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                            const json_t *document)
{
  static const char *const known[] = { "number", "previous" };
  tenant->secret_number = 1;
  const json_t *value = json_object_get(document, "urlSecret");
  const json_t *table = value ? nm_tenant_table(reader, "urlSecret", value) : NULL;
  if (!table) return;
  nm_tenant_check_keys(reader, "urlSecret", table, known, COUNT(known));
  json_int_t number = 1, previous = 0;
  const json_t *n = json_object_get(table, "number"), *p = json_object_get(table, "previous");
  if (n) number = json_is_integer(n) ? json_integer_value(n) : -1;
  if (p) previous = json_is_integer(p) ? json_integer_value(p) : -1;
  if (number < 1 || number > SECRET_NUMBER_MAX || previous < 0 || previous > SECRET_NUMBER_MAX) {
    nm_tenant_complain(reader, "urlSecret",
                       "is kept by the daemon (number from 1, previous from 0); leave it out");
    return;
  }
  tenant->secret_number = (int)number;
  tenant->secret_number_previous = (int)previous;
}

/* ---- the connector --------------------------------------------------------------------------- */

/* http(s)://host[:port][/path] as the outbound guard reads it, without a query; slashes at the end
 * are cut. */
static struct nm_text read_base_url(struct nm_tenant_reader *reader, const json_t *table)
{
  bool is_open;
  struct nm_text url = nm_tenant_text(reader, "optimove", table, "baseUrl", true, &is_open);
  if (is_open || url.len == 0) return url;
  struct nm_error error;
  if (nm_guard_check_url(NULL, url, &error))
    nm_tenant_complain(reader, "optimove.baseUrl", "\"%.*s\": %s", NM_TEXT_ARG(url), error.text);
  else if (memchr(url.ptr, '?', url.len))
    nm_tenant_complain(reader, "optimove.baseUrl", "\"%.*s\" may hold no query", NM_TEXT_ARG(url));
  while (url.len > 0 && url.ptr[url.len - 1] == '/') url.len--;
  return url;
}

static void read_channel(struct nm_tenant_reader *reader, struct nm_tenant_connector *connector,
                         const char *path, const json_t *entry)
{
  static const char *const known[] = { "id", "name", "kind" };
  static const char *const kinds[] = { "push", "sms", "email" };
  const json_t *table = nm_tenant_table(reader, path, entry);
  if (!table) return;
  nm_tenant_check_keys(reader, path, table, known, COUNT(known));
  struct nm_tenant_channel *channel = &connector->channels[connector->channel_count];
  const json_t *id = json_object_get(table, "id");
  if (!json_is_integer(id) || json_integer_value(id) <= 0) {
    nm_tenant_complain(reader, nm_tenant_path(reader, "%s.id", path),
                       "expected Optimove's channel id, a whole number above 0, got %s",
                       nm_tenant_kind(id));
  } else {
    channel->id = json_integer_value(id);
    for (size_t i = 0; i < connector->channel_count; i++)
      if (connector->channels[i].id == channel->id)
        nm_tenant_complain(reader, nm_tenant_path(reader, "%s.id", path),
                           "channel %lld is there twice", (long long)channel->id);
  }
  channel->name = nm_tenant_text(reader, path, table, "name", false, NULL);
  if (!json_object_get(table, "kind"))
    nm_tenant_complain(reader, nm_tenant_path(reader, "%s.kind", path),
                       "is missing: \"push\", \"sms\" or \"email\"");
  channel->kind = (enum nm_channel)(
      NM_CHANNEL_PUSH + nm_tenant_word(reader, path, table, "kind", kinds, COUNT(kinds)));
  connector->channel_count++;
}

static void read_param(struct nm_tenant_reader *reader, struct nm_tenant_connector *connector,
                       const char *path, const json_t *entry)
{
  static const char *const known[] = { "realFieldName", "name" };
  const json_t *table = nm_tenant_table(reader, path, entry);
  if (!table) return;
  nm_tenant_check_keys(reader, path, table, known, COUNT(known));
  struct nm_tenant_param *param = &connector->params[connector->param_count];
  param->real_field_name = nm_tenant_text(reader, path, table, "realFieldName", true, NULL);
  param->name = nm_tenant_text(reader, path, table, "name", true, NULL);
  if (param->real_field_name.len > 0 && !is_word(param->real_field_name, "_-. "))
    nm_tenant_complain(reader, nm_tenant_path(reader, "%s.realFieldName", path),
                       "\"%.*s\" is no name of an Optimove attribute",
                       NM_TEXT_ARG(param->real_field_name));
  if (param->name.len > 0 && !is_word(param->name, "_"))
    nm_tenant_complain(
        reader, nm_tenant_path(reader, "%s.name", path),
        "\"%.*s\" may hold only letters, digits and _ (rules read it as event.attributes.NAME)",
        NM_TEXT_ARG(param->name));
  for (size_t i = 0; i < connector->param_count; i++) {
    if (param->name.len > 0 && nm_text_equal(connector->params[i].name, param->name))
      nm_tenant_complain(reader, nm_tenant_path(reader, "%s.name", path), "\"%.*s\" is there twice",
                         NM_TEXT_ARG(param->name));
    if (param->real_field_name.len > 0 &&
        nm_text_equal(connector->params[i].real_field_name, param->real_field_name))
      nm_tenant_complain(reader, nm_tenant_path(reader, "%s.realFieldName", path),
                         "\"%.*s\" is there twice", NM_TEXT_ARG(param->real_field_name));
  }
  connector->param_count++;
}

static void read_channels_and_params(struct nm_tenant_reader *reader,
                                     struct nm_tenant_connector *connector, const json_t *table)
{
  const json_t *value = json_object_get(table, "channels"), *entry;
  const json_t *list =
      value ? nm_tenant_list(reader, "optimove.channels", value, NM_TENANT_LIST_MAX) : NULL;
  size_t i;
  if (list) {
    connector->channels =
        nm_arena_alloc(reader->arena, (json_array_size(list) + 1) * sizeof *connector->channels);
    json_array_foreach(list, i, entry)
      if (connector->channels)
        read_channel(reader, connector, nm_tenant_path(reader, "optimove.channels[%zu]", i + 1),
                     entry);
  }
  value = json_object_get(table, "params");
  list = value ? nm_tenant_list(reader, "optimove.params", value, NM_TENANT_LIST_MAX) : NULL;
  if (!list) return;
  connector->params =
      nm_arena_alloc(reader->arena, (json_array_size(list) + 1) * sizeof *connector->params);
  json_array_foreach(list, i, entry)
    if (connector->params)
      read_param(reader, connector, nm_tenant_path(reader, "optimove.params[%zu]", i + 1), entry);
}

/* Whole seconds as milliseconds; 0 where it is left out. */
static int64_t read_seconds(struct nm_tenant_reader *reader, const json_t *table, const char *key,
                            json_int_t max_s)
{
  const json_t *value = json_object_get(table, key);
  if (!value || json_is_null(value)) return 0;
  if (json_is_integer(value) && json_integer_value(value) >= 1 &&
      json_integer_value(value) <= max_s)
    return json_integer_value(value) * 1000;
  nm_tenant_complain(reader, nm_tenant_path(reader, "optimove.%s", key),
                     "expected whole seconds from 1 to %lld", (long long)max_s);
  return 0;
}

/* What Optimove is asked and told of campaigns by ourselves. */
static void read_feedback(struct nm_tenant_reader *reader, struct nm_tenant_connector *connector,
                          const json_t *table)
{
  static const char *const catch_ups[] = { "report", "run", "off" };
  static const char *const modes[] = { "once", "off" };
  enum { MODE_MAX = 1000 };
  connector->catch_up = (enum nm_catch_up)nm_tenant_word(reader, "optimove", table, "catchUp",
                                                         catch_ups, COUNT(catch_ups));
  connector->catch_up_after_ms = read_seconds(reader, table, "catchUpAfter", 24 * 3600);
  connector->reports_metrics =
      nm_tenant_word(reader, "optimove", table, "metrics", modes, COUNT(modes)) == 0;
  connector->metrics_after_ms = read_seconds(reader, table, "metricsAfter", 7 * 24 * 3600);
  const json_t *mode = json_object_get(table, "unsubscribeMode");
  if (!mode || json_is_null(mode)) return;
  if (json_is_integer(mode) && json_integer_value(mode) >= 1 &&
      json_integer_value(mode) <= MODE_MAX)
    connector->unsubscribe_mode = (int)json_integer_value(mode);
  else
    nm_tenant_complain(reader, "optimove.unsubscribeMode",
                       "expected Optimove's CommunicationMode, a whole number from 1 to %d",
                       MODE_MAX);
}

static void read_connector(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                           const json_t *document)
{
  static const char *const repeats[] = { "hold", "allow" };
  struct nm_tenant_connector *connector = &tenant->connector;
  nm_require(nm_zone_find(&connector->zone, NM_TEXT("UTC")) == NM_OK);
  const json_t *value = json_object_get(document, "optimove");
  const json_t *table = value ? nm_tenant_table(reader, "optimove", value) : NULL;
  if (!table) return;
  nm_tenant_check_keys(reader, "optimove", table, connector_keys, COUNT(connector_keys));
  connector->is_present = true;
  connector->base_url = read_base_url(reader, table);
  connector->api_key = nm_tenant_text(reader, "optimove", table, "apiKey", true, NULL);
  connector->admin_api_key = nm_tenant_text(reader, "optimove", table, "adminApiKey", false, NULL);
  connector->is_active =
      nm_tenant_word(reader, "optimove", table, "status", statuses, COUNT(statuses)) == 0;
  connector->repeat_allowed =
      nm_tenant_word(reader, "optimove", table, "repeat", repeats, COUNT(repeats)) == 1;
  connector->timeout_ms = read_seconds(reader, table, "timeout", 300);
  connector->check_every_ms = read_seconds(reader, table, "checkEvery", 7 * 24 * 3600);
  connector->callback_timeout_ms = read_seconds(reader, table, "callbackTimeout", 24 * 3600);
  read_feedback(reader, connector, table);
  struct nm_text zone = nm_tenant_text(reader, "optimove", table, "timeZone", false, NULL);
  if (zone.len > 0 && nm_zone_find(&connector->zone, zone))
    nm_tenant_complain(
        reader, "optimove.timeZone",
        "unknown time zone \"%.*s\"; expected a name such as \"Europe/Istanbul\" or \"UTC\"",
        NM_TEXT_ARG(zone));
  read_channels_and_params(reader, connector, table);
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void read_hook(struct nm_tenant_reader *reader, struct nm_tenant *tenant, const char *path,
                      const json_t *entry)
{
  static const char *const known[] = { "type", "event", "status", "inactive" };
  static const char *const types[] = { "OPTIMOVE" };
  static const char *const inactives[] = { "skip", "hold" };
  const json_t *table = nm_tenant_table(reader, path, entry);
  if (!table) return;
  nm_tenant_check_keys(reader, path, table, known, COUNT(known));
  struct nm_tenant_hook *hook = &tenant->hooks[tenant->hook_count];
  (void)nm_tenant_word(reader, path, table, "type", types, COUNT(types));
  hook->event = nm_tenant_text(reader, path, table, "event", true, NULL);
  if (hook->event.len > NM_EVENT_ID_TEXT_MAX_BYTES)
    nm_tenant_complain(reader, nm_tenant_path(reader, "%s.event", path),
                       "%zu bytes, at most %d are allowed", hook->event.len,
                       NM_EVENT_ID_TEXT_MAX_BYTES);
  hook->is_active =
      nm_tenant_word(reader, path, table, "status", statuses, COUNT(statuses)) == 0;
  hook->hold_inactive =
      nm_tenant_word(reader, path, table, "inactive", inactives, COUNT(inactives)) == 1;
  for (size_t i = 0; i < tenant->hook_count; i++)
    if (hook->event.len > 0 && nm_text_equal(tenant->hooks[i].event, hook->event))
      nm_tenant_complain(reader, nm_tenant_path(reader, "%s.event", path),
                         "there are two hooks for \"%.*s\"", NM_TEXT_ARG(hook->event));
  tenant->hook_count++;
}

static void read_hooks(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                       const json_t *document)
{
  const json_t *value = json_object_get(document, "hooks"), *entry;
  const json_t *list = value ? nm_tenant_list(reader, "hooks", value, NM_TENANT_LIST_MAX) : NULL;
  size_t i;
  if (!list) return;
  tenant->hooks =
      nm_arena_alloc(reader->arena, (json_array_size(list) + 1) * sizeof *tenant->hooks);
  json_array_foreach(list, i, entry)
    if (tenant->hooks)
      read_hook(reader, tenant, nm_tenant_path(reader, "hooks[%zu]", i + 1), entry);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* What the daemon writes when somebody removes the tenant. */
static void read_removing(struct nm_tenant *tenant, const json_t *document)
{
  const json_t *removing = json_object_get(document, "removing");
  if (!json_is_object(removing)) return;
  tenant->is_leaving = true;
  tenant->leaves_by_force = json_is_true(json_object_get(removing, "force"));
  tenant->leaves_nothing = json_is_true(json_object_get(removing, "purge"));
  tenant->connector.is_active = false;
  tenant->provider_count = tenant->hook_count = 0;
  memset(tenant->chain_counts, 0, sizeof tenant->chain_counts);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct nm_tenant_box *create_box(const json_t *document)
{
  struct nm_tenant_box *box = calloc(1, sizeof *box);
  if (!box) return NULL;
  atomic_init(&box->references, 1);
  box->arena = nm_arena_create(ARENA_MAX_BYTES);
  box->document = json_deep_copy(document);
  box->settings = json_array();
  box->tenant.document = box->document;
  if (box->arena && box->document && box->settings) return box;
  nm_tenant_unref(&box->tenant);
  return NULL;
}

int nm_tenant_parse(struct nm_tenant **out, const json_t *document, const char *where,
                    bool may_lack_secrets,
                    int (*check_provider)(struct nm_text adapter, const json_t *settings,
                                          struct nm_error *err),
                    struct nm_problems *problems)
{
  size_t before = problems->count;
  struct nm_tenant_reader reader = { problems, NULL, where, may_lack_secrets };
  if (!json_is_object(document)) {
    nm_tenant_complain(&reader, "tenant", "expected a table with names as keys, got %s",
                       nm_tenant_kind(document));
    return NM_EINVAL;
  }
  struct nm_tenant_box *box = create_box(document);
  if (!box) {
    nm_problems_add(problems, "%s: out of memory", where);
    return NM_ENOMEM;
  }
  reader.arena = box->arena;
  nm_tenant_check_keys(&reader, "", document, tenant_keys, COUNT(tenant_keys));
  read_identity(&reader, &box->tenant, document);
  read_url_secret(&reader, &box->tenant, document);
  read_connector(&reader, &box->tenant, document);
  nm_tenant_read_providers(&reader, box, document, check_provider);
  nm_tenant_read_realtime(&reader, box, document);
  nm_tenant_read_chains(&reader, box, document);
  read_hooks(&reader, &box->tenant, document);
  nm_tenant_read_guard(&reader, &box->tenant, document);
  read_removing(&box->tenant, document);
  bool is_whole = !nm_arena_has_refused(box->arena);
  if (!is_whole) nm_problems_add(problems, "%s: out of memory", where);
  if (problems->count > before) {
    nm_tenant_unref(&box->tenant);
    return is_whole ? NM_EINVAL : NM_ENOMEM;
  }
  *out = &box->tenant;
  return NM_OK;
}
