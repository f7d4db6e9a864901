/* tokens.c - bearer tokens of the admin API: made, listed, taken back, recognised.
 *
 * A token is 256 random bits; its digest is kept, itself nowhere, and it is shown once.  All that
 * there are stand in memory: a caller's digest is compared with each, always with all of them, so
 * that the time tells nothing. */
#include <sodium.h>
#include <stdlib.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum {
  SECRET_BYTES = 32,
  TOKEN_MAX_BYTES = 64, /* "nm_" and 43 characters */
  USED_EVERY_MS = 3600 * 1000,
  LIFE_MAX_S = 10 * 366 * 24 * 3600,
};

static const char PREFIX[] = "nm_";

static void digest_of(unsigned char out[NM_API_DIGEST_BYTES], struct nm_text token)
{
  crypto_generichash(out, NM_API_DIGEST_BYTES, (const unsigned char *)token.ptr, token.len, NULL,
                     0);
}

/* ---- in memory ------------------------------------------------------------------------------- */

static int add(struct nm_api *api, const struct nm_store_token *stored)
{
  struct nm_api_token *more = realloc(api->tokens, (api->token_count + 1) * sizeof *more);
  if (!more)
    return NM_ENOMEM;
  api->tokens = more;
  char *name = strndup(stored->name.ptr, stored->name.len);
  if (!name || stored->hash.len != NM_API_DIGEST_BYTES) {
    free(name);
    return name ? NM_EINVAL : NM_ENOMEM;
  }
  struct nm_api_token *token = &more[api->token_count++];
  *token = (struct nm_api_token){ .id = stored->id,
                                  .tenant_id = stored->tenant_id,
                                  .role = (enum nm_api_role)stored->role,
                                  .name = name,
                                  .created_at_ms = stored->created_at_ms,
                                  .expires_at_ms = stored->expires_at_ms,
                                  .used_at_ms = stored->used_at_ms,
                                  .noted_at_ms = stored->used_at_ms };
  memcpy(token->digest, stored->hash.ptr, NM_API_DIGEST_BYTES);
  return NM_OK;
}

static void drop_at(struct nm_api *api, size_t at)
{
  free(api->tokens[at].name);
  sodium_memzero(&api->tokens[at], sizeof api->tokens[at]);
  memmove(&api->tokens[at], &api->tokens[at + 1],
          (api->token_count - at - 1) * sizeof *api->tokens);
  api->token_count--;
}

static void drop(struct nm_api *api, int64_t id)
{
  for (size_t at = 0; at < api->token_count; at++)
    if (api->tokens[at].id == id) {
      drop_at(api, at);
      return;
    }
}

void nm_api_tokens_drop_tenant(struct nm_api *api, int64_t tenant_id)
{
  for (size_t at = api->token_count; at > 0; at--)
    if (api->tokens[at - 1].tenant_id == tenant_id)
      drop_at(api, at - 1);
}

/* ---- recognised ------------------------------------------------------------------------------ */

static void on_noted(struct nm_task *task)
{
  free(task);
}

/* Now and then, so that a token nobody uses any more can be told. */
static void note_use(struct nm_api *api, struct nm_api_token *token, int64_t now_ms)
{
  token->used_at_ms = now_ms;
  if (now_ms - token->noted_at_ms < USED_EVERY_MS)
    return;
  struct nm_store_token_used *used = calloc(1, sizeof *used);
  if (!used)
    return;
  used->request.task.done = on_noted;
  used->request.verb = NM_STORE_TOKEN_USED;
  used->id = token->id;
  used->at_ms = now_ms;
  token->noted_at_ms = now_ms;
  if (nm_store_submit(api->env.store, &used->request))
    free(used);
}

struct nm_api_token *nm_api_token_find(struct nm_api *api, struct nm_text text)
{
  unsigned char digest[NM_API_DIGEST_BYTES];
  int64_t now_ms = nm_clock_wall_ms();
  struct nm_api_token *found = NULL;
  digest_of(digest, text);
  for (size_t i = 0; i < api->token_count; i++) {
    struct nm_api_token *token = &api->tokens[i];
    bool is_it = sodium_memcmp(digest, token->digest, NM_API_DIGEST_BYTES) == 0;
    bool is_good = token->expires_at_ms == 0 || token->expires_at_ms > now_ms;
    if (is_it & is_good)
      found = token;
  }
  if (found && found->tenant_id) {
    struct nm_tenant *tenant = nm_tenants_by_id(api->env.tenants, found->tenant_id);
    if (!tenant)
      found = NULL; /* it was removed */
    nm_tenant_unref(tenant);
  }
  if (found)
    note_use(api, found, now_ms);
  return found;
}

