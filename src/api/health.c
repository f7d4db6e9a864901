/* health.c - /healthz, /readyz, /metrics. */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"

enum { METRICS_MAX_BYTES = 1024 * 1024, PATH_MAX_BYTES = 1024 };

void nm_api_healthz(struct nm_http_request *request, void *data)
{
  (void)data;
  nm_http_respond(request, 200, "application/json", NM_TEXT("{\"status\":\"alive\"}"), NM_TEXT(""));
}

void nm_api_metrics(struct nm_http_request *request, void *data)
{
  struct nm_buffer text;
  (void)data;
  nm_buffer_init(&text, METRICS_MAX_BYTES);
  if (nm_metrics_write(&text)) nm_http_refuse(request, 500, "internal", "out of memory", NULL, 0);
  else
    nm_http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", nm_buffer_text(&text), NM_TEXT(""));
  nm_buffer_deinit(&text);
}

/* Bytes left where the store lies; -1 where nobody can say. */
static int64_t disk_left(const struct nm_settings *settings)
{
  struct nm_text kind, file;
  char path[PATH_MAX_BYTES];
  struct statvfs about;
  if (!nm_text_cut(settings->store, ':', &kind, &file) || file.len == 0 || file.len >= sizeof path) return -1;
  memcpy(path, file.ptr, file.len);
  path[file.len] = '\0';
  char *slash = strrchr(path, '/');
  if (!slash) memcpy(path, ".", 2);
  else slash[slash == path ? 1 : 0] = '\0';
  if (statvfs(path, &about)) return -1;
  return (int64_t)((uint64_t)about.f_bavail * about.f_frsize);
}

/* null where nobody can say. */
static json_t *known(int64_t number)
{
  return number >= 0 ? json_integer(number) : json_null();
}

static void on_status(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *status)
{
  (void)data;
  (void)err;
  bool is_sound = nm_store_is_sound(api->env.store);
  int64_t left = disk_left(api->env.settings);
  json_t *why = json_array();
  if (!is_sound)
    json_array_append_new(why, json_string("the store cannot make anything durable until a restart"));
  if (left >= 0 && left < NM_READY_DISK_MIN_BYTES)
    json_array_append_new(why, json_string("the disk of the store is full"));
  if (rc == NM_ECLOSED) json_array_append_new(why, json_string("stopping"));
  else if (rc) json_array_append_new(why, json_string("the store does not answer"));
  bool is_ready = json_array_size(why) == 0;
  int64_t minutes = left >= 0 ? nm_disk_note(&api->disk, nm_clock_mono_ms(), left) : -1;

  json_t *oldest = json_object_get(status, "oldest_waiting_ms");
  json_t *answer = json_pack(
      "{s:s,s:s,s:b,s:O,s:o,s:o,s:o,s:o}", "status", is_ready ? "ready" : "not ready", "durability",
      is_sound ? "2xx means fsynced" : "nothing is acknowledged any more", "store_is_sound", is_sound,
      "oldest_undelivered_ms", oldest ? oldest : json_null(), "disk_left_bytes", known(left),
      "disk_left_minutes", known(minutes), "queue", status ? status : json_object(), "reasons", why);
  nm_api_answer(request, is_ready ? 200 : 503, answer);
}

void nm_api_readyz(struct nm_http_request *request, void *data)
{
  nm_api_query(data, request, NM_QUERY_STATUS, json_object(), on_status, NULL);
}
