/* enter.c - the door of the admin API: who calls, whether that role and tenant may, and the line in
 * the audit log that is on the disk before anything is changed. */
#include <stdio.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

enum { DETAILS_MAX_BYTES = 4096, ENDING_MAX_BYTES = 64 * 1024, THING_MAX_BYTES = 300 };

/* ---- the caller ------------------------------------------------------------------------------ */

const struct nm_api_caller *nm_api_caller(const struct nm_http_request *request)
{
  return nm_http_own(request);
}

int64_t nm_api_scope(const struct nm_http_request *request)
{
  const struct nm_api_caller *caller = nm_http_own(request);
  return caller ? caller->tenant_id : 0;
}

bool nm_api_may_see(const struct nm_http_request *request, int64_t tenant_id)
{
  int64_t scope = nm_api_scope(request);
  return scope == 0 || scope == tenant_id;
}

const char *nm_api_role_name(enum nm_api_role role)
{
  switch (role) {
  case NM_API_VIEWER:
    return "viewer";
  case NM_API_OPERATOR:
    return "operator";
  case NM_API_ADMIN:
    return "admin";
  }
  return "unknown";
}

bool nm_api_role_from(struct nm_text word, enum nm_api_role *out)
{
  for (int role = NM_API_VIEWER; role <= NM_API_ADMIN; role++)
    if (nm_text_equal(word, nm_text_from(nm_api_role_name((enum nm_api_role)role)))) {
      *out = (enum nm_api_role)role;
      return true;
    }
  return false;
}

static void refuse_as_unknown(struct nm_http_request *request, const struct nm_api_route *route)
{
  if (route->scope == NM_API_OF_TENANT)
    nm_api_refuse_tenant(request);
  else
    nm_http_refuse(request, 404, "not_found", "there is nothing of this id", "id", 0);
}

/* ---- the audit log --------------------------------------------------------------------------- */

static void on_ended(struct nm_task *task)
{
  struct nm_store_audit *audit = (struct nm_store_audit *)(void *)task;
  if (audit->request.rc)
    nm_log(NM_LOG_WARN, "api", NULL, "the end of audit line %lld could not be written: %s",
           (long long)audit->id, audit->request.error.text);
  nm_arena_destroy(audit->request.arena);
}

/* What could not be kept is said to be so. */
static struct nm_text keep(struct nm_arena *arena, struct nm_text text)
{
  struct nm_text copy = nm_arena_copy(arena, text);
  return copy.ptr ? copy : NM_TEXT("(no memory to keep this)");
}

/* Nobody waits for it: what it tells of is done. */
static void end_line(struct nm_api_caller *caller, int status)
{
  struct nm_arena *arena = nm_arena_create(ENDING_MAX_BYTES);
  struct nm_store_audit *audit = arena ? nm_arena_alloc(arena, sizeof *audit) : NULL;
  if (audit) {
    audit->request = (struct nm_store_request){ .task = { .done = on_ended },
                                                .verb = NM_STORE_AUDIT,
                                                .arena = arena };
    audit->id = caller->line.id;
    audit->end = (struct nm_store_audit_end){
      .status = status,
      .was = keep(arena, caller->end.was),
      .became = status < 300 ? keep(arena, caller->end.became) : NM_TEXT(""),
      .details = nm_arena_copy(arena, caller->end.details)
    };
    if (nm_store_submit(caller->api->env.store, &audit->request) == NM_OK)
      return;
  }
  nm_arena_destroy(arena);
  nm_log(NM_LOG_WARN, "api", NULL, "the end of audit line %lld could not be written",
         (long long)caller->line.id);
}

static void on_answer(struct nm_http_request *request, int status)
{
  struct nm_api_caller *caller = nm_http_own(request);
  if (status < 300 && caller->end.status >= 300)
    status = caller->end.status;
  if (caller->is_with_change && status < 300)
    return; /* it was written with the change */
  end_line(caller, status);
}

