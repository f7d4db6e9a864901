/* parse_providers.c - a tenant's providers and the chains of them that its channels name. */
#include "base/limits.h"
#include "net/guard.h"
#include "tenants/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum {
  RATE_MAX_PER_S = 1000000,
  CONCURRENCY_MAX = 1000,
  BATCH_MAX = 1000,
  RETRY_MAX_S = 30 * 24 * 3600
};

/* Those of contract.md; which of them are built is known to `check_provider`. */
static const char *const adapters[] = { "netmera", "fcm",  "apns", "huawei",  "webpush",
                                        "smtp",    "smpp", "http", "loopback" };

/* The same for every adapter; the rest of the settings is checked by the adapter itself. */
static const char *const unknowns[] = { "retry", "hold" };
static const char *const orders[] = { "any", "recipient" };
static const char *const retry_keys[] = { "first_s", "most_s", "give_up_s" };

/* A whole number above 0. */
static void read_count(struct nm_tenant_reader *reader, const char *path, const json_t *table,
                       const char *key, int most, int *out)
{
  const json_t *value = json_object_get(table, key);
  const char *at = nm_tenant_path(reader, "%s.%s", path, key);
  double number = 0;
  if (!value || !nm_tenant_number(reader, at, value, most, &number)) return;
  *out = (int)number;
  if ((double)*out != number) nm_tenant_complain(reader, at, "%g is no whole number", number);
}

static void read_common(struct nm_tenant_reader *reader, struct nm_tenant_provider *provider,
                        const char *path, const json_t *table)
{
  double ignored = 0;
  const json_t *rate = json_object_get(table, "rate");
  if (rate)
    (void)nm_tenant_number(reader, nm_tenant_path(reader, "%s.rate", path), rate, RATE_MAX_PER_S,
                           &provider->rate_per_s);
  read_count(reader, path, table, "concurrency", CONCURRENCY_MAX, &provider->concurrency);
  read_count(reader, path, table, "ahead", NM_RUN_AHEAD_MESSAGES_MAX, &provider->ahead);
  read_count(reader, path, table, "batch", BATCH_MAX, &provider->batch);
  provider->hold_unknown =
      nm_tenant_word(reader, path, table, "unknown", unknowns, COUNT(unknowns)) == 1;
  (void)nm_tenant_word(reader, path, table, "order", orders, COUNT(orders));

  const json_t *value = json_object_get(table, "retry");
  const char *retry_path = nm_tenant_path(reader, "%s.retry", path);
  const json_t *retry = value ? nm_tenant_table(reader, retry_path, value) : NULL;
  if (!retry) return;
  nm_tenant_check_keys(reader, retry_path, retry, retry_keys, COUNT(retry_keys));
  for (size_t i = 0; i < COUNT(retry_keys); i++) {
    const json_t *number = json_object_get(retry, retry_keys[i]);
    if (number)
      (void)nm_tenant_number(reader, nm_tenant_path(reader, "%s.%s", retry_path, retry_keys[i]),
                             number, RETRY_MAX_S, &ignored);
  }
}

/* Secrets that stand as references: a mistake where they should be values, else a placeholder. */
struct replacing {
  struct nm_tenant_reader *reader;
  const char *path;
};

static int replace_references(struct replacing *with, json_t *value)
{
  const char *key;
  json_t *item;
  size_t i;
  void *next;
  if (json_is_object(value))
    json_object_foreach_safe(value, next, key, item) {
      bool is_reference = json_is_object(item) && json_object_size(item) == 1 &&
                          json_is_string(json_object_get(item, "secret"));
      if (!is_reference) {
        if (replace_references(with, item)) return NM_ENOMEM;
        continue;
      }
      if (!with->reader->may_lack_secrets)
        nm_tenant_complain(with->reader, nm_tenant_path(with->reader, "%s.%s", with->path, key),
                           "the secret is not resolved: the command that reads the file does so");
      if (json_object_set_new(value, key, json_string("unresolved"))) return NM_ENOMEM;
    }
  json_array_foreach(value, i, item)
    if (replace_references(with, item)) return NM_ENOMEM;
  return NM_OK;
}

