#include "engine/erasures.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/book.h"
#include "engine/runs.h"

enum {
  ARENA_MAX_BYTES = 64 * 1024 * 1024,
  REST_MS = 10, /* between two steps: half the time is other people's */
  FAILED_WAIT_MS = 5000,
  PEOPLE_MAX = 256, /* of the latest passes; leases are shorter-lived than that */
};

struct person {
  int64_t tenant_id;
  char *customer;
  size_t len;
  int64_t at_ms; /* what was made later is the store's to stop: they may have been restored */
};

struct nm_erasures {
  struct nm_engine *engine;
  struct nm_job job;
  struct nm_alarm alarm;
  bool is_wanted, is_busy;
  struct person people[PEOPLE_MAX]; /* a ring */
  size_t people_count, people_next;
};

/* ---- who must not be sent to ----------------------------------------------------------------- */

static struct person *find(struct nm_erasures *erasures, int64_t tenant_id, struct nm_text customer)
{
  for (size_t i = 0; i < erasures->people_count; i++) {
    struct person *person = &erasures->people[i];
    if (person->tenant_id == tenant_id &&
        nm_text_equal((struct nm_text){ person->customer, person->len }, customer))
      return person;
  }
  return NULL;
}

static void note_person(struct nm_erasures *erasures, const struct nm_erased_person *from)
{
  struct person *person = find(erasures, from->tenant_id, from->customer);
  if (person) {
    person->at_ms = nm_clock_wall_ms();
    return;
  }
  person = &erasures->people[erasures->people_next];
  erasures->people_next = (erasures->people_next + 1) % PEOPLE_MAX;
  if (erasures->people_count < PEOPLE_MAX)
    erasures->people_count++;
  free(person->customer);
  *person = (struct person){ from->tenant_id, malloc(from->customer.len + 1), from->customer.len,
                             nm_clock_wall_ms() };
  nm_require(person->customer != NULL);
  memcpy(person->customer, from->customer.ptr, from->customer.len);
}

bool nm_erasures_cover(const struct nm_engine *engine, const struct nm_message *message)
{
  if (engine->erasures->people_count == 0)
    return false;
  const struct person *person = find(engine->erasures, message->tenant_id, message->customer);
  return person && message->created_at_ms <= person->at_ms;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void ask_step(struct nm_erasures *erasures, bool was_scrubbed, int64_t traces);

static void go_on_within(struct nm_erasures *erasures, int64_t wait_ms)
{
  erasures->is_busy = false;
  erasures->is_wanted = true;
  nm_alarm_within(&erasures->alarm, wait_ms);
}

static void on_scrubbed(struct nm_call *call)
{
  struct nm_erasures *erasures = call->data;
  int rc = call->u.head.rc;
  int64_t traces = call->u.scrub.traces;
  if (rc) {
    nm_log(NM_LOG_WARN, "engine", NULL, "an erasure could not be ended yet: %s",
           call->u.head.error.text);
    if (nm_engine_is_running(erasures->engine) && nm_call_may_try_again(call)) {
      nm_call_again(call);
      return;
    }
    go_on_within(erasures, FAILED_WAIT_MS);
  } else {
    if (traces > 0)
      nm_log(NM_LOG_WARN, "engine", NULL,
             "after an erasure %lld pieces of the store's file still hold traces in unused room: "
             "VACUUM it while netmove is stopped",
             (long long)traces);
    ask_step(erasures, true, traces);
  }
  nm_call_destroy(call);
}

static void scrub(struct nm_erasures *erasures, struct nm_text needles)
{
  struct nm_call *call =
      nm_call_create(erasures->engine, NM_STORE_SCRUB, ARENA_MAX_BYTES, on_scrubbed, erasures);
  call->u.scrub.needles = nm_arena_copy(call->u.head.arena, needles);
  nm_require(call->u.scrub.needles.ptr != NULL);
  nm_call_submit(call);
}

static void note_step(struct nm_erasures *erasures, const struct nm_store_erase_step *step)
{
  for (size_t i = 0; i < step->people_count; i++)
    note_person(erasures, &step->people[i]);
  nm_metric_add(NM_METRIC_MESSAGES_STOPPED, (int64_t)step->stopped_count);
  for (size_t i = 0; i < step->stopped_count; i++) {
    struct nm_book *book = nm_book_find(erasures->engine, step->stopped[i].tenant_id);
    if (book && step->stopped[i].run_id)
      nm_runs_message_ended(book, step->stopped[i].run_id, NM_MESSAGE_STOPPED);
  }
}

static void on_step(struct nm_call *call)
{
  struct nm_erasures *erasures = call->data;
  const struct nm_store_erase_step *step = &call->u.erase_step;
  if (call->u.head.rc) {
    nm_log(NM_LOG_ERROR, "engine", NULL, "erasing does not get on: %s", call->u.head.error.text);
    go_on_within(erasures, FAILED_WAIT_MS);
  } else {
    note_step(erasures, step);
    if (!nm_engine_is_running(erasures->engine))
      erasures->is_busy = false;
    else if (step->needs_scrub)
      scrub(erasures, step->needles);
    else if (step->is_more)
      go_on_within(erasures, REST_MS);
    else
      erasures->is_busy = false;
  }
  if (!erasures->is_busy && erasures->is_wanted)
    nm_engine_soon(erasures->engine, &erasures->job);
  nm_call_destroy(call);
}

static void ask_step(struct nm_erasures *erasures, bool was_scrubbed, int64_t traces)
{
  struct nm_call *call =
      nm_call_create(erasures->engine, NM_STORE_ERASE_STEP, ARENA_MAX_BYTES, on_step, erasures);
  call->u.erase_step.was_scrubbed = was_scrubbed;
  call->u.erase_step.traces = traces;
  erasures->is_busy = true;
  erasures->is_wanted = false;
  nm_call_submit(call);
}

static void on_turn(void *data)
{
  struct nm_erasures *erasures = data;
  if (erasures->is_busy || !erasures->is_wanted || erasures->alarm.is_set)
    return;
  if (nm_engine_is_running(erasures->engine))
    ask_step(erasures, false, -1);
}

static void on_alarm(void *data)
{
  struct nm_erasures *erasures = data;
  nm_engine_soon(erasures->engine, &erasures->job);
}

/* ---- life ------------------------------------------------------------------------------------ */

void nm_erasures_wake(struct nm_engine *engine)
{
  engine->erasures->is_wanted = true;
  nm_engine_soon(engine, &engine->erasures->job);
}

void nm_erasures_open(struct nm_engine *engine)
{
  struct nm_erasures *erasures = calloc(1, sizeof *erasures);
  nm_require(erasures != NULL);
  erasures->engine = engine;
  erasures->job = (struct nm_job){ .run = on_turn, .data = erasures };
  nm_alarm_open(&erasures->alarm, engine, on_alarm, erasures);
  engine->erasures = erasures;
}

void nm_erasures_close_alarm(struct nm_engine *engine)
{
  nm_alarm_close(&engine->erasures->alarm, NULL);
}

void nm_erasures_close(struct nm_engine *engine)
{
  for (size_t i = 0; i < engine->erasures->people_count; i++)
    free(engine->erasures->people[i].customer);
  free(engine->erasures);
  engine->erasures = NULL;
}
