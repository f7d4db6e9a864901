#include "engine/seen.h"

#include <sodium.h>
#include <stdlib.h>

enum {
  CAPACITY_MIN = 256,
  MOVED_AT_A_TIME = 4, /* half of it does: there are more turns than old slots until the next
                        * growth */
};

_Static_assert((int)NM_SEEN_KEY_BYTES == (int)crypto_shorthash_KEYBYTES, "one key a set");

void nm_seen_init(struct nm_seen *seen)
{
  *seen = (struct nm_seen){ 0 };
  randombytes_buf(seen->key, sizeof seen->key);
}

void nm_seen_deinit(struct nm_seen *seen)
{
  free(seen->slots);
  free(seen->old);
  *seen = (struct nm_seen){ 0 };
}

/* The number goes into the key's place of the hash, so that no text can imitate it. */
static uint64_t hash_of(const struct nm_seen *seen, struct nm_text customer, int64_t template_id)
{
  unsigned char key[NM_SEEN_KEY_BYTES];
  uint64_t hash;
  memcpy(key, seen->key, sizeof key);
  for (size_t i = 0; i < sizeof template_id; i++)
    key[i] ^= (unsigned char)((uint64_t)template_id >> (8 * i));
  crypto_shorthash((unsigned char *)&hash,
                   (const unsigned char *)(customer.ptr ? customer.ptr : ""), customer.len, key);
  return hash ? hash : 1; /* 0 is an empty slot */
}

static uint64_t *find(uint64_t *slots, size_t capacity, uint64_t hash)
{
  size_t at = (size_t)hash & (capacity - 1);
  while (slots[at] != 0 && slots[at] != hash) at = (at + 1) & (capacity - 1);
  return &slots[at];
}

/* At once it would hold up everybody for a part of a second where there are millions. */
static void move_some(struct nm_seen *seen, size_t slots)
{
  size_t old_capacity = seen->capacity / 2;
  for (; slots > 0 && seen->moved < old_capacity; slots--, seen->moved++) {
    uint64_t hash = seen->old[seen->moved];
    if (hash != 0) *find(seen->slots, seen->capacity, hash) = hash;
  }
  if (seen->moved < old_capacity) return;
  free(seen->old);
  seen->old = NULL;
}

static int grow(struct nm_seen *seen)
{
  if (seen->old) move_some(seen, SIZE_MAX);
  size_t capacity = seen->capacity ? seen->capacity * 2 : CAPACITY_MIN;
  uint64_t *slots = calloc(capacity, sizeof *slots);
  if (!slots) return NM_ENOMEM;
  seen->old = seen->slots; /* NULL at first */
  seen->moved = 0;
  seen->slots = slots;
  seen->capacity = capacity;
  return NM_OK;
}

int nm_seen_add(struct nm_seen *seen, struct nm_text customer, int64_t template_id, bool *was_there)
{
  if (seen->count >= seen->capacity / 4 * 3) {
    int rc = grow(seen);
    if (rc) return rc;
  }
  if (seen->old) move_some(seen, MOVED_AT_A_TIME);
  uint64_t hash = hash_of(seen, customer, template_id);
  uint64_t *slot = find(seen->slots, seen->capacity, hash);
  *was_there = *slot != 0 || (seen->old && *find(seen->old, seen->capacity / 2, hash) != 0);
  if (!*was_there) {
    *slot = hash;
    seen->count++;
  }
  return NM_OK;
}