/* The provider's table without `adapter`; kept alive by the box. */
static json_t *make_settings(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                             const char *path, const json_t *table)
{
  json_t *settings = json_deep_copy(table);
  if (!settings) return NULL;
  json_object_del(settings, "adapter");
  struct replacing with = { reader, path };
  if (replace_references(&with, settings) || json_array_append(box->settings, settings)) {
    json_decref(settings);
    return NULL;
  }
  json_decref(settings); /* the array holds it */
  return settings;
}

static bool is_name(struct nm_text name)
{
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
          c == '-'))
      return false;
  }
  return name.len > 0 && name.len <= NM_TENANT_NAME_MAX_BYTES;
}

static void read_provider(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                          const char *name, const json_t *entry,
                          int (*check_provider)(struct nm_text adapter, const json_t *settings,
                                                struct nm_error *err))
{
  struct nm_tenant *tenant = &box->tenant;
  const char *path = nm_tenant_path(reader, "providers.%s", name);
  const json_t *table = nm_tenant_table(reader, path, entry);
  struct nm_tenant_provider *provider = &tenant->providers[tenant->provider_count];
  struct nm_error err = { 0, "" };

  provider->name = nm_arena_copy(reader->arena, nm_text_from(name));
  if (strcmp(name, NM_TENANT_REALTIME) == 0)
    nm_tenant_complain(reader, path,
                       "this name is taken: real-time events are set as optimove.realtime");
  tenant->provider_count++; /* also when it is wrong: its channels may name it */
  if (!is_name(provider->name))
    nm_tenant_complain(reader, path,
                       "a provider's name holds only letters, digits, _ and -, at most %d",
                       NM_TENANT_NAME_MAX_BYTES);
  if (!table && json_is_array(entry) && json_array_size(entry) == 0) table = entry;
  if (!table) return;
  size_t problems = reader->problems->count;
  provider->adapter = nm_tenant_text(reader, path, table, "adapter", true, NULL);
  (void)nm_tenant_word(reader, path, table, "adapter", adapters, COUNT(adapters));
  read_common(reader, provider, path, table);
  json_t *settings = make_settings(reader, box, path, table);
  provider->settings = settings;
  if (!settings) {
    nm_tenant_complain(reader, path, "out of memory");
    return;
  }
  if (reader->problems->count == problems && check_provider &&
      check_provider(provider->adapter, settings, &err))
    nm_tenant_complain(reader, path, "%s", err.text[0] ? err.text : "its settings are wrong");
}

void nm_tenant_read_providers(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                              const json_t *document,
                              int (*check_provider)(struct nm_text adapter, const json_t *settings,
                                                    struct nm_error *err))
{
  const json_t *value = json_object_get(document, "providers");
  const json_t *table = value ? nm_tenant_table(reader, "providers", value) : NULL;
  const char *name;
  json_t *entry;
  if (!table) return;
  if (json_object_size(table) > NM_TENANT_PROVIDERS_MAX) {
    nm_tenant_complain(reader, "providers", "%zu providers, at most %d are allowed",
                       json_object_size(table), NM_TENANT_PROVIDERS_MAX);
    return;
  }
  box->tenant.providers =
      nm_arena_alloc(reader->arena, (json_object_size(table) + 1) * sizeof *box->tenant.providers);
  if (!box->tenant.providers) return;
  json_object_foreach((json_t *)table, name, entry)
    read_provider(reader, box, name, entry, check_provider);
}

/* ---- real-time events ------------------------------------------------------------------------ */

