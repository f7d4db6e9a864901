/* The writer: whatever stands in the mailbox becomes one transaction. */
#include "store/sqlite.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/point.h"

enum {
  IDLE_MS = 60 * 1000,
  COMPANY_MIN = 8,       /* callers whose events were in the last transaction */
  COMPANY_MAX_US = 400,  /* so long they are waited for */
  LIGHT_AT_ONCE = 16,    /* requests of one event before the clock is asked */
};

static int run_verb(struct nm_writer *writer, struct nm_store_request *request)
{
  void *asked = request;
  switch (request->verb) {
  case NM_STORE_ACCEPT: return nm_writer_accept(writer, asked);
  case NM_STORE_TAKE: return nm_writer_take(writer, asked);
  case NM_STORE_PLAN: return nm_writer_plan(writer, asked);
  case NM_STORE_LEASE: return nm_writer_lease(writer, asked);
  case NM_STORE_FINISH: return nm_writer_finish(writer, asked);
  case NM_STORE_PAGE_SAVE: return nm_writer_page_save(writer, asked);
  case NM_STORE_EXPAND: return nm_writer_expand(writer, asked);
  case NM_STORE_RUN_SET: return nm_writer_run_set(writer, asked);
  case NM_STORE_FENCE: return nm_writer_fence(writer, asked);
  case NM_STORE_RUN_RELEASE: return nm_writer_run_release(writer, asked);
  case NM_STORE_RUN_CHECK: return nm_writer_run_check(writer, asked);
  case NM_STORE_RUN_REPIN: return nm_writer_run_repin(writer, asked);
  case NM_STORE_BATCH_TAKE: return nm_writer_batch_take(writer, asked);
  case NM_STORE_BATCH_FINISH: return nm_writer_batch_finish(writer, asked);
  case NM_STORE_TENANT_SAVE: return nm_writer_tenant_save(writer, asked);
  case NM_STORE_GENERATION_SAVE: return nm_writer_generation_save(writer, asked);
  case NM_STORE_PROFILE_SAVE: return nm_writer_profile_save(writer, asked);
  case NM_STORE_LISTENER_SAVE: return nm_writer_listener_save(writer, asked);
  case NM_STORE_TEMPLATES_SAVE: return nm_writer_templates_save(writer, asked);
  case NM_STORE_CATCH_UP: return nm_writer_catch_up(writer, asked);
  case NM_STORE_PREFERENCES_DONE: return nm_writer_preferences_done(writer, asked);
  case NM_STORE_FACTS_SAVE: return nm_writer_facts_save(writer, asked);
  case NM_STORE_FACTS_TAKE: return nm_writer_facts_take(writer, asked);
  case NM_STORE_FACTS_FINISH: return nm_writer_facts_finish(writer, asked);
  case NM_STORE_RETRY: return nm_writer_retry(writer, asked);
  case NM_STORE_RETAIN: return nm_writer_retain(writer, asked);
  case NM_STORE_ACCOUNT_FORGET: return nm_writer_account_forget(writer, asked);
  case NM_STORE_PROFILES_SAVE: return nm_writer_profiles_save(writer, asked);
  case NM_STORE_ERASE: return nm_writer_erase(writer, asked);
  case NM_STORE_ERASE_STEP: return nm_writer_erase_step(writer, asked);
  case NM_STORE_TENANT_REMOVE: return nm_writer_tenant_remove(writer, asked);
  case NM_STORE_TOKEN_SAVE: return nm_writer_token_save(writer, asked);
  case NM_STORE_TOKEN_DROP: return nm_writer_token_drop(writer, asked);
  case NM_STORE_TOKEN_USED: return nm_writer_token_used(writer, asked);
  case NM_STORE_AUDIT: return nm_writer_audit(writer, asked);
  default: break;
  }
  return nm_fail(&request->error, NM_EINTERNAL, "store: no verb %d", (int)request->verb);
}

/* These write nothing that could stand half done: whatever fails in them is the database's. */
static bool is_plain(enum nm_store_verb verb)
{
  return verb == NM_STORE_ACCEPT || verb == NM_STORE_TAKE || verb == NM_STORE_LEASE;
}

/* Written, not committed. */
static void pass_written(enum nm_store_verb verb)
{
  switch (verb) {
  case NM_STORE_ACCEPT: NM_POINT(accept_written); break;
  case NM_STORE_PLAN: NM_POINT(plan_written); break;
  case NM_STORE_FINISH: NM_POINT(finish_written); break;
  case NM_STORE_PAGE_SAVE: NM_POINT(page_written); break;
  case NM_STORE_EXPAND: NM_POINT(expand_written); break;
  case NM_STORE_TENANT_SAVE: NM_POINT(tenant_written); break;
  case NM_STORE_GENERATION_SAVE: NM_POINT(generation_written); break;
  case NM_STORE_LISTENER_SAVE: NM_POINT(listener_written); break;
  default: break;
  }
}

