/* parse_door.c - who may call a tenant's public routes: its keys, their addresses, how fast. */
#include "base/limits.h"
#include "tenants/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { RATE_MAX_PER_S = 1000000, KEYS_MAX = 2 };

/* The new one and the one that it replaces. */
static void read_two_keys(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                          const json_t *value)
{
  struct nm_text keys[KEYS_MAX] = { { NULL, 0 }, { NULL, 0 } };
  bool is_open[KEYS_MAX] = { false, false };
  const json_t *list = nm_tenant_list(reader, "restApiKeys", value, KEYS_MAX);
  bool is_table = json_is_array(value) || json_is_object(value);
  if (is_table && json_array_size(value) + json_object_size(value) == 0)
    nm_tenant_complain(reader, "restApiKeys", "is empty; expected { new, old }");
  for (size_t i = 0; i < json_array_size(list); i++)
    keys[i] = nm_tenant_text_of(reader, nm_tenant_path(reader, "restApiKeys[%zu]", i + 1),
                                json_array_get(list, i), &is_open[i]);
  tenant->rest_api_key = keys[0];
  tenant->rest_api_key_previous = keys[1];
  if (!is_open[0] && !is_open[1] && keys[0].len > 0 && nm_text_equal(keys[0], keys[1]))
    nm_tenant_complain(reader, "restApiKeys[2]", "is the same as the first; expected { new, old }");
}

static void read_keys(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                      const json_t *document)
{
  const json_t *two = json_object_get(document, "restApiKeys");
  bool has_two = two && !json_is_null(two);
  tenant->rest_api_key = nm_tenant_text(reader, "", document, "restApiKey", !has_two, NULL);
  if (!has_two) return;
  if (json_object_get(document, "restApiKey"))
    nm_tenant_complain(reader, "restApiKeys",
                       "stands beside restApiKey; write one of them: restApiKeys = { new, old }"
                       " while a key is replaced");
  read_two_keys(reader, tenant, two);
}

static void read_allow(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                       const json_t *document)
{
  const json_t *value = json_object_get(document, "allow");
  const json_t *list = value ? nm_tenant_list(reader, "allow", value, NM_TENANT_LIST_MAX) : NULL;
  size_t count = json_array_size(list), right = 0;
  if (count == 0) return;
  struct nm_text *ranges = nm_arena_alloc(reader->arena, count * sizeof *ranges);
  for (size_t i = 0; ranges && i < count; i++) {
    const char *at = nm_tenant_path(reader, "allow[%zu]", i + 1);
    struct nm_networks one;
    struct nm_error err = { 0, "" };
    bool is_open;
    ranges[i] = nm_tenant_text_of(reader, at, json_array_get(list, i), &is_open);
    if (is_open || ranges[i].len == 0) continue;
    if (nm_networks_init(&one, &ranges[i], 1, &err)) {
      nm_tenant_complain(reader, at, "%s", err.text);
      continue;
    }
    nm_networks_deinit(&one);
    right++;
  }
  struct nm_error err = { 0, "" };
  if (!ranges || (right == count && nm_networks_init(&tenant->allow, ranges, count, &err)))
    nm_tenant_complain(reader, "allow", "out of memory");
}

static void read_inbound(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                         const json_t *document)
{
  static const char *const known[] = { "rate", "burst" };
  const json_t *value = json_object_get(document, "inbound");
  const json_t *table = value ? nm_tenant_table(reader, "inbound", value) : NULL;
  if (!table || json_object_size(table) == 0) return;
  nm_tenant_check_keys(reader, "inbound", table, known, COUNT(known));
  const json_t *rate = json_object_get(table, "rate"), *burst = json_object_get(table, "burst");
  if (!rate) {
    nm_tenant_complain(reader, "inbound.rate", "is missing: how many events a second it may send");
    return;
  }
  if (!nm_tenant_number(reader, "inbound.rate", rate, RATE_MAX_PER_S, &tenant->inbound.rate_per_s))
    return;
  tenant->inbound.burst = tenant->inbound.rate_per_s < 1 ? 1 : tenant->inbound.rate_per_s;
  if (burst &&
      nm_tenant_number(reader, "inbound.burst", burst, RATE_MAX_PER_S, &tenant->inbound.burst) &&
      tenant->inbound.burst < 1)
    nm_tenant_complain(reader, "inbound.burst", "%g is less than one event",
                       tenant->inbound.burst);
}

void nm_tenant_read_door(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                         const json_t *document)
{
  read_keys(reader, tenant, document);
  read_allow(reader, tenant, document);
  read_inbound(reader, tenant, document);
}