void nm_tenant_read_realtime(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                             const json_t *document)
{
  static const char *const known[] = { "url",     "tenant", "token", "rate",
                                       "unknown", "order",  "retry", "concurrency" };
  static const char path[] = "optimove.realtime";
  const json_t *value = json_object_get(json_object_get(document, "optimove"), "realtime");
  const json_t *table = value ? nm_tenant_table(reader, path, value) : NULL;
  struct nm_tenant *tenant = &box->tenant;
  struct nm_error error;
  bool is_open = false;
  if (!table) return;
  nm_tenant_check_keys(reader, path, table, known, COUNT(known));
  struct nm_text url = nm_tenant_text(reader, path, table, "url", true, &is_open);
  (void)nm_tenant_text(reader, path, table, "token", false, NULL);
  const json_t *number = json_object_get(table, "tenant");
  if (url.len > 0 && !is_open && nm_guard_check_url(NULL, url, &error))
    nm_tenant_complain(reader, "optimove.realtime.url", "\"%.*s\": %s", NM_TEXT_ARG(url),
                       error.text);
  if (!json_is_integer(number) || json_integer_value(number) <= 0)
    nm_tenant_complain(reader, "optimove.realtime.tenant",
                       "expected Optimove's number of the tenant, got %s", nm_tenant_kind(number));
  if (!tenant->providers)
    tenant->providers = nm_arena_alloc(reader->arena, sizeof *tenant->providers);
  json_t *settings = make_settings(reader, box, path, table);
  if (!tenant->providers || !settings) {
    nm_tenant_complain(reader, path, "out of memory");
    return;
  }
  struct nm_tenant_provider *provider = &tenant->providers[tenant->provider_count++];
  *provider = (struct nm_tenant_provider){ .name = NM_TEXT(NM_TENANT_REALTIME),
                                           .adapter = NM_TEXT(NM_TENANT_REALTIME),
                                           .settings = settings };
  read_common(reader, provider, path, table);
  tenant->connector.has_realtime = true;
}

/* ---- channels: which providers, in which order ----------------------------------------------- */

static void complain_of_stranger(struct nm_tenant_reader *reader, const struct nm_tenant *tenant,
                                 const char *path, struct nm_text name)
{
  const char *names[NM_TENANT_PROVIDERS_MAX];
  for (size_t i = 0; i < tenant->provider_count; i++) names[i] = tenant->providers[i].name.ptr;
  const char *nearest = nm_nearest(name, names, tenant->provider_count);
  if (nearest)
    nm_tenant_complain(reader, path, "no provider named \"%.64s\" (did you mean \"%s\"?)", name.ptr,
                       nearest);
  else nm_tenant_complain(reader, path, "no provider named \"%.64s\"", name.ptr);
}

static void read_chain(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                       enum nm_channel kind, const json_t *value)
{
  const char *path = nm_tenant_path(reader, "channels.%s", nm_channel_name(kind));
  const json_t *list = nm_tenant_list(reader, path, value, NM_TENANT_PROVIDERS_MAX);
  const json_t *entry;
  size_t i;
  if (!list) return;
  struct nm_text *chain =
      nm_arena_alloc(reader->arena, (json_array_size(list) + 1) * sizeof *chain);
  if (!chain) return;
  tenant->chains[kind] = chain;
  json_array_foreach(list, i, entry) {
    const char *at = nm_tenant_path(reader, "%s[%zu]", path, i + 1);
    if (!json_is_string(entry)) {
      nm_tenant_complain(reader, at, "expected a provider's name, got %s", nm_tenant_kind(entry));
      continue;
    }
    struct nm_text name = nm_json_string_of(entry);
    const struct nm_tenant_provider *provider = nm_tenant_find_provider(tenant, name);
    if (!provider) {
      complain_of_stranger(reader, tenant, at, name);
      continue;
    }
    for (size_t j = 0; j < tenant->chain_counts[kind]; j++)
      if (nm_text_equal(chain[j], name))
        nm_tenant_complain(reader, at, "\"%s\" is there twice", name.ptr);
    chain[tenant->chain_counts[kind]++] = provider->name;
  }
}

void nm_tenant_read_chains(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                           const json_t *document)
{
  static const char *const known[] = { "push", "sms", "email" };
  const json_t *value = json_object_get(document, "channels");
  const json_t *table = value ? nm_tenant_table(reader, "channels", value) : NULL;
  if (!table) return;
  nm_tenant_check_keys(reader, "channels", table, known, COUNT(known));
  for (int kind = NM_CHANNEL_PUSH; kind < NM_CHANNEL_COUNT; kind++) {
    const json_t *chain = json_object_get(table, nm_channel_name((enum nm_channel)kind));
    if (chain) read_chain(reader, &box->tenant, (enum nm_channel)kind, chain);
  }
}
