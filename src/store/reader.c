/* The readers: everything that only looks, on connections of their own.  The slow one also
 * compresses pages on their way to the writer. */
#include "store/sqlite.h"

#include "base/clock.h"

enum { IDLE_MS = 60 * 1000, PROGRESS_STEPS = 2000 };

struct nm_reader *nm_sqlite_reader_of(struct nm_sqlite *sqlite, enum nm_store_verb verb)
{
  switch (verb) {
  case NM_STORE_PAGE_SAVE:
  case NM_STORE_PAGE_LOAD:
  case NM_STORE_MARK_LOAD:
  case NM_STORE_TALLY:
  case NM_STORE_QUERY: return &sqlite->readers[NM_READER_SLOW];
  default: return &sqlite->readers[NM_READER_QUICK];
  }
}

static int run_verb(struct nm_db *db, struct nm_store_request *request)
{
  void *asked = request;
  switch (request->verb) {
  case NM_STORE_RESUME: return nm_reader_resume(db, asked);
  case NM_STORE_PAGE_LOAD: return nm_reader_page_load(db, asked);
  case NM_STORE_MARK_LOAD: return nm_reader_mark_load(db, asked);
  case NM_STORE_TENANTS_LOAD: return nm_reader_tenants_load(db, asked);
  case NM_STORE_GENERATIONS_LOAD: return nm_reader_generations_load(db, asked);
  case NM_STORE_PROFILES_LOAD: return nm_reader_profiles_load(db, asked);
  case NM_STORE_LISTENERS_LOAD: return nm_reader_listeners_load(db, asked);
  case NM_STORE_ACCOUNTS_LOAD: return nm_reader_accounts_load(db, asked);
  case NM_STORE_TEMPLATES_LOAD: return nm_reader_templates_load(db, asked);
  case NM_STORE_PREFERENCES_LOAD: return nm_reader_preferences_load(db, asked);
  case NM_STORE_TALLY: return nm_reader_tally(db, asked);
  case NM_STORE_TOKENS_LOAD: return nm_reader_tokens_load(db, asked);
  case NM_STORE_QUERY: return nm_reader_query(db, asked);
  default: break;
  }
  return nm_fail(&request->error, NM_EINTERNAL, "store: no verb %d", (int)request->verb);
}

static int is_late(void *data)
{
  return nm_clock_mono_ms() > *(const int64_t *)data;
}

static void look(struct nm_db *db, struct nm_store_request *request)
{
  int64_t until_ms = nm_clock_mono_ms() + NM_STORE_QUERY_MAX_MS;
  db->failure = 0;
  db->error = (struct nm_error){ 0 };
  request->error = (struct nm_error){ 0 };
  if (request->verb == NM_STORE_QUERY)
    sqlite3_progress_handler(db->handle, PROGRESS_STEPS, is_late, &until_ms);
  int rc = nm_db_run_values(db, "BEGIN", NULL, 0); /* one picture for all statements */
  if (!rc) rc = run_verb(db, request);
  sqlite3_progress_handler(db->handle, 0, NULL, NULL);
  if (!sqlite3_get_autocommit(db->handle)) sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
  if (rc == NM_ETIMEOUT)
    nm_fail(&request->error, rc, "cut after %d ms: ask for less", NM_STORE_QUERY_MAX_MS);
  else if (rc && db->failure) request->error = db->error;
  request->rc = rc;
}

static void pack(struct nm_sqlite *sqlite, struct nm_store_request *request)
{
  struct nm_store_page_save *save = (struct nm_store_page_save *)request;
  request->error = (struct nm_error){ 0 };
  int rc = nm_pages_pack(save);
  if (rc == NM_OK) {
    rc = nm_mailbox_post(&sqlite->writer_box, &request->task.mail);
    if (rc == NM_OK) return; /* the writer's now, perhaps answered already */
    nm_fail(&request->error, rc, "store: %s", nm_code_name(rc));
  }
  request->rc = rc;
  nm_pages_forget(save);
  nm_task_return(&request->task);
}

void nm_sqlite_read(void *data)
{
  struct nm_reader *reader = data;
  for (;;) {
    bool is_filled = nm_mailbox_wait(&reader->box, IDLE_MS);
    struct nm_mail *mail = nm_mailbox_take(&reader->box, 1);
    if (mail) {
      struct nm_store_request *request = (struct nm_store_request *)mail;
      if (request->verb == NM_STORE_PAGE_SAVE) {
        pack(reader->sqlite, request);
      } else {
        look(&reader->db, request);
        nm_task_return(&request->task);
      }
    } else if (!is_filled && nm_mailbox_is_closed(&reader->box)) {
      break;
    }
  }
}
