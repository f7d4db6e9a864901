/* status.c - what is in memory now, for people. */
#include "base/clock.h"
#include "engine/book.h"
#include "engine/lanes.h"
#include "engine/runs.h"

static json_t *text_of(struct nm_text text)
{
  return json_stringn(text.ptr ? text.ptr : "", text.len);
}

static json_t *number_of(size_t number)
{
  return json_integer((json_int_t)number);
}

static void set_breaker(json_t *out, const struct nm_host *host)
{
  int64_t open_until_ms = host->breaker.open_until_ms;
  if (open_until_ms == 0) return;
  int64_t left_ms = open_until_ms - nm_clock_mono_ms();
  json_object_set_new(out, "unreachable", json_string(host->name));
  json_object_set_new(out, "probe_in_ms", json_integer(left_ms > 0 ? left_ms : 0));
}

static json_t *lane_status(const struct nm_lane *lane)
{
  json_t *out = json_object();
  json_object_set_new(out, "tenant", text_of(lane->book->tenant->name));
  json_object_set_new(out, "provider", text_of(lane->name));
  json_object_set_new(out, "ready", number_of(lane->singles.count + lane->rest.count));
  if (lane->is_ordered) json_object_set_new(out, "behind", number_of(lane->turns.behind));
  json_object_set_new(out, "fenced", number_of(lane->fenced.count));
  json_object_set_new(out, "in_flight", number_of(lane->in_flight));
  json_object_set_new(out, "sends", number_of(lane->send_count));
  if (lane->width.most > 0)
    json_object_set_new(out, "sends_allowed", number_of(nm_width_allows(&lane->width)));
  json_object_set_new(out, "paused_ms", json_integer(nm_lane_pause_left_ms(lane)));
  if (lane->is_left) json_object_set_new(out, "is_left", json_true());
  if (lane->reason[0]) json_object_set_new(out, "reason", json_string(lane->reason));
  set_breaker(out, lane->host);
  return out;
}

static json_t *run_status(const struct nm_running *run)
{
  json_t *out = json_object();
  const struct nm_run *row = nm_run_row(run);
  int rc = nm_json_set_id(out, "id", row->id);
  if (!rc) rc = nm_json_set_id(out, "generation", row->generation_id);
  nm_expect(rc == NM_OK);
  json_object_set_new(out, "tenant", text_of(run->book->tenant->name));
  json_object_set_new(out, "campaign", text_of(row->campaign));
  json_object_set_new(out, "state", json_string(nm_run_state_name(row->state)));
  json_object_set_new(out, "is_fenced", json_boolean(run->is_fenced));
  json_object_set_new(out, "rows_fetched", json_integer(row->rows_fetched));
  json_object_set_new(out, "is_fetched", json_boolean(row->is_fetched));
  json_object_set_new(out, "cursor_page", json_integer(row->cursor_page));
  json_object_set_new(out, "cursor_row", json_integer(row->cursor_row));
  json_object_set_new(out, "waiting", json_integer(run->waiting));
  return out;
}

static json_t *cost_of(const struct nm_rules_cost *cost)
{
  return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "calls", (json_int_t)cost->calls, "overruns",
                   (json_int_t)cost->overruns, "instructions", (json_int_t)cost->instructions,
                   "instructions_max", (json_int_t)cost->instructions_max, "cpu_us",
                   (json_int_t)(cost->cpu_ns / 1000), "cpu_us_max",
                   (json_int_t)(cost->cpu_max_ns / 1000), "bytes_max",
                   (json_int_t)cost->bytes_max);
}

/* Each rule that had events. */
static json_t *entries_of(const struct nm_rules *rules)
{
  size_t count;
  const struct nm_rules_entry *entries = nm_rules_entries(rules, &count);
  json_t *out = json_array();
  for (size_t i = 0; i < count; i++) {
    if (entries[i].cost.calls == 0) continue;
    json_t *row = cost_of(&entries[i].cost);
    json_object_set_new(row, "rule", text_of(entries[i].name));
    json_array_append_new(out, row);
  }
  return out;
}

static json_t *rules_status(const struct nm_book *book)
{
  json_t *out = json_object();
  json_object_set_new(out, "tenant", text_of(book->tenant->name));
  if (!book->active) return out;
  int rc = nm_json_set_id(out, "id", book->active->id);
  nm_expect(rc == NM_OK);
  json_object_set_new(out, "digest", json_string(nm_rules_facts(book->active->rules)->digest));
  json_t *cost = cost_of(nm_rules_cost(book->active->rules));
  json_object_set_new(cost, "rules", entries_of(book->active->rules));
  json_object_set_new(out, "cost", cost);
  if (nm_rules_suspended_ms(book->active->rules, nm_clock_mono_ms()) > 0)
    json_object_set_new(out, "suspended",
                        json_sprintf("after %d overruns; edit the file", NM_RULES_OVERRUNS_MAX));
  return out;
}

json_t *nm_control_status(struct nm_engine *engine)
{
  json_t *lanes = json_array(), *runs = json_array(), *generations = json_array();
  for (size_t i = 0; i < engine->book_count; i++) {
    const struct nm_book *book = engine->books[i];
    for (const struct nm_lane *lane = book->lanes; lane; lane = nm_lane_next(lane))
      json_array_append_new(lanes, lane_status(lane));
    for (const struct nm_running *run = book->runs; run; run = nm_run_next(run))
      if (!run->is_gone) json_array_append_new(runs, run_status(run));
    json_array_append_new(generations, rules_status(book));
  }
  return json_pack("{s:b,s:i,s:i,s:o,s:o,s:o}", "is_running", nm_engine_is_running(engine),
                   "leased", (int)engine->leased, "sends", (int)engine->sends, "lanes", lanes,
                   "runs", runs, "generations", generations);
}
