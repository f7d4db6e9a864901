/* public_erase.c - DELETE of a profile: the person is erased, as a job; and how far the job is. */
#include <inttypes.h>

#include "api/internal.h"
#include "api/public_profiles.h"

struct erasing {
  struct nm_store_erase erase; /* first: its task is how this is found again */
  struct nm_http_request *http;
};

static void on_erased(struct nm_task *task)
{
  struct erasing *erasing = (struct erasing *)(void *)task;
  const struct nm_store_erase *erase = &erasing->erase;
  if (erase->request.rc) {
    nm_api_refuse_busy(erasing->http);
    return;
  }
  json_t *answer = json_pack("{s:s}", "status", "erasing");
  if (answer && nm_json_set_id(answer, "job", erase->id)) {
    json_decref(answer);
    answer = NULL;
  }
  nm_api_answer(erasing->http, 202, answer);
}

void nm_api_profile_erase(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant)
    return;
  int64_t tenant_id = tenant->id;
  nm_tenant_unref(tenant);
  struct nm_text ext_id = nm_http_param(request, "extId");
  if (!nm_api_is_ext_id(ext_id)) {
    nm_http_refuse(request, 400, "invalid", "extId should be text of 1 to 256 bytes", "extId", 0);
    return;
  }
  struct erasing *erasing = nm_arena_alloc(nm_http_arena(request), sizeof *erasing);
  if (!erasing) {
    nm_api_refuse_busy(request);
    return;
  }
  erasing->http = request;
  nm_api_prepare(api, request, &erasing->erase.request, NM_STORE_ERASE, on_erased);
  erasing->erase.tenant_id = tenant_id;
  erasing->erase.ext_id = ext_id;
  if (nm_store_submit(api->env.store, &erasing->erase.request))
    nm_api_refuse_busy(request);
}

/* ---- how far it is --------------------------------------------------------------------------- */

static void answer_job(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                       const struct nm_error *err, json_t *answer)
{
  (void)api;
  (void)data;
  json_t *job = rc ? NULL : json_incref(json_array_get(answer, 0));
  json_decref(answer);
  if (rc) {
    nm_api_refuse(request, rc, err);
    return;
  }
  if (!job) {
    nm_http_refuse(request, 404, "not_found", "there is no job of this id", "job", 0);
    return;
  }
  json_object_del(job, "tenant");
  json_object_del(job, "tenant_id");
  nm_api_answer(request, 200, job);
}

void nm_api_erasure(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  int64_t id = 0;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant)
    return;
  json_int_t tenant_id = (json_int_t)tenant->id;
  nm_tenant_unref(tenant);
  if (!nm_text_to_i64(nm_http_param(request, "job"), &id) || id <= 0) {
    nm_http_refuse(request, 404, "not_found", "there is no job of this id", "job", 0);
    return;
  }
  nm_api_query(api, request, NM_QUERY_ERASURES,
               json_pack("{s:I,s:I}", "tenant_id", tenant_id, "id", (json_int_t)id), answer_job,
               NULL);
}

void nm_api_erasures(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_ERASURES);
}
