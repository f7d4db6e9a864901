/* suspended.c - events whose rules overran too often wait in the store until they are due; here it
 * is known which, so that they need not wait longer than for the next rules. */
#include "engine/batch.h"

#include <stdlib.h>

#include "base/clock.h"

enum {
  LOOK_MS = 250,       /* whether other rules serve by now */
  EVENTS_MAX = 100000, /* that are woken then; others wait until they are due */
  WAKE_MAX = 500,      /* of them at a time */
};

struct waiting {
  int64_t event_id, tenant_id, generation_id, due_at_ms;
};

struct nm_suspended {
  struct nm_engine *engine;
  struct nm_alarm alarm;
  struct waiting *events; /* the first of them has waited longest */
  size_t count, capacity;
};

void nm_suspended_add(struct nm_suspended *suspended, const struct nm_plan *plan)
{
  if (suspended->count == EVENTS_MAX) return;
  if (suspended->count == suspended->capacity) {
    size_t capacity = suspended->capacity ? suspended->capacity * 2 : 64;
    struct waiting *more = realloc(suspended->events, capacity * sizeof *more);
    nm_require(more != NULL);
    suspended->events = more;
    suspended->capacity = capacity;
  }
  suspended->events[suspended->count++] = (struct waiting){
    plan->event_id, plan->tenant_id, plan->generation_id, plan->due_at_ms,
  };
  nm_alarm_within(&suspended->alarm, LOOK_MS);
}

static void wake(struct nm_suspended *suspended, const struct nm_plan *plans, size_t count);

static void on_woken(struct nm_call *call)
{
  struct nm_suspended *suspended = call->data;
  bool is_split = call->u.head.rc && call->u.plan.count > 1 &&
                  nm_engine_is_running(suspended->engine);
  /* One that does not wait any more (a person was quicker) fails alone; the others are woken. */
  for (size_t i = 0; is_split && i < call->u.plan.count; i++)
    wake(suspended, &call->u.plan.plans[i], 1);
  nm_call_destroy(call);
}

static void wake(struct nm_suspended *suspended, const struct nm_plan *plans, size_t count)
{
  struct nm_call *call =
      nm_call_create(suspended->engine, NM_STORE_PLAN, 1024 * 1024, on_woken, suspended);
  call->u.plan.plans = nm_call_alloc(call, count * sizeof *plans);
  memcpy(call->u.plan.plans, plans, count * sizeof *plans);
  call->u.plan.count = count;
  nm_call_submit(call);
}

/* Events whose tenant has other rules by now are new again; those soon due come by themselves. */
static void on_alarm(void *data)
{
  struct nm_suspended *suspended = data;
  struct nm_plan woken[WAKE_MAX];
  size_t kept = 0, count = 0;
  int64_t soon_ms = nm_clock_wall_ms() + 1000;
  if (!nm_engine_is_running(suspended->engine)) return;
  for (size_t i = 0; i < suspended->count; i++) {
    struct waiting *one = &suspended->events[i];
    const struct nm_book *book = nm_book_find(suspended->engine, one->tenant_id);
    bool is_changed = book && book->active && book->active->id != one->generation_id;
    if (one->due_at_ms <= soon_ms) continue;
    if (is_changed && count < WAKE_MAX)
      woken[count++] = (struct nm_plan){ .event_id = one->event_id, .tenant_id = one->tenant_id,
                                         .state = NM_EVENT_NEW };
    else
      suspended->events[kept++] = *one;
  }
  suspended->count = kept;
  if (count > 0) wake(suspended, woken, count);
  if (kept > 0) nm_alarm_within(&suspended->alarm, LOOK_MS);
}

struct nm_suspended *nm_suspended_open(struct nm_engine *engine)
{
  struct nm_suspended *suspended = calloc(1, sizeof *suspended);
  nm_require(suspended != NULL);
  suspended->engine = engine;
  nm_alarm_open(&suspended->alarm, engine, on_alarm, suspended);
  return suspended;
}

void nm_suspended_close_alarm(struct nm_suspended *suspended)
{
  nm_alarm_close(&suspended->alarm, NULL);
}

void nm_suspended_close(struct nm_suspended *suspended)
{
  free(suspended->events);
  free(suspended);
}
