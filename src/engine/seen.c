#include "engine/seen.h"

#include <sodium.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

_Static_assert((int)NM_SEEN_KEY_BYTES == (int)crypto_shorthash_KEYBYTES, "one key a set");

void nm_seen_init(struct nm_seen *seen)
{
  *seen = (struct nm_seen){ 0 };
  randombytes_buf(seen->key, sizeof seen->key);
}

void nm_seen_deinit(struct nm_seen *seen)
{
  free(seen->slots);
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

static int grow(struct nm_seen *seen)
{
  size_t capacity = seen->capacity ? seen->capacity * 2 : CAPACITY_MIN;
  uint64_t *slots = calloc(capacity, sizeof *slots);
  if (!slots) return NM_ENOMEM;
  for (size_t i = 0; i < seen->capacity; i++)
    if (seen->slots[i] != 0) *find(slots, capacity, seen->slots[i]) = seen->slots[i];
  free(seen->slots);
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
  uint64_t hash = hash_of(seen, customer, template_id);
  uint64_t *slot = find(seen->slots, seen->capacity, hash);
  *was_there = *slot != 0;
  if (!*was_there) {
    *slot = hash;
    seen->count++;
  }
  return NM_OK;
}
