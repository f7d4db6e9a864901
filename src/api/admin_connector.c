/* admin_connector.c - what operators ask of a tenant's connector: plan, apply, status, test,
 * rotate. */
#include <stdlib.h>

#include "api/internal.h"
#include "base/limits.h"

enum { STATUS_MAX_MS = 5 * 1000 };

/* Asks the engine about the tenant of the path. */
static void ask(struct nm_api *api, struct nm_http_request *request, enum nm_control_verb verb,
                nm_api_told *then)
{
  struct nm_tenant *tenant = nm_api_named_tenant(api, request);
  if (!tenant) return;
  json_t *args = json_pack("{s:s%,s:b}", "tenant", tenant->name.ptr, tenant->name.len, "take_over",
                           (int)nm_api_is_asked(request, "take_over"));
  nm_tenant_unref(tenant);
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = verb, .args = args,
                                         .timeout_ms = NM_CONNECTOR_APPLY_MAX_MS, .then = then });
}

/* The engine's answer as it is; a refused key has one too. */
static void answer_told(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                        const struct nm_error *err, json_t *answer)
{
  (void)data;
  if (rc && !answer) {
    nm_api_refuse(request, rc, err);
    return;
  }
  if (rc && err) json_object_set_new(answer, "error", json_string(err->text));
  nm_api_polish(api, answer);
  nm_api_answer(request, 200, answer ? answer : json_object());
}

void nm_api_connector_plan(struct nm_http_request *request, void *data)
{
  ask(data, request, NM_CONTROL_CONNECTOR_PLAN, answer_told);
}

void nm_api_connector_status(struct nm_http_request *request, void *data)
{
  ask(data, request, NM_CONTROL_CONNECTOR_STATUS, answer_told);
}

void nm_api_connector_test(struct nm_http_request *request, void *data)
{
  ask(data, request, NM_CONTROL_CONNECTOR_TEST, answer_told);
}

static void on_applied(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                       const struct nm_error *err, json_t *answer)
{
  bool is_settled = !rc && json_is_true(json_object_get(answer, "settled"));
  if (answer)
    json_object_set_new(answer, "status", json_string(is_settled ? "applied" : "pending"));
  answer_told(api, request, data, rc, err, answer);
}

void nm_api_connector_apply(struct nm_http_request *request, void *data)
{
  ask(data, request, NM_CONTROL_CONNECTOR_APPLY, on_applied);
}

/* ---- rotate ---------------------------------------------------------------------------------- */

static void rotate(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old)
{
  bool is_finish = nm_api_is_asked(request, "finish");
  int number = is_finish ? old->secret_number : old->secret_number + 1,
      previous = is_finish ? 0 : old->secret_number;
  struct nm_tenant *fresh =
      nm_api_tenant_with(request, old, "urlSecret",
                         json_pack("{s:i,s:i}", "number", number, "previous", previous));
  if (fresh) nm_api_store_tenant(api, request, old, fresh);
  else nm_tenant_unref(old);
}

/* The older of the two secrets is dropped only when no listener carries it any more. */
static void on_status(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *answer)
{
  struct nm_tenant *old = data;
  bool is_settled = json_is_true(json_object_get(answer, "settled"));
  json_decref(answer);
  if (rc) {
    nm_tenant_unref(old);
    nm_api_refuse(request, rc, err);
  } else if (!is_settled) {
    nm_tenant_unref(old);
    nm_http_refuse(request, 409, "not_settled",
                   "listeners may still carry the older secret, which this would make invalid: see "
                   "connector status, or say --force",
                   "tenant", 0);
  } else {
    rotate(api, request, old);
  }
}

void nm_api_connector_rotate(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *old = nm_api_named_tenant(api, request);
  if (!old) return;
  bool drops_one = old->secret_number_previous > 0;
  if (old->is_leaving) {
    nm_tenant_unref(old);
    nm_http_refuse(request, 409, "leaving", "the tenant is being removed", "tenant", 0);
    return;
  }
  if (!old->connector.is_present) {
    nm_tenant_unref(old);
    nm_http_refuse(request, 409, "no_connector", "the tenant has no Optimove connector", "tenant",
                   0);
  } else if (!drops_one && nm_api_is_asked(request, "finish")) {
    nm_tenant_unref(old);
    nm_http_refuse(request, 409, "nothing_to_finish", "no rotation is under way", "tenant", 0);
  } else if (drops_one && !nm_api_is_asked(request, "force")) {
    json_t *args = json_pack("{s:s%}", "tenant", old->name.ptr, old->name.len);
    nm_api_tell(api, request,
                &(struct nm_api_question){ .verb = NM_CONTROL_CONNECTOR_STATUS, .args = args,
                                           .timeout_ms = STATUS_MAX_MS, .then = on_status,
                                           .data = old });
  } else {
    rotate(api, request, old);
  }
}
