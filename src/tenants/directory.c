/* directory.c - who is served now: read by every request, changed by hand now and then. */
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "tenants/keyring.h"

enum { DIGEST_BYTES = crypto_shorthash_siphashx24_BYTES, ORDERS = 3 };

enum order { BY_NAME = 0, BY_APP_KEY = 1, BY_ID = 2 };

/* A tenant with digests of what opens its door, so that secrets of any length compare alike. */
struct entry {
  struct nm_tenant *tenant;
  unsigned char rest_key[DIGEST_BYTES];
  unsigned char rest_key_previous[DIGEST_BYTES]; /* random where there is none */
  unsigned char url_secret[DIGEST_BYTES];
  unsigned char url_secret_previous[DIGEST_BYTES]; /* the same */
};

struct nm_tenants {
  uv_rwlock_t lock;
  const struct nm_keyring *keyring;
  unsigned char digest_key[crypto_shorthash_siphashx24_KEYBYTES];
  struct entry stranger; /* stands in for an unknown appKey: the same work, never a match */
  struct entry **entries[ORDERS]; /* the same entries, each sorted its own way */
  size_t count, capacity;
};

/* 128 bits under a key that nobody else knows and that is another in each process: every request
 * pays for two of them. */
static void digest(const struct nm_tenants *tenants, unsigned char out[DIGEST_BYTES],
                   struct nm_text text)
{
  const char *bytes = text.len > 0 ? text.ptr : "";
  crypto_shorthash_siphashx24(out, (const unsigned char *)bytes, text.len, tenants->digest_key);
}

struct nm_tenants *nm_tenants_create(struct nm_keyring *keyring)
{
  if (sodium_init() < 0) return NULL;
  struct nm_tenants *tenants = calloc(1, sizeof *tenants);
  if (!tenants) return NULL;
  if (uv_rwlock_init(&tenants->lock)) {
    free(tenants);
    return NULL;
  }
  tenants->keyring = keyring;
  randombytes_buf(tenants->digest_key, sizeof tenants->digest_key);
  randombytes_buf(tenants->stranger.rest_key, DIGEST_BYTES);
  randombytes_buf(tenants->stranger.rest_key_previous, DIGEST_BYTES);
  randombytes_buf(tenants->stranger.url_secret, DIGEST_BYTES);
  randombytes_buf(tenants->stranger.url_secret_previous, DIGEST_BYTES);
  return tenants;
}

static void destroy_entry(struct entry *entry)
{
  if (!entry) return;
  nm_tenant_unref(entry->tenant);
  sodium_memzero(entry, sizeof *entry);
  free(entry);
}

void nm_tenants_destroy(struct nm_tenants *tenants)
{
  if (!tenants) return;
  for (size_t i = 0; i < tenants->count; i++) destroy_entry(tenants->entries[BY_NAME][i]);
  for (int order = 0; order < ORDERS; order++) free(tenants->entries[order]);
  uv_rwlock_destroy(&tenants->lock);
  sodium_memzero(tenants, sizeof *tenants);
  free(tenants);
}

/* ---- sorted three ways ----------------------------------------------------------------------- */

static int compare_texts(struct nm_text a, struct nm_text b)
{
  size_t least = a.len < b.len ? a.len : b.len;
  int order = least > 0 ? memcmp(a.ptr, b.ptr, least) : 0;
  return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const struct nm_tenant *a, const struct nm_tenant *b, enum order order)
{
  if (order == BY_NAME) return compare_texts(a->name, b->name);
  if (order == BY_APP_KEY) return compare_texts(a->app_key, b->app_key);
  return (a->id > b->id) - (a->id < b->id);
}

