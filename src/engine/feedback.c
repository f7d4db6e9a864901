/* feedback.c - counts runs that have ended, asks the provider's reports, tells Optimove.
 *
 * Whether UpdateCampaignMetrics sets a figure or adds to it is documented nowhere: each is told
 * once, after its run has rested, and one whose answer was lost is not told again.  One run at a
 * time and tenant: tally -> results -> save -> take -> call -> finish.
 */
#include "engine/feedback.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/backoff.h"
#include "engine/book.h"

enum {
  ARENA_MAX_BYTES = 4 * 1024 * 1024,
  FACTS_PER_COUNT = 5,
  EARLY_MS = 60 * 1000,      /* the provider's clock may differ from ours */
  TAKE_FAILED_WAIT_MS = 60 * 1000,
  SOON_MS = 1000,            /* several runs may end together */
  RESULTS_TRIES_MAX = 5,     /* then the run is told without them */
};

/* One run on its way. */
struct telling {
  struct nm_feedback *feedback;
  struct nm_call *tally;   /* its arena holds all */
  size_t at;               /* whose results are asked for */
  int tries;
  struct nm_fact *facts;
  size_t fact_count;
  json_t *told;            /* for `run show` */
  struct nm_alarm *alarm;
  struct nm_result_counts sums; /* of all providers */
  bool knows_results;      /* of every count that has a key */
  bool is_mixed;           /* somebody else used a key meanwhile */
};

static void look(struct nm_feedback *feedback);
static void ask_results(struct telling *telling);

static const struct nm_tenant_connector *connector_of(const struct nm_feedback *feedback)
{
  return &feedback->book->tenant->connector;
}

static bool may_tell(const struct nm_feedback *feedback)
{
  const struct nm_tenant_connector *connector = connector_of(feedback);
  return nm_engine_is_running(feedback->book->engine) && connector->is_present &&
         connector->is_active && connector->reports_metrics && feedback->book->account;
}

static int64_t after_ms(const struct nm_feedback *feedback)
{
  int64_t set = connector_of(feedback)->metrics_after_ms;
  return set > 0 ? set : NM_METRICS_AFTER_MS;
}

static void rest(struct nm_feedback *feedback, int64_t wait_ms)
{
  feedback->is_running = false;
  if (nm_engine_is_running(feedback->book->engine)) nm_alarm_within(&feedback->alarm, wait_ms);
}

/* ---- telling Optimove ------------------------------------------------------------------------ */

