/* work.c - jobs that take turns on the loop, alarms, and requests to the store. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/internal.h"
#include "engine/backoff.h"

enum {
  WALL_WAIT_MAX_MS = 60 * 1000,
  MAILBOX_FULL_WAIT_MS = 2,
  RUN_REST_TIMES = 3,      /* as long as the last piece of work took */
  BULK_PAUSE_TIMES = 4,    /* as long as the last group took */
  BULK_PAUSE_MAX_MS = 50,
  NS_IN_MS = 1000 * 1000,
};

/* ---- jobs ------------------------------------------------------------------------------------ */

static void on_turn(uv_idle_t *idle)
{
  struct nm_engine *engine = idle->data;
  /* Who queues itself again comes next turn. */
  for (size_t left = engine->job_count; left > 0 && engine->first_job; left--) {
    struct nm_job *job = engine->first_job;
    engine->first_job = job->next;
    if (!engine->first_job) engine->last_job = NULL;
    engine->job_count--;
    job->is_queued = false;
    job->run(job->data);
  }
  if (!engine->first_job) uv_idle_stop(idle);
}

void nm_engine_soon(struct nm_engine *engine, struct nm_job *job)
{
  if (job->is_queued) return;
  job->is_queued = true;
  job->next = NULL;
  if (engine->last_job) engine->last_job->next = job;
  else engine->first_job = job;
  engine->last_job = job;
  engine->job_count++;
  if (!uv_is_closing((uv_handle_t *)&engine->idle)) uv_idle_start(&engine->idle, on_turn);
}

void nm_engine_forget(struct nm_engine *engine, struct nm_job *job)
{
  struct nm_job **at = &engine->first_job, *before = NULL;
  if (!job->is_queued) return;
  while (*at && *at != job) {
    before = *at;
    at = &(*at)->next;
  }
  if (!nm_expect(*at == job)) return;
  *at = job->next;
  if (engine->last_job == job) engine->last_job = before;
  engine->job_count--;
  job->is_queued = false;
}

bool nm_engine_is_gentle(const struct nm_engine *engine)
{
  return engine->singles_at_ms != 0 &&
         nm_clock_mono_ms() - engine->singles_at_ms < NM_RUN_GENTLE_MS;
}

int64_t nm_engine_run_turn_end_ns(const struct nm_engine *engine)
{
  int64_t max_ms = nm_engine_is_gentle(engine) ? NM_RUN_GENTLE_TURN_MAX_MS : NM_ENGINE_TURN_MAX_MS;
  return nm_clock_mono_ns() + max_ms * 1000000;
}

int64_t nm_engine_run_rest_ms(const struct nm_engine *engine)
{
  int64_t left_ns = engine->run_rest_until_ns - nm_clock_mono_ns();
  return left_ns > 0 && nm_engine_is_gentle(engine) ? (left_ns + NS_IN_MS - 1) / NS_IN_MS : 0;
}

void nm_engine_run_worked(struct nm_engine *engine, int64_t since_ns)
{
  int64_t now_ns = nm_clock_mono_ns();
  engine->run_rest_until_ns = now_ns + (now_ns - since_ns) * RUN_REST_TIMES;
}

/* ---- alarms ---------------------------------------------------------------------------------- */

static void on_alarm(uv_timer_t *timer)
{
  struct nm_alarm *alarm = timer->data;
  alarm->is_set = false;
  alarm->on(alarm->data);
}

void nm_alarm_open(struct nm_alarm *alarm, struct nm_engine *engine, void (*on)(void *data),
                   void *data)
{
  *alarm = (struct nm_alarm){ .on = on, .data = data, .is_open = true };
  nm_require(uv_timer_init(&engine->loop, &alarm->timer) == 0);
  alarm->timer.data = alarm;
}

void nm_alarm_within(struct nm_alarm *alarm, int64_t wait_ms)
{
  int64_t now_ms = nm_clock_mono_ms();
  if (!alarm->is_open) return;
  if (wait_ms < 0) wait_ms = 0;
  if (alarm->is_set && alarm->at_ms <= now_ms + wait_ms) return;
  alarm->is_set = true;
  alarm->at_ms = now_ms + wait_ms;
  uv_update_time(alarm->timer.loop);
  uv_timer_start(&alarm->timer, on_alarm, (uint64_t)wait_ms, 0);
}

