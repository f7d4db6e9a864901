/* health.c - /healthz, /readyz, /metrics. */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"

enum {
  METRICS_MAX_BYTES = 1024 * 1024,
  PATH_MAX_BYTES = 1024,
  GAUGES_MS = 2000,
  QUEUES_FRESH_MS = 5000
};

void nm_api_healthz(struct nm_http_request *request, void *data)
{
  (void)data;
  nm_http_respond(request, 200, "application/json", NM_TEXT("{\"status\":\"alive\"}"), NM_TEXT(""));
}

/* ---- metrics: counted, then in the engine's memory, then in the store ------------------------ */

static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

static void answer_metrics(struct nm_api *api, struct nm_http_request *request,
                           struct nm_buffer *text)
{
  int rc = api->queues ? nm_buffer_append(text, api->queues, strlen(api->queues)) : NM_OK;
  if (rc) nm_http_refuse(request, 500, "internal", "out of memory", NULL, 0);
  else nm_http_respond(request, 200, metrics_type, nm_buffer_text(text), NM_TEXT(""));
}

/* How many there are in each queue, as one family. */
static char *write_queues(const json_t *status)
{
  static const struct {
    const char *key, *labels;
  } queues[] = {
    { "waiting_events", "kind=\"event\",state=\"waiting\"" },
    { "delayed_events", "kind=\"event\",state=\"delayed\"" },
    { "held_events", "kind=\"event\",state=\"held\"" },
    { "waiting_messages", "kind=\"message\",state=\"waiting\"" },
    { "paused_messages", "kind=\"message\",state=\"paused\"" },
    { "held_messages", "kind=\"message\",state=\"held\"" },
    { "dead_messages", "kind=\"message\",state=\"dead\"" },
    { "waiting_updates", "kind=\"update\",state=\"waiting\"" },
    { "dead_updates", "kind=\"update\",state=\"dead\"" },
    { "unsettled_batches", "kind=\"batch\",state=\"unsettled\"" },
    { "open_runs", "kind=\"run\",state=\"open\"" },
  };
  struct nm_buffer text;
  char *out = NULL;
  nm_buffer_init(&text, METRICS_MAX_BYTES);
  int rc = nm_buffer_appendf(
      &text, "# HELP netmove_queue What the store's queues hold.\n# TYPE netmove_queue gauge\n");
  for (size_t i = 0; i < sizeof queues / sizeof *queues && !rc; i++)
    rc = nm_buffer_appendf(&text, "netmove_queue{%s} %lld\n", queues[i].labels,
                           (long long)json_integer_value(json_object_get(status, queues[i].key)));
  if (!rc)
    rc = nm_buffer_appendf(
        &text,
        "# HELP netmove_oldest_waiting_seconds Since when an event waits or a message is due.\n"
        "# TYPE netmove_oldest_waiting_seconds gauge\nnetmove_oldest_waiting_seconds %.3f\n"
        "# HELP netmove_store_bytes The size of the store.\n# TYPE netmove_store_bytes gauge\n"
        "netmove_store_bytes %lld\n",
        (double)json_integer_value(json_object_get(status, "oldest_waiting_ms")) / 1000,
        (long long)json_integer_value(json_object_get(status, "database_bytes")));
  if (!rc) out = strndup(text.ptr, text.len);
  nm_buffer_deinit(&text);
  return out;
}

static void on_queues(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *status)
{
  struct nm_buffer text;
  const json_t *told = data;
  (void)err;
  if (rc == NM_OK && status) {
    char *fresh = write_queues(status);
    if (fresh) {
      free(api->queues);
      api->queues = fresh;
      api->queues_at_ms = nm_clock_mono_ms();
    }
  }
  json_decref(status);
  nm_buffer_init(&text, METRICS_MAX_BYTES * 8);
  struct nm_text gauges = nm_json_string(told, "text");
  rc = nm_metrics_write(&text);
  if (!rc && gauges.len > 0) rc = nm_buffer_append(&text, gauges.ptr, gauges.len);
  if (rc) nm_http_refuse(request, 500, "internal", "out of memory", NULL, 0);
  else answer_metrics(api, request, &text);
  nm_buffer_deinit(&text);
  json_decref((json_t *)(uintptr_t)told);
}

/* The queues are counted now and then, not at every scrape: what waits may be many rows. */
static void on_gauges(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *told)
{
  (void)data;
  (void)err;
  if (rc) {
    json_decref(told);
    told = NULL;
  }
  if (api->queues && nm_clock_mono_ms() - api->queues_at_ms < QUEUES_FRESH_MS)
    on_queues(api, request, told, NM_ETIMEOUT, NULL, NULL);
  else nm_api_query(api, request, NM_QUERY_STATUS, json_object(), on_queues, told);
}

void nm_api_metrics(struct nm_http_request *request, void *data)
{
  nm_api_tell(data, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_METRICS, .args = json_object(),
                                         .timeout_ms = GAUGES_MS, .then = on_gauges });
}

/* Bytes left where the store lies; -1 where nobody can say. */
static int64_t disk_left(const struct nm_settings *settings)
{
  struct nm_text kind, file;
  char path[PATH_MAX_BYTES];
  struct statvfs about;
  if (!nm_text_cut(settings->store, ':', &kind, &file) || file.len == 0 || file.len >= sizeof path)
    return -1;
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
    json_array_append_new(why,
                          json_string("the store cannot make anything durable until a restart"));
  if (left >= 0 && left < NM_READY_DISK_MIN_BYTES)
    json_array_append_new(why, json_string("the disk of the store is full"));
  if (rc == NM_ECLOSED) json_array_append_new(why, json_string("stopping"));
  else if (rc) json_array_append_new(why, json_string("the store does not answer"));
  bool is_ready = json_array_size(why) == 0;
  int64_t minutes = left >= 0 ? nm_disk_note(&api->disk, nm_clock_mono_ms(), left) : -1;

  json_t *oldest = json_object_get(status, "oldest_waiting_ms");
  json_t *answer =
      json_pack("{s:s,s:s,s:b,s:O,s:o,s:o,s:o,s:o}", "status", is_ready ? "ready" : "not ready",
                "durability", is_sound ? "2xx means fsynced" : "nothing is acknowledged any more",
                "store_is_sound", is_sound, "oldest_undelivered_ms", oldest ? oldest : json_null(),
                "disk_left_bytes", known(left), "disk_left_minutes", known(minutes), "queue",
                status ? status : json_object(), "reasons", why);
  nm_api_answer(request, is_ready ? 200 : 503, answer);
}

void nm_api_readyz(struct nm_http_request *request, void *data)
{
  nm_api_query(data, request, NM_QUERY_STATUS, json_object(), on_status, NULL);
}