/* ---- at the start ---------------------------------------------------------------------------- */

static void on_loaded(struct nm_task *task)
{
  struct nm_store_tokens_load *load = (struct nm_store_tokens_load *)(void *)task;
  struct nm_api *api =
      (struct nm_api *)(void *)((char *)load - offsetof(struct nm_api, tokens_load));
  int rc = load->request.rc;
  for (size_t i = 0; i < load->count && !rc; i++)
    rc = add(api, &load->tokens[i]);
  if (rc)
    nm_log(NM_LOG_ERROR, "api", NULL,
           "the tokens of the admin API cannot be read (%s): nobody gets in"
           " over the network until a restart",
           load->request.rc ? load->request.error.text : nm_code_name(rc));
  else
    api->are_tokens_known = true;
}

int nm_api_tokens_load(struct nm_api *api, struct nm_error *err)
{
  struct nm_arena *arena = nm_arena_create(NM_API_TOKENS_ARENA_MAX_BYTES);
  if (!arena)
    return nm_fail(err, NM_ENOMEM, "out of memory");
  api->tokens_load = (struct nm_store_tokens_load){
    .request = { .task = { .home = api->env.home, .done = on_loaded },
                 .verb = NM_STORE_TOKENS_LOAD,
                 .arena = arena },
  };
  int rc = nm_store_submit(api->env.store, &api->tokens_load.request);
  return rc ? nm_fail(err, rc, "the tokens of the admin API cannot be read") : NM_OK;
}

void nm_api_tokens_free(struct nm_api *api)
{
  while (api->token_count > 0)
    drop_at(api, api->token_count - 1);
  free(api->tokens);
  nm_arena_destroy(api->tokens_load.request.arena);
}

/* ---- shown ----------------------------------------------------------------------------------- */

static json_t *json_of(struct nm_api *api, const struct nm_store_token *token)
{
  json_t *out = json_pack("{s:s%,s:s,s:I}", "name", token->name.ptr, token->name.len, "role",
                          nm_api_role_name((enum nm_api_role)token->role), "created_at_ms",
                          (json_int_t)token->created_at_ms);
  if (!out || nm_json_set_id(out, "id", token->id)) {
    json_decref(out);
    return NULL;
  }
  struct nm_tenant *tenant =
      token->tenant_id ? nm_tenants_by_id(api->env.tenants, token->tenant_id) : NULL;
  if (token->tenant_id)
    json_object_set_new(out, "tenant",
                        tenant ? json_stringn(tenant->name.ptr, tenant->name.len)
                               : json_string("(removed)"));
  if (token->expires_at_ms)
    json_object_set_new(out, "expires_at_ms", json_integer(token->expires_at_ms));
  nm_tenant_unref(tenant);
  return out;
}

static void list(struct nm_api *api, struct nm_http_request *request)
{
  json_t *items = json_array();
  int64_t now_ms = nm_clock_wall_ms();
  for (size_t i = 0; i < api->token_count; i++) {
    const struct nm_api_token *token = &api->tokens[i];
    if (!nm_api_may_see(request, token->tenant_id))
      continue;
    json_t *item = json_of(api, &(struct nm_store_token){ .id = token->id,
                                                          .tenant_id = token->tenant_id,
                                                          .role = (int)token->role,
                                                          .name = nm_text_from(token->name),
                                                          .created_at_ms = token->created_at_ms,
                                                          .expires_at_ms = token->expires_at_ms });
    bool is_over = token->expires_at_ms > 0 && token->expires_at_ms <= now_ms;
    if (token->used_at_ms)
      json_object_set_new(item, "used_at_ms", json_integer(token->used_at_ms));
    if (is_over)
      json_object_set_new(item, "is_expired", json_true());
    json_array_append_new(items, item);
  }
  nm_api_answer(request, 200, json_pack("{s:o}", "items", items));
}

