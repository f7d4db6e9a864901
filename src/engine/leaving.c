/* leaving.c - a tenant's end: when Optimove has forgotten it, what waits of it is stopped, it is
 * taken out of the store and of the directory, and who waits is told.  Killed meanwhile, the next
 * start does it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/book.h"

enum { SLICE_ROWS = 500, LINE_MAX_BYTES = 512, ARENA_MAX_BYTES = 4 * 1024 * 1024 };

struct leaving {
  struct nm_book *book;
  json_t *report;
};

static void add_line(json_t *report, const char *key, const char *text)
{
  json_t *lines = json_object_get(report, key);
  if (!lines) {
    lines = json_array();
    json_object_set_new(report, key, lines);
  }
  json_array_append_new(lines, json_string(text));
}

static void end(struct leaving *leaving, struct nm_call *call)
{
  struct nm_book *book = leaving->book;
  struct nm_log_ids ids = nm_book_ids(book);
  char line[96];
  snprintf(line, sizeof line, "%" PRId64 " messages that waited were stopped",
           call->u.tenant_remove.messages);
  nm_tenants_remove(book->engine->env.tenants, book->tenant_id);
  book->reconciler.is_gone = true;
  nm_log(NM_LOG_INFO, "engine", &ids, "tenant is removed%s; %s",
         book->tenant->leaves_nothing ? " with all that was kept of it" : "", line);
  if (call->u.tenant_remove.messages > 0) add_line(leaving->report, "done", line);
  add_line(leaving->report, "done", "removed the tenant");
  json_object_set_new(leaving->report, "removed", json_true());
}

static void on_removed(struct nm_call *call)
{
  struct leaving *leaving = call->data;
  struct nm_reconciler *reconciler = &leaving->book->reconciler;
  struct nm_engine *engine = leaving->book->engine;
  int rc = call->u.head.rc;
  bool goes_on = nm_engine_is_running(engine);
  if (!rc && call->u.tenant_remove.is_more && goes_on) {
    nm_call_submit(call);
    return;
  }
  if (rc && nm_call_may_try_again(call) && goes_on) {
    nm_call_again(call);
    return;
  }
  if (!rc && !call->u.tenant_remove.is_more) end(leaving, call);
  else
    add_line(leaving->report, "todo",
             "the tenant is not removed yet; the next start goes on with it");
  reconciler->is_running = false;
  nm_reconciler_tell(reconciler, NM_OK, leaving->report, reconciler->is_gone);
  json_decref(leaving->report);
  free(leaving);
  nm_call_destroy(call);
  nm_engine_check_stop(engine);
}

static void remove_it(struct leaving *leaving)
{
  struct nm_book *book = leaving->book;
  struct nm_call *call =
      nm_call_create(book->engine, NM_STORE_TENANT_REMOVE, 4096, on_removed, leaving);
  call->u.tenant_remove.tenant_id = book->tenant_id;
  call->u.tenant_remove.is_purge = book->tenant->leaves_nothing;
  call->u.tenant_remove.rows_max = SLICE_ROWS;
  nm_call_submit(call);
}

/* By force: by our own journal, what Optimove goes on calling. */
static void on_journal(struct nm_call *call)
{
  struct leaving *leaving = call->data;
  const struct nm_store_listeners_load *load = &call->u.listeners;
  if (load->count > 0 && !call->u.head.rc)
    json_object_set_new(leaving->report, "todo", json_array());
  for (size_t i = 0; i < load->count && !call->u.head.rc; i++) {
    const struct nm_store_listener *row = &load->listeners[i];
    char line[LINE_MAX_BYTES], channel[32] = "all channels";
    if (row->channel_id) snprintf(channel, sizeof channel, "channel %" PRId64, row->channel_id);
    snprintf(line, sizeof line, "listener %" PRId64 " for %s, %.*s", row->event_type, channel,
             NM_TEXT_ARG(row->url));
    add_line(leaving->report, "todo", line);
  }
  nm_call_destroy(call);
  remove_it(leaving);
}

void nm_leaving_go(struct nm_book *book, json_t *report)
{
  struct leaving *leaving = calloc(1, sizeof *leaving);
  nm_require(leaving != NULL && report != NULL);
  *leaving = (struct leaving){ .book = book, .report = report };
  if (json_array_size(json_object_get(report, "todo")) == 0) {
    remove_it(leaving);
    return;
  }
  struct nm_call *call = nm_call_create(book->engine, NM_STORE_LISTENERS_LOAD, ARENA_MAX_BYTES,
                                        on_journal, leaving);
  call->u.listeners.tenant_id = book->tenant_id;
  nm_call_submit(call);
}
