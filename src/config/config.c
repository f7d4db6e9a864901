#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "config/internal.h"
#include "script/data.h"

enum { ARENA_MAX_BYTES = 4 * 1024 * 1024, NAMES_MAX = 16, DAY_MS = 24 * 3600 * 1000 };

enum kind {
  KIND_TEXT = 0,
  KIND_ADDRESS = 1,
  KIND_ADDRESS_OR_NONE = 2, /* false: none */
  KIND_URL = 3,
  KIND_STORE = 4,
  KIND_SECRET = 5,
  KIND_NETWORKS = 6,
  KIND_COUNT = 7,
  KIND_SECONDS = 8,
  KIND_DAYS = 9,
  KIND_LEVEL = 10,
  KIND_CLIENT = 11, /* of client certificates */
};

#define AT(member) offsetof(struct nm_settings, member)

/* Every key, by its path; what stands before a dot is a table. */
static const struct key {
  const char *path;
  enum kind kind;
  size_t offset;
  int64_t min, max; /* of numbers, in the unit of the file */
} keys[] = {
  { "public.listen", KIND_ADDRESS, AT(public_listen), 0, 0 },
  { "public.url", KIND_URL, AT(public_url), 0, 0 },
  { "public.tls.certificate", KIND_TEXT, AT(tls_certificate), 0, 0 },
  { "public.tls.key", KIND_TEXT, AT(tls_key), 0, 0 },
  { "public.tls.client_ca", KIND_TEXT, AT(tls_client_ca), 0, 0 },
  { "public.tls.client", KIND_CLIENT, AT(tls_client), 0, 0 },
  { "public.behind", KIND_NETWORKS, AT(behind), 0, 0 },
  { "public.limits.connections", KIND_COUNT, AT(limits.connections), 1, 1000000 },
  { "public.limits.per_address", KIND_COUNT, AT(limits.per_address), 0, 1000000 },
  { "public.limits.requests", KIND_COUNT, AT(limits.requests), 1, 1000000 },
  { "public.limits.handshake", KIND_SECONDS, AT(limits.handshake_ms), 1, 3600 },
  { "public.limits.head", KIND_SECONDS, AT(limits.head_ms), 1, 3600 },
  { "public.limits.body", KIND_SECONDS, AT(limits.body_ms), 1, 3600 },
  { "public.limits.write", KIND_SECONDS, AT(limits.write_ms), 1, 3600 },
  { "public.limits.idle", KIND_SECONDS, AT(limits.idle_ms), 1, 3600 },
  { "admin.listen", KIND_ADDRESS_OR_NONE, AT(admin_listen), 0, 0 },
  { "admin.socket", KIND_TEXT, AT(admin_socket), 0, 0 },
  { "admin.tls.certificate", KIND_TEXT, AT(admin_tls_certificate), 0, 0 },
  { "admin.tls.key", KIND_TEXT, AT(admin_tls_key), 0, 0 },
  { "store", KIND_STORE, AT(store), 0, 0 },
  { "rules", KIND_TEXT, AT(rules), 0, 0 },
  { "master_key", KIND_SECRET, AT(master_key), 0, 0 },
  { "outbound.allow", KIND_NETWORKS, AT(outbound_allow), 0, 0 },
  { "log.level", KIND_LEVEL, AT(log_level), 0, 0 },
  { "retention.events_days", KIND_DAYS, AT(events_age_ms), 1, 3650 },
  { "retention.dead_days", KIND_DAYS, AT(dead_age_ms), 1, 3650 },
  { "retention.audit_days", KIND_DAYS, AT(audit_age_ms), 1, 3650 },
  { "user", KIND_TEXT, AT(user), 0, 0 },
  { "stop_max", KIND_SECONDS, AT(stop_max_ms), 1, 3600 },
};

enum { KEYS_COUNT = sizeof keys / sizeof *keys };

