/* admin_audit.c - GET /api/v1/audit: who changed what, newest first. */
#include "api/internal.h"

/* The end of a line may be on its way still when its caller has the answer: the writer is asked for
 * nothing first, so that whatever was answered before stands in the list. */
struct listing {
  struct nm_store_token_used nothing; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  json_t *args;
};

static void on_written(struct nm_task *task)
{
  struct listing *listing = (struct listing *)(void *)task;
  nm_api_query_and_answer(listing->api, listing->http, NM_QUERY_AUDIT, listing->args);
}

void nm_api_audit(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  json_t *args = nm_api_list_args(api, request);
  if (!args) return;
  struct listing *listing = nm_arena_alloc(nm_http_arena(request), sizeof *listing);
  if (!listing) {
    json_decref(args);
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  listing->api = api;
  listing->http = request;
  listing->args = args;
  nm_api_prepare(api, request, &listing->nothing.request, NM_STORE_TOKEN_USED, on_written);
  if (nm_store_submit(api->env.store, &listing->nothing.request))
    on_written(&listing->nothing.request.task);
}
