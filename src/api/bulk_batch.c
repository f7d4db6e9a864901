/* bulk_batch.c - a batch of lines: its people are loaded together, each line is merged into what
 * its person is by then, and all are saved as one transaction. */
#include "api/bulk.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "profiles/profiles.h"

enum { TRIES_MAX = 20 };

static bool submit(struct nm_api_bulk *bulk, enum nm_store_verb verb,
                   void (*done)(struct nm_task *task))
{
  nm_api_prepare(bulk->api, bulk->http, &bulk->u.head, verb, done);
  bulk->u.head.arena = bulk->arena;
  if (nm_store_submit(bulk->api->env.store, &bulk->u.head) == NM_OK)
    return true;
  nm_bulk_give_up(bulk);
  return false;
}

static void on_loaded(struct nm_task *task);

static void load(struct nm_api_bulk *bulk)
{
  size_t wanted = 0;
  for (size_t i = 0; i < bulk->slot_count; i++)
    if (!bulk->slots[i].is_done)
      bulk->profiles[wanted++] = (struct nm_store_profile){ .ext_id = bulk->slots[i].ext_id };
  bulk->u.load = (struct nm_store_profiles_load){ .tenant_id = bulk->tenant_id,
                                                  .profiles = bulk->profiles,
                                                  .count = wanted };
  submit(bulk, NM_STORE_PROFILES_LOAD, on_loaded);
}

/* Merges a line into what its person is by now. */
static int merge_line(struct nm_api_bulk *bulk, const struct nm_bulk_line *line,
                      struct nm_error *err)
{
  struct nm_bulk_slot *slot = &bulk->slots[line->slot];
  struct nm_profile_item *item = &bulk->items[slot->item];
  json_t *fresh = NULL, *changes = NULL;
  int rc =
      nm_profile_merge(slot->fresh ? slot->fresh : slot->old, line->patch, &fresh, &changes, err);
  if (rc)
    return rc;
  if (json_object_size(changes) > 0 && !bulk->is_silent) {
    struct nm_store_arrival *more =
        nm_arena_alloc(bulk->arena, (item->arrival_count + 1) * sizeof *more);
    struct nm_profile_change change = { .tenant_id = bulk->tenant_id, .ext_id = slot->ext_id,
                                        .changes = changes, .now_ms = nm_clock_wall_ms() };
    rc = more ? nm_profile_event(bulk->arena, &change, &more[item->arrival_count], err)
              : NM_ENOMEM;
    if (rc == NM_OK && item->arrival_count > 0)
      memcpy(more, item->arrivals, item->arrival_count * sizeof *more);
    if (rc == NM_OK) {
      item->arrivals = more;
      item->arrival_count++;
    }
  }
  json_decref(changes);
  if (rc) {
    json_decref(fresh);
    return rc;
  }
  json_decref(slot->fresh);
  slot->fresh = fresh;
  return NM_OK;
}

/* Reads what was loaded into the slots that are still to be saved. */
static int begin_items(struct nm_api_bulk *bulk)
{
  size_t at = 0;
  bulk->item_count = 0;
  for (size_t i = 0; i < bulk->slot_count; i++) {
    struct nm_bulk_slot *slot = &bulk->slots[i];
    if (slot->is_done)
      continue;
    const struct nm_store_profile *profile = &bulk->profiles[at++];
    json_decref(slot->old);
    json_decref(slot->fresh);
    slot->old = slot->fresh = NULL;
    slot->version = profile->version;
    slot->item = bulk->item_count++;
    bulk->items[slot->item] =
        (struct nm_profile_item){ .profile = { .ext_id = slot->ext_id,
                                               .version = profile->version } };
    if (profile->version != 0 && nm_json_parse(&slot->old, profile->body, NULL))
      return NM_EINTERNAL;
  }
  return NM_OK;
}

static void on_saved(struct nm_task *task);

/* Leaves out of `items` who is as before, and writes down what the others become. */
static int end_items(struct nm_api_bulk *bulk)
{
  size_t kept = 0;
  for (size_t i = 0; i < bulk->slot_count; i++) {
    struct nm_bulk_slot *slot = &bulk->slots[i];
    if (slot->is_done)
      continue;
    struct nm_profile_item item = bulk->items[slot->item];
    if (!slot->fresh ||
        (slot->old && json_equal(slot->old, slot->fresh) && item.arrival_count == 0)) {
      slot->is_done = true; /* every line of it failed, or nothing is new */
      slot->item = SIZE_MAX;
      continue;
    }
    item.profile.body = nm_json_text(bulk->arena, slot->fresh);
    if (bulk->tells_unsubscribes)
      item.profile.unsubscribed = nm_profile_unsubscribed(slot->old, slot->fresh);
    if (!item.profile.body.ptr)
      return NM_ENOMEM;
    slot->item = kept;
    bulk->items[kept++] = item;
  }
  bulk->item_count = kept;
  return NM_OK;
}

