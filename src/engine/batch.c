/* batch.c - profiles and callbacks of a batch. */
#include "engine/batch.h"

#include <stdlib.h>

#include "base/log.h"
#include "engine/callbacks.h"

enum {
  PROFILES_ARENA_MAX_BYTES = 64 * 1024 * 1024,
  PROFILES_TRIES_MAX = 8, /* their arena fills a little more each time; then the events come again */
};

void nm_batch_free_if_done(struct nm_batch *batch)
{
  if (!batch->is_planned || batch->plans_open > 0) return;
  for (size_t i = 0; i < batch->profile_calls; i++) nm_call_destroy(batch->profiles[i]);
  for (size_t i = 0; i < batch->count; i++) nm_generation_unref(batch->slots[i].generation);
  free(batch->profiles);
  nm_arena_destroy(batch->arena);
  nm_call_destroy(batch->take);
  free(batch->slots);
  free(batch);
}

static void loaded(struct nm_batch *batch)
{
  if (--batch->loads == 0) nm_engine_soon(batch->planner->engine, &batch->planner->job);
}

static void on_profiles(struct nm_call *call)
{
  struct nm_batch *batch = call->data;
  if (call->u.head.rc && nm_call_may_try_again(call) && call->tries < PROFILES_TRIES_MAX) {
    nm_call_again(call);
    return;
  }
  if (call->u.head.rc) {
    /* A profile that cannot be read now is not an empty one: these events wait. */
    nm_log(NM_LOG_ERROR, "engine", NULL, "profiles could not be read: %s", call->u.head.error.text);
    const struct nm_store_profile *first = call->u.profiles.profiles;
    for (size_t i = 0; i < batch->count; i++) {
      struct nm_slot *slot = &batch->slots[i];
      if (slot->profile >= first && slot->profile < first + call->u.profiles.count)
        slot->is_profile_lost = true;
    }
  }
  batch->profiles[batch->profile_calls++] = call;
  loaded(batch);
}

static bool wants_profile(const struct nm_slot *slot, const struct nm_book *book)
{
  return slot->book == book && slot->event->kind != NM_EVENT_CALLBACK &&
         slot->event->customer.len > 0;
}

static void load_profiles(struct nm_batch *batch, struct nm_book *book)
{
  size_t wanted = 0;
  for (size_t i = batch->cancels; i < batch->count; i++)
    if (wants_profile(&batch->slots[i], book)) wanted++;
  if (wanted == 0) return;
  struct nm_call *call = nm_call_create(batch->planner->engine, NM_STORE_PROFILES_LOAD,
                                        PROFILES_ARENA_MAX_BYTES, on_profiles, batch);
  struct nm_store_profiles_load *load = &call->u.profiles;
  load->tenant_id = book->tenant_id;
  load->profiles = nm_call_alloc(call, wanted * sizeof *load->profiles);
  for (size_t i = batch->cancels; i < batch->count; i++) {
    struct nm_slot *slot = &batch->slots[i];
    if (!wants_profile(slot, book)) continue;
    slot->profile = &load->profiles[load->count++];
    slot->profile->ext_id = slot->event->customer;
  }
  batch->loads++;
  nm_call_submit(call);
}

struct calling_back {
  struct nm_batch *batch;
  struct nm_slot *slot;
};

static void on_called_back(void *data, int rc)
{
  struct calling_back *calling = data;
  struct nm_batch *batch = calling->batch;
  calling->slot->callback_rc = rc;
  free(calling);
  loaded(batch);
}

static void start_callback(struct nm_batch *batch, struct nm_slot *slot)
{
  struct calling_back *calling = malloc(sizeof *calling);
  nm_require(calling != NULL);
  *calling = (struct calling_back){ batch, slot };
  batch->loads++;
  nm_callback_apply(slot->book, slot->event, on_called_back, calling);
}

/* One query for each tenant that the batch names. */
void nm_batch_load(struct nm_batch *batch)
{
  batch->loads = 1; /* this function's own, so that nothing ends early */
  batch->profiles = calloc(batch->count + 1, sizeof *batch->profiles);
  nm_require(batch->profiles != NULL);
  for (size_t i = batch->cancels; i < batch->count; i++) {
    struct nm_slot *slot = &batch->slots[i];
    bool is_first = slot->book != NULL;
    for (size_t j = batch->cancels; j < i && is_first; j++)
      if (batch->slots[j].book == slot->book) is_first = false;
    if (is_first) load_profiles(batch, slot->book);
    if (slot->book && slot->event->kind == NM_EVENT_CALLBACK) start_callback(batch, slot);
  }
  loaded(batch);
}