static void on_finished(struct nm_call *call)
{
  struct nm_feedback *feedback = call->data;
  if (call->u.head.rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  bool goes_on = !call->u.head.rc && call->u.facts_finish.end != NM_FACT_LATER;
  int64_t wait_ms = call->u.facts_finish.due_at_ms - nm_clock_wall_ms();
  nm_call_destroy(call);
  if (goes_on) look(feedback);
  else rest(feedback, wait_ms > 0 ? wait_ms : TAKE_FAILED_WAIT_MS);
}

struct sending {
  struct nm_feedback *feedback;
  struct nm_call *take;
};

static void note(struct sending *sending, enum nm_fact_end end, int64_t wait_ms, const char *reason)
{
  struct nm_feedback *feedback = sending->feedback;
  struct nm_log_ids ids = nm_book_ids(feedback->book);
  size_t count = sending->take->u.facts_take.count;
  struct nm_call *call = nm_call_create(feedback->book->engine, NM_STORE_FACTS_FINISH,
                                        ARENA_MAX_BYTES, on_finished, feedback);
  struct nm_store_facts_finish *finish = &call->u.facts_finish;
  struct nm_fact *facts = nm_call_alloc(call, count * sizeof *facts);
  for (size_t i = 0; i < count; i++) facts[i].id = sending->take->u.facts_take.facts[i].id;
  finish->facts = facts;
  finish->count = count;
  finish->end = end;
  finish->due_at_ms = nm_clock_wall_ms() + wait_ms;
  finish->reason = nm_arena_copy(call->u.head.arena, nm_text_from(reason));
  nm_require(finish->reason.ptr != NULL);
  nm_metric_add(end == NM_FACT_TOLD      ? NM_METRIC_FACTS_TOLD
                : end == NM_FACT_UNKNOWN ? NM_METRIC_FACTS_UNKNOWN
                : end == NM_FACT_REFUSED ? NM_METRIC_FACTS_REFUSED
                                         : NM_METRIC_FACTS_LATER,
                (int64_t)count);
  if (end != NM_FACT_TOLD)
    nm_log(NM_LOG_WARN, "engine", &ids, "%zu figures of campaigns %s: %s", count,
           end == NM_FACT_LATER     ? "are told later"
           : end == NM_FACT_UNKNOWN ? "may or may not have arrived, and are not told again"
                                    : "are refused by Optimove",
           reason);
  nm_call_destroy(sending->take);
  free(sending);
  nm_call_submit(call);
}

static void on_answer(void *data, const struct nm_optimove_answer *answer)
{
  struct sending *sending = data;
  struct nm_feedback *feedback = sending->feedback;
  struct nm_engine *engine = feedback->book->engine;
  engine->calls_out--;
  /* Only an answer or a call that never went out proves that nothing was counted. */
  bool is_undone = answer->end == NM_OPTIMOVE_DENIED ||
                   (answer->end == NM_OPTIMOVE_LATER && answer->status < 500);
  if (answer->end == NM_OPTIMOVE_OK) {
    feedback->failures = 0;
    note(sending, NM_FACT_TOLD, 0, "");
  } else if (is_undone) {
    feedback->failures++;
    int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_optimove, feedback->failures,
                                         nm_engine_random(engine));
    if (answer->retry_after_ms > wait_ms) wait_ms = answer->retry_after_ms;
    note(sending, NM_FACT_LATER, wait_ms, answer->reason);
  } else if (answer->end == NM_OPTIMOVE_REFUSED && answer->status >= 400) {
    note(sending, NM_FACT_REFUSED, 0, answer->reason);
  } else {
    note(sending, NM_FACT_UNKNOWN, 0, answer->reason);
  }
  nm_engine_check_stop(engine);
}

static void on_taken(struct nm_call *call)
{
  struct nm_feedback *feedback = call->data;
  struct nm_store_facts_take *take = &call->u.facts_take;
  if (call->u.head.rc || take->count == 0) {
    int64_t next_ms = take->next_due_ms;
    int rc = call->u.head.rc;
    nm_call_destroy(call);
    if (rc) {
      rest(feedback, TAKE_FAILED_WAIT_MS);
      return;
    }
    feedback->is_running = false;
    if (next_ms > 0) nm_alarm_due(&feedback->alarm, next_ms);
    return;
  }
  struct sending *sending = calloc(1, sizeof *sending);
  nm_require(sending != NULL);
  *sending = (struct sending){ feedback, call };
  if (!may_tell(feedback) ||
      nm_optimove_update_metrics(feedback->book->account, take->facts, take->count, on_answer,
                                 sending))
    note(sending, NM_FACT_LATER, TAKE_FAILED_WAIT_MS, "the call to Optimove was not made");
  else feedback->book->engine->calls_out++;
}

static void take_due(struct nm_feedback *feedback)
{
  struct nm_call *call = nm_call_create(feedback->book->engine, NM_STORE_FACTS_TAKE,
                                        ARENA_MAX_BYTES, on_taken, feedback);
  call->u.facts_take.tenant_id = feedback->book->tenant_id;
  call->u.facts_take.now_ms = nm_clock_wall_ms();
  nm_call_submit(call);
}

/* ---- a run's figures ------------------------------------------------------------------------- */

static void end_telling(struct telling *telling)
{
  json_decref(telling->told);
  nm_call_destroy(telling->tally);
  free(telling);
}

static void on_saved(struct nm_call *call)
{
  struct telling *telling = call->data;
  struct nm_feedback *feedback = telling->feedback;
  int rc = call->u.head.rc;
  nm_call_destroy(call);
  end_telling(telling);
  if (rc && rc != NM_ECONFLICT) rest(feedback, TAKE_FAILED_WAIT_MS);
  else look(feedback);
}

