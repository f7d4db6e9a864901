/* public_profiles.c - PUT and GET of one profile.
 *
 * A PUT reads, merges and saves against the version it read; somebody who was faster makes it read
 * again. */
#include <stdio.h>
#include <stdlib.h>

#include "api/public_profiles.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "profiles/profiles.h"

enum { TRIES_MAX = 20, ARENA_MAX_BYTES = 2 * 1024 * 1024 };

struct writing {
  union {
    struct nm_store_request head; /* first: its task is how this is found again */
    struct nm_store_profiles_load load;
    struct nm_store_profile_save save;
  } u;
  struct nm_api *api;
  struct nm_http_request *http;
  struct nm_arena *arena; /* of one try */
  json_t *patch;          /* NULL = a GET */
  int64_t tenant_id;
  struct nm_text ext_id;
  bool is_silent;         /* ?hooks=off */
  bool tells_unsubscribes; /* Optimove wants to know of them */
  bool restores;          /* ?restore=on: also one who was erased */
  bool is_new;
  int tries;
  struct nm_store_profile profile;
  struct nm_store_arrival arrival;
};

static void destroy_writing(struct writing *writing)
{
  json_decref(writing->patch);
  nm_arena_destroy(writing->arena);
  free(writing);
}

static void refuse(struct writing *writing, int rc, const struct nm_error *err)
{
  if (rc == NM_EDENIED)
    nm_http_refuse(writing->http, 409, "erased", err->text, "extId", 0);
  else if (rc == NM_EINVAL || rc == NM_ELIMIT || rc == NM_ENOTFOUND || rc == NM_ECONFLICT)
    nm_api_refuse(writing->http, rc, err);
  else nm_api_refuse_busy(writing->http);
  destroy_writing(writing);
}

static void submit(struct writing *writing, enum nm_store_verb verb,
                   void (*done)(struct nm_task *task))
{
  nm_api_prepare(writing->api, writing->http, &writing->u.head, verb, done);
  writing->u.head.arena = writing->arena;
  int rc = nm_store_submit(writing->api->env.store, &writing->u.head);
  if (rc) refuse(writing, rc, NULL);
}

static void on_loaded(struct nm_task *task);

static void load(struct writing *writing)
{
  nm_arena_reset(writing->arena);
  writing->profile = (struct nm_store_profile){ .ext_id = writing->ext_id };
  writing->u.load = (struct nm_store_profiles_load){ .tenant_id = writing->tenant_id,
                                                     .profiles = &writing->profile, .count = 1 };
  submit(writing, NM_STORE_PROFILES_LOAD, on_loaded);
}

/* ---- PUT ------------------------------------------------------------------------------------- */

static void answer_written(struct writing *writing, const char *status)
{
  json_t *answer = json_pack("{s:s}", "status", status);
  if (answer && writing->arrival.id > 0 && nm_json_set_id(answer, "event", writing->arrival.id)) {
    json_decref(answer);
    answer = NULL;
  }
  nm_api_answer(writing->http, writing->is_new ? 201 : 200, answer);
  destroy_writing(writing);
}

static void on_saved(struct nm_task *task)
{
  struct writing *writing = (struct writing *)(void *)task;
  int rc = writing->u.head.rc;
  if (rc == NM_ECONFLICT && ++writing->tries < TRIES_MAX) {
    load(writing);
    return;
  }
  if (rc == NM_ECONFLICT) rc = NM_EFULL; /* others write it all the time: later */
  if (rc) refuse(writing, rc, &writing->u.head.error);
  else answer_written(writing, writing->is_new ? "created" : "updated");
}

static void save(struct writing *writing, bool has_event)
{
  writing->u.save = (struct nm_store_profile_save){ .tenant_id = writing->tenant_id,
                                                    .profile = writing->profile,
                                                    .arrival = has_event ? &writing->arrival : NULL,
                                                    .restores = writing->restores };
  submit(writing, NM_STORE_PROFILE_SAVE, on_saved);
}