void nm_api_audit_with(struct nm_http_request *request, struct nm_store_request *change)
{
  struct nm_api_caller *caller = nm_http_own(request);
  if (!caller || caller->line.id == 0)
    return;
  caller->is_with_change = true;
  caller->end.status = 200;
  change->audit = &caller->end;
}

void nm_api_audit_tenant(struct nm_http_request *request, const int64_t *tenant_id)
{
  struct nm_api_caller *caller = nm_http_own(request);
  if (caller)
    caller->end.tenant_id = tenant_id;
}

void nm_api_audit_refused(struct nm_http_request *request, int status)
{
  struct nm_api_caller *caller = nm_http_own(request);
  if (caller)
    caller->end.status = status;
}

void nm_api_audit_note(struct nm_http_request *request, struct nm_text was, struct nm_text became,
                       const json_t *details)
{
  struct nm_api_caller *caller = nm_http_own(request);
  struct nm_arena *arena = nm_http_arena(request);
  if (!caller || caller->line.id == 0)
    return;
  if (was.len > 0)
    caller->end.was = keep(arena, was);
  if (became.len > 0)
    caller->end.became = keep(arena, became);
  struct nm_text text = details ? nm_json_text(arena, details) : NM_TEXT("");
  if (!text.ptr)
    text = NM_TEXT("\"no memory to keep this\"");
  if (text.len > DETAILS_MAX_BYTES)
    text = NM_TEXT("\"too much to be kept here\"");
  if (text.len > 0)
    caller->end.details = text;
}

static void run(struct nm_api_caller *caller)
{
  caller->route->handler(caller->request, caller->api);
}

static void on_begun(struct nm_task *task)
{
  struct nm_store_audit *line = (struct nm_store_audit *)(void *)task;
  struct nm_api_caller *caller =
      (struct nm_api_caller *)(void *)((char *)line - offsetof(struct nm_api_caller, line));
  if (line->request.rc) {
    line->id = 0;
    nm_api_refuse(caller->request, line->request.rc, &line->request.error);
    return;
  }
  caller->end.id = line->id;
  nm_http_on_answer(caller->request, on_answer);
  run(caller);
}

/* Of a TENANT's route its tenant, else the caller's own. */
static int64_t tenant_of(const struct nm_api_caller *caller)
{
  if (caller->route->scope != NM_API_OF_TENANT)
    return caller->tenant_id;
  struct nm_tenant *tenant =
      nm_tenants_by_name(caller->api->env.tenants, nm_http_param(caller->request, "tenant"));
  int64_t id = tenant ? tenant->id : 0;
  nm_tenant_unref(tenant);
  return id;
}

static void begin_line(struct nm_api_caller *caller)
{
  struct nm_http_request *request = caller->request;
  struct nm_arena *arena = nm_http_arena(request);
  struct nm_store_audit *line = &caller->line;
  struct nm_text path = nm_http_path(request);
  if (path.len > THING_MAX_BYTES)
    path.len = THING_MAX_BYTES;
  nm_api_prepare(caller->api, request, &line->request, NM_STORE_AUDIT, on_begun);
  line->tenant_id = tenant_of(caller);
  line->at_ms = nm_clock_wall_ms();
  line->who = caller->who;
  line->route = nm_arena_printf(arena, "%s %s", caller->route->method, caller->route->pattern);
  line->thing = path;
  int rc = line->route.ptr ? nm_store_submit(caller->api->env.store, &line->request) : NM_ENOMEM;
  if (rc)
    nm_api_refuse(request, rc, NULL);
}

/* ---- may he? --------------------------------------------------------------------------------- */

static void let_in(struct nm_api_caller *caller)
{
  enum nm_api_does does = caller->route->does;
  bool is_dry = nm_api_is_asked(caller->request, "dry_run");
  if (does == NM_API_CHANGES || (does == NM_API_SAVES && !is_dry))
    begin_line(caller);
  else
    run(caller);
}

static void on_owner(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  struct nm_api_caller *caller = data;
  bool is_own = json_is_true(json_object_get(answer, "are_all"));
  (void)api;
  json_decref(answer);
  if (rc)
    nm_api_refuse(request, rc, err);
  else if (is_own)
    let_in(caller);
  else
    refuse_as_unknown(request, caller->route);
}

