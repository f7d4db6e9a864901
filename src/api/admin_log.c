/* admin_log.c - GET and PUT /api/v1/log: what is written, for all rooms and for each. */
#include "api/internal.h"
#include "base/log.h"
#include "base/metrics.h"

static void answer_levels(struct nm_http_request *request)
{
  enum nm_log_level level;
  size_t count;
  const char *const *rooms = nm_log_rooms(&count);
  json_t *own = json_object(), *all = json_array();
  for (size_t i = 0; i < count; i++) {
    json_array_append_new(all, json_string(rooms[i]));
    if (nm_log_room_level(nm_text_from(rooms[i]), &level))
      json_object_set_new(own, rooms[i], json_string(nm_log_level_name(level)));
  }
  nm_api_answer(request, 200,
                json_pack("{s:s,s:o,s:o,s:I,s:I}", "level", nm_log_level_name(nm_log_get_level()),
                          "rooms", own, "known_rooms", all, "lost_lines",
                          (json_int_t)nm_metric_get(NM_METRIC_LOG_LOST), "repeated_lines",
                          (json_int_t)nm_metric_get(NM_METRIC_LOG_REPEATED)));
}

/* Refuses; "did you mean" where a known word is near. */
static void refuse(struct nm_http_request *request, const char *field, struct nm_text found,
                   const char *const *known, size_t count, const char *expected)
{
  const char *nearest = nm_nearest(found, known, count);
  struct nm_text text =
      nm_arena_printf(nm_http_arena(request), "%s: found \"%.*s\"; expected %s%s%s%s", field,
                      found.len > 60 ? 60 : (int)found.len, found.ptr ? found.ptr : "", expected,
                      nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                      nearest ? "\"?)" : "");
  nm_http_refuse(request, 400, "invalid", text.ptr ? text.ptr : expected, field, 0);
}

/* False after a refusal. */
static bool check_keys(struct nm_http_request *request, const json_t *body)
{
  static const char *const keys[] = { "level", "room" };
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)body, key, value) {
    if (strcmp(key, keys[0]) != 0 && strcmp(key, keys[1]) != 0) {
      refuse(request, "key", nm_text_from(key), keys, 2, "\"room\" and \"level\"");
      return false;
    }
    if (json_is_string(value)) continue;
    nm_http_refuse(request, 400, "invalid", "expected text", key, 0);
    return false;
  }
  return true;
}

static void change(struct nm_http_request *request, const json_t *body)
{
  static const char *const words[] = { "debug", "info", "warn", "error", "default" };
  struct nm_text room = nm_json_string(body, "room"), word = nm_json_string(body, "level");
  bool is_for_room = json_object_get(body, "room") != NULL;
  bool is_default = is_for_room && nm_text_equal(word, NM_TEXT("default"));
  enum nm_log_level level = NM_LOG_INFO;
  int rc = NM_OK;
  if (!is_default && !nm_log_level_from(word, &level)) {
    refuse(request, "level", word, words, is_for_room ? 5 : 4,
           is_for_room ? "\"debug\", \"info\", \"warn\", \"error\" or \"default\""
                       : "\"debug\", \"info\", \"warn\" or \"error\"");
    return;
  }
  if (is_default) rc = nm_log_unset_room_level(room);
  else if (is_for_room) rc = nm_log_set_room_level(room, level);
  else nm_log_set_level(level);
  if (rc) {
    size_t count;
    const char *const *rooms = nm_log_rooms(&count);
    refuse(request, "room", room, rooms, count, "a room that GET /api/v1/log names");
    return;
  }
  nm_log(NM_LOG_WARN, "api", NULL, "log level of %.*s is %.*s now%s",
         is_for_room ? (int)room.len : 9, is_for_room ? room.ptr : "all rooms", NM_TEXT_ARG(word),
         !is_default && level == NM_LOG_DEBUG ? ": addresses and texts of people may appear" : "");
  answer_levels(request);
}

void nm_api_log(struct nm_http_request *request, void *data)
{
  (void)data;
  if (nm_http_method(request) != NM_HTTP_PUT) {
    answer_levels(request);
    return;
  }
  json_t *body = nm_api_body(request);
  if (!body) return;
  nm_api_audit_note(request, NM_TEXT(""), NM_TEXT(""), body);
  if (check_keys(request, body)) change(request, body);
  json_decref(body);
}
