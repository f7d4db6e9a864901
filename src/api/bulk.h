/* bulk.h - many profiles on their way in: between public_bulk.c (lines) and bulk_batch.c (what
 * becomes of them).  Room-private. */
#pragma once

#include "api/public_profiles.h"
#include "base/limits.h"

struct nm_bulk_line {
  int64_t number;
  size_t slot;
  json_t *patch;
};

/* One person of a batch; several lines may be about them. */
struct nm_bulk_slot {
  struct nm_text ext_id;
  json_t *old, *fresh; /* old NULL = new */
  int64_t version;
  bool is_done;
  size_t item; /* its place in `items`, where it is saved */
};

struct nm_api_bulk {
  union {
    struct nm_store_request head; /* first: its task is how this is found again */
    struct nm_store_profiles_load load;
    struct nm_store_profiles_save save;
  } u;
  struct nm_api *api;
  struct nm_http_request *http;
  struct nm_api_bulk *next; /* of those under way */
  int64_t tenant_id;
  bool tells_unsubscribes;  /* Optimove wants to know of them */
  bool is_silent, restores; /* ?hooks=off, ?restore=on */
  int64_t since_ms;

  struct nm_buffer input;
  size_t input_at;
  bool is_last, is_skipping; /* skipping: the rest of a line that is too long */

  struct nm_arena *arena; /* of one batch */
  struct nm_bulk_line lines[NM_PROFILES_BATCH_LINES];
  struct nm_bulk_slot slots[NM_PROFILES_BATCH_LINES];
  struct nm_profile_item items[NM_PROFILES_BATCH_LINES];
  struct nm_store_profile profiles[NM_PROFILES_BATCH_LINES];
  size_t line_count, slot_count, item_count, batch_bytes;
  int tries;

  int64_t number; /* of the line at hand, blank ones counted too */
  int64_t short_at; /* the first one that could not be read for want of memory; 0 = none */
  int64_t bytes, read, created, updated, unchanged, failed, events;
  json_t *errors;
};

/* Loads, merges and saves the lines that were gathered, then calls nm_bulk_work. */
void nm_bulk_batch(struct nm_api_bulk *bulk);

/* The next batch of what is here, or the next piece, or the answer. */
void nm_bulk_work(struct nm_api_bulk *bulk);

void nm_bulk_complain(struct nm_api_bulk *bulk, int64_t number, const char *field,
                      const char *message);
void nm_bulk_forget_batch(struct nm_api_bulk *bulk);

/* The store takes no more: answers so, and ends. */
void nm_bulk_give_up(struct nm_api_bulk *bulk);