struct loading {
  struct nm_settings *settings;
  struct nm_text file;
  struct nm_problems *problems;
};

static void *field_of(struct nm_settings *settings, const struct key *key)
{
  return (char *)settings + key->offset;
}

static void set_defaults(struct nm_settings *settings)
{
  settings->public_listen = NM_TEXT("127.0.0.1:8080");
  settings->admin_listen = NM_TEXT("127.0.0.1:9090");
  settings->admin_socket = NM_TEXT("var/netmove.sock");
  settings->store = NM_TEXT("sqlite:var/netmove.db");
  settings->rules = NM_TEXT("rules");
  settings->log_level = NM_TEXT("info");
  settings->limits.connections = NM_HTTP_CONNECTIONS_MAX;
  settings->limits.requests = NM_HTTP_REQUESTS_MAX;
  settings->limits.handshake_ms = NM_HTTP_HANDSHAKE_TIMEOUT_MS;
  settings->limits.head_ms = NM_HTTP_HEAD_TIMEOUT_MS;
  settings->limits.body_ms = NM_HTTP_BODY_TIMEOUT_MS;
  settings->limits.write_ms = NM_HTTP_WRITE_TIMEOUT_MS;
  settings->limits.idle_ms = NM_HTTP_IDLE_TIMEOUT_MS;
  settings->stop_max_ms = NM_STOP_MAX_MS;
  settings->events_age_ms = (int64_t)NM_RETENTION_EVENTS_DAYS * DAY_MS;
  settings->dead_age_ms = (int64_t)NM_RETENTION_DEAD_DAYS * DAY_MS;
  settings->audit_age_ms = (int64_t)NM_RETENTION_AUDIT_DAYS * DAY_MS;
}

static const char *kind_name(const json_t *value)
{
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "a table";
  case JSON_ARRAY: return "a list";
  case JSON_STRING: return "text";
  case JSON_INTEGER:
  case JSON_REAL: return "a number";
  case JSON_TRUE: return "true";
  default: return "false";
  }
}

static void expected(const struct loading *loading, const char *path, const json_t *found,
                     const char *what)
{
  if (json_is_string(found))
    nm_problems_add(loading->problems, "%.*s: %s: found \"%.100s\"; expected %s",
                    NM_TEXT_ARG(loading->file), path, json_string_value(found), what);
  else
    nm_problems_add(loading->problems, "%.*s: %s: found %s; expected %s",
                    NM_TEXT_ARG(loading->file), path, kind_name(found), what);
}

static void keep_text(const struct loading *loading, const char *path, const json_t *value,
                      struct nm_text *out)
{
  struct nm_text text = nm_json_string_of(value);
  *out = nm_arena_copy(loading->settings->arena, text);
  if (!out->ptr)
    nm_problems_add(loading->problems, "%.*s: %s: out of memory", NM_TEXT_ARG(loading->file), path);
}

static void read_url(const struct loading *loading, const char *path, const json_t *value,
                     struct nm_text *out)
{
  struct nm_text url = nm_json_string_of(value);
  bool is_http = nm_text_starts_with(url, NM_TEXT("https://")) ||
                 nm_text_starts_with(url, NM_TEXT("http://"));
  if (!is_http || strpbrk(url.ptr, "?# \t\r\n\"<>")) {
    expected(loading, path, value, "an address such as \"https://connector.example.com\"");
    return;
  }
  keep_text(loading, path, value, out);
  while (out->len > 0 && out->ptr[out->len - 1] == '/') out->len--;
  loading->settings->is_public_url_given = true;
}

/* The count of a list of networks. */
static size_t *count_of(struct nm_settings *settings, const void *list)
{
  return list == &settings->behind ? &settings->behind_count : &settings->outbound_allow_count;
}

