#include "engine/callbacks.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"

enum { ARENA_MAX_BYTES = 4 * 1024 * 1024, ERRORS_MAX = 10000 };

struct applying {
  struct nm_book *book;
  void (*done)(void *data, int rc);
  void *data;
};

static const json_t *get_nocase(const json_t *object, const char *name)
{
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, key, value)
    if (nm_text_equal_nocase(nm_text_from(key), nm_text_from(name))) return value;
  return NULL;
}

static struct nm_text text_of(const json_t *object, const char *name, struct nm_arena *arena)
{
  const json_t *value = get_nocase(object, name);
  struct nm_text text = { NULL, 0 };
  if (json_is_string(value))
    text = nm_arena_copy(arena,
                         (struct nm_text){ json_string_value(value), json_string_length(value) });
  else if (json_is_integer(value))
    text = nm_arena_printf(arena, "%lld", (long long)json_integer_value(value));
  return text.ptr ? text : NM_TEXT("");
}

/* Refused at once where there is no memory: half of what Optimove says would be another word. */
static void give_up(struct applying *applying, struct nm_call *call)
{
  applying->done(applying->data, NM_ENOMEM);
  free(applying);
  nm_call_destroy(call);
}

static void add_error(struct nm_call *call, struct nm_text customer, struct nm_text field,
                      struct nm_text reason)
{
  struct nm_store_batch_finish *finish = &call->u.batch_finish;
  struct nm_batch_error *errors = (struct nm_batch_error *)(uintptr_t)finish->errors;
  errors[finish->error_count++] = (struct nm_batch_error){
    customer, field, reason.len > 0 ? reason : NM_TEXT("Optimove named no reason")
  };
}

/* {"isSuccess":false,"requestId":"..","errors":[{"error","customerId","realFieldName"}]} */
static void read_errors(struct nm_call *call, const json_t *body)
{
  struct nm_arena *arena = call->u.head.arena;
  const json_t *list = get_nocase(body, "errors");
  const json_t *success = get_nocase(body, "isSuccess");
  size_t count = json_is_array(list) ? json_array_size(list) : 0;
  if (count > ERRORS_MAX) count = ERRORS_MAX;
  call->u.batch_finish.errors = nm_call_alloc(call, (count + 1) * sizeof(struct nm_batch_error));
  for (size_t i = 0; i < count; i++) {
    const json_t *one = json_array_get(list, i);
    if (!json_is_object(one)) continue;
    add_error(call, text_of(one, "customerId", arena), text_of(one, "realFieldName", arena),
              text_of(one, "error", arena));
  }
  bool is_failure =
      json_is_false(success) ||
      (json_is_string(success) &&
       nm_text_equal_nocase(nm_text_from(json_string_value(success)), NM_TEXT("false")));
  if (call->u.batch_finish.error_count == 0 && is_failure)
    add_error(call, NM_TEXT(""), NM_TEXT(""),
              NM_TEXT("Optimove answered isSuccess false without a reason"));
}

static void on_applied(struct nm_call *call)
{
  struct applying *applying = call->data;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (!rc) {
    if (call->u.batch_finish.error_count > 0) {
      struct nm_log_ids ids = nm_book_ids(applying->book);
      nm_metric_add(NM_METRIC_UPDATES_DEAD, (int64_t)call->u.batch_finish.error_count);
      nm_log(NM_LOG_WARN, "engine", &ids, "Optimove refused %zu of the updates of batch %lld",
             call->u.batch_finish.error_count, (long long)call->u.batch_finish.batch_id);
    }
    nm_updates_poke(&applying->book->updates); /* who stood in this batch may stand in the next */
  }
  applying->done(applying->data, rc);
  free(applying);
  nm_call_destroy(call);
}

void nm_callback_apply(struct nm_book *book, const struct nm_event *event,
                       void (*done)(void *data, int rc), void *data)
{
  struct applying *applying = malloc(sizeof *applying);
  json_t *body = NULL;
  nm_require(applying != NULL);
  *applying = (struct applying){ book, done, data };
  struct nm_call *call =
      nm_call_create(book->engine, NM_STORE_BATCH_FINISH, ARENA_MAX_BYTES, on_applied, applying);
  struct nm_store_batch_finish *finish = &call->u.batch_finish;
  finish->tenant_id = book->tenant_id;
  finish->state = NM_BATCH_DONE;
  if (!nm_text_to_i64(event->name, &finish->batch_id)) finish->batch_id = 0;
  int rc = nm_json_parse(&body, event->body, NULL);
  if (rc) body = NULL;
  read_errors(call, body);
  json_decref(body);
  if (rc == NM_ENOMEM || nm_arena_has_refused(call->u.head.arena)) give_up(applying, call);
  else nm_call_submit(call);
}
