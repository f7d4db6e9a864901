/* engine.c - the thread, its loop, its start and its end. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/book.h"
#include "engine/guard.h"
#include "engine/erasures.h"
#include "engine/retention.h"
#include "engine/lanes.h"
#include "engine/planner.h"
#include "engine/runs.h"

enum {
  CONTROLS_MAX = 16 * 1024, /* at start the rules of every tenant come at once */
  ANSWERS_MAX = 1 << 20,
  RESUME_ARENA_MAX_BYTES = 64 * 1024 * 1024,
};

struct nm_host *nm_engine_host(struct nm_engine *engine, struct nm_text name)
{
  for (struct nm_host *host = engine->hosts; host; host = host->next)
    if (nm_text_equal(nm_text_from(host->name), name)) return host;
  struct nm_host *host = calloc(1, sizeof *host);
  char *copy = malloc(name.len + 1);
  nm_require(host != NULL && copy != NULL);
  if (name.len > 0) memcpy(copy, name.ptr, name.len);
  copy[name.len] = '\0';
  host->name = copy;
  host->next = engine->hosts;
  engine->hosts = host;
  return host;
}

/* ---- what there is to do --------------------------------------------------------------------- */

static void merge(struct nm_engine *engine, const struct nm_store_resume *resume)
{
  for (size_t i = 0; i < resume->run_count; i++) {
    struct nm_book *book = nm_book_find(engine, resume->runs[i].tenant_id);
    if (book) nm_run_merge(book, &resume->runs[i]);
  }
  for (size_t i = 0; i < resume->lane_count; i++) {
    struct nm_book *book = nm_book_find(engine, resume->lanes[i].tenant_id);
    if (book) nm_lane_look(nm_lane_find(book, resume->lanes[i].provider));
  }
  for (size_t i = 0; i < resume->update_tenant_count; i++) {
    struct nm_book *book = nm_book_find(engine, resume->update_tenants[i]);
    if (book) nm_updates_poke(&book->updates);
  }
  for (size_t i = 0; i < engine->book_count && engine->are_rules_in; i++)
    nm_runs_check_generations(engine->books[i]);
}

static void take_deferred(struct nm_engine *engine)
{
  while (engine->first_deferred) {
    struct nm_control *control = engine->first_deferred;
    engine->first_deferred = (struct nm_control *)(void *)control->task.mail.next;
    nm_control_take(engine, control);
  }
  engine->last_deferred = NULL;
}

static void on_resumed(struct nm_call *call)
{
  struct nm_engine *engine = call->engine;
  engine->is_resuming = false;
  if (call->u.head.rc) {
    nm_log(NM_LOG_ERROR, "engine", NULL, "cannot read what is to do: %s", call->u.head.error.text);
    if (engine->phase < NM_ENGINE_DRAINING && call->u.head.rc != NM_ECLOSED) {
      engine->is_resuming = true;
      nm_arena_reset(call->u.head.arena); /* else it would be full one day of what failed */
      nm_call_again(call);
      return;
    }
    nm_call_destroy(call);
    return;
  }
  if (engine->phase < NM_ENGINE_DRAINING) {
    merge(engine, &call->u.resume);
    engine->is_resumed = true;
    take_deferred(engine);
    nm_engine_check_start(engine);
    if (engine->is_resume_wanted) nm_engine_resume(engine);
  }
  nm_call_destroy(call);
}

void nm_engine_resume(struct nm_engine *engine)
{
  engine->is_resume_wanted = engine->is_resuming;
  if (engine->is_resuming) return;
  engine->is_resuming = true;
  nm_call_submit(nm_call_create(engine, NM_STORE_RESUME, RESUME_ARENA_MAX_BYTES, on_resumed, NULL));
}

