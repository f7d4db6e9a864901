/* explain_message.c - why a message waits, and why it waited: every wait with its cause, between
 * its making, its attempts and now.  Writes nothing.
 *
 * What is past is read off the attempts, which the asker gives with the message as the store shows
 * it; what it waits for now is known by its lane. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "engine/book.h"
#include "engine/lanes.h"
#include "engine/quiet.h"
#include "engine/runs.h"
#include "engine/turns.h"

enum { WORTH_SAYING_MS = 1000, TEXT_MAX_BYTES = 400 };

struct asking {
  struct nm_book *book;
  const json_t *message;
  json_t *waits;
  int64_t now_ms;
  const struct nm_zone *zone;
  struct nm_quiet quiet;
};

NM_PRINTF(5, 6)
static void say(struct asking *asking, int64_t from_ms, int64_t until_ms, const char *cause,
                const char *format, ...)
{
  char text[TEXT_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  json_t *wait = json_pack("{s:s,s:s}", "cause", cause, "text", text);
  if (from_ms > 0) json_object_set_new(wait, "from_ms", json_integer(from_ms));
  if (until_ms > 0) json_object_set_new(wait, "until_ms", json_integer(until_ms));
  json_array_append_new(asking->waits, wait);
}

static int64_t number_of(const json_t *object, const char *key)
{
  int64_t number = 0;
  (void)nm_json_i64(object, key, &number);
  return number;
}

/* ---- what is past ---------------------------------------------------------------------------- */

static void say_first_wait(struct asking *asking, int64_t until_ms)
{
  int64_t made_ms = number_of(asking->message, "at");
  if (made_ms == 0 || until_ms - made_ms < WORTH_SAYING_MS) return;
  int64_t quiet_end_ms = nm_quiet_end_ms(asking->quiet, asking->zone, made_ms);
  if (quiet_end_ms > 0)
    say(asking, made_ms, until_ms, "quiet hours", "it was made in its quiet hours");
  else
    say(asking, made_ms, until_ms, "turn",
        "its hour, the rate of its provider, or others before it");
}

static void say_wait_after(struct asking *asking, const json_t *attempt, int64_t until_ms)
{
  struct nm_text outcome = nm_json_string(attempt, "outcome");
  struct nm_text reason = nm_json_string(attempt, "reason");
  int64_t from_ms = number_of(attempt, "ended_at_ms");
  const char *cause = "retry schedule";
  if (nm_text_equal(outcome, NM_TEXT("throttled"))) cause = "throttled";
  if (nm_text_equal(outcome, NM_TEXT("auth"))) cause = "key refused";
  if (nm_text_equal(outcome, NM_TEXT("unknown"))) cause = "answer lost";
  say(asking, from_ms, until_ms, cause, "%.*s%s%.*s", NM_TEXT_ARG(outcome),
      reason.len > 0 ? ": " : "", NM_TEXT_ARG(reason));
}

/* Gives the last attempt; NULL = there was none. */
static const json_t *say_past(struct asking *asking)
{
  const json_t *attempts = json_object_get(asking->message, "attempts"), *before = NULL;
  size_t i;
  json_t *attempt;
  json_array_foreach(attempts, i, attempt)
  {
    int64_t started_ms = number_of(attempt, "started_at_ms");
    if (before) say_wait_after(asking, before, started_ms);
    else say_first_wait(asking, started_ms);
    before = attempt;
  }
  return before;
}

/* ---- what it waits for now ------------------------------------------------------------------- */

static bool is_in(const struct nm_items *items, int64_t id)
{
  for (const struct nm_item *item = items->first; item; item = item->next)
    if (item->message->id == id) return true;
  return false;
}

static bool is_in_flight(const struct nm_lane *lane, int64_t id)
{
  for (const struct nm_dispatch *d = lane->sending; d; d = d->next)
    for (size_t i = 0; i < d->send.count; i++)
      if (d->items[i] && d->items[i]->message->id == id) return true;
  return false;
}

struct seeking {
  int64_t id;
  bool is_found;
};

static bool note_behind(void *data, const struct nm_message *message)
{
  struct seeking *seeking = data;
  if (message->id == seeking->id) seeking->is_found = true;
  return false;
}

static bool stands_behind(struct nm_lane *lane, int64_t id)
{
  struct seeking seeking = { id, false };
  struct nm_items none = { NULL, NULL, 0 };
  if (!lane->is_ordered) return false;
  nm_turns_sift(&lane->turns, &none, note_behind, &seeking);
  return seeking.is_found;
}