static void read_networks(const struct loading *loading, const char *path, const json_t *value,
                          struct nm_text **out)
{
  size_t count = json_array_size(value);
  size_t *counter = count_of(loading->settings, out);
  bool is_list = json_is_array(value) || (json_is_object(value) && json_object_size(value) == 0);
  struct nm_text *list =
    nm_arena_alloc(loading->settings->arena, (count ? count : 1) * sizeof *list);
  if (!is_list || !list) {
    expected(loading, path, value, "a list of networks such as { \"10.0.0.0/8\" }");
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *one = json_array_get(value, i);
    if (nm_config_is_network(nm_json_string_of(one))) keep_text(loading, path, one, &list[i]);
    else expected(loading, path, one, "a network such as \"10.0.0.0/8\"");
  }
  *out = list;
  *counter = count;
}

static void read_number(const struct loading *loading, const struct key *key, const json_t *value)
{
  static const char *const units[] = {
    [KIND_COUNT] = "", [KIND_SECONDS] = " seconds", [KIND_DAYS] = " days",
  };
  void *field = field_of(loading->settings, key);
  int64_t number = json_integer_value(value);
  char what[80];
  if (!json_is_integer(value) || number < key->min || number > key->max) {
    snprintf(what, sizeof what, "a whole number of %lld to %lld%s", (long long)key->min,
             (long long)key->max, units[key->kind]);
    if (json_is_integer(value))
      nm_problems_add(loading->problems, "%.*s: %s: found %lld; expected %s",
                      NM_TEXT_ARG(loading->file), key->path, (long long)number, what);
    else
      expected(loading, key->path, value, what);
    return;
  }
  if (key->kind == KIND_DAYS) *(int64_t *)field = number * DAY_MS;
  else *(int *)field = (int)(key->kind == KIND_SECONDS ? number * 1000 : number);
}

static void read_secret(const struct loading *loading, const char *path, const json_t *value,
                        struct nm_text *out)
{
  const json_t *reference = json_object_get(value, "secret");
  if (json_object_size(value) == 1 && json_is_string(reference))
    keep_text(loading, path, reference, out);
  else /* it may be the key itself: not shown */
    nm_problems_add(loading->problems,
                    "%.*s: %s: found %s; expected secret \"file:PATH\" or secret \"env:NAME\"",
                    NM_TEXT_ARG(loading->file), path, kind_name(value));
}

static void read_text(const struct loading *loading, const struct key *key, const json_t *value)
{
  struct nm_text *out = field_of(loading->settings, key), text = nm_json_string_of(value);
  enum nm_log_level level;
  char where[256];
  bool is_address = key->kind == KIND_ADDRESS || key->kind == KIND_ADDRESS_OR_NONE;
  if (key->kind == KIND_ADDRESS_OR_NONE && json_is_false(value)) {
    *out = NM_TEXT("");
    return;
  }
  if (is_address && !nm_config_is_address(text)) {
    expected(loading, key->path, value, "an address and port such as \"127.0.0.1:8080\"");
  } else if (key->kind == KIND_LEVEL && !nm_log_level_from(text, &level)) {
    expected(loading, key->path, value, "\"debug\", \"info\", \"warn\" or \"error\"");
  } else if (key->kind == KIND_CLIENT && !nm_text_equal(text, NM_TEXT("optional")) &&
             !nm_text_equal(text, NM_TEXT("required"))) {
    expected(loading, key->path, value, "\"optional\" or \"required\"");
  } else if (text.len == 0) {
    expected(loading, key->path, value, "text");
  } else {
    keep_text(loading, key->path, value, out);
    snprintf(where, sizeof where, "%.*s: %s", NM_TEXT_ARG(loading->file), key->path);
    if (key->kind == KIND_STORE) nm_config_check_store(text, where, loading->problems);
  }
}

static void read_key(const struct loading *loading, const struct key *key, const json_t *value)
{
  void *field = field_of(loading->settings, key);
  switch (key->kind) {
  case KIND_URL: read_url(loading, key->path, value, field); return;
  case KIND_SECRET: read_secret(loading, key->path, value, field); return;
  case KIND_NETWORKS: read_networks(loading, key->path, value, field); return;
  case KIND_COUNT:
  case KIND_SECONDS:
  case KIND_DAYS: read_number(loading, key, value); return;
  default: read_text(loading, key, value);
  }
}

