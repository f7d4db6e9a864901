/* Ids that are taken: a small open-addressing map, on the writer's thread only. */
#include "store/internal.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

static size_t wanted_slot(size_t capacity, int64_t id)
{
  uint64_t mixed = (uint64_t)id * 0x9E3779B97F4A7C15u;
  return (size_t)(mixed >> 32) & (capacity - 1);
}

static size_t find_slot(const struct nm_claim *slots, size_t capacity, int64_t id)
{
  size_t at = wanted_slot(capacity, id);
  while (slots[at].id != 0 && slots[at].id != id)
    at = (at + 1) & (capacity - 1);
  return at;
}

struct nm_claim *nm_claims_find(const struct nm_claims *claims, int64_t id)
{
  if (claims->count == 0) return NULL;
  struct nm_claim *claim = &claims->slots[find_slot(claims->slots, claims->capacity, id)];
  return claim->id != 0 ? claim : NULL;
}

static int resize(struct nm_claims *claims, size_t capacity)
{
  struct nm_claim *slots = calloc(capacity, sizeof *slots);
  if (!slots) return NM_ENOMEM;
  for (size_t i = 0; i < claims->capacity; i++)
    if (claims->slots[i].id != 0)
      slots[find_slot(slots, capacity, claims->slots[i].id)] = claims->slots[i];
  free(claims->slots);
  claims->slots = slots;
  claims->capacity = capacity;
  return NM_OK;
}

int nm_claims_add(struct nm_claims *claims, int64_t id, int64_t run_id)
{
  if (claims->count >= claims->capacity / 4 * 3) {
    int rc = resize(claims, claims->capacity ? claims->capacity * 2 : CAPACITY_MIN);
    if (rc) return rc;
  }
  size_t at = find_slot(claims->slots, claims->capacity, id);
  if (claims->slots[at].id == 0) claims->count++;
  claims->slots[at] = (struct nm_claim){ .id = id, .run_id = run_id };
  return NM_OK;
}

void nm_claims_remove(struct nm_claims *claims, int64_t id)
{
  if (claims->count == 0) return;
  size_t mask = claims->capacity - 1;
  size_t hole = find_slot(claims->slots, claims->capacity, id);
  if (claims->slots[hole].id == 0) return;
  for (size_t at = (hole + 1) & mask; claims->slots[at].id != 0; at = (at + 1) & mask) {
    size_t wanted = wanted_slot(claims->capacity, claims->slots[at].id);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue; /* cannot stand in the hole */
    claims->slots[hole] = claims->slots[at];
    hole = at;
  }
  claims->slots[hole] = (struct nm_claim){ 0 };
  claims->count--;
  if (claims->count == 0 && claims->capacity > CAPACITY_MIN * 64) nm_claims_deinit(claims);
}

void nm_claims_deinit(struct nm_claims *claims)
{
  free(claims->slots);
  *claims = (struct nm_claims){ 0 };
}