void nm_api_ask_owner(struct nm_api *api, struct nm_http_request *request, json_t *ids,
                      nm_api_told *then, void *data)
{
  nm_api_query(api, request, NM_QUERY_OWNER,
               json_pack("{s:I,s:o}", "tenant_id", (json_int_t)nm_api_scope(request), "ids", ids),
               then, data);
}

/* Whether the tenant of a token has to do with what is asked. */
static void check_scope(struct nm_api_caller *caller)
{
  const struct nm_api_route *route = caller->route;
  struct nm_http_request *request = caller->request;
  if (caller->tenant_id == 0 || route->scope == NM_API_LIST) {
    let_in(caller);
  } else if (route->scope == NM_API_OF_TENANT) {
    if (tenant_of(caller) == caller->tenant_id)
      let_in(caller);
    else
      refuse_as_unknown(request, route);
  } else if (route->scope == NM_API_OF_DAEMON) {
    nm_http_refuse(request, 403, "not_allowed",
                   "this concerns the whole daemon, and the token is of one tenant", NULL, 0);
  } else {
    int64_t id = nm_api_id(request);
    if (id > 0)
      nm_api_ask_owner(caller->api, request, json_pack("[I]", (json_int_t)id), on_owner, caller);
  }
}

static void check_role(struct nm_api_caller *caller)
{
  const struct nm_api_route *route = caller->route;
  if (!caller->who.ptr) { /* a change is nobody's otherwise */
    nm_api_refuse(caller->request, NM_ENOMEM, NULL);
    return;
  }
  if (caller->role >= route->role) {
    check_scope(caller);
    return;
  }
  struct nm_text text = nm_arena_printf(
      nm_http_arena(caller->request), "this asks for the role %s, and the token has the role %s",
      nm_api_role_name(route->role), nm_api_role_name(caller->role));
  nm_metric_add(NM_METRIC_ADMIN_REFUSED, 1);
  nm_http_refuse(caller->request, 403, "not_allowed", text.ptr ? text.ptr : "not allowed", NULL, 0);
}

/* ---- who calls ------------------------------------------------------------------------------- */

static struct nm_api_caller *create(struct nm_api *api, struct nm_http_request *request)
{
  struct nm_api_caller *caller = nm_arena_alloc(nm_http_arena(request), sizeof *caller);
  if (!caller) {
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return NULL;
  }
  caller->api = api;
  caller->request = request;
  caller->route = nm_api_route_of(nm_http_route(request));
  nm_http_set_own(request, caller);
  return caller;
}

void nm_api_enter_by_socket(struct nm_http_request *request, void *data)
{
  struct nm_api_caller *caller = create(data, request);
  int64_t uid = nm_http_peer_uid(request);
  if (!caller)
    return;
  caller->role = NM_API_ADMIN;
  caller->who = uid >= 0
                    ? nm_arena_printf(nm_http_arena(request), "socket uid %lld", (long long)uid)
                    : NM_TEXT("socket");
  check_role(caller);
}

static struct nm_text bearer_of(struct nm_http_request *request)
{
  struct nm_text kind, token;
  nm_text_cut(nm_text_trim(nm_http_header(request, "Authorization")), ' ', &kind, &token);
  return nm_text_equal_nocase(kind, NM_TEXT("Bearer")) ? nm_text_trim(token) : NM_TEXT("");
}

void nm_api_enter_by_network(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  if (!api->are_tokens_known) {
    nm_http_refuse(request, 503, "starting", "the tokens are being read; try again", NULL, 1);
    return;
  }
  struct nm_api_token *token = nm_api_token_find(api, bearer_of(request));
  if (!token) {
    nm_api_refuse_login(api, request, true);
    return;
  }
  struct nm_api_caller *caller = create(api, request);
  if (!caller)
    return;
  caller->role = token->role;
  caller->tenant_id = token->tenant_id;
  caller->who =
      nm_arena_printf(nm_http_arena(request), "token %s (%lld)", token->name, (long long)token->id);
  check_role(caller);
}