static void add_fact(struct telling *telling, const struct nm_store_count *count,
                     enum nm_fact_metric metric, int64_t value)
{
  const struct nm_run *run = &telling->tally->u.tally.run;
  struct nm_fact *same = NULL;
  if (value == 0 || count->template_id == 0 || run->channel_id == 0) return;
  for (size_t i = 0; i < telling->fact_count; i++)
    if (telling->facts[i].template_id == count->template_id && telling->facts[i].metric == metric)
      same = &telling->facts[i];
  if (!same) same = &telling->facts[telling->fact_count++];
  *same = (struct nm_fact){ .run_id = run->id, .campaign = run->campaign,
                            .channel_id = run->channel_id, .template_id = count->template_id,
                            .metric = metric, .value = same->value + value };
}

/* Kept with the run: all of it or, from the last save on, again. */
static void tell(struct telling *telling, const char *key, json_t *value)
{
  int rc = json_object_set_new(telling->told, key, value);
  nm_require(rc == 0);
}

/* Where the counts of a run do not agree somebody should look. */
static void compare(struct telling *telling)
{
  const struct nm_run *run = &telling->tally->u.tally.run;
  struct nm_log_ids ids = nm_book_ids(telling->feedback->book);
  ids.run = run->id;
  int64_t promised = run->rows_fetched;
  int64_t expanded = run->made + run->repeated + run->skipped + run->held;
  int64_t reported = telling->sums.delivered + telling->sums.failed;
  if (run->state == NM_RUN_DONE && promised != expanded) {
    nm_metric_add(NM_METRIC_RUN_COUNTS_DIFFER, 1);
    nm_log(NM_LOG_WARN, "engine", &ids,
           "counts differ: Optimove promised %lld recipients, %lld were expanded",
           (long long)promised, (long long)expanded);
  }
  tell(telling, "promised", json_integer(promised - run->repeated));
  tell(telling, "accepted", json_integer(run->made));
  tell(telling, "sent", json_integer(run->sent));
  tell(telling, "failed", json_integer(run->dead));
  if (telling->is_mixed) {
    tell(telling, "reported_why_not",
         json_string("the definition was used by others meanwhile"));
  } else if (telling->knows_results) {
    tell(telling, "reported", json_integer(reported));
    if (reported != run->sent) {
      nm_metric_add(NM_METRIC_RUN_COUNTS_DIFFER, 1);
      nm_log(NM_LOG_WARN, "engine", &ids,
             "counts differ: %lld messages were sent, the provider's reports know of %lld",
             (long long)run->sent, (long long)reported);
    }
  }
}

static void save(struct telling *telling)
{
  struct nm_store_tally *tally = &telling->tally->u.tally;
  for (size_t i = 0; i < tally->count; i++) {
    add_fact(telling, &tally->counts[i], NM_FACT_SENT, tally->counts[i].sent);
    add_fact(telling, &tally->counts[i], NM_FACT_DROPPED, tally->counts[i].dropped);
  }
  compare(telling);
  struct nm_call *call = nm_call_create(telling->feedback->book->engine, NM_STORE_FACTS_SAVE,
                                        ARENA_MAX_BYTES, on_saved, telling);
  struct nm_store_facts_save *facts = &call->u.facts_save;
  struct nm_arena *arena = call->u.head.arena;
  facts->tenant_id = telling->feedback->book->tenant_id;
  facts->run_id = tally->run.id;
  facts->facts = telling->facts;
  facts->count = telling->fact_count;
  facts->told = nm_json_text(arena, telling->told);
  nm_require(facts->told.ptr != NULL);
  nm_call_submit(call);
}

/* ---- the provider's reports ------------------------------------------------------------------ */

static void on_results(void *data, int rc, const struct nm_result_counts *counts,
                       const char *reason)
{
  struct telling *telling = data;
  struct nm_feedback *feedback = telling->feedback;
  struct nm_store_count *count = &telling->tally->u.tally.counts[telling->at];
  struct nm_log_ids ids = nm_book_ids(feedback->book);
  ids.run = telling->tally->u.tally.run.id;
  if (!nm_engine_is_running(feedback->book->engine)) {
    feedback->is_running = false; /* counted anew after the restart */
    end_telling(telling);
    return;
  }
  if (rc) {
    nm_log(NM_LOG_WARN, "engine", &ids, "the provider's reports cannot be had: %s", reason);
    if (rc == NM_EIO && ++telling->tries < RESULTS_TRIES_MAX) {
      ask_results(telling);
      return;
    }
    telling->knows_results = false;
  } else if (counts->delivered + counts->failed > count->sent) {
    telling->is_mixed = true;
  } else {
    telling->sums.delivered += counts->delivered;
    telling->sums.failed += counts->failed;
    add_fact(telling, count, NM_FACT_DELIVERED, counts->delivered);
    add_fact(telling, count, NM_FACT_BOUNCED, counts->failed);
    if (counts->knows_clicks) add_fact(telling, count, NM_FACT_CLICKED, counts->clicked);
  }
  telling->at++;
  telling->tries = 0;
  ask_results(telling);
}