/* ---- made ------------------------------------------------------------------------------------ */

struct making {
  struct nm_store_token_save save; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  unsigned char digest[NM_API_DIGEST_BYTES];
  char token[TOKEN_MAX_BYTES];
};

static void on_made(struct nm_task *task)
{
  struct making *making = (struct making *)(void *)task;
  const struct nm_store_token *token = &making->save.token;
  int rc = making->save.request.rc;
  if (!rc)
    rc = add(making->api, token);
  if (rc) {
    sodium_memzero(making->token, sizeof making->token);
    nm_api_refuse(making->http, rc, &making->save.request.error);
    return;
  }
  nm_log(NM_LOG_INFO, "api", NULL, "a token for the admin API was made: %lld, %s",
         (long long)token->id, nm_api_role_name((enum nm_api_role)token->role));
  json_t *out = json_of(making->api, token);
  if (out)
    json_object_set_new(out, "token", json_string(making->token));
  sodium_memzero(making->token, sizeof making->token);
  nm_api_answer(making->http, 201, out);
}

static bool check_keys(struct nm_http_request *request, const json_t *body)
{
  static const char *const keys[] = { "name", "role", "tenant", "expires_in_s" };
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)body, key, value)
  {
    bool is_number = strcmp(key, "expires_in_s") == 0, is_known = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
      is_known |= strcmp(key, keys[i]) == 0;
    if (is_known && (is_number ? json_is_integer(value) : json_is_string(value)))
      continue;
    nm_http_refuse(request, 400, "invalid",
                   is_known ? is_number ? "expected a number of seconds" : "expected text"
                            : "no such key; there are name, role, tenant and expires_in_s",
                   key, 0);
    return false;
  }
  return true;
}

/* Whose token it will be; false after a refusal. */
static bool read_tenant(struct nm_api *api, struct nm_http_request *request, const json_t *body,
                        int64_t *tenant_id)
{
  struct nm_text name = nm_json_string(body, "tenant");
  if (name.len > 0) {
    struct nm_tenant *tenant = nm_api_find_tenant(api, request, name);
    if (!tenant)
      return false; /* and what lay in the request's arena is gone */
    *tenant_id = tenant->id;
    nm_tenant_unref(tenant);
    return true;
  }
  *tenant_id = 0;
  if (nm_api_may_see(request, 0))
    return true;
  nm_http_refuse(request, 403, "not_allowed",
                 "a token of one tenant makes tokens of that tenant alone", "tenant", 0);
  return false;
}

/* What is asked for; false after a refusal. */
static bool read_body(struct nm_api *api, struct nm_http_request *request, const json_t *body,
                      struct nm_store_token *out)
{
  enum nm_api_role role = NM_API_VIEWER;
  struct nm_text word = nm_json_string(body, "role"), name = nm_json_string(body, "name");
  int64_t life_s = 0, now_ms = nm_clock_wall_ms();
  if (!check_keys(request, body))
    return false;
  if (json_object_get(body, "role") && !nm_api_role_from(word, &role)) {
    nm_http_refuse(request, 400, "invalid", "role should be admin, operator or viewer", "role", 0);
    return false;
  }
  if (name.len > NM_TENANT_NAME_MAX_BYTES) {
    nm_http_refuse(request, 400, "invalid", "a name has at most 64 bytes", "name", 0);
    return false;
  }
  for (size_t i = 0; i < name.len; i++)
    if ((unsigned char)name.ptr[i] < 0x20) {
      nm_http_refuse(request, 400, "invalid", "a name has no control characters", "name", 0);
      return false;
    }
  if (nm_json_i64(body, "expires_in_s", &life_s) && (life_s < 1 || life_s > LIFE_MAX_S)) {
    nm_http_refuse(request, 400, "invalid", "a token lives a second to ten years", "expires_in_s",
                   0);
    return false;
  }
  if (!read_tenant(api, request, body, &out->tenant_id))
    return false;
  out->role = (int)role;
  out->created_at_ms = now_ms;
  out->expires_at_ms = life_s ? now_ms + life_s * 1000 : 0;
  out->name = nm_arena_copy(nm_http_arena(request), name);
  if (out->name.ptr)
    return true;
  nm_api_refuse(request, NM_ENOMEM, NULL);
  return false;
}