/* Lines count when their person is done; those that failed are taken out of the batch. */
static void fail_line(struct nm_api_bulk *bulk, size_t at, const char *message)
{
  nm_bulk_complain(bulk, bulk->lines[at].number, NULL, message);
  json_decref(bulk->lines[at].patch);
  bulk->lines[at].patch = NULL;
}

static void count_lines(struct nm_api_bulk *bulk, size_t slot_at)
{
  struct nm_bulk_slot *slot = &bulk->slots[slot_at];
  bool is_same = slot->item == SIZE_MAX, is_first = true;
  for (size_t i = 0; i < bulk->line_count; i++) {
    if (bulk->lines[i].slot != slot_at || !bulk->lines[i].patch)
      continue;
    if (is_same)
      bulk->unchanged++;
    else if (!slot->old && is_first)
      bulk->created++;
    else
      bulk->updated++;
    is_first = false;
  }
}

static void end_batch(struct nm_api_bulk *bulk)
{
  for (size_t i = 0; i < bulk->slot_count; i++)
    count_lines(bulk, i);
  nm_bulk_forget_batch(bulk);
  nm_bulk_work(bulk);
}

static void merge(struct nm_api_bulk *bulk)
{
  int rc = begin_items(bulk);
  for (size_t i = 0; rc == NM_OK && i < bulk->line_count; i++) {
    struct nm_error err = { 0, "" };
    if (!bulk->lines[i].patch || bulk->slots[bulk->lines[i].slot].is_done)
      continue;
    int merged = merge_line(bulk, &bulk->lines[i], &err);
    if (merged == NM_ELIMIT || merged == NM_EINVAL)
      fail_line(bulk, i, err.text);
    else
      rc = merged;
  }
  if (rc == NM_OK)
    rc = end_items(bulk);
  if (rc) {
    nm_bulk_give_up(bulk);
  } else if (bulk->item_count == 0) {
    end_batch(bulk);
  } else {
    bulk->u.save = (struct nm_store_profiles_save){ .tenant_id = bulk->tenant_id,
                                                    .items = bulk->items,
                                                    .count = bulk->item_count,
                                                    .restores = bulk->restores };
    submit(bulk, NM_STORE_PROFILES_SAVE, on_saved);
  }
}

static void on_loaded(struct nm_task *task)
{
  struct nm_api_bulk *bulk = (struct nm_api_bulk *)(void *)task;
  if (bulk->u.head.rc)
    nm_bulk_give_up(bulk);
  else
    merge(bulk);
}

static void fail_slot(struct nm_api_bulk *bulk, size_t slot_at, const char *message)
{
  for (size_t i = 0; i < bulk->line_count; i++)
    if (bulk->lines[i].slot == slot_at && bulk->lines[i].patch)
      fail_line(bulk, i, message);
  bulk->slots[slot_at].is_done = true;
}

/* Somebody else was faster with some of them: those are read and merged again. */
static void on_saved(struct nm_task *task)
{
  struct nm_api_bulk *bulk = (struct nm_api_bulk *)(void *)task;
  bool is_left = false;
  if (bulk->u.head.rc) {
    nm_bulk_give_up(bulk);
    return;
  }
  bulk->tries++;
  for (size_t i = 0; i < bulk->slot_count; i++) {
    struct nm_bulk_slot *slot = &bulk->slots[i];
    if (slot->is_done)
      continue;
    const struct nm_profile_item *item = &bulk->items[slot->item];
    if (item->rc == NM_ECONFLICT && bulk->tries < TRIES_MAX) {
      is_left = true;
    } else if (item->rc) {
      fail_slot(bulk, i,
                item->rc == NM_EDENIED ? "this person was erased (?restore=on keeps them again)"
                                       : "others write this profile all the time");
    } else {
      slot->is_done = true;
      bulk->events += (int64_t)item->arrival_count;
      nm_metric_add(NM_METRIC_EVENTS_ACCEPTED, (int64_t)item->arrival_count);
    }
  }
  if (is_left)
    load(bulk);
  else
    end_batch(bulk);
}

void nm_bulk_batch(struct nm_api_bulk *bulk)
{
  load(bulk);
}
