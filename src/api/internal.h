/* internal.h - what the files of api/ share. */
#pragma once

#include <uv.h>

#include "api/api.h"
#include "api/door.h"

struct nm_api_call;
struct nm_api_refusal;
struct nm_api_bulk;

enum { NM_API_DIGEST_BYTES = 32 };

enum nm_api_role { NM_API_VIEWER = 1, NM_API_OPERATOR = 2, NM_API_ADMIN = 3 };

/* Whose a route's thing is: routes.def. */
enum nm_api_scope {
  NM_API_OF_TENANT = 0,
  NM_API_OF_THING = 1,
  NM_API_LIST = 2,
  NM_API_OF_DAEMON = 3,
};

enum nm_api_does {
  NM_API_LOOKS = 0,
  NM_API_CHANGES = 1,
  NM_API_SAVES = 2, /* unless it is asked with ?dry_run=1 */
};

struct nm_api_route {
  const char *method, *pattern;
  enum nm_api_role role; /* 0 = open to everybody */
  enum nm_api_scope scope;
  enum nm_api_does does;
  void (*handler)(struct nm_http_request *request, void *data);
};

struct nm_api_token {
  int64_t id;
  int64_t tenant_id; /* 0 = the whole daemon */
  enum nm_api_role role;
  int64_t created_at_ms, expires_at_ms, used_at_ms;
  int64_t noted_at_ms; /* used_at_ms as the store has it */
  char *name;
  unsigned char digest[NM_API_DIGEST_BYTES];
};

/* Who asks an admin route; in the request's arena. */
struct nm_api_caller {
  struct nm_api *api;
  struct nm_http_request *request;
  const struct nm_api_route *route;
  enum nm_api_role role;
  int64_t tenant_id;  /* 0 = every tenant */
  struct nm_text who; /* "token NAME (ID)", "socket uid 1000" */
  struct nm_store_audit line; /* id 0: the route changes nothing */
  struct nm_store_audit_end end;
  bool is_with_change; /* the line ends in the transaction of the change */
};

struct nm_api {
  struct nm_api_env env;
  uv_loop_t *loop;
  uv_timer_t clock;           /* looks at the deadlines of calls; runs while there are any */
  struct nm_api_call *calls;  /* what was asked of engine or reload and not answered yet */
  struct nm_failures *failures;
  struct nm_api_refusal *refusals; /* 401s that wait, the first to be given first */
  size_t refusals_count, refusals_bytes;
  uv_timer_t refusals_clock;
  struct nm_pace *paces;      /* of tenants with a rate of their own, by tenant */
  size_t pace_count;
  struct nm_disk disk;
  char *queues;               /* the queues' metrics as they were at queues_at_ms; NULL = not yet */
  int64_t queues_at_ms;
  struct nm_api_token *tokens;
  size_t token_count;
  bool are_tokens_known;
  struct nm_store_tokens_load tokens_load;
  struct nm_api_bulk *bulks;  /* under way */
  json_t *bulks_ended;        /* the latest first; NULL = none yet */
  int closing;                /* handles that still close */
  void (*on_closed)(void *data);
  void *closed_data;
};

/* ---- answer.c: answers and refusals ---------------------------------------------------------- */

/* Answers with JSON; takes value (NULL = out of memory). */
void nm_api_answer(struct nm_http_request *request, int status, json_t *value);

/* The same with an ETag; none where tag is empty. */
void nm_api_answer_tagged(struct nm_http_request *request, int status, json_t *value,
                          struct nm_text tag);

/* A code of ours as a refusal: not found 404, invalid 400, full 503, ...; err may be NULL. */
void nm_api_refuse(struct nm_http_request *request, int code, const struct nm_error *err);

/* 503 with Retry-After: 1. */
void nm_api_refuse_busy(struct nm_http_request *request);

/* 404: no such tenant, or none that the caller may know of. */
void nm_api_refuse_tenant(struct nm_http_request *request);

/* Makes an answer of the store's or the engine's ours: "tenant" beside every "tenant_id", times by
 * names that end in _ms. */