/* On disk, and whoever asked does not know. */
static void pass_committed(enum nm_store_verb verb)
{
  switch (verb) {
  case NM_STORE_ACCEPT: NM_POINT(accept_committed); break;
  case NM_STORE_TAKE: NM_POINT(take_committed); break;
  case NM_STORE_PLAN: NM_POINT(plan_committed); break;
  case NM_STORE_LEASE: NM_POINT(lease_committed); break;
  case NM_STORE_FINISH: NM_POINT(finish_committed); break;
  case NM_STORE_PAGE_SAVE: NM_POINT(page_committed); break;
  case NM_STORE_EXPAND: NM_POINT(expand_committed); break;
  case NM_STORE_RUN_SET: NM_POINT(run_set_committed); break;
  case NM_STORE_BATCH_TAKE: NM_POINT(batch_taken); break;
  case NM_STORE_BATCH_FINISH: NM_POINT(batch_finished); break;
  case NM_STORE_TENANT_SAVE: NM_POINT(tenant_committed); break;
  case NM_STORE_GENERATION_SAVE: NM_POINT(generation_committed); break;
  case NM_STORE_LISTENER_SAVE: NM_POINT(listener_committed); break;
  default: break;
  }
}

/* Runs one request so that its failure leaves the others whole.  Returns 0 where the transaction
 * can go on: what the request itself met stands in request->rc. */
static int run_request(struct nm_writer *writer, struct nm_store_request *request)
{
  struct nm_db *db = &writer->db;
  bool is_guarded = !is_plain(request->verb);
  size_t mark = writer->pending_count;
  request->error = (struct nm_error){ 0 };
  if (request->verb != NM_STORE_ACCEPT) {
    int rc = nm_writer_write_arrived(writer);
    if (rc) return rc;
  }
  request->rc = is_guarded ? nm_db_run_values(db, "SAVEPOINT one", NULL, 0) : NM_OK;
  if (request->rc == NM_OK) request->rc = run_verb(writer, request);
  nm_fresh_note_verb(writer->fresh, request->verb);
  if (request->rc == NM_OK && request->audit)
    request->rc = nm_writer_audit_end(writer, request->audit);
  if (db->failure) return request->rc;
  if (request->rc == NM_OK) pass_written(request->verb);
  if (request->rc != NM_OK) {
    nm_writer_undo(writer, mark);
    if (request->error.code == 0)
      nm_fail(&request->error, request->rc, "store: %s", nm_code_name(request->rc));
    /* A plain verb that fails by itself (memory) may have written before: all or nothing. */
    if (!is_guarded && request->verb == NM_STORE_ACCEPT) {
      db->failure = SQLITE_ABORT;
      return request->rc;
    }
    if (is_guarded && nm_db_run_values(db, "ROLLBACK TO one", NULL, 0)) return NM_EIO;
  }
  return is_guarded ? nm_db_run_values(db, "RELEASE one", NULL, 0) : NM_OK;
}

static void answer(struct nm_mail *first, const struct nm_mail *end)
{
  while (first != end) {
    struct nm_mail *next = first->next;
    struct nm_store_request *request = (struct nm_store_request *)first;
    if (request->rc == NM_OK) pass_committed(request->verb);
    if (request->verb == NM_STORE_PAGE_SAVE)
      nm_pages_forget((struct nm_store_page_save *)request);
    nm_task_return((struct nm_task *)first);
    first = next;
  }
}

static void refuse(struct nm_mail *first, const struct nm_mail *end, int code, const char *why)
{
  for (struct nm_mail *mail = first; mail != end; mail = mail->next) {
    struct nm_store_request *request = (struct nm_store_request *)mail;
    request->rc = nm_fail(&request->error, code, "%s", why);
  }
  answer(first, end);
}

/* After a failed write or sync nobody knows what is on the disk: it is not asked again, and nothing
 * is acknowledged until a restart has read back what is there. */
void nm_sqlite_break(struct nm_sqlite *sqlite, const char *why)
{
  if (!atomic_exchange(&sqlite->is_broken, true))
    nm_log(NM_LOG_ERROR, "store", NULL,
           "writing to %s failed (%s): nothing is acknowledged any more; mend the disk and restart",
           sqlite->path, why);
}

static bool is_light(const struct nm_store_request *request)
{
  return request->verb == NM_STORE_ACCEPT &&
         ((const struct nm_store_accept *)(const void *)request)->count == 1;
}

/* Runs requests until the list or the time is up and commits them.  *end is the first that did not
 * come in. */