static void invent(struct making *making)
{
  unsigned char secret[SECRET_BYTES];
  randombytes_buf(secret, sizeof secret);
  memcpy(making->token, PREFIX, sizeof PREFIX);
  sodium_bin2base64(making->token + strlen(PREFIX), sizeof making->token - strlen(PREFIX), secret,
                    sizeof secret, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  sodium_memzero(secret, sizeof secret);
  digest_of(making->digest, nm_text_from(making->token));
}

static void make(struct nm_api *api, struct nm_http_request *request)
{
  json_t *body = nm_api_body(request);
  if (!body)
    return;
  struct making *making = nm_arena_alloc(nm_http_arena(request), sizeof *making);
  bool is_read = making && read_body(api, request, body, &making->save.token);
  json_decref(body);
  if (!making)
    nm_api_refuse(request, NM_ENOMEM, NULL);
  if (!is_read)
    return;
  if (api->token_count >= NM_API_TOKENS_MAX) {
    nm_http_refuse(request, 409, "too_many", "there are 1000 tokens; revoke some first", NULL, 0);
    return;
  }
  struct nm_store_token *token = &making->save.token;
  making->api = api;
  making->http = request;
  nm_api_prepare(api, request, &making->save.request, NM_STORE_TOKEN_SAVE, on_made);
  invent(making);
  token->hash = (struct nm_text){ (const char *)making->digest, sizeof making->digest };
  json_t *details =
      json_pack("{s:s%,s:s,s:I,s:I}", "name", token->name.ptr, token->name.len, "role",
                nm_api_role_name((enum nm_api_role)token->role), "tenant_id",
                (json_int_t)token->tenant_id, "expires_at_ms", (json_int_t)token->expires_at_ms);
  nm_api_audit_note(request, NM_TEXT(""), NM_TEXT(""), details);
  nm_api_audit_tenant(request, &token->tenant_id);
  nm_api_audit_with(request, &making->save.request);
  json_decref(details);
  int rc = nm_store_submit(api->env.store, &making->save.request);
  if (rc)
    nm_api_refuse(request, rc, NULL);
}

void nm_api_tokens(struct nm_http_request *request, void *data)
{
  if (nm_http_method(request) == NM_HTTP_POST)
    make(data, request);
  else
    list(data, request);
}

/* ---- taken back ------------------------------------------------------------------------------ */

struct revoking {
  struct nm_store_token_drop drop; /* first */
  struct nm_api *api;
  struct nm_http_request *http;
};

static void on_revoked(struct nm_task *task)
{
  struct revoking *revoking = (struct revoking *)(void *)task;
  if (revoking->drop.request.rc) {
    nm_api_refuse(revoking->http, revoking->drop.request.rc, &revoking->drop.request.error);
    return;
  }
  drop(revoking->api, revoking->drop.id);
  nm_log(NM_LOG_INFO, "api", NULL, "token %lld was revoked", (long long)revoking->drop.id);
  nm_api_answer(revoking->http, 200, json_pack("{s:s}", "status", "revoked"));
}

void nm_api_token_revoke(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  int64_t id = nm_api_id(request);
  if (id <= 0)
    return;
  struct revoking *revoking = nm_arena_alloc(nm_http_arena(request), sizeof *revoking);
  int rc = NM_ENOMEM;
  if (revoking) {
    revoking->api = api;
    revoking->http = request;
    nm_api_prepare(api, request, &revoking->drop.request, NM_STORE_TOKEN_DROP, on_revoked);
    revoking->drop.id = id;
    revoking->drop.tenant_id = nm_api_scope(request);
    for (size_t i = 0; i < api->token_count; i++)
      if (api->tokens[i].id == id)
        nm_api_audit_note(request, nm_text_from(api->tokens[i].name), NM_TEXT(""), NULL);
    nm_api_audit_with(request, &revoking->drop.request);
    rc = nm_store_submit(api->env.store, &revoking->drop.request);
  }
  if (rc)
    nm_api_refuse(request, rc, NULL);
}
