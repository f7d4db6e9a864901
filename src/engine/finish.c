/* finish.c - outcomes are gathered and stored together: one request a turn of the loop, or every
 * few milliseconds. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/lanes.h"
#include "engine/message_log.h"
#include "engine/runs.h"

enum {
  ITEMS_FIRST = 32,
  ITEMS_MAX = 1024,
  COMPANY_MIN = 32,    /* outcomes of the last request: as many as make it worth waiting for more */
  COMPANY_MAX = 256,   /* no more than these are ever held back */
  COMPANY_WAIT_MS = 5, /* since the last request */
  REQUESTS_MAX = 1, /* at the store; meanwhile more is gathered: few syncs under load, none waits
                     * idle */
  ARENA_MAX_BYTES = 256 * 1024 * 1024, /* of reasons and MESSAGE_LOG events: more than there can be */
};

struct ended {
  struct nm_finish item;
  struct nm_lane *lane;
};

struct batch {
  struct ended *all;
  struct nm_finish *items; /* what the store is given of them */
  size_t count, capacity;
  bool has_run; /* messages of runs are among them */
};

struct nm_finisher {
  struct nm_engine *engine;
  struct nm_job job;
  struct nm_alarm alarm;
  size_t company; /* outcomes of the last request */
  int64_t submitted_ms;
  struct nm_call *gathering; /* its data is a struct batch */
  struct nm_call *first_full, *last_full;
  size_t at_store;
};

static void destroy_batch(struct nm_call *call)
{
  struct batch *batch = call->data;
  free(batch->all);
  free(batch->items);
  free(batch);
  nm_call_destroy(call);
}

static void note_item(struct nm_lane *lane, const struct nm_finish *item)
{
  if (item->state == NM_MESSAGE_WAITING)
    nm_lane_due(lane, item->due_at_ms > 0 ? item->due_at_ms : nm_clock_wall_ms());
  else if (item->run_id != 0)
    nm_runs_message_ended(lane->book, item->run_id, item->state);
}

static void on_finished(struct nm_call *call)
{
  struct nm_finisher *finisher = call->engine->finisher;
  struct batch *batch = call->data;
  if (call->u.head.rc && nm_call_may_try_again(call)) {
    nm_log(NM_LOG_WARN, "engine", NULL, "%zu outcomes wait for the store: %s", batch->count,
           call->u.head.error.text);
    nm_call_again(call);
    return;
  }
  finisher->at_store--;
  if (call->u.head.rc)
    nm_log(NM_LOG_ERROR, "engine", NULL,
           "%zu outcomes could not be stored; their messages go again after a restart: %s",
           batch->count, call->u.head.error.text);
  for (size_t i = 0; i < batch->count && !call->u.head.rc; i++)
    note_item(batch->all[i].lane, &batch->all[i].item);
  destroy_batch(call);
  nm_engine_soon(finisher->engine, &finisher->job);
}

static int compare_ids(const void *a, const void *b)
{
  const struct ended *x = a, *y = b;
  return (x->item.message_id > y->item.message_id) - (x->item.message_id < y->item.message_id);
}

/* By id: what was planned together and sent one by one has ids without a gap, and the store then
 * ends those that ended alike in one go. */
static void submit(struct nm_finisher *finisher, struct nm_call *call)
{
  struct batch *batch = call->data;
  struct nm_finish *items = batch->items = malloc(batch->count * sizeof *items);
  nm_require(items != NULL);
  qsort(batch->all, batch->count, sizeof *batch->all, compare_ids);
  for (size_t i = 0; i < batch->count; i++) items[i] = batch->all[i].item;
  call->u.finish.items = items;
  call->u.finish.count = batch->count;
  finisher->at_store++;
  finisher->company = batch->count;
  finisher->submitted_ms = nm_clock_mono_ms();
  if (batch->has_run) nm_call_submit_bulk(call);
  else nm_call_submit(call);
}

/* Of messages that come one after the other a request is made every few milliseconds: a commit
 * costs as much as what it holds, and everybody else's answers wait for it.  Who is alone waits for
 * nobody. */
