/* admin_audit.c - GET /api/v1/audit: who changed what, newest first. */
#include "api/internal.h"

void nm_api_audit(struct nm_http_request *request, void *data)
{
  json_t *args = nm_api_list_args(data, request);
  if (args) nm_api_query_and_answer(data, request, NM_QUERY_AUDIT, args);
}
