/* order.c - lanes with order = "recipient": one unanswered message a person, in the order of ids.
 *
 * What stands behind a message that is out stays in memory until that one has its answer; where the
 * answer is a retry it goes back to the store with the same due time, and ids keep the order there.
 */
#include "engine/turns.h"

#include "base/clock.h"

static void push(struct nm_lane *lane, struct nm_item *item)
{
  nm_items_push(item->message->priority == NM_PRIORITY_SINGLE ? &lane->singles : &lane->rest, item);
}

static void give_back(struct nm_lane *lane, struct nm_item *item, int64_t due_at_ms)
{
  nm_item_finish(lane, item, NM_MESSAGE_WAITING, due_at_ms,
                 NM_TEXT("an earlier message to the same person comes first"));
}

void nm_lane_queue(struct nm_lane *lane, struct nm_item *item)
{
  int64_t due_at_ms = 0;
  if (!lane->is_ordered) {
    push(lane, item);
    return;
  }
  switch (nm_turns_ask(&lane->turns, item, &due_at_ms)) {
  case NM_TURNS_GO: push(lane, item); break;
  case NM_TURNS_STAYS: break;
  case NM_TURNS_LATER: give_back(lane, item, due_at_ms); break;
  }
}

void nm_lane_turn_later(struct nm_lane *lane, const struct nm_message *message, int64_t due_at_ms)
{
  struct nm_item *item;
  if (!lane->is_ordered) return;
  struct nm_items behind = nm_turns_defer(&lane->turns, message, due_at_ms);
  while ((item = nm_items_pop(&behind))) give_back(lane, item, due_at_ms);
}

void nm_lane_turn_over(struct nm_lane *lane, const struct nm_message *message)
{
  if (!lane->is_ordered) return;
  struct nm_item *item = nm_turns_end(&lane->turns, message);
  if (!item) return;
  push(lane, item);
  nm_engine_soon(lane->book->engine, &lane->job);
}

void nm_lane_take_tried(struct nm_lane *lane, const struct nm_store_lease *lease)
{
  if (!lane->is_ordered || !lease->want_tried) return;
  for (size_t i = 0; i < lease->tried_count; i++) {
    const struct nm_store_tried *tried = &lease->tried[i];
    nm_turns_tried(&lane->turns, nm_turns_person(tried->customer, tried->address), tried->id,
                   tried->due_at_ms);
  }
  lane->is_order_known = true;
}

static void queue_again(struct nm_lane *lane, struct nm_items items)
{
  struct nm_item *item;
  while ((item = nm_items_pop(&items))) nm_lane_queue(lane, item);
}

static struct nm_items take_all(struct nm_items *items)
{
  struct nm_items all = *items;
  *items = (struct nm_items){ NULL, NULL, 0 };
  return all;
}

void nm_lane_set_order(struct nm_lane *lane)
{
  bool is_ordered =
      lane->settings &&
      nm_text_equal(nm_json_string(lane->settings->settings, "order"), NM_TEXT("recipient"));
  if (is_ordered == lane->is_ordered) return;
  lane->is_ordered = is_ordered;
  lane->is_order_known = false;
  if (!is_ordered) {
    queue_again(lane, nm_turns_clear(&lane->turns));
    return;
  }
  /* What is out already has its turn; what was to go next asks for it. */
  for (const struct nm_dispatch *dispatch = lane->sending; dispatch; dispatch = dispatch->next)
    for (size_t i = 0; i < dispatch->send.count; i++) {
      int64_t due_at_ms;
      if (dispatch->items[i] && !nm_turns_has(&lane->turns, dispatch->items[i]->message))
        (void)nm_turns_ask(&lane->turns, dispatch->items[i], &due_at_ms);
    }
  struct nm_items singles = take_all(&lane->singles), rest = take_all(&lane->rest);
  queue_again(lane, singles);
  queue_again(lane, rest);
}