void nm_alarm_due(struct nm_alarm *alarm, int64_t wall_ms)
{
  int64_t wait_ms = wall_ms - nm_clock_wall_ms();
  nm_alarm_within(alarm, wait_ms < WALL_WAIT_MAX_MS ? wait_ms : WALL_WAIT_MAX_MS);
}

void nm_alarm_clear(struct nm_alarm *alarm)
{
  alarm->is_set = false;
  if (alarm->is_open) uv_timer_stop(&alarm->timer);
}

static void on_alarm_closed(uv_handle_t *handle)
{
  struct nm_alarm *alarm = handle->data;
  if (alarm->on_closed) alarm->on_closed(alarm->data);
}

void nm_alarm_close(struct nm_alarm *alarm, void (*on_closed)(void *data))
{
  if (!alarm->is_open) return;
  alarm->is_open = false;
  alarm->on_closed = on_closed;
  uv_close((uv_handle_t *)&alarm->timer, on_alarm_closed);
}

/* ---- requests to the store ------------------------------------------------------------------- */

static void note_bulk_done(struct nm_engine *engine);

static void on_call_done(struct nm_task *task)
{
  struct nm_call *call = (struct nm_call *)(void *)task;
  struct nm_engine *engine = call->engine;
  engine->calls_open--;
  if (call->is_bulk) note_bulk_done(engine);
  call->is_bulk = false;
  call->then(call);
  nm_engine_check_stop(engine);
}

struct nm_call *nm_call_create(struct nm_engine *engine, enum nm_store_verb verb,
                               size_t arena_max_bytes, void (*then)(struct nm_call *call),
                               void *data)
{
  struct nm_call *call = calloc(1, sizeof *call);
  nm_require(call != NULL);
  call->u.head.arena = nm_arena_create(arena_max_bytes);
  nm_require(call->u.head.arena != NULL);
  call->u.head.verb = verb;
  call->u.head.task.home = &engine->answers;
  call->u.head.task.done = on_call_done;
  call->engine = engine;
  call->then = then;
  call->data = data;
  return call;
}

static void push_waiting(struct nm_engine *engine, struct nm_call *call)
{
  call->next = NULL;
  if (engine->last_waiting) engine->last_waiting->next = call;
  else engine->first_waiting = call;
  engine->last_waiting = call;
  nm_alarm_within(&engine->waiting_alarm, MAILBOX_FULL_WAIT_MS);
}

/* False where the mailbox is full: the call stays with us. */
static bool hand_over(struct nm_call *call)
{
  call->u.head.rc = NM_OK;
  call->u.head.error.text[0] = '\0';
  int rc = nm_store_submit(call->engine->env.store, &call->u.head);
  if (rc == NM_EFULL) return false;
  if (rc) {
    /* `then` never runs inside submit: its owner may not be ready for it. */
    call->u.head.rc =
        nm_fail(&call->u.head.error, rc, "the store takes nothing (%s)", nm_code_name(rc));
    int posted = nm_port_post(&call->engine->answers, &call->u.head.task);
    nm_expect(posted == NM_OK);
  }
  return true;
}

static void on_waiting_alarm(void *data)
{
  struct nm_engine *engine = data;
  while (engine->first_waiting) {
    struct nm_call *call = engine->first_waiting;
    struct nm_call *next = call->next;
    if (!hand_over(call)) {
      nm_alarm_within(&engine->waiting_alarm, MAILBOX_FULL_WAIT_MS);
      return;
    }
    engine->first_waiting = next;
    if (!next) engine->last_waiting = NULL;
  }
}

static void pass_on(struct nm_call *call)
{
  struct nm_engine *engine = call->engine;
  /* Order is kept: nothing overtakes what waits for a place. */
  if (engine->first_waiting || !hand_over(call)) push_waiting(engine, call);
}

/* ---- what may wait --------------------------------------------------------------------------- */

static void pass_bulk_on(struct nm_engine *engine)
{
  if (!engine->first_bulk) return;
  if (engine->bulk_out == 0) engine->bulk_began_ns = nm_clock_mono_ns();
  while (engine->first_bulk) {
    struct nm_call *call = engine->first_bulk;
    engine->first_bulk = call->next;
    call->is_bulk = true;
    engine->bulk_out++;
    pass_on(call);
  }
  engine->last_bulk = NULL;
}