void nm_api_polish(struct nm_api *api, json_t *value);

/* {id} of the path as a number; 0 after the 404 was given. */
int64_t nm_api_id(struct nm_http_request *request);

/* ?name=1 */
bool nm_api_is_asked(struct nm_http_request *request, const char *name);

/* The body as a JSON object; NULL after the 400 was given.  Gives. */
json_t *nm_api_body(struct nm_http_request *request);

/* ---- public_event.c: one arrival, into the journal ------------------------------------------- */

struct nm_api_arriving {
  struct nm_store_accept accept; /* first: its task is how this is found again */
  struct nm_store_arrival arrival;
  struct nm_http_request *http;
};

/* Hands an arrival with its identity to the store, now and as the tenant's; `done` answers.
 * Refuses where it cannot. */
void nm_api_accept(struct nm_api *api, struct nm_api_arriving *arriving, int64_t tenant_id,
                   void (*done)(struct nm_task *task));

/* ---- lists.c --------------------------------------------------------------------------------- */

/* ?tenant=, ?limit=, ?before=, ?state=, ?customer=, ?after= as the store wants them, within what
 * the caller may see; NULL after a refusal. */
json_t *nm_api_list_args(struct nm_api *api, struct nm_http_request *request);

/* Answers with the store's list for those. */
void nm_api_list(struct nm_api *api, struct nm_http_request *request,
                 enum nm_store_query_kind kind);

/* ---- ask.c: the store, and the engine -------------------------------------------------------- */

/* Fills the head of a store request that lives in the HTTP request's arena. */
void nm_api_prepare(struct nm_api *api, struct nm_http_request *request,
                    struct nm_store_request *head, enum nm_store_verb verb,
                    void (*done)(struct nm_task *task));

/* Asks the store's reader; takes args.  `then` runs once, unless this refused already.  *answer:
 * then gives it. */
void nm_api_query(struct nm_api *api, struct nm_http_request *request,
                  enum nm_store_query_kind kind, json_t *args,
                  void (*then)(struct nm_api *api, struct nm_http_request *request, void *data,
                               int rc, const struct nm_error *err, json_t *answer),
                  void *data);

/* The plain case: the answer is what the store says; lists as {"items":[...]}. */
void nm_api_query_and_answer(struct nm_api *api, struct nm_http_request *request,
                             enum nm_store_query_kind kind, json_t *args);

/* How a question to the engine ended; answer is the callee's to decref, or NULL. */
typedef void nm_api_told(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                         const struct nm_error *err, json_t *answer);

/* One that answers 200 with what it was told, lists as {"items":[...]}, or refuses. */
nm_api_told nm_api_answer_told;

struct nm_api_question {
  enum nm_control_verb verb;
  json_t *args;            /* taken */
  struct nm_tenant *about; /* the verb's payload, a tenant that is not saved yet; NULL = none */
  int64_t timeout_ms;
  nm_api_told *then;       /* runs once; with NM_ETIMEOUT where nobody answers in time */
  void *data;              /* lives as long as the request */
};

/* Asks the engine (or, for NM_CONTROL_RELOAD, whoever answers that); borrows question. */
void nm_api_tell(struct nm_api *api, struct nm_http_request *request,
                 const struct nm_api_question *question);

/* Tells the engine and waits for nothing. */
void nm_api_mention(struct nm_api *api, enum nm_control_verb verb);

/* The clock that looks at deadlines. */
void nm_api_on_clock(uv_timer_t *timer);
void nm_api_drop_calls(struct nm_api *api);

/* ---- enter.c: who may ask what, and the audit log -------------------------------------------- */

const struct nm_api_route *nm_api_route_of(const struct nm_http_route *route);
void nm_api_enter_by_socket(struct nm_http_request *request, void *data);
void nm_api_enter_by_network(struct nm_http_request *request, void *data);

/* NULL on public routes. */
const struct nm_api_caller *nm_api_caller(const struct nm_http_request *request);