/* Two templates of one key cannot be told apart by it. */
static bool is_alone(const struct nm_store_tally *tally, size_t at)
{
  for (size_t i = 0; i < tally->count; i++)
    if (i != at && nm_text_equal(tally->counts[i].report_key, tally->counts[at].report_key))
      return false;
  return true;
}

static void ask_results(struct telling *telling)
{
  struct nm_feedback *feedback = telling->feedback;
  struct nm_store_tally *tally = &telling->tally->u.tally;
  for (; telling->at < tally->count; telling->at++) {
    const struct nm_store_count *count = &tally->counts[telling->at];
    const struct nm_tenant_provider *provider =
        nm_tenant_find_provider(feedback->book->tenant, count->provider);
    const struct nm_adapter *adapter = provider ? nm_adapter_find(provider->adapter) : NULL;
    if (count->sent == 0) continue;
    if (!adapter || !adapter->results || count->report_key.len == 0) {
      telling->knows_results = false;
      continue;
    }
    if (!is_alone(tally, telling->at)) {
      telling->is_mixed = true;
      continue;
    }
    struct nm_results what = { .report_key = count->report_key,
                               .from_ms = tally->run.created_at_ms - EARLY_MS,
                               .to_ms = tally->ended_at_ms + after_ms(feedback) + EARLY_MS,
                               .most = count->sent, .done = on_results, .data = telling };
    if (adapter->results(&feedback->book->engine->adapter_env, provider->settings, &what) == NM_OK)
      return;
    telling->knows_results = false;
  }
  save(telling);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void on_tallied(struct nm_call *call)
{
  struct nm_feedback *feedback = call->data;
  struct nm_store_tally *tally = &call->u.tally;
  struct nm_engine *engine = feedback->book->engine;
  if (call->u.head.rc || !nm_engine_is_running(engine)) {
    nm_call_destroy(call);
    rest(feedback, TAKE_FAILED_WAIT_MS);
  } else if (tally->run.id == 0) {
    if (tally->next_due_ms > 0) nm_alarm_due(&feedback->alarm, tally->next_due_ms);
    nm_call_destroy(call);
    take_due(feedback);
  } else if (tally->from_id != 0) {
    nm_call_submit(call); /* the next slice */
  } else {
    struct telling *telling = calloc(1, sizeof *telling);
    nm_require(telling != NULL);
    *telling = (struct telling){
      .feedback = feedback, .tally = call, .told = json_object(), .knows_results = true,
      .facts = nm_call_alloc(call, (tally->count * FACTS_PER_COUNT + 1) * sizeof *telling->facts),
    };
    nm_require(telling->told != NULL);
    ask_results(telling);
  }
}

static void look(struct nm_feedback *feedback)
{
  if (!may_tell(feedback)) {
    feedback->is_running = false;
    return;
  }
  struct nm_call *call = nm_call_create(feedback->book->engine, NM_STORE_TALLY, ARENA_MAX_BYTES,
                                        on_tallied, feedback);
  call->u.tally.tenant_id = feedback->book->tenant_id;
  call->u.tally.now_ms = nm_clock_wall_ms();
  call->u.tally.after_ms = after_ms(feedback);
  nm_call_submit(call);
}

static void on_alarm(void *data)
{
  struct nm_feedback *feedback = data;
  if (feedback->is_running || !may_tell(feedback)) return;
  feedback->is_running = true;
  look(feedback);
}

void nm_feedback_open(struct nm_feedback *feedback, struct nm_book *book)
{
  *feedback = (struct nm_feedback){ .book = book };
  nm_alarm_open(&feedback->alarm, book->engine, on_alarm, feedback);
}

void nm_feedback_soon(struct nm_feedback *feedback)
{
  if (may_tell(feedback)) nm_alarm_within(&feedback->alarm, SOON_MS);
}
