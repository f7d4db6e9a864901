/* lists.c - what every list takes: whose, how many, older than which. */
#include "api/internal.h"
#include "base/limits.h"

enum { LIST_DEFAULT = 100 };

/* A number above 0; false after a refusal. */
static bool read_number(struct nm_http_request *request, const char *name, const char *wrong,
                        int64_t *out)
{
  struct nm_text text = nm_http_query(request, name);
  if (text.len == 0 || (nm_text_to_i64(text, out) && *out > 0))
    return true;
  nm_http_refuse(request, 400, "invalid", wrong, name, 0);
  return false;
}

/* Whose: the caller's own where it is limited to one; false after a refusal. */
static bool read_tenant(struct nm_api *api, struct nm_http_request *request, int64_t *out)
{
  struct nm_text name = nm_http_query(request, "tenant");
  *out = nm_api_scope(request);
  if (name.len == 0)
    return true;
  struct nm_tenant *tenant = nm_api_find_tenant(api, request, name);
  if (!tenant)
    return false;
  *out = tenant->id;
  nm_tenant_unref(tenant);
  return true;
}

json_t *nm_api_list_args(struct nm_api *api, struct nm_http_request *request)
{
  static const char *const words[] = { "state", "customer", "after" };
  int64_t limit = LIST_DEFAULT, before = 0, tenant_id = 0;
  if (!read_number(request, "limit", "limit should be a number above 0", &limit) ||
      !read_number(request, "before", "before should be an id", &before) ||
      !read_tenant(api, request, &tenant_id))
    return NULL;
  if (limit > NM_STORE_QUERY_ROWS_MAX)
    limit = NM_STORE_QUERY_ROWS_MAX;
  json_t *args = json_pack("{s:I}", "limit", (json_int_t)limit);
  if (before > 0)
    json_object_set_new(args, "before", json_integer(before));
  if (tenant_id > 0)
    json_object_set_new(args, "tenant_id", json_integer(tenant_id));
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    struct nm_text word = nm_http_query(request, words[i]);
    if (word.len > 0)
      json_object_set_new(args, words[i], json_stringn(word.ptr, word.len));
  }
  return args;
}

void nm_api_list(struct nm_api *api, struct nm_http_request *request,
                 enum nm_store_query_kind kind)
{
  json_t *args = nm_api_list_args(api, request);
  if (args)
    nm_api_query_and_answer(api, request, kind, args);
}
