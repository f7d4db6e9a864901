/* The identities of the last 48 hours: 128-bit hash -> first event's id, in memory.
 *
 * Open addressing with linear probing; removing shifts back, so there are no tombstones.  What has
 * run out is swept out when the table is to grow; at the limit the oldest quarter is forgotten. */
#include "store/internal.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/log.h"

enum { CAPACITY_MIN = 1024, SAMPLES = 512 };

struct nm_key nm_recent_key(int64_t tenant_id, enum nm_event_kind kind, struct nm_text identity)
{
  struct nm_key key = { 0, 0 };
  int64_t head[2] = { tenant_id, kind };
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, sizeof key);
  crypto_generichash_update(&state, (const unsigned char *)head, sizeof head);
  if (identity.len > 0)
    crypto_generichash_update(&state, (const unsigned char *)identity.ptr, identity.len);
  crypto_generichash_final(&state, (unsigned char *)&key, sizeof key);
  if (key.b == 0) key.b = 1; /* 0 is an empty slot */
  return key;
}

static size_t find_slot(const struct nm_recent *recent, struct nm_key key)
{
  size_t at = key.a & (recent->capacity - 1);
  while (recent->slots[at].key.b != 0 &&
         (recent->slots[at].key.a != key.a || recent->slots[at].key.b != key.b))
    at = (at + 1) & (recent->capacity - 1);
  return at;
}

void nm_recent_prefetch(const struct nm_recent *recent, struct nm_key key)
{
  if (recent->capacity > 0) __builtin_prefetch(&recent->slots[key.a & (recent->capacity - 1)]);
}

int64_t nm_recent_find(const struct nm_recent *recent, struct nm_key key, int64_t now_ms)
{
  if (recent->capacity == 0) return 0;
  const struct nm_recent_entry *entry = &recent->slots[find_slot(recent, key)];
  return entry->key.b != 0 && entry->until_ms > now_ms ? entry->id : 0;
}

static int compare_ids(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* An id below which about a quarter of all entries lie. */
static int64_t find_oldest_quarter(const struct nm_recent *recent)
{
  int64_t samples[SAMPLES];
  size_t count = 0;
  size_t stride = recent->capacity / (SAMPLES * 4) + 1;
  for (size_t i = 0; i < recent->capacity && count < SAMPLES; i += stride)
    if (recent->slots[i].key.b != 0) samples[count++] = recent->slots[i].id;
  if (count == 0) return 0;
  qsort(samples, count, sizeof samples[0], compare_ids);
  return samples[count / 4];
}

/* Into a table of that capacity, without what has run out and what is older than `oldest_id`. */
static int rebuild(struct nm_recent *recent, size_t capacity, int64_t now_ms, int64_t oldest_id)
{
  struct nm_recent next = { .capacity = capacity };
  next.slots = calloc(capacity, sizeof *next.slots);
  if (!next.slots) return NM_ENOMEM;
  for (size_t i = 0; i < recent->capacity; i++) {
    const struct nm_recent_entry *entry = &recent->slots[i];
    if (entry->key.b == 0 || entry->until_ms <= now_ms || entry->id < oldest_id) continue;
    next.slots[find_slot(&next, entry->key)] = *entry;
    next.count++;
  }
  free(recent->slots);
  *recent = next;
  return NM_OK;
}

static int make_room(struct nm_recent *recent, int64_t now_ms)
{
  if (recent->capacity == 0) return rebuild(recent, CAPACITY_MIN, now_ms, 0);
  if (recent->count < recent->capacity / 4 * 3) return NM_OK;

  size_t live = 0;
  for (size_t i = 0; i < recent->capacity; i++)
    if (recent->slots[i].key.b != 0 && recent->slots[i].until_ms > now_ms) live++;
  if (live < recent->capacity / 2) return rebuild(recent, recent->capacity, now_ms, 0);
  if (recent->capacity < NM_STORE_RECENT_MAX / 3 * 4)
    return rebuild(recent, recent->capacity * 2, now_ms, 0);

  nm_log(NM_LOG_WARN, "store", NULL,
         "more than %d recent events: the oldest quarter is forgotten, a repetition of one of "
         "them would be a new event", NM_STORE_RECENT_MAX);
  return rebuild(recent, recent->capacity, now_ms, find_oldest_quarter(recent));
}

int nm_recent_add(struct nm_recent *recent, struct nm_key key, int64_t id, int64_t until_ms,
                  int64_t now_ms)
{
  int rc = make_room(recent, now_ms);
  if (rc && recent->count + 1 >= recent->capacity) return rc;
  size_t at = find_slot(recent, key);
  if (recent->slots[at].key.b == 0) recent->count++;
  recent->slots[at] = (struct nm_recent_entry){ .key = key, .id = id, .until_ms = until_ms };
  return NM_OK;
}

void nm_recent_remove(struct nm_recent *recent, struct nm_key key)
{
  if (recent->capacity == 0) return;
  size_t mask = recent->capacity - 1;
  size_t hole = find_slot(recent, key);
  if (recent->slots[hole].key.b == 0) return;
  for (size_t at = (hole + 1) & mask; recent->slots[at].key.b != 0; at = (at + 1) & mask) {
    size_t wanted = recent->slots[at].key.a & mask;
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue; /* cannot stand in the hole */
    recent->slots[hole] = recent->slots[at];
    hole = at;
  }
  recent->slots[hole] = (struct nm_recent_entry){ 0 };
  recent->count--;
}

void nm_recent_deinit(struct nm_recent *recent)
{
  free(recent->slots);
  *recent = (struct nm_recent){ 0 };
}