/* The tenant that the caller is limited to; 0 = none. */
int64_t nm_api_scope(const struct nm_http_request *request);
bool nm_api_may_see(const struct nm_http_request *request, int64_t tenant_id);

/* Asks whether all ids (a JSON array of numbers, taken) are things of the caller's tenant:
 * {are_all}. */
void nm_api_ask_owner(struct nm_api *api, struct nm_http_request *request, json_t *ids,
                      void (*then)(struct nm_api *api, struct nm_http_request *request, void *data,
                                   int rc, const struct nm_error *err, json_t *answer),
                      void *data);

const char *nm_api_role_name(enum nm_api_role role);
bool nm_api_role_from(struct nm_text word, enum nm_api_role *out);

/* For the line of a route that CHANGES; each does nothing where there is no line.  With: it ends in
 * the transaction of this request of the store's writer.  Note: what was there, what came of it,
 * more as JSON; never a secret.  Tenant: whose it is, where that is known only when the change is
 * done (the pointer lives as long as the request).  Refused: nothing was changed although the
 * answer is 2xx. */
void nm_api_audit_with(struct nm_http_request *request, struct nm_store_request *change);
void nm_api_audit_note(struct nm_http_request *request, struct nm_text was, struct nm_text became,
                       const json_t *details);
void nm_api_audit_tenant(struct nm_http_request *request, const int64_t *tenant_id);
void nm_api_audit_refused(struct nm_http_request *request, int status);

/* ---- tokens.c -------------------------------------------------------------------------------- */

NM_MUST_CHECK int nm_api_tokens_load(struct nm_api *api, struct nm_error *err);
void nm_api_tokens_free(struct nm_api *api);
void nm_api_tokens_drop_tenant(struct nm_api *api, int64_t tenant_id);

/* Whose token this is, now; NULL where it is none.  Constant time. */
struct nm_api_token *nm_api_token_find(struct nm_api *api, struct nm_text text);

/* ---- login.c --------------------------------------------------------------------------------- */

NM_MUST_CHECK int nm_api_open_door(struct nm_api *api, struct nm_error *err);
void nm_api_free_door(struct nm_api *api);

/* 401, the later the more often this address failed; with the admin API's words, or the public
 * routes'. */
void nm_api_refuse_login(struct nm_api *api, struct nm_http_request *request, bool is_admin);

/* Who calls a public route; NULL where it is or will be answered 401. */
struct nm_tenant *nm_api_authenticate(struct nm_api *api, struct nm_http_request *request);

/* Whether Optimove is told who of this request wants no more messages: not of imports
 * (?hooks=off). */
bool nm_api_tells_unsubscribes(struct nm_http_request *request, const struct nm_tenant *tenant);

/* Takes so many events of the tenant's own rate; false after the 429 was given. */
bool nm_api_pace(struct nm_api *api, struct nm_http_request *request,
                 const struct nm_tenant *tenant, size_t events);

/* ---- admin_tenants.c, admin_save.c ----------------------------------------------------------- */

/* The tenant of this name, a reference; NULL after the 404 was given: there is none, or none that
 * the caller may see. */
struct nm_tenant *nm_api_find_tenant(struct nm_api *api, struct nm_http_request *request,
                                     struct nm_text name);

/* The same of the path's {tenant}. */
struct nm_tenant *nm_api_named_tenant(struct nm_api *api, struct nm_http_request *request);

/* "\"1870-3\"": which tenant, which version. */
struct nm_text nm_api_etag(struct nm_http_request *request, const struct nm_tenant *tenant);

/* The tenant as it is, but for one key of its document; takes value.  NULL after a refusal. */
struct nm_tenant *nm_api_tenant_with(struct nm_http_request *request, const struct nm_tenant *old,
                                     const char *key, json_t *value);

/* Stores a tenant that was made of another one, tells the engine and answers, as a PUT does.  Takes
 * both references. */
void nm_api_store_tenant(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old,
                         struct nm_tenant *fresh);