/* Where the tenant stands or would stand; *is_there says which. */
static size_t place_of(const struct nm_tenants *tenants, const struct nm_tenant *tenant,
                       enum order order, bool *is_there)
{
  size_t low = 0, high = tenants->count;
  *is_there = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int way = compare_entries(tenants->entries[order][middle]->tenant, tenant, order);
    if (way == 0) *is_there = true;
    if (way < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Puts the entry into its place; the array of this order holds `count` others and has room. */
static void insert(struct nm_tenants *tenants, struct entry *entry, enum order order)
{
  bool is_there;
  size_t at = place_of(tenants, entry->tenant, order, &is_there);
  struct entry **list = tenants->entries[order];
  memmove(&list[at + 1], &list[at], (tenants->count - at) * sizeof(struct entry *));
  list[at] = entry;
}

static void remove_entry(struct nm_tenants *tenants, const struct entry *entry)
{
  for (int order = 0; order < ORDERS; order++) {
    struct entry **list = tenants->entries[order];
    size_t at = 0;
    while (at < tenants->count && list[at] != entry) at++;
    memmove(&list[at], &list[at + 1], (tenants->count - at - 1) * sizeof(struct entry *));
  }
  tenants->count--;
}

static bool has_room(struct nm_tenants *tenants)
{
  if (tenants->count < tenants->capacity) return true;
  size_t capacity = tenants->capacity ? tenants->capacity * 2 : 16;
  for (int order = 0; order < ORDERS; order++) {
    struct entry **more = realloc(tenants->entries[order], capacity * sizeof(struct entry *));
    if (!more) return false;
    tenants->entries[order] = more;
  }
  tenants->capacity = capacity;
  return true;
}

static struct entry *create_entry(const struct nm_tenants *tenants, struct nm_tenant *tenant)
{
  char secret[NM_URL_SECRET_BYTES + 1];
  struct entry *entry = calloc(1, sizeof *entry);
  if (!entry) return NULL;
  entry->tenant = tenant;
  digest(tenants, entry->rest_key, tenant->rest_api_key);
  randombytes_buf(entry->rest_key_previous, DIGEST_BYTES);
  if (tenant->rest_api_key_previous.len > 0)
    digest(tenants, entry->rest_key_previous, tenant->rest_api_key_previous);
  nm_keyring_url_secret(tenants->keyring, tenant->name, tenant->secret_number, secret);
  digest(tenants, entry->url_secret, nm_text_from(secret));
  randombytes_buf(entry->url_secret_previous, DIGEST_BYTES);
  if (tenant->secret_number_previous > 0) {
    nm_keyring_url_secret(tenants->keyring, tenant->name, tenant->secret_number_previous, secret);
    digest(tenants, entry->url_secret_previous, nm_text_from(secret));
  }
  sodium_memzero(secret, sizeof secret);
  return entry;
}

int nm_tenants_put(struct nm_tenants *tenants, struct nm_tenant *tenant)
{
  struct entry *fresh = create_entry(tenants, tenant), *old = NULL;
  if (!fresh) {
    nm_tenant_unref(tenant);
    return NM_ENOMEM;
  }
  bool has_name, has_key;
  int rc = NM_OK;
  uv_rwlock_wrlock(&tenants->lock);
  size_t name_at = place_of(tenants, tenant, BY_NAME, &has_name);
  size_t key_at = place_of(tenants, tenant, BY_APP_KEY, &has_key);
  if (has_name) old = tenants->entries[BY_NAME][name_at];
  if (has_key && tenants->entries[BY_APP_KEY][key_at] != old) {
    rc = NM_ECONFLICT;
  } else if (!has_room(tenants)) {
    rc = NM_ENOMEM;
  } else {
    if (old) remove_entry(tenants, old);
    for (int order = 0; order < ORDERS; order++) insert(tenants, fresh, (enum order)order);
    tenants->count++;
  }
  uv_rwlock_wrunlock(&tenants->lock);
  destroy_entry(rc ? fresh : old);
  return rc;
}

void nm_tenants_remove(struct nm_tenants *tenants, int64_t id)
{
  bool is_there;
  struct entry *old = NULL;
  uv_rwlock_wrlock(&tenants->lock);
  size_t at = place_of(tenants, &(struct nm_tenant){ .id = id }, BY_ID, &is_there);
  if (is_there) {
    old = tenants->entries[BY_ID][at];
    remove_entry(tenants, old);
  }
  uv_rwlock_wrunlock(&tenants->lock);
  destroy_entry(old);
}

/* ---- finding --------------------------------------------------------------------------------- */

/* Borrows; the lock is held. */
static struct entry *find(const struct nm_tenants *tenants, const struct nm_tenant *like,
                          enum order order)
{
  bool is_there;
  size_t at = place_of(tenants, like, order, &is_there);
  return is_there ? tenants->entries[order][at] : NULL;
}

static struct nm_tenant *lend(struct nm_tenants *tenants, const struct nm_tenant *like,
                              enum order order)
{
  uv_rwlock_rdlock(&tenants->lock);
  struct entry *entry = find(tenants, like, order);
  struct nm_tenant *tenant = entry ? nm_tenant_ref(entry->tenant) : NULL;
  uv_rwlock_rdunlock(&tenants->lock);
  return tenant;
}

struct nm_tenant *nm_tenants_by_name(struct nm_tenants *tenants, struct nm_text name)
{
  return lend(tenants, &(struct nm_tenant){ .name = name }, BY_NAME);
}

struct nm_tenant *nm_tenants_by_id(struct nm_tenants *tenants, int64_t id)
{
  return lend(tenants, &(struct nm_tenant){ .id = id }, BY_ID);
}

struct nm_tenant **nm_tenants_all(struct nm_tenants *tenants, struct nm_arena *arena, size_t *count)
{
  *count = 0;
  uv_rwlock_rdlock(&tenants->lock);
  struct nm_tenant **all = nm_arena_alloc(arena, (tenants->count + 1) * sizeof *all);
  for (size_t i = 0; all && i < tenants->count; i++)
    all[i] = nm_tenant_ref(tenants->entries[BY_NAME][i]->tenant);
  if (all) *count = tenants->count;
  uv_rwlock_rdunlock(&tenants->lock);
  return all;
}

/* ---- the door -------------------------------------------------------------------------------- */

struct nm_tenant *nm_tenants_authenticate(struct nm_tenants *tenants, struct nm_text app_key,
                                          struct nm_text header_key, struct nm_text url_secret)
{
  unsigned char header[DIGEST_BYTES], secret[DIGEST_BYTES];
  digest(tenants, header, header_key);
  digest(tenants, secret, url_secret);

  uv_rwlock_rdlock(&tenants->lock);
  const struct entry *entry = find(tenants, &(struct nm_tenant){ .app_key = app_key }, BY_APP_KEY);
  const struct entry *against = entry ? entry : &tenants->stranger;
  /* every comparison is made, whatever the one before it said */
  int is_header = sodium_memcmp(header, against->rest_key, DIGEST_BYTES) == 0;
  int is_replaced = sodium_memcmp(header, against->rest_key_previous, DIGEST_BYTES) == 0;
  int is_secret = sodium_memcmp(secret, against->url_secret, DIGEST_BYTES) == 0;
  int is_previous = sodium_memcmp(secret, against->url_secret_previous, DIGEST_BYTES) == 0;
  bool may_enter = entry && !entry->tenant->is_leaving;
  struct nm_tenant *tenant = may_enter && (is_header | is_replaced | is_secret | is_previous)
                                 ? nm_tenant_ref(entry->tenant)
                                 : NULL;
  uv_rwlock_rdunlock(&tenants->lock);
  return tenant;
}