void nm_engine_check_start(struct nm_engine *engine)
{
  if (engine->phase != NM_ENGINE_STARTING || !engine->is_resumed || !engine->are_rules_in) return;
  engine->phase = NM_ENGINE_RUNNING;
  nm_log(NM_LOG_INFO, "engine", NULL, "planning starts, with %zu tenants", engine->book_count);
  nm_planner_wake(engine);
  nm_erasures_wake(engine);
  nm_retention_start(engine);
  for (size_t i = 0; i < engine->book_count; i++) {
    struct nm_book *book = engine->books[i];
    nm_runs_wake(book);
    nm_engine_soon(engine, &book->updates.job);
    nm_reconciler_want(&book->reconciler, NULL);
    nm_feedback_soon(&book->feedback);
    nm_preferences_soon(&book->preferences);
    nm_guard_learn(book);
  }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void on_room_closed(void *data)
{
  struct nm_engine *engine = data;
  engine->closings--;
  nm_engine_check_stop(engine);
}

/* Outlets, then Optimove's API and the client, are closed; each of their calls gets its end. */
static void end_rooms(struct nm_engine *engine)
{
  engine->phase = NM_ENGINE_ENDING;
  nm_alarm_clear(&engine->stop_alarm);
  nm_outlets_close(engine);
  engine->closings += 2;
  nm_optimove_close(engine->optimove, on_room_closed, engine);
  nm_client_close(engine->client, on_room_closed, engine);
}

static void on_stop_alarm(void *data)
{
  struct nm_engine *engine = data;
  if (engine->phase != NM_ENGINE_DRAINING) return;
  nm_log(NM_LOG_WARN, "engine", NULL, "%zu sends have no answer yet: their outcome is unknown",
         engine->sends);
  end_rooms(engine);
  nm_engine_check_stop(engine);
}

static void close_handles(struct nm_engine *engine)
{
  engine->phase = NM_ENGINE_CLOSING;
  nm_books_close_alarms(engine);
  nm_planner_close_alarm(engine);
  nm_finisher_close_alarm(engine);
  nm_erasures_close_alarm(engine);
  nm_retention_close_alarm(engine);
  nm_alarm_close(&engine->waiting_alarm, NULL);
  nm_alarm_close(&engine->bulk_alarm, NULL);
  nm_alarm_close(&engine->stop_alarm, NULL);
  nm_mailbox_close(&engine->control.box);
  struct nm_mail *mail = nm_mailbox_take(&engine->control.box, SIZE_MAX);
  while (mail) {
    struct nm_mail *next = mail->next;
    nm_control_take(engine, (struct nm_control *)(void *)mail);
    mail = next;
  }
  nm_port_close(&engine->control, NULL);
  nm_port_close(&engine->answers, NULL);
  uv_close((uv_handle_t *)&engine->waker, NULL);
  uv_close((uv_handle_t *)&engine->idle, NULL);
  nm_log(NM_LOG_INFO, "engine", NULL, "stopped");
  nm_control_answer(engine->stopping, NM_OK, NULL);
}

void nm_engine_check_stop(struct nm_engine *engine)
{
  /* A look at the listeners goes from call to call: it must not find Optimove's room closed. */
  if (engine->phase == NM_ENGINE_DRAINING && engine->sends == 0 && engine->calls_out == 0 &&
      engine->reconciles == 0)
    end_rooms(engine);
  if (engine->phase != NM_ENGINE_ENDING) return;
  if (engine->closings > 0 || engine->outlets || engine->reconciles > 0) return;
  if (engine->calls_open > 0 || !nm_finisher_is_idle(engine)) return;
  close_handles(engine);
}

void nm_engine_stop(struct nm_engine *engine)
{
  nm_log(NM_LOG_INFO, "engine", NULL, "stopping: %zu sends are in flight", engine->sends);
  engine->phase = NM_ENGINE_DRAINING;
  take_deferred(engine);
  nm_optimove_leave(engine->optimove);
  for (size_t i = 0; i < engine->book_count; i++) nm_reconciler_stop(&engine->books[i]->reconciler);
  /* What is then still without an answer is written down before the process ends. */
  int max_ms = engine->env.settings->stop_max_ms;
  nm_alarm_within(&engine->stop_alarm, (max_ms > 0 ? max_ms : NM_STOP_MAX_MS) * 5 / 6);
  nm_engine_check_stop(engine);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void on_control(void *data, struct nm_mail *task)
{
  nm_control_take(data, (struct nm_control *)(void *)task);
}

static void on_waked(uv_async_t *async)
{
  struct nm_engine *engine = async->data;
  unsigned bits = atomic_exchange(&engine->bits, 0);
  /* Messages and updates are the engine's own making: it knows of them when their plan is stored.
   */
  if (bits & NM_STORE_WORK_EVENTS) nm_planner_wake(engine);
  for (size_t i = 0; i < engine->book_count && (bits & NM_STORE_WORK_PREFERENCES); i++)
    nm_preferences_soon(&engine->books[i]->preferences);
  if (bits & NM_STORE_WORK_ERASURES) nm_erasures_wake(engine);
}

void nm_engine_wake(struct nm_engine *engine, unsigned work)
{
  unsigned before = atomic_fetch_or(&engine->bits, work);
  if ((before & work) != work) uv_async_send(&engine->waker);
}

struct nm_port *nm_engine_port(struct nm_engine *engine)
{
  return &engine->control;
}

static int open_rooms(struct nm_engine *engine)
{
  const struct nm_settings *settings = engine->env.settings;
  struct nm_client_options options = { .allow = settings->outbound_allow,
                                       .allow_count = settings->outbound_allow_count };
  int rc = nm_client_open(&engine->client, &engine->loop, &options, &engine->start_error);
  if (rc) return rc;
  engine->adapter_env = (struct nm_adapter_env){ &engine->loop, engine->client };
  rc = nm_optimove_open(&engine->optimove, &engine->loop, engine->client);
  if (rc)
    return nm_fail(&engine->start_error, rc, "Optimove's API could not be opened (%s)",
                   nm_code_name(rc));
  return NM_OK;
}

static int open_handles(struct nm_engine *engine)
{
  uv_random(NULL, NULL, &engine->random, sizeof engine->random, 0, NULL);
  engine->random |= 1;
  if (uv_async_init(&engine->loop, &engine->waker, on_waked)) return NM_EIO;
  engine->waker.data = engine;
  if (uv_idle_init(&engine->loop, &engine->idle)) return NM_EIO;
  engine->idle.data = engine;
  int rc = nm_port_open(&engine->control, &engine->loop, CONTROLS_MAX, on_control, engine);
  if (!rc) rc = nm_port_open(&engine->answers, &engine->loop, ANSWERS_MAX, NULL, engine);
  if (rc) return rc;
  nm_work_open(engine);
  nm_alarm_open(&engine->stop_alarm, engine, on_stop_alarm, engine);
  return NM_OK;
}

static int start(struct nm_engine *engine)
{
  int rc = open_handles(engine);
  if (rc) return nm_fail(&engine->start_error, rc, "the engine's loop could not be set up");
  rc = open_rooms(engine);
  if (rc) return rc;
  nm_finisher_open(engine);
  nm_planner_open(engine);
  nm_erasures_open(engine);
  nm_retention_open(engine);
  nm_books_open(engine);
  nm_engine_resume(engine);
  return NM_OK;
}

static void name_handle(uv_handle_t *handle, void *data)
{
  (void)data;
  nm_log(NM_LOG_ERROR, "engine", NULL, "a handle is still open at the end: %s",
         uv_handle_type_name(handle->type));
}

static void end(struct nm_engine *engine)
{
  if (uv_loop_close(&engine->loop)) uv_walk(&engine->loop, name_handle, NULL);
  nm_planner_close(engine);
  nm_erasures_close(engine);
  nm_books_destroy(engine);
  nm_finisher_close(engine);
  while (engine->hosts) {
    struct nm_host *host = engine->hosts;
    engine->hosts = host->next;
    free(host->name);
    free(host);
  }
}

static void run_thread(void *arg)
{
  struct nm_engine *engine = arg;
  engine->start_rc = start(engine);
  bool is_started = engine->start_rc == NM_OK;
  uv_sem_post(&engine->started);
  if (!is_started) return; /* the daemon ends: nothing is torn down piece by piece */
  uv_run(&engine->loop, UV_RUN_DEFAULT);
  end(engine);
}

int nm_engine_start(struct nm_engine **out, const struct nm_engine_env *env, struct nm_error *err)
{
  struct nm_engine *engine = calloc(1, sizeof *engine);
  char *public_url = malloc(env->public_url.len + 1);
  if (!engine || !public_url) {
    free(engine);
    free(public_url);
    return nm_fail(err, NM_ENOMEM, "no memory for the engine");
  }
  if (env->public_url.len > 0) memcpy(public_url, env->public_url.ptr, env->public_url.len);
  public_url[env->public_url.len] = '\0';
  engine->env = *env;
  engine->public_url = public_url;
  atomic_init(&engine->bits, 0);
  nm_require(uv_loop_init(&engine->loop) == 0);
  nm_require(uv_sem_init(&engine->started, 0) == 0);
  nm_require(uv_thread_create(&engine->thread, run_thread, engine) == 0);
  uv_sem_wait(&engine->started);
  if (engine->start_rc == NM_OK) {
    *out = engine;
    return NM_OK;
  }
  if (err) *err = engine->start_error;
  int rc = engine->start_rc;
  uv_thread_join(&engine->thread);
  return rc; /* what was opened stays with the process, which ends */
}

void nm_engine_join(struct nm_engine *engine)
{
  uv_thread_join(&engine->thread);
  uv_sem_destroy(&engine->started);
  nm_port_deinit(&engine->control);
  nm_port_deinit(&engine->answers);
  free(engine->public_url);
  free(engine);
}