static int commit_group(struct nm_sqlite *sqlite, struct nm_mail *first, struct nm_mail **end)
{
  struct nm_db *db = &sqlite->writer.db;
  int64_t until_ms = nm_clock_mono_ms() + NM_STORE_GROUP_MAX_MS;
  int64_t count = 0;
  size_t accepts = 0;
  struct nm_mail *mail = first;
  db->failure = 0;
  db->error = (struct nm_error){ 0 };
  sqlite->writer.work = 0;

  nm_sqlite_rest(sqlite);
  int rc = nm_db_run_values(db, "BEGIN IMMEDIATE", NULL, 0);
  if (rc == 0) rc = nm_writer_see_step(&sqlite->writer);
  *end = NULL;
  nm_writer_expect(&sqlite->writer, (struct nm_store_request *)mail);
  while (rc == 0 && mail) {
    struct nm_store_request *request = (struct nm_store_request *)mail;
    nm_writer_expect(&sqlite->writer, (struct nm_store_request *)mail->next);
    rc = run_request(&sqlite->writer, request);
    if (request->verb == NM_STORE_ACCEPT) accepts++;
    count++;
    mail = mail->next;
    if ((!is_light(request) || count % LIGHT_AT_ONCE == 0) && nm_clock_mono_ms() >= until_ms) break;
  }
  if (rc == 0) rc = nm_writer_write_arrived(&sqlite->writer);
  if (rc == 0) rc = nm_db_run_values(db, "COMMIT", NULL, 0);
  if (rc == 0) {
    *end = mail;
    sqlite->company = accepts > sqlite->company / 2 ? accepts : sqlite->company / 2;
    nm_metric_add(NM_METRIC_STORE_COMMITS, 1);
    nm_metric_add(NM_METRIC_STORE_REQUESTS, count);
  }
  return rc;
}

static bool is_fatal(int failure)
{
  switch (failure & 0xff) {
  case SQLITE_IOERR:
    return failure != SQLITE_IOERR_NOMEM;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_PROTOCOL:
    return true;
  default:
    return false;
  }
}

static void roll_back(struct nm_sqlite *sqlite)
{
  struct nm_writer *writer = &sqlite->writer;
  nm_writer_undo(writer, 0);
  if (!sqlite3_get_autocommit(writer->db.handle))
    sqlite3_exec(writer->db.handle, "ROLLBACK", NULL, NULL, NULL);
  if (!sqlite3_get_autocommit(writer->db.handle))
    nm_sqlite_break(sqlite, "a transaction could not be rolled back");
}

/* One transaction of the list's front; returns what is left of the list.  Where one request makes
 * the transaction impossible (the disk is full), each is tried alone: a finish may still fit where
 * an event does not. */
static struct nm_mail *run_group(struct nm_sqlite *sqlite, struct nm_mail *first)
{
  struct nm_writer *writer = &sqlite->writer;
  struct nm_mail *end;
  if (atomic_load(&sqlite->is_broken)) {
    refuse(first, NULL, NM_EIO, "store: a write failed; nothing is acknowledged until restart");
    return NULL;
  }
  int rc = commit_group(sqlite, first, &end);
  if (rc == 0) {
    unsigned work = writer->work;
    nm_writer_keep(writer);
    if (work && sqlite->options.on_work) sqlite->options.on_work(sqlite->options.data, work);
    answer(first, end);
    return end;
  }

  struct nm_error error = writer->db.error;
  int failure = writer->db.failure;
  if (error.code == 0) nm_fail(&error, rc, "store: %s", nm_code_name(rc));
  roll_back(sqlite);
  if (is_fatal(failure)) nm_sqlite_break(sqlite, error.text);
  if (atomic_load(&sqlite->is_broken)) {
    refuse(first, NULL, NM_EIO, error.text);
  } else if (!first->next) {
    refuse(first, NULL, error.code, error.text);
  } else {
    for (struct nm_mail *next; first; first = next) {
      next = first->next;
      first->next = NULL;
      run_group(sqlite, first);
    }
  }
  return NULL;
}

void nm_sqlite_write(void *data)
{
  struct nm_sqlite *sqlite = data;
  for (;;) {
    bool is_filled = nm_mailbox_wait(&sqlite->writer_box, IDLE_MS);
    /* Who had an answer a moment ago comes again, most probably: one sync for all of them.  Few
     * callers, and one alone, never wait for anybody. */
    if (is_filled && sqlite->company >= COMPANY_MIN)
      nm_mailbox_gather(&sqlite->writer_box, sqlite->company, COMPANY_MAX_US);
    struct nm_mail *list = nm_mailbox_take(&sqlite->writer_box, NM_STORE_GROUP_MAX);
    while (list)
      list = run_group(sqlite, list);
    if (!is_filled && nm_mailbox_is_closed(&sqlite->writer_box)) break;
  }
}
