/* fences.c - a cancel takes hold in memory at once: what is leased and covered stays here until the
 * store has the fence, then goes back to it, which stops it. */
#include <stdlib.h>

#include "base/point.h"
#include "engine/lanes.h"
#include "engine/runs.h"
#include "engine/turns.h"

static const struct nm_zone *stamp_zone(const struct nm_book *book)
{
  const struct nm_zone *zone =
      book->tenant->connector.is_present ? book->tenant->connector.zone : NULL;
  return zone ? zone : nm_book_zone(book);
}

static void sift(struct nm_lane *lane, struct nm_items *items, const struct nm_fence *fence,
                 const struct nm_zone *zone)
{
  struct nm_items kept = { NULL, NULL, 0 };
  struct nm_item *item;
  while ((item = nm_items_pop(items)))
    nm_items_push(nm_fence_covers_message(fence, item->message, zone) ? &lane->fenced : &kept,
                  item);
  *items = kept;
}

struct covering {
  const struct nm_fence *fence;
  const struct nm_zone *zone;
};

static bool is_covered(void *data, const struct nm_message *message)
{
  const struct covering *covering = data;
  return nm_fence_covers_message(covering->fence, message, covering->zone);
}

static size_t count_in_flight(const struct nm_lane *lane, const struct nm_fence *fence,
                              const struct nm_zone *zone)
{
  size_t count = 0;
  for (const struct nm_dispatch *d = lane->sending; d; d = d->next)
    for (size_t i = 0; i < d->send.count; i++)
      if (d->items[i] && nm_fence_covers_message(fence, d->items[i]->message, zone)) count++;
  return count;
}

struct nm_fence *nm_book_fence(struct nm_book *book, const struct nm_fence *what, size_t *in_flight)
{
  const struct nm_zone *zone = stamp_zone(book);
  struct nm_fence *fence = malloc(sizeof *fence + what->campaign.len);
  nm_require(fence != NULL);
  *fence = *what;
  if (what->campaign.len > 0) memcpy(fence + 1, what->campaign.ptr, what->campaign.len);
  fence->campaign.ptr = (const char *)(fence + 1);
  fence->next = book->fences;
  book->fences = fence;
  book->fences_open++;

  *in_flight = 0;
  for (struct nm_lane *lane = book->lanes; lane; lane = lane->next) {
    struct covering covering = { fence, zone };
    sift(lane, &lane->singles, fence, zone);
    sift(lane, &lane->rest, fence, zone);
    for (struct nm_half *half = lane->halves; half; half = half->next)
      sift(lane, &half->items, fence, zone);
    nm_turns_sift(&lane->turns, &lane->fenced, is_covered, &covering);
    *in_flight += count_in_flight(lane, fence, zone);
  }
  for (struct nm_running *run = book->runs; run; run = nm_run_next(run))
    if (nm_fence_covers_run(fence, nm_run_row(run), zone)) nm_run_fence(run);
  NM_POINT(fence_begun);
  return fence;
}

void nm_book_fence_done(struct nm_book *book, struct nm_fence *fence, bool is_kept)
{
  if (is_kept) return;
  struct nm_fence **at = &book->fences;
  while (*at && *at != fence) at = &(*at)->next;
  if (nm_expect(*at == fence)) *at = fence->next;
  free(fence);
  if (--book->fences_open > 0) return;
  for (struct nm_lane *lane = book->lanes; lane; lane = lane->next) {
    struct nm_item *item;
    while ((item = nm_items_pop(&lane->fenced)))
      nm_item_finish(lane, item, NM_MESSAGE_WAITING, 0, NM_TEXT(""));
  }
  /* What the store did not stop goes on: its word counts. */
  for (struct nm_running *run = book->runs; run; run = nm_run_next(run)) nm_run_unfence(run);
}