/* ---- walking the file ------------------------------------------------------------------------ */

/* The names that a table may have, each once; their count. */
static size_t names_in(const char *prefix, char names[NAMES_MAX][32])
{
  size_t count = 0, skip = strlen(prefix);
  for (size_t i = 0; i < KEYS_COUNT; i++) {
    if (strncmp(keys[i].path, prefix, skip) != 0) continue;
    const char *name = keys[i].path + skip;
    size_t len = strcspn(name, "."), seen = 0;
    while (seen < count && (strlen(names[seen]) != len || strncmp(names[seen], name, len) != 0))
      seen++;
    if (seen < count || count == NAMES_MAX) continue;
    snprintf(names[count++], 32, "%.*s", (int)len, name);
  }
  return count;
}

static void add_unknown(const struct loading *loading, const char *prefix, const char *name)
{
  char names[NAMES_MAX][32];
  const char *known[NAMES_MAX];
  size_t count = names_in(prefix, names);
  for (size_t i = 0; i < count; i++) known[i] = names[i];
  const char *near = nm_nearest(nm_text_from(name), known, count);
  /* "public." becomes "public: " */
  int len = (int)strlen(prefix) - (*prefix != '\0');
  nm_problems_add(loading->problems, "%.*s: %.*s%sunknown key \"%.60s\"%s%s%s",
                  NM_TEXT_ARG(loading->file), len, prefix, len > 0 ? ": " : "", name,
                  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static void read_table(const struct loading *loading, const json_t *table, const char *prefix);

static void read_member(const struct loading *loading, const char *prefix, const char *name,
                        const json_t *value)
{
  char path[64];
  int len = snprintf(path, sizeof path, "%s%s", prefix, name);
  for (size_t i = 0; i < KEYS_COUNT && len > 0 && (size_t)len < sizeof path - 1; i++) {
    const char *known = keys[i].path;
    if (strchr(name, '.') || strncmp(known, path, (size_t)len) != 0) continue;
    if (known[len] == '\0') {
      read_key(loading, &keys[i], value);
      return;
    }
    if (known[len] != '.') continue;
    if (!json_is_object(value)) {
      expected(loading, path, value, "a table");
      return;
    }
    path[len] = '.';
    path[len + 1] = '\0';
    read_table(loading, value, path);
    return;
  }
  add_unknown(loading, prefix, name);
}

static void read_table(const struct loading *loading, const json_t *table, const char *prefix)
{
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)table, name, value) {
    read_member(loading, prefix, name, value);
  }
}

static int read_file(const struct loading *loading)
{
  json_t *table = NULL;
  int rc = nm_data_load(&table, loading->file, NM_SECRETS_KEEP, loading->problems);
  if (rc != NM_OK) return rc;
  if (json_is_object(table)) read_table(loading, table, "");
  else expected(loading, "the file", table, "a table with names");
  json_decref(table);
  return NM_OK;
}

int nm_settings_load(struct nm_settings **out, struct nm_text path, struct nm_problems *problems)
{
  int rc = NM_ENOMEM;
  size_t before = problems->count;
  char where[PATH_MAX];
  struct nm_settings *settings = calloc(1, sizeof *settings);
  if (!settings) goto out;
  settings->arena = nm_arena_create(ARENA_MAX_BYTES);
  if (!settings->arena) goto out;

  set_defaults(settings);
  struct loading loading = { settings, path, problems };
  rc = path.len > 0 ? read_file(&loading) : NM_OK;
  if (rc == NM_OK) {
    snprintf(where, sizeof where, "%.*s", NM_TEXT_ARG(path));
    nm_config_check(settings, where, problems);
    rc = nm_config_complete(settings);
  }
  if (rc == NM_OK && problems->count > before) rc = NM_EINVAL;
  if (rc == NM_OK && nm_arena_has_refused(settings->arena)) rc = NM_ENOMEM;
out:
  if (rc == NM_OK) *out = settings;
  else nm_settings_destroy(settings);
  if (rc == NM_ENOMEM) nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(path));
  return rc;
}