static void merge(struct writing *writing)
{
  json_t *old = NULL, *fresh = NULL, *changes = NULL;
  struct nm_error err = { 0, "" };
  writing->is_new = writing->profile.version == 0;
  writing->arrival = (struct nm_store_arrival){ .id = 0 };
  int rc = writing->is_new ? NM_OK : nm_json_parse(&old, writing->profile.body, &err);
  if (rc) rc = NM_EINTERNAL; /* what is stored was ours */
  if (rc == NM_OK) rc = nm_profile_merge(old, writing->patch, &fresh, &changes, &err);
  bool is_same = rc == NM_OK && old && json_equal(old, fresh);
  bool has_event = rc == NM_OK && json_object_size(changes) > 0 && !writing->is_silent;
  if (rc == NM_OK && !is_same) {
    writing->profile.body = nm_json_text(writing->arena, fresh);
    if (writing->tells_unsubscribes)
      writing->profile.unsubscribed = nm_profile_unsubscribed(old, fresh);
    if (!writing->profile.body.ptr) rc = NM_ENOMEM;
  }
  struct nm_profile_change change = { .tenant_id = writing->tenant_id, .ext_id = writing->ext_id,
                                      .changes = changes, .now_ms = nm_clock_wall_ms() };
  if (rc == NM_OK && has_event)
    rc = nm_profile_event(writing->arena, &change, &writing->arrival, &err);
  json_decref(old);
  json_decref(fresh);
  json_decref(changes);
  if (rc) refuse(writing, rc, &err);
  else if (is_same) answer_written(writing, "unchanged");
  else save(writing, has_event);
}

static void on_loaded(struct nm_task *task)
{
  struct writing *writing = (struct writing *)(void *)task;
  if (writing->u.head.rc) {
    refuse(writing, writing->u.head.rc, &writing->u.head.error);
  } else if (writing->patch) {
    merge(writing);
  } else if (writing->profile.version == 0) {
    nm_http_refuse(writing->http, 404, "not_found", "there is no profile of this extId", "extId",
                   0);
    destroy_writing(writing);
  } else {
    nm_http_respond(writing->http, 200, "application/json", writing->profile.body, NM_TEXT(""));
    destroy_writing(writing);
  }
}

/* ---- the handler ----------------------------------------------------------------------------- */

bool nm_api_is_ext_id(struct nm_text id)
{
  if (id.len == 0 || id.len > NM_EVENT_ID_TEXT_MAX_BYTES || !nm_text_is_utf8(id)) return false;
  for (size_t i = 0; i < id.len; i++)
    if ((unsigned char)id.ptr[i] < 0x20 || id.ptr[i] == 0x7f) return false;
  return true;
}

/* The checked patch; false after a refusal. */
bool nm_api_tells_unsubscribes(struct nm_http_request *request, const struct nm_tenant *tenant)
{
  return tenant->connector.is_present && tenant->connector.unsubscribe_mode > 0 &&
         !nm_text_equal(nm_http_query(request, "hooks"), NM_TEXT("off"));
}

static bool read_patch(struct nm_http_request *request, json_t **out)
{
  struct nm_error err = { 0, "" };
  const char *field = NULL;
  json_t *patch = nm_api_body(request);
  if (!patch) return false;
  int rc = nm_profile_check(patch, nm_http_arena(request), &field, &err);
  if (rc == NM_OK) {
    *out = patch;
    return true;
  }
  json_decref(patch);
  if (rc == NM_EINVAL) nm_http_refuse(request, 400, "invalid", err.text, field, 0);
  else nm_api_refuse_busy(request);
  return false;
}

void nm_api_profile(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant) return;
  int64_t tenant_id = tenant->id;
  size_t events = nm_http_method(request) == NM_HTTP_PUT ? 1 : 0; /* what it changes is an event */
  bool is_taken = nm_api_pace(api, request, tenant, events);
  bool tells = nm_api_tells_unsubscribes(request, tenant);
  nm_tenant_unref(tenant);
  if (!is_taken) return;

  struct nm_text ext_id = nm_http_param(request, "extId");
  json_t *patch = NULL;
  if (!nm_api_is_ext_id(ext_id)) {
    nm_http_refuse(request, 400, "invalid", "extId should be text of 1 to 256 bytes", "extId", 0);
    return;
  }
  if (nm_http_method(request) == NM_HTTP_PUT && !read_patch(request, &patch)) return;
  struct writing *writing = calloc(1, sizeof *writing);
  struct nm_arena *arena = writing ? nm_arena_create(ARENA_MAX_BYTES) : NULL;
  if (!arena) {
    free(writing);
    json_decref(patch);
    nm_api_refuse_busy(request);
    return;
  }
  *writing =
      (struct writing){ .api = api,
                        .http = request,
                        .arena = arena,
                        .patch = patch,
                        .tenant_id = tenant_id,
                        .ext_id = ext_id,
                        .is_silent = nm_text_equal(nm_http_query(request, "hooks"), NM_TEXT("off")),
                        .tells_unsubscribes = tells,
                        .restores =
                            nm_text_equal(nm_http_query(request, "restore"), NM_TEXT("on")) };
  load(writing);
}
