#include "tenants/tenants.h"

#include <stdlib.h>

#include <sodium.h>

#include "tenants/internal.h"

struct nm_tenant *nm_tenant_ref(struct nm_tenant *tenant)
{
  struct nm_tenant_box *box = (struct nm_tenant_box *)tenant;
  atomic_fetch_add_explicit(&box->references, 1, memory_order_relaxed);
  return tenant;
}

/* Secrets do not stay in freed memory. */
static void wipe(struct nm_text text)
{
  if (text.ptr) sodium_memzero((char *)text.ptr, text.len);
}

static void wipe_value(json_t *value)
{
  size_t i;
  json_t *item;
  const char *key;
  if (!value || value->refcount != 1) return; /* somebody else reads it still */
  if (json_is_string(value))
    sodium_memzero((char *)json_string_value(value), json_string_length(value));
  json_array_foreach(value, i, item) wipe_value(item);
  if (json_is_object(value)) json_object_foreach(value, key, item) wipe_value(item);
}

static int wipe_json(void *data, const struct nm_tenant_place *place, json_t *value, json_t **out)
{
  (void)data;
  (void)place;
  (void)out;
  wipe_value(value);
  return NM_OK;
}

static void wipe_tree(json_t *tree)
{
  struct nm_tenant_place place = { .len = 0 };
  int rc = nm_tenant_each_secret(tree, &place, wipe_json, NULL);
  nm_expect(rc == NM_OK);
}

void nm_tenant_unref(struct nm_tenant *tenant)
{
  struct nm_tenant_box *box = (struct nm_tenant_box *)tenant;
  if (!box || atomic_fetch_sub_explicit(&box->references, 1, memory_order_acq_rel) != 1) return;
  wipe(tenant->rest_api_key);
  wipe(tenant->rest_api_key_previous);
  wipe(tenant->connector.api_key);
  wipe_tree(box->settings);
  wipe_tree(box->document);
  json_decref(box->settings);
  json_decref(box->document);
  nm_networks_deinit(&tenant->allow);
  nm_arena_destroy(box->arena);
  free(box);
}

static int hide(void *data, const struct nm_tenant_place *place, json_t *value, json_t **out)
{
  (void)data;
  (void)place;
  (void)value;
  *out = json_pack("{s:b}", "set", 1);
  return *out ? NM_OK : NM_ENOMEM;
}

json_t *nm_tenant_public(const struct nm_tenant *tenant)
{
  struct nm_tenant_place place = { .len = 0 };
  json_t *document = json_deep_copy(tenant->document);
  if (document && nm_tenant_each_secret(document, &place, hide, NULL)) {
    json_decref(document);
    return NULL;
  }
  return document;
}

/* What stands at the place in another tree, or NULL. */
static json_t *find(json_t *tree, const struct nm_tenant_place *place)
{
  for (size_t at = 0; tree && at < place->len;) {
    const char *segment = place->bytes + at;
    size_t len = strlen(segment);
    int64_t index;
    if (json_is_object(tree)) tree = json_object_get(tree, segment);
    else if (json_is_array(tree) && nm_text_to_i64((struct nm_text){ segment, len }, &index))
      tree = json_array_get(tree, (size_t)index);
    else return NULL;
    at += len + 1;
  }
  return tree;
}

static int keep(void *data, const struct nm_tenant_place *place, json_t *value, json_t **out)
{
  json_t *known = find(data, place);
  bool is_mark = json_is_true(value) ||
                 (json_object_size(value) == 1 && json_is_true(json_object_get(value, "set")));
  if (is_mark && known) *out = json_deep_copy(known);
  return is_mark && known && !*out ? NM_ENOMEM : NM_OK;
}

/* Listeners at another account carry another `k`: so it can be told from the one that was left. */
static int renumber_if_left(json_t *document, const struct nm_tenant *old)
{
  const struct nm_tenant_connector *connector = &old->connector;
  const json_t *fresh = json_object_get(document, "optimove");
  struct nm_text base_url = nm_json_string(fresh, "baseUrl");
  while (base_url.len > 0 && base_url.ptr[base_url.len - 1] == '/') base_url.len--;
  if (!connector->is_present) return NM_OK;
  if (json_is_object(fresh) && nm_text_equal(base_url, connector->base_url) &&
      nm_text_equal(nm_json_string(fresh, "apiKey"), connector->api_key))
    return NM_OK;
  json_t *numbers = json_pack("{s:i,s:i}", "number", old->secret_number + 1, "previous",
                              old->secret_number);
  return numbers && json_object_set_new(document, "urlSecret", numbers) == 0 ? NM_OK : NM_ENOMEM;
}

int nm_tenant_carry(json_t *document, const struct nm_tenant *old)
{
  struct nm_tenant_place place = { .len = 0 };
  json_t *number = json_object_get(old->document, "urlSecret");
  if (!json_is_object(document)) return NM_OK;
  if (number && !json_object_get(document, "urlSecret") &&
      json_object_set_new(document, "urlSecret", json_deep_copy(number)))
    return NM_ENOMEM;
  int rc = nm_tenant_each_secret(document, &place, keep, (json_t *)old->document);
  return rc ? rc : renumber_if_left(document, old);
}

bool nm_tenant_has_left(const struct nm_tenant *old, const struct nm_tenant *fresh)
{
  const struct nm_tenant_connector *was = &old->connector, *is = &fresh->connector;
  return was->is_present && (!is->is_present || !nm_text_equal(was->base_url, is->base_url) ||
                             !nm_text_equal(was->api_key, is->api_key));
}

const struct nm_tenant_provider *nm_tenant_find_provider(const struct nm_tenant *tenant,
                                                         struct nm_text name)
{
  for (size_t i = 0; i < tenant->provider_count; i++)
    if (nm_text_equal(tenant->providers[i].name, name)) return &tenant->providers[i];
  return NULL;
}

const struct nm_tenant_hook *nm_tenant_find_hook(const struct nm_tenant *tenant,
                                                 struct nm_text event)
{
  for (size_t i = 0; i < tenant->hook_count; i++)
    if (nm_text_equal(tenant->hooks[i].event, event)) return &tenant->hooks[i];
  return NULL;
}

const struct nm_tenant_channel *nm_tenant_find_channel(const struct nm_tenant *tenant, int64_t id)
{
  for (size_t i = 0; i < tenant->connector.channel_count; i++)
    if (tenant->connector.channels[i].id == id) return &tenant->connector.channels[i];
  return NULL;
}