/* ---- handlers -------------------------------------------------------------------------------- */

void nm_api_event(struct nm_http_request *request, void *data);
void nm_api_hook_events(struct nm_http_request *request, void *data);
void nm_api_callback(struct nm_http_request *request, void *data);
void nm_api_inbound(struct nm_http_request *request, void *data);
void nm_api_profile(struct nm_http_request *request, void *data);
void nm_api_profiles_bulk(struct nm_http_request *request, void *data);
void nm_api_bulks(struct nm_http_request *request, void *data);
void nm_api_profile_erase(struct nm_http_request *request, void *data);
void nm_api_erasure(struct nm_http_request *request, void *data);
void nm_api_erasures(struct nm_http_request *request, void *data);

void nm_api_healthz(struct nm_http_request *request, void *data);
void nm_api_readyz(struct nm_http_request *request, void *data);
void nm_api_metrics(struct nm_http_request *request, void *data);

void nm_api_tokens(struct nm_http_request *request, void *data);
void nm_api_token_revoke(struct nm_http_request *request, void *data);
void nm_api_audit(struct nm_http_request *request, void *data);

void nm_api_tenants(struct nm_http_request *request, void *data);
void nm_api_tenant_show(struct nm_http_request *request, void *data);
void nm_api_tenant_save(struct nm_http_request *request, void *data);
void nm_api_tenant_remove(struct nm_http_request *request, void *data);
void nm_api_connector_show(struct nm_http_request *request, void *data);
void nm_api_connector_save(struct nm_http_request *request, void *data);
void nm_api_hooks_show(struct nm_http_request *request, void *data);
void nm_api_hooks_save(struct nm_http_request *request, void *data);
void nm_api_events(struct nm_http_request *request, void *data);
void nm_api_event_show(struct nm_http_request *request, void *data);
void nm_api_messages(struct nm_http_request *request, void *data);
void nm_api_message_show(struct nm_http_request *request, void *data);
void nm_api_updates(struct nm_http_request *request, void *data);
void nm_api_tenant_profiles(struct nm_http_request *request, void *data);
void nm_api_tenant_profile(struct nm_http_request *request, void *data);
void nm_api_openapi(struct nm_http_request *request, void *data);
void nm_api_providers(struct nm_http_request *request, void *data);
void nm_api_provider_test(struct nm_http_request *request, void *data);
void nm_api_connector_plan(struct nm_http_request *request, void *data);
void nm_api_connector_apply(struct nm_http_request *request, void *data);
void nm_api_connector_status(struct nm_http_request *request, void *data);
void nm_api_connector_test(struct nm_http_request *request, void *data);
void nm_api_connector_rotate(struct nm_http_request *request, void *data);
void nm_api_queue(struct nm_http_request *request, void *data);
void nm_api_queue_item(struct nm_http_request *request, void *data);
void nm_api_queue_drop(struct nm_http_request *request, void *data);
void nm_api_queue_shape(struct nm_http_request *request, void *data);
void nm_api_queue_retry(struct nm_http_request *request, void *data);
void nm_api_runs(struct nm_http_request *request, void *data);
void nm_api_run(struct nm_http_request *request, void *data);
void nm_api_run_release(struct nm_http_request *request, void *data);
void nm_api_run_cancel(struct nm_http_request *request, void *data);
void nm_api_run_pause(struct nm_http_request *request, void *data);
void nm_api_run_repin(struct nm_http_request *request, void *data);
void nm_api_explain(struct nm_http_request *request, void *data);
void nm_api_explain_id(struct nm_http_request *request, void *data);
void nm_api_rules(struct nm_http_request *request, void *data);
void nm_api_rules_show(struct nm_http_request *request, void *data);
void nm_api_rules_publish(struct nm_http_request *request, void *data);
void nm_api_rules_rollback(struct nm_http_request *request, void *data);
void nm_api_reload(struct nm_http_request *request, void *data);
void nm_api_status(struct nm_http_request *request, void *data);
void nm_api_log(struct nm_http_request *request, void *data);