static int64_t company_wait_ms(const struct nm_finisher *finisher)
{
  const struct batch *batch = finisher->gathering->data;
  if (finisher->company < COMPANY_MIN || batch->count >= COMPANY_MAX || batch->has_run) return 0;
  if (!nm_engine_is_running(finisher->engine)) return 0;
  return finisher->submitted_ms + COMPANY_WAIT_MS - nm_clock_mono_ms();
}

static void on_turn(void *data)
{
  struct nm_finisher *finisher = data;
  int64_t wait_ms;
  while (finisher->first_full && finisher->at_store < REQUESTS_MAX) {
    struct nm_call *call = finisher->first_full;
    finisher->first_full = call->next;
    if (!call->next) finisher->last_full = NULL;
    submit(finisher, call);
  }
  if (!finisher->gathering || finisher->at_store >= REQUESTS_MAX) return;
  if ((wait_ms = company_wait_ms(finisher)) > 0) {
    nm_alarm_within(&finisher->alarm, wait_ms);
  } else {
    struct nm_call *call = finisher->gathering;
    finisher->gathering = NULL;
    submit(finisher, call);
  }
}

static void begin_batch(struct nm_finisher *finisher)
{
  struct batch *batch = calloc(1, sizeof *batch);
  nm_require(batch != NULL);
  finisher->gathering =
      nm_call_create(finisher->engine, NM_STORE_FINISH, ARENA_MAX_BYTES, on_finished, batch);
}

static void make_room(struct batch *batch)
{
  if (batch->count < batch->capacity) return;
  size_t capacity = batch->capacity ? batch->capacity * 2 : ITEMS_FIRST;
  struct ended *all = realloc(batch->all, capacity * sizeof *all);
  nm_require(all != NULL);
  batch->all = all;
  batch->capacity = capacity;
}

static void close_batch(struct nm_finisher *finisher)
{
  struct nm_call *call = finisher->gathering;
  finisher->gathering = NULL;
  call->next = NULL;
  if (finisher->last_full) finisher->last_full->next = call;
  else finisher->first_full = call;
  finisher->last_full = call;
}

void nm_finisher_add(struct nm_lane *lane, const struct nm_finish *item)
{
  struct nm_finisher *finisher = lane->book->engine->finisher;
  if (!finisher->gathering) begin_batch(finisher);
  struct batch *batch = finisher->gathering->data;
  make_room(batch);
  batch->all[batch->count].lane = lane;
  struct nm_finish *copy = &batch->all[batch->count++].item;
  *copy = *item;
  if (item->reason.len > 0)
    copy->reason = nm_arena_copy(finisher->gathering->u.head.arena, item->reason);
  if (item->reason.len > 0 && !copy->reason.ptr)
    copy->reason = NM_TEXT("(no memory to keep the reason)"); /* ending here would send it again */
  if (item->message)
    copy->log =
        nm_message_log_make(lane->book, finisher->gathering->u.head.arena, item->message, item);
  copy->message = NULL;
  if (item->run_id != 0) batch->has_run = true;
  if (batch->count == ITEMS_MAX) close_batch(finisher);
  nm_engine_soon(finisher->engine, &finisher->job);
}

static void on_alarm(void *data)
{
  struct nm_finisher *finisher = data;
  nm_engine_soon(finisher->engine, &finisher->job);
}

void nm_finisher_open(struct nm_engine *engine)
{
  struct nm_finisher *finisher = calloc(1, sizeof *finisher);
  nm_require(finisher != NULL);
  finisher->engine = engine;
  finisher->job = (struct nm_job){ .run = on_turn, .data = finisher };
  nm_alarm_open(&finisher->alarm, engine, on_alarm, finisher);
  engine->finisher = finisher;
}

void nm_finisher_close_alarm(struct nm_engine *engine)
{
  nm_alarm_close(&engine->finisher->alarm, NULL);
}

bool nm_finisher_is_idle(const struct nm_engine *engine)
{
  const struct nm_finisher *finisher = engine->finisher;
  return !finisher->gathering && !finisher->first_full && finisher->at_store == 0;
}

void nm_finisher_close(struct nm_engine *engine)
{
  free(engine->finisher);
  engine->finisher = NULL;
}