static void say_lane(struct asking *asking, const struct nm_lane *lane)
{
  int64_t now_ms = asking->now_ms, mono_ms = nm_clock_mono_ms();
  int64_t pause_ms = nm_lane_pause_left_ms(lane);
  const struct nm_breaker *breaker = &lane->host->breaker;
  if (!lane->settings)
    say(asking, 0, 0, "no provider", "the tenant has no provider %.*s", NM_TEXT_ARG(lane->name));
  if (breaker->open_until_ms != 0)
    say(asking, 0, breaker->open_until_ms > mono_ms ? now_ms + breaker->open_until_ms - mono_ms : 0,
        "breaker open", "%s cannot be reached; one message tries now and then", lane->host->name);
  if (pause_ms > 0)
    say(asking, 0, now_ms + pause_ms,
        lane->is_denied ? "key refused"
        : lane->is_ill  ? "provider fails"
                        : "throttled",
        "provider %.*s rests: %s", NM_TEXT_ARG(lane->name), lane->reason);
  if (lane->width.most > 0 && lane->send_count >= nm_width_allows(&lane->width))
    say(asking, 0, 0, "concurrency", "%zu sends to %.*s are under way, as many as it is given now",
        lane->send_count, NM_TEXT_ARG(lane->name));
  if (lane->bucket.per_s > 0)
    say(asking, 0, 0, "rate", "provider %.*s is sent %g messages a second", NM_TEXT_ARG(lane->name),
        lane->bucket.per_s);
}

static void say_place(struct asking *asking, struct nm_lane *lane, int64_t id)
{
  if (is_in_flight(lane, id)) {
    say(asking, 0, 0, "in flight", "it is being sent by %.*s", NM_TEXT_ARG(lane->name));
    return;
  }
  if (is_in(&lane->fenced, id))
    say(asking, 0, 0, "cancel", "a cancel or a pause covers it; it is being stored");
  if (stands_behind(lane, id))
    say(asking, 0, 0, "order", "an earlier message to the same person has no answer yet");
  size_t count = json_array_size(asking->waits);
  say_lane(asking, lane);
  if (json_array_size(asking->waits) > count) return;
  bool is_ready = is_in(&lane->singles, id) || is_in(&lane->rest, id);
  say(asking, 0, 0, "turn",
      is_ready ? "it goes with one of the next sends" : "others of its provider are before it");
}

static void say_due(struct asking *asking, int64_t due_ms, const json_t *last)
{
  const json_t *message = asking->message;
  int64_t last_ms = number_of(last, "ended_at_ms");
  struct nm_text reason = nm_json_string(message, "reason");
  int64_t quiet_end_ms = nm_quiet_end_ms(asking->quiet, asking->zone, asking->now_ms);
  bool is_order =
      nm_text_equal(reason, NM_TEXT("an earlier message to the same person comes first"));
  if (quiet_end_ms > 0 && due_ms >= quiet_end_ms)
    say(asking, last_ms, due_ms, "quiet hours", "nothing is sent to it before they end");
  else if (is_order) say(asking, last_ms, due_ms, "order", "%.*s", NM_TEXT_ARG(reason));
  else if (last) say_wait_after(asking, last, due_ms);
  else say(asking, number_of(message, "at"), due_ms, "due", "its hour has not come");
}

static void say_now(struct asking *asking, const json_t *last)
{
  const json_t *message = asking->message;
  struct nm_text state = nm_json_string(message, "state");
  int64_t due_ms = number_of(message, "due_at_ms"), id = number_of(message, "id");
  if (nm_text_equal(state, NM_TEXT("paused"))) {
    say(asking, 0, 0, "paused", "its run is paused; run release goes on with it");
    return;
  }
  if (!nm_text_equal(state, NM_TEXT("waiting"))) return;
  if (!nm_engine_is_running(asking->book->engine))
    say(asking, 0, 0, "start", "netmove is starting or stopping");
  else if (!asking->book->engine->is_cleared)
    say(asking, 0, 0, "start", "cancels that waited at start are planned first");
  if (due_ms > asking->now_ms) {
    say_due(asking, due_ms, last);
    return;
  }
  struct nm_text name = nm_json_string(message, "provider");
  struct nm_lane *lane = asking->book->lanes;
  while (lane && !nm_text_equal(lane->name, name)) lane = nm_lane_next(lane);
  if (lane) say_place(asking, lane, id);
  else say(asking, 0, 0, "turn", "its provider's messages are about to be read");
}

void nm_control_explain_message(struct nm_engine *engine, struct nm_control *control)
{
  const json_t *message = json_object_get(control->args, "message");
  struct nm_book *book = nm_book_find(engine, number_of(message, "tenant_id"));
  if (!book) {
    nm_fail(&control->error, NM_ENOTFOUND, "its tenant is not there");
    nm_control_answer(control, NM_ENOTFOUND, NULL);
    return;
  }
  struct asking asking = { .book = book,
                           .message = message,
                           .waits = json_array(),
                           .now_ms = nm_clock_wall_ms(),
                           .zone = nm_book_zone(book),
                           .quiet = { (int)number_of(message, "quiet_from"),
                                      (int)number_of(message, "quiet_to") } };
  say_now(&asking, say_past(&asking));
  nm_control_answer(control, NM_OK, json_pack("{s:o}", "waits", asking.waits));
}
