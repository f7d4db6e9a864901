/* connector.c - what operators ask of a tenant's connector: plan, apply, status, test. */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/book.h"

/* ---- plan: only looks ------------------------------------------------------------------------ */

struct looking {
  struct nm_book *book;
  struct nm_control *control;
};

static void on_looked(void *data, int rc, const json_t *report)
{
  struct looking *looking = data;
  struct nm_engine *engine = looking->book->engine;
  json_t *answer = json_deep_copy(report);
  nm_book_compare(looking->book, json_object_get(answer, "warnings"), false);
  engine->reconciles--;
  if (rc == NM_EDENIED) nm_fail(&looking->control->error, rc, "Optimove refuses this key");
  nm_control_answer(looking->control, rc == NM_EDENIED ? rc : NM_OK, answer);
  free(looking);
  nm_engine_check_stop(engine);
}

static void plan(struct nm_book *book, struct nm_control *control)
{
  struct looking *looking = calloc(1, sizeof *looking);
  nm_require(looking != NULL);
  *looking = (struct looking){ book, control };
  struct nm_reconcile what = nm_reconciler_describe(&book->reconciler);
  what.only_plan = true;
  what.done = on_looked;
  what.data = looking;
  book->engine->reconciles++;
  int rc = nm_optimove_reconcile(&what);
  if (!rc) return;
  book->engine->reconciles--;
  free(looking);
  nm_fail(&control->error, rc, "could not look at the listeners (%s)", nm_code_name(rc));
  nm_control_answer(control, rc, NULL);
}

/* ---- apply ----------------------------------------------------------------------------------- */

static void apply(struct nm_book *book, struct nm_control *control)
{
  if (!book->tenant->connector.is_active) {
    nm_fail(&control->error, NM_ECONFLICT,
            "the connector of %.*s is INACTIVE: nothing is called; save it as ACTIVE first",
            NM_TEXT_ARG(book->tenant->name));
    nm_control_answer(control, NM_ECONFLICT, NULL);
    return;
  }
  if (json_is_true(json_object_get(control->args, "take_over"))) book->reconciler.takes_over = true;
  nm_reconciler_want(&book->reconciler, control);
}

/* ---- status ---------------------------------------------------------------------------------- */

static void status(struct nm_book *book, struct nm_control *control)
{
  const struct nm_tenant *tenant = book->tenant;
  const struct nm_reconciler *reconciler = &book->reconciler;
  json_t *answer = reconciler->last_report ? json_deep_copy(reconciler->last_report)
                                           : json_pack("{s:[],s:[],s:[],s:[]}", "done", "todo",
                                                       "warnings", "findings");
  nm_require(answer != NULL);
  nm_book_compare(book, json_object_get(answer, "warnings"), false);
  bool is_settled = reconciler->last_ended_at_ms > 0 && reconciler->last_rc == NM_OK &&
                    !reconciler->is_running && !reconciler->is_wanted;
  json_object_set_new(answer, "connector",
                      json_string(tenant->connector.is_active ? "ACTIVE" : "INACTIVE"));
  json_object_set_new(answer, "settled", json_boolean(is_settled));
  json_object_set_new(answer, "running", json_boolean(reconciler->is_running));
  json_object_set_new(answer, "failures", json_integer(reconciler->failures));
  json_object_set_new(answer, "secret_number", json_integer(tenant->secret_number));
  if (tenant->secret_number_previous)
    json_object_set_new(answer, "secret_number_previous",
                        json_integer(tenant->secret_number_previous));
  if (reconciler->last_ended_at_ms)
    json_object_set_new(answer, "last_look_at", json_integer(reconciler->last_ended_at_ms));
  if (reconciler->next_look_at_ms)
    json_object_set_new(answer, "next_look_at", json_integer(reconciler->next_look_at_ms));
  json_object_set_new(answer, "catch_up", nm_catchup_status(&book->catchup));
  nm_control_answer(control, NM_OK, answer);
}

/* ---- test ------------------------------------------------------------------------------------ */

struct testing {
  struct nm_engine *engine;
  struct nm_control *control;
};

static void on_tested(void *data, int rc, json_t *checks)
{
  struct testing *testing = data;
  struct nm_engine *engine = testing->engine;
  engine->reconciles--;
  if (rc) nm_fail(&testing->control->error, rc, "Optimove refuses this key");
  nm_control_answer(testing->control, rc, checks);
  free(testing);
  nm_engine_check_stop(engine);
}

static void test(struct nm_engine *engine, struct nm_tenant *tenant, struct nm_control *control)
{
  struct nm_optimove_account *account = nm_optimove_account(engine->optimove, tenant);
  struct testing *testing = calloc(1, sizeof *testing);
  nm_require(testing != NULL);
  *testing = (struct testing){ engine, control };
  struct nm_probe what = {
    .account = account, .admin_account = nm_optimove_admin_account(engine->optimove, tenant),
    .tenant = tenant, .client = engine->client,
    .public_url = nm_text_from(engine->public_url),
    .for_save = json_is_true(json_object_get(control->args, "for_save")),
    .done = on_tested, .data = testing,
  };
  engine->reconciles++;
  int rc = account && what.admin_account ? nm_optimove_probe(&what) : NM_ENOMEM;
  if (!rc) return;
  engine->reconciles--;
  free(testing);
  nm_control_answer(control, rc, NULL);
}

void nm_connector_try(struct nm_engine *engine, struct nm_control *control)
{
  test(engine, control->payload, control);
}

/* ---- dispatch -------------------------------------------------------------------------------- */

void nm_connector_control(struct nm_book *book, struct nm_control *control)
{
  if (!book->tenant->connector.is_present || !book->account) {
    nm_fail(&control->error, NM_EINVAL, "tenant %.*s has no Optimove connector",
            NM_TEXT_ARG(book->tenant->name));
    nm_control_answer(control, NM_EINVAL, NULL);
    return;
  }
  switch (control->verb) {
  case NM_CONTROL_CONNECTOR_PLAN: plan(book, control); break;
  case NM_CONTROL_CONNECTOR_APPLY: apply(book, control); break;
  case NM_CONTROL_CONNECTOR_STATUS: status(book, control); break;
  default: test(book->engine, book->tenant, control);
  }
}
