/* updates.c - one batch at a time and tenant: taken, called, noted; its callback settles it. */
#include "engine/updates.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/backoff.h"
#include "engine/book.h"

enum {
  ARENA_MAX_BYTES = 256 * 1024 * 1024,
  DENIED_WAIT_MS = 15 * 60 * 1000,
  FAILED_WAIT_MS = 5 * 1000,
  ATTEMPTS_MAX = 600, /* at five minutes at most, half of it on average: more than a day */
  REPEATS_MAX = 1, /* for want of a callback: also across restarts */
};

static bool is_active(const struct nm_book *book)
{
  return book->tenant->connector.is_present && book->tenant->connector.is_active &&
         book->account && book->admin_account;
}

static int64_t callback_timeout_ms(const struct nm_updates *updates)
{
  int64_t timeout_ms = updates->book->tenant->connector.callback_timeout_ms;
  return timeout_ms ? timeout_ms : NM_OPTIMOVE_CALLBACK_TIMEOUT_MS;
}

static void rest(struct nm_updates *updates, int64_t wait_ms)
{
  updates->is_busy = false;
  updates->is_wanted = true;
  updates->not_before_ms = nm_clock_mono_ms() + wait_ms;
  nm_alarm_within(&updates->alarm, wait_ms);
}

static void go_on(struct nm_updates *updates)
{
  updates->is_busy = false;
  updates->is_wanted = true;
  nm_engine_soon(updates->book->engine, &updates->job);
}

/* ---- noting what became of a batch ----------------------------------------------------------- */

/* A batch under way: the take whose arena holds it. */
struct batch {
  struct nm_updates *updates;
  struct nm_call *take;
  size_t customers;
};

static void free_batch(struct batch *batch)
{
  nm_call_destroy(batch->take);
  free(batch);
}

static void on_noted(struct nm_call *call)
{
  struct nm_updates *updates = call->data;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  struct nm_log_ids ids = nm_book_ids(updates->book);
  /* A callback can be quicker than our note of the call: then there is nothing to note. */
  if (rc && rc != NM_ENOTFOUND && rc != NM_ECONFLICT)
    nm_log(NM_LOG_ERROR, "engine", &ids, "update batch %lld could not be noted: %s",
           (long long)call->u.batch_finish.batch_id, call->u.head.error.text);
  nm_call_destroy(call);
  go_on(updates);
}

static void note(struct batch *batch, enum nm_batch_state state, int64_t wait_ms,
                 const char *reason)
{
  struct nm_updates *updates = batch->updates;
  struct nm_log_ids ids = nm_book_ids(updates->book);
  char why[NM_ERROR_TEXT_MAX_BYTES]; /* Optimove may name whom it refuses */
  struct nm_text told = nm_log_discreet(why, nm_text_from(reason));
  struct nm_call *call =
      nm_call_create(updates->book->engine, NM_STORE_BATCH_FINISH, 4096, on_noted, updates);
  struct nm_store_batch_finish *finish = &call->u.batch_finish;
  finish->tenant_id = updates->book->tenant_id;
  finish->batch_id = batch->take->u.batch_take.batch_id;
  finish->state = state;
  finish->due_at_ms = nm_clock_wall_ms() + wait_ms;
  finish->reason = nm_arena_copy(call->u.head.arena, nm_text_from(reason));
  nm_require(finish->reason.ptr != NULL);
  if (state == NM_BATCH_DEAD) {
    nm_metric_add(NM_METRIC_UPDATES_DEAD, (int64_t)batch->take->u.batch_take.count);
    nm_log(NM_LOG_WARN, "engine", &ids, "update batch %lld is dead: %.*s",
           (long long)finish->batch_id, NM_TEXT_ARG(told));
  } else if (state == NM_BATCH_RETRY) {
    nm_log(NM_LOG_WARN, "engine", &ids, "update batch %lld goes again in %lld ms: %.*s",
           (long long)finish->batch_id, (long long)wait_ms, NM_TEXT_ARG(told));
  }
  free_batch(batch);
  nm_call_submit(call);
}

/* ---- the call -------------------------------------------------------------------------------- */

static void note_answer(struct batch *batch, const struct nm_optimove_answer *answer)
{
  struct nm_updates *updates = batch->updates;
  int attempts = batch->take->u.batch_take.attempts + 1;
  int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_optimove, attempts,
                                       nm_engine_random(updates->book->engine));
  if (answer->retry_after_ms > wait_ms) wait_ms = answer->retry_after_ms;

  switch (answer->end) {
  case NM_OPTIMOVE_OK:
    nm_metric_add(NM_METRIC_UPDATES_SENT, (int64_t)batch->customers);
    note(batch, NM_BATCH_SENT, callback_timeout_ms(updates), "");
    return;
  case NM_OPTIMOVE_REFUSED: note(batch, NM_BATCH_DEAD, 0, answer->reason); return;
  case NM_OPTIMOVE_DENIED: {
    struct nm_log_ids ids = nm_book_ids(updates->book);
    nm_log(NM_LOG_ERROR, "engine", &ids, "the key in %s may not update customers: %s; a key that may can be given as "
           "optimove.adminApiKey", nm_optimove_admin_key_name(updates->book->tenant),
           answer->reason);
    note(batch, NM_BATCH_RETRY, DENIED_WAIT_MS, answer->reason);
    return;
  }
  case NM_OPTIMOVE_LATER:
  case NM_OPTIMOVE_UNKNOWN: break;
  }
  if (attempts >= ATTEMPTS_MAX) note(batch, NM_BATCH_DEAD, 0, answer->reason);
  else note(batch, NM_BATCH_RETRY, wait_ms, answer->reason);
}

