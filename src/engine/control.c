/* control.c - what operators ask. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/book.h"
#include "engine/guard.h"
#include "engine/lanes.h"
#include "engine/planner.h"
#include "engine/runs.h"

void nm_control_answer(struct nm_control *control, int rc, json_t *answer)
{
  control->rc = rc;
  control->error.code = rc;
  if (rc && control->error.text[0] == '\0') nm_fail(&control->error, rc, "%s", nm_code_name(rc));
  control->answer = answer;
  nm_task_return(&control->task);
}

/* The tenant that args name; NULL where there is none, and then it was answered. */
static struct nm_book *book_of(struct nm_engine *engine, struct nm_control *control)
{
  struct nm_text name = nm_json_string(control->args, "tenant");
  struct nm_book *book = name.len > 0 ? nm_book_by_name(engine, name) : NULL;
  if (book) {
    nm_book_refresh(book);
    return book;
  }
  nm_fail(&control->error, NM_ENOTFOUND, "there is no tenant \"%.*s\"", NM_TEXT_ARG(name));
  nm_control_answer(control, NM_ENOTFOUND, NULL);
  return NULL;
}

static void tenant_saved(struct nm_engine *engine, struct nm_control *control)
{
  struct nm_book *book = book_of(engine, control);
  if (!book) return;
  nm_book_compare(book, NULL, true);
  nm_guard_learn(book);
  nm_runs_wake(book);
  nm_reconciler_want(&book->reconciler, control);
}

static void ask_connector(struct nm_engine *engine, struct nm_control *control)
{
  if (control->verb == NM_CONTROL_CONNECTOR_TEST && control->payload) {
    nm_connector_try(engine, control);
    return;
  }
  struct nm_book *book = book_of(engine, control);
  if (book) nm_connector_control(book, control);
}

static void test_provider(struct nm_engine *engine, struct nm_control *control)
{
  struct nm_book *book = book_of(engine, control);
  if (book) nm_provider_control(book, control);
}

static void swap_rules(struct nm_engine *engine, struct nm_control *control)
{
  struct nm_generation *generation = control->payload;
  control->payload = NULL;
  if (generation) nm_book_take_generation(engine, generation);
  nm_control_answer(control, NM_OK, NULL);
}

static void rules_are_in(struct nm_engine *engine, struct nm_control *control)
{
  engine->are_rules_in = true;
  for (size_t i = 0; i < engine->book_count; i++) nm_runs_check_generations(engine->books[i]);
  nm_control_answer(control, NM_OK, NULL);
  nm_engine_check_start(engine);
}

static void queue_changed(struct nm_engine *engine, struct nm_control *control)
{
  nm_planner_wake(engine);
  nm_engine_resume(engine);
  nm_control_answer(control, NM_OK, NULL);
}

/* ---- rules before their time ----------------------------------------------------------------- */

/* Runs that want old generations are known only when RESUME was answered. */
static bool defer(struct nm_engine *engine, struct nm_control *control)
{
  bool is_of_rules =
      control->verb == NM_CONTROL_SWAP_RULES || control->verb == NM_CONTROL_RULES_ARE_IN;
  if (!is_of_rules || engine->is_resumed) return false;
  control->task.mail.next = NULL;
  if (engine->last_deferred) engine->last_deferred->task.mail.next = &control->task.mail;
  else engine->first_deferred = control;
  engine->last_deferred = control;
  return true;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static void stop(struct nm_engine *engine, struct nm_control *control)
{
  if (engine->stopping) {
    nm_control_answer(control, NM_ECONFLICT, NULL);
    return;
  }
  engine->stopping = control;
  nm_engine_stop(engine);
}

void nm_control_take(struct nm_engine *engine, struct nm_control *control)
{
  control->rc = NM_OK;
  control->error = (struct nm_error){ 0 };
  control->answer = NULL;
  if (engine->phase >= NM_ENGINE_DRAINING) {
    if (control->verb == NM_CONTROL_SWAP_RULES) nm_generation_unref(control->payload);
    nm_fail(&control->error, NM_ECLOSED, "netmove is stopping");
    nm_control_answer(control, NM_ECLOSED, NULL);
    return;
  }
  if (defer(engine, control)) return;
  switch (control->verb) {
  case NM_CONTROL_TENANT_SAVED: tenant_saved(engine, control); break;
  case NM_CONTROL_SWAP_RULES: swap_rules(engine, control); break;
  case NM_CONTROL_RUN_CANCEL: nm_control_run_cancel(engine, control); break;
  case NM_CONTROL_RUN_PAUSE: nm_control_run_pause(engine, control); break;
  case NM_CONTROL_RUN_RELEASE: nm_control_run_release(engine, control); break;
  case NM_CONTROL_RUN_PROGRESS: nm_control_run_progress(engine, control); break;
  case NM_CONTROL_RUN_REPIN: nm_control_run_repin(engine, control); break;
  case NM_CONTROL_EXPLAIN: nm_control_explain(engine, control); break;
  case NM_CONTROL_METRICS: nm_control_metrics(engine, control); break;
  case NM_CONTROL_EXPLAIN_MESSAGE: nm_control_explain_message(engine, control); break;
  case NM_CONTROL_CONNECTOR_PLAN:
  case NM_CONTROL_CONNECTOR_APPLY:
  case NM_CONTROL_CONNECTOR_STATUS:
  case NM_CONTROL_CONNECTOR_TEST: ask_connector(engine, control); break;
  case NM_CONTROL_PROVIDER_TEST: test_provider(engine, control); break;
  case NM_CONTROL_QUEUE_CHANGED: queue_changed(engine, control); break;
  case NM_CONTROL_STOP: stop(engine, control); break;
  case NM_CONTROL_STATUS: nm_control_answer(control, NM_OK, nm_control_status(engine)); break;
  case NM_CONTROL_RULES_ARE_IN: rules_are_in(engine, control); break;
  default:
    nm_fail(&control->error, NM_EUNSUPPORTED, "the engine does not know this request");
    nm_control_answer(control, NM_EUNSUPPORTED, NULL);
  }
}