static void pass_bulk_on_in_time(struct nm_engine *engine)
{
  if (!engine->first_bulk || engine->bulk_out > 0) return;
  int64_t left_ns = engine->bulk_next_ns - nm_clock_mono_ns();
  if (left_ns > 0 && nm_engine_is_gentle(engine))
    nm_alarm_within(&engine->bulk_alarm, (left_ns + NS_IN_MS - 1) / NS_IN_MS);
  else pass_bulk_on(engine);
}

static void on_bulk_alarm(void *data)
{
  pass_bulk_on_in_time(data);
}

static void note_bulk_done(struct nm_engine *engine)
{
  if (--engine->bulk_out > 0) return;
  int64_t now_ns = nm_clock_mono_ns();
  int64_t pause_ns = (now_ns - engine->bulk_began_ns) * BULK_PAUSE_TIMES;
  if (pause_ns > (int64_t)BULK_PAUSE_MAX_MS * NS_IN_MS)
    pause_ns = (int64_t)BULK_PAUSE_MAX_MS * NS_IN_MS;
  engine->bulk_next_ns = now_ns + pause_ns;
  pass_bulk_on_in_time(engine);
}

void nm_call_submit_bulk(struct nm_call *call)
{
  struct nm_engine *engine = call->engine;
  engine->calls_open++;
  call->next = NULL;
  if (engine->last_bulk) engine->last_bulk->next = call;
  else engine->first_bulk = call;
  engine->last_bulk = call;
  if (nm_engine_is_gentle(engine)) pass_bulk_on_in_time(engine);
  else pass_bulk_on(engine);
}

/* What single messages wait for may overtake; whatever else is asked comes behind what was asked
 * before. */
static bool may_overtake(enum nm_store_verb verb)
{
  return verb == NM_STORE_TAKE || verb == NM_STORE_PLAN || verb == NM_STORE_LEASE ||
         verb == NM_STORE_FINISH || verb >= NM_STORE_RESUME;
}

void nm_call_submit(struct nm_call *call)
{
  call->engine->calls_open++;
  if (!may_overtake(call->u.head.verb)) pass_bulk_on(call->engine);
  pass_on(call);
}

void nm_work_open(struct nm_engine *engine)
{
  nm_alarm_open(&engine->waiting_alarm, engine, on_waiting_alarm, engine);
  nm_alarm_open(&engine->bulk_alarm, engine, on_bulk_alarm, engine);
}

/* ---- once more, later ------------------------------------------------------------------------ */

struct again {
  struct nm_alarm alarm;
  struct nm_call *call;
};

static void on_again_closed(void *data)
{
  free(data);
}

static void on_again(void *data)
{
  struct again *again = data;
  again->call->engine->calls_open--; /* submit counts it anew */
  nm_call_submit(again->call);
  nm_alarm_close(&again->alarm, on_again_closed);
}

void nm_call_again(struct nm_call *call)
{
  struct again *again = calloc(1, sizeof *again);
  nm_require(again != NULL);
  call->tries++;
  call->engine->calls_open++; /* a stop waits for it */
  again->call = call;
  nm_alarm_open(&again->alarm, call->engine, on_again, again);
  nm_alarm_within(&again->alarm, nm_backoff_ceiling_ms(&nm_backoff_pause, call->tries));
}

bool nm_call_may_try_again(const struct nm_call *call)
{
  int rc = call->u.head.rc;
  if (call->engine->phase >= NM_ENGINE_DRAINING && call->tries >= 3) return false;
  return rc == NM_EFULL || rc == NM_ENOMEM || rc == NM_ETIMEOUT;
}

void nm_call_destroy(struct nm_call *call)
{
  if (!call) return;
  nm_arena_destroy(call->u.head.arena);
  free(call);
}

void *nm_call_alloc(struct nm_call *call, size_t len)
{
  void *memory = nm_arena_alloc(call->u.head.arena, len ? len : 1);
  nm_require(memory != NULL);
  return memory;
}

uint64_t nm_engine_random(struct nm_engine *engine)
{
  engine->random ^= engine->random << 13;
  engine->random ^= engine->random >> 7;
  engine->random ^= engine->random << 17;
  return engine->random;
}