static void on_answer(void *data, const struct nm_optimove_answer *answer)
{
  struct batch *batch = data;
  struct nm_engine *engine = batch->updates->book->engine;
  engine->calls_out--;
  note_answer(batch, answer);
  nm_engine_check_stop(engine);
}

/* Only `b` matches the batch; `k` proves that the caller had the URL from us. */
static struct nm_text callback_url(const struct nm_book *book, struct nm_arena *arena,
                                   int64_t batch_id)
{
  const struct nm_engine *engine = book->engine;
  char secret[NM_URL_SECRET_BYTES + 1];
  nm_keyring_url_secret(engine->env.keyring, book->tenant->name, book->tenant->secret_number,
                        secret);
  struct nm_text app_key = nm_arena_escape(arena, book->tenant->app_key);
  if (!app_key.ptr) return app_key; /* Optimove's word would find nobody */
  return nm_arena_printf(arena, "%s/optimove/callback/%.*s?k=%s&b=%lld", engine->public_url,
                         NM_TEXT_ARG(app_key), secret, (long long)batch_id);
}

static size_t count_customers(const struct nm_store_batch_take *take)
{
  size_t customers = 0;
  for (size_t i = 0; i < take->count; i++)
    if (i == 0 || !nm_text_equal(take->updates[i].customer, take->updates[i - 1].customer))
      customers++;
  return customers;
}

static void call_optimove(struct batch *batch)
{
  struct nm_updates *updates = batch->updates;
  struct nm_book *book = updates->book;
  struct nm_store_batch_take *take = &batch->take->u.batch_take;
  batch->customers = count_customers(take);
  struct nm_text url = callback_url(book, batch->take->u.head.arena, take->batch_id);
  int rc = url.len > 0 ? nm_optimove_update_attributes(book->admin_account, take->updates, take->count,
                                                       url, on_answer, batch)
                       : NM_ENOMEM;
  if (rc) note(batch, NM_BATCH_RETRY, FAILED_WAIT_MS, "the call to Optimove could not be made");
  else book->engine->calls_out++;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void use_batch(struct nm_updates *updates, struct nm_call *call)
{
  struct nm_store_batch_take *take = &call->u.batch_take;
  struct batch *batch = calloc(1, sizeof *batch);
  nm_require(batch != NULL);
  *batch = (struct batch){ .updates = updates, .take = call };
  if (take->count == 0) { /* whose they were was erased */
    note(batch, NM_BATCH_DONE, 0, "");
    return;
  }
  if (take->repeats > REPEATS_MAX) {
    char why[64];
    snprintf(why, sizeof why, "no callback from Optimove in %lld s",
             (long long)callback_timeout_ms(updates) / 1000);
    note(batch, NM_BATCH_DEAD, 0, why);
    return;
  }
  call_optimove(batch);
}

static void on_taken(struct nm_call *call)
{
  struct nm_updates *updates = call->data;
  struct nm_store_batch_take *take = &call->u.batch_take;
  struct nm_log_ids ids = nm_book_ids(updates->book);
  if (call->u.head.rc) {
    nm_log(NM_LOG_ERROR, "engine", &ids, "updates could not be taken: %s", call->u.head.error.text);
    rest(updates, FAILED_WAIT_MS);
  } else if (take->batch_id == 0) {
    updates->is_busy = false;
    if (take->next_due_ms > 0) nm_alarm_due(&updates->alarm, take->next_due_ms);
    if (updates->is_wanted) nm_engine_soon(updates->book->engine, &updates->job);
  } else if (!nm_engine_is_running(updates->book->engine)) {
    updates->is_busy = false; /* free again after the restart */
  } else {
    use_batch(updates, call); /* keeps the call */
    return;
  }
  nm_call_destroy(call);
}

static void on_turn(void *data)
{
  struct nm_updates *updates = data;
  struct nm_book *book = updates->book;
  if (updates->is_busy || !updates->is_wanted || !nm_engine_is_running(book->engine) ||
      !is_active(book))
    return;
  int64_t wait_ms = updates->not_before_ms - nm_clock_mono_ms();
  if (wait_ms > 0) {
    nm_alarm_within(&updates->alarm, wait_ms);
    return;
  }
  struct nm_call *call =
      nm_call_create(book->engine, NM_STORE_BATCH_TAKE, ARENA_MAX_BYTES, on_taken, updates);
  call->u.batch_take.tenant_id = book->tenant_id;
  call->u.batch_take.now_ms = nm_clock_wall_ms();
  call->u.batch_take.retries_now = updates->retries_now;
  call->u.batch_take.customers_max = NM_OPTIMOVE_UPDATE_CUSTOMERS_MAX;
  call->u.batch_take.attributes_max = NM_OPTIMOVE_UPDATE_ATTRIBUTES_MAX;
  updates->is_busy = true;
  updates->is_wanted = updates->retries_now = false;
  nm_call_submit(call);
}

static void on_alarm(void *data)
{
  struct nm_updates *updates = data;
  updates->is_wanted = true;
  nm_engine_soon(updates->book->engine, &updates->job);
}

void nm_updates_open(struct nm_updates *updates, struct nm_book *book)
{
  *updates = (struct nm_updates){ .book = book, .job = { .run = on_turn, .data = updates } };
  nm_alarm_open(&updates->alarm, book->engine, on_alarm, updates);
}

void nm_updates_poke(struct nm_updates *updates)
{
  int64_t now_ms = nm_clock_mono_ms();
  if (!updates->is_wanted && updates->not_before_ms <= now_ms)
    updates->not_before_ms = now_ms + NM_UPDATES_GATHER_MS;
  updates->is_wanted = true;
  nm_engine_soon(updates->book->engine, &updates->job);
}

void nm_updates_key_changed(struct nm_updates *updates)
{
  updates->retries_now = true;
  nm_updates_poke(updates);
}
