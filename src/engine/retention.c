#include "engine/retention.h"

#include "base/clock.h"
#include "base/log.h"

enum {
  FIRST_MS = 60 * 1000, /* a start has more urgent things to do */
  EVERY_MS = 3600 * 1000,
  SLICE_ROWS = 1000,
  REST_MS = 100, /* between two slices: traffic goes first */
};

static void ask(void *data);

static void on_retained(struct nm_call *call)
{
  struct nm_engine *engine = call->engine;
  bool is_more = !call->u.head.rc && call->u.retain.is_more;
  if (call->u.head.rc)
    nm_log(NM_LOG_WARN, "engine", NULL,
           "what is too old could not be deleted: %s; again in an hour", call->u.head.error.text);
  nm_alarm_within(&engine->retention_alarm, is_more ? REST_MS : EVERY_MS);
  nm_call_destroy(call);
}

static void ask(void *data)
{
  struct nm_engine *engine = data;
  const struct nm_settings *settings = engine->env.settings;
  if (!nm_engine_is_running(engine)) return;
  struct nm_call *call = nm_call_create(engine, NM_STORE_RETAIN, 4096, on_retained, NULL);
  call->u.retain.now_ms = nm_clock_wall_ms();
  call->u.retain.events_age_ms = settings->events_age_ms;
  call->u.retain.dead_age_ms = settings->dead_age_ms;
  call->u.retain.audit_age_ms = settings->audit_age_ms;
  call->u.retain.rows_max = SLICE_ROWS;
  nm_call_submit(call);
}

void nm_retention_open(struct nm_engine *engine)
{
  nm_alarm_open(&engine->retention_alarm, engine, ask, engine);
}

void nm_retention_start(struct nm_engine *engine)
{
  nm_alarm_within(&engine->retention_alarm, FIRST_MS);
}

void nm_retention_close_alarm(struct nm_engine *engine)
{
  nm_alarm_close(&engine->retention_alarm, NULL);
}