static int override_one(struct nm_settings *settings, const struct key *key, const char *where,
                        struct nm_text value, struct nm_problems *problems)
{
  struct nm_text *out = field_of(settings, key);
  size_t before = problems->count;
  bool is_address = key->kind == KIND_ADDRESS || key->kind == KIND_ADDRESS_OR_NONE;
  if (is_address && !nm_config_is_address(value))
    nm_problems_add(problems,
                    "%s: found \"%.*s\"; expected an address and port such as \"127.0.0.1:8080\"",
                    where, NM_TEXT_ARG(value));
  else if (key->kind == KIND_STORE)
    nm_config_check_store(value, where, problems);
  else if (value.len == 0)
    nm_problems_add(problems, "%s: expected a path", where);
  if (problems->count > before) return NM_EINVAL;

  struct nm_text copy = nm_arena_copy(settings->arena, value);
  if (copy.ptr) *out = copy;
  int rc = copy.ptr ? nm_config_complete(settings) : NM_ENOMEM;
  if (rc) nm_problems_add(problems, "%s: %s", where, nm_code_name(rc));
  if (rc == NM_OK) nm_config_check(settings, where, problems);
  return rc == NM_OK && problems->count > before ? NM_EINVAL : rc;
}

int nm_settings_override(struct nm_settings *settings, const char *option, struct nm_text value,
                         struct nm_problems *problems)
{
  static const char *const options[][2] = {
    { "listen", "public.listen" },
    { "admin", "admin.listen" },
    { "store", "store" },
    { "rules", "rules" },
  };
  char where[32];
  snprintf(where, sizeof where, "--%s", option);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (strcmp(options[i][0], option) != 0) continue;
    for (size_t k = 0; k < KEYS_COUNT; k++)
      if (strcmp(keys[k].path, options[i][1]) == 0)
        return override_one(settings, &keys[k], where, value, problems);
  }
  nm_problems_add(problems, "%s: no such option of the settings", where);
  return NM_EINVAL;
}

static bool is_equal_list(struct nm_settings *a, struct nm_settings *b, const struct key *key)
{
  struct nm_text *const *one = field_of(a, key), *const *two = field_of(b, key);
  size_t count = *count_of(a, one);
  if (count != *count_of(b, two)) return false;
  for (size_t i = 0; i < count; i++)
    if (!nm_text_equal((*one)[i], (*two)[i])) return false;
  return true;
}

static bool is_equal(struct nm_settings *a, struct nm_settings *b, const struct key *key)
{
  const void *one = field_of(a, key), *two = field_of(b, key);
  switch (key->kind) {
  case KIND_NETWORKS: return is_equal_list(a, b, key);
  case KIND_COUNT:
  case KIND_SECONDS: return *(const int *)one == *(const int *)two;
  case KIND_DAYS: return *(const int64_t *)one == *(const int64_t *)two;
  default: return nm_text_equal(*(const struct nm_text *)one, *(const struct nm_text *)two);
  }
}

void nm_settings_compare(const struct nm_settings *a, const struct nm_settings *b,
                         void (*changed)(void *data, const char *key), void *data)
{
  for (size_t i = 0; i < KEYS_COUNT; i++)
    if (!is_equal((struct nm_settings *)a, (struct nm_settings *)b, &keys[i]))
      changed(data, keys[i].path);
}

void nm_settings_destroy(struct nm_settings *settings)
{
  if (!settings) return;
  nm_arena_destroy(settings->arena);
  free(settings);
}
