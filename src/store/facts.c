/* Figures of runs for Optimove's reports: counted when a run has ended, told once. */
#include "store/internal.h"

#include "base/clock.h"

enum { TALLY_ROWS_MAX = 20000 }; /* messages that one look passes */

/* States of a row of `facts`. */
enum { FACT_DUE = 0, FACT_CALLING = 1, FACT_TOLD = 2, FACT_UNKNOWN = 3, FACT_REFUSED = 4 };

/* ---- what each run sends by ------------------------------------------------------------------ */

int nm_writer_note_keys(struct nm_writer *writer, const struct nm_store_expand *expand)
{
  const struct nm_message *noted[16];
  size_t count = 0;
  int rc = NM_OK;
  for (size_t i = 0; i < expand->message_count && !rc; i++) {
    const struct nm_message *message = &expand->messages[i];
    size_t at = 0;
    while (at < count && (noted[at]->template_id != message->template_id ||
                          !nm_text_equal(noted[at]->provider, message->provider)))
      at++;
    if (at < count || count == sizeof noted / sizeof *noted) continue;
    noted[count++] = message;
    rc = nm_db_run(&writer->db,
                   "INSERT OR IGNORE INTO run_keys (run_id, template_id, provider, report_key)"
                   " VALUES (?1, ?2, ?3, CASE WHEN json_valid(?4) THEN"
                   " coalesce(json_extract(?4, '$.notification_key'), '') ELSE '' END)",
                   NM_I(expand->run_id), NM_I(message->template_id), NM_T(message->provider),
                   NM_T(message->content));
  }
  return rc;
}

/* ---- counting -------------------------------------------------------------------------------- */

static int find_run(struct nm_db *db, struct nm_store_tally *tally)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(db, &stmt,
                      "SELECT id, campaign, channel_id, created_at, ended_at, sent, dead, made,"
                      " rows_fetched, repeated, skipped, held, state"
                      " FROM runs INDEXED BY runs_untold WHERE is_told = 0 AND tenant_id = ?1"
                      " AND ended_at > 0 AND ended_at <= ?2 AND open = 0"
                      " ORDER BY ended_at LIMIT 1",
                      NM_I(tally->tenant_id), NM_I(tally->now_ms - tally->after_ms));
  if (!rc) rc = nm_db_step(db, stmt);
  if (rc != 1) return rc;
  struct nm_row row = { .stmt = stmt, .arena = tally->request.arena };
  tally->run = (struct nm_run){
    .id = nm_row_i64(&row, 0),
    .tenant_id = tally->tenant_id,
    .campaign = nm_row_text(&row, 1),
    .channel_id = nm_row_i64(&row, 2),
    .created_at_ms = nm_row_i64(&row, 3),
    .sent = nm_row_i64(&row, 5),
    .dead = nm_row_i64(&row, 6),
    .made = nm_row_i64(&row, 7),
    .rows_fetched = nm_row_i64(&row, 8),
    .repeated = nm_row_i64(&row, 9),
    .skipped = nm_row_i64(&row, 10),
    .held = nm_row_i64(&row, 11),
    .state = (enum nm_run_state)nm_row_i64(&row, 12),
  };
  tally->ended_at_ms = nm_row_i64(&row, 4);
  tally->from_id = tally->run.id;
  sqlite3_reset(stmt);
  if (row.is_short) return NM_ENOMEM;
  return 1;
}

static int read_keys(struct nm_db *db, struct nm_store_tally *tally)
{
  sqlite3_stmt *stmt;
  tally->count = 0;
  int rc = nm_db_find(db, &stmt,
                      "SELECT template_id, provider, report_key FROM run_keys WHERE run_id = ?1"
                      " ORDER BY template_id, provider",
                      NM_I(tally->run.id));
  struct nm_row row = { .stmt = stmt, .arena = tally->request.arena };
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1) {
    rc = 0;
    if (tally->count == NM_STORE_TALLIES_MAX) continue;
    tally->counts[tally->count++] = (struct nm_store_count){ .template_id = nm_row_i64(&row, 0),
                                                             .provider = nm_row_text(&row, 1),
                                                             .report_key = nm_row_text(&row, 2) };
  }
  if (!rc && row.is_short) rc = NM_ENOMEM;
  return rc;
}

static struct nm_store_count *find_count(struct nm_store_tally *tally, int64_t template_id,
                                         struct nm_text provider)
{
  for (size_t i = 0; i < tally->count; i++)
    if (tally->counts[i].template_id == template_id &&
        nm_text_equal(tally->counts[i].provider, provider))
      return &tally->counts[i];
  /* It went to another provider of its chain in the end. */
  for (size_t i = 0; i < tally->count; i++)
    if (tally->counts[i].template_id == template_id) return &tally->counts[i];
  return NULL;
}

/* A slice of what was made while the run was open; ids are in the order of time. */
static int count_messages(struct nm_db *db, struct nm_store_tally *tally)
{
  sqlite3_stmt *stmt;
  int64_t seen = 0;
  int rc = nm_db_find(db, &stmt,
                      "SELECT id, run_id, template_id, provider, state, created_at FROM messages"
                      " WHERE id > ?1 ORDER BY id LIMIT ?2",
                      NM_I(tally->from_id), NM_I(TALLY_ROWS_MAX));
  tally->from_id = 0;
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1) {
    rc = 0;
    if (sqlite3_column_int64(stmt, 5) > tally->ended_at_ms) {
      sqlite3_reset(stmt);
      tally->from_id = 0;
      return NM_OK;
    }
    if (++seen == TALLY_ROWS_MAX) tally->from_id = sqlite3_column_int64(stmt, 0);
    if (sqlite3_column_int64(stmt, 1) != tally->run.id) continue;
    struct nm_store_count *count =
        find_count(tally, sqlite3_column_int64(stmt, 2), nm_column_text(stmt, 3));
    int64_t state = sqlite3_column_int64(stmt, 4);
    if (count && state == NM_MESSAGE_SENT) count->sent++;
    if (count && (state == NM_MESSAGE_DEAD || state == NM_MESSAGE_EXPIRED)) count->dropped++;
  }
  return rc;
}

int nm_reader_tally(struct nm_db *db, struct nm_store_tally *tally)
{
  if (tally->run.id == 0) {
    int rc = find_run(db, tally);
    if (rc == 0) {
      rc = nm_db_number(db, &tally->next_due_ms, 0,
                        "SELECT min(ended_at) FROM runs INDEXED BY runs_untold WHERE is_told = 0"
                        " AND tenant_id = ?1 AND ended_at > ?2 AND open = 0",
                        NM_I(tally->tenant_id), NM_I(tally->now_ms - tally->after_ms));
      if (tally->next_due_ms > 0) tally->next_due_ms += tally->after_ms;
      return rc;
    }
    if (rc < 0) return rc;
    rc = read_keys(db, tally);
    if (rc) return rc;
  }
  return count_messages(db, tally);
}

/* ---- figures to be told ---------------------------------------------------------------------- */

int nm_writer_facts_save(struct nm_writer *writer, struct nm_store_facts_save *save)
{
  int64_t is_ended;
  int rc = nm_db_number(&writer->db, &is_ended, 0,
                        "SELECT ended_at > 0 AND open = 0 AND is_told = 0 FROM runs WHERE id = ?1",
                        NM_I(save->run_id));
  if (rc) return rc;
  if (!is_ended)
    return nm_fail(&save->request.error, NM_ECONFLICT, "run %lld goes on", (long long)save->run_id);
  for (size_t i = 0; i < save->count && !rc; i++) {
    const struct nm_fact *fact = &save->facts[i];
    rc = nm_db_run(&writer->db,
                   "INSERT OR IGNORE INTO facts (id, tenant_id, run_id, campaign, channel_id,"
                   " template_id, metric, value, state, due_at, reason, created_at)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, '', ?9)",
                   NM_I(nm_writer_id(writer)), NM_I(save->tenant_id), NM_I(save->run_id),
                   NM_T(fact->campaign), NM_I(fact->channel_id), NM_I(fact->template_id),
                   NM_I(fact->metric), NM_I(fact->value), NM_I(nm_clock_wall_ms()));
  }
  if (rc) return rc;
  return nm_db_run(&writer->db, "UPDATE runs SET is_told = 1, told = ?2 WHERE id = ?1",
                   NM_I(save->run_id), NM_T(save->told));
}

static int read_due(struct nm_writer *writer, struct nm_store_facts_take *take)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id, run_id, campaign, channel_id, template_id, metric, value"
                      " FROM facts INDEXED BY facts_open WHERE state = 0 AND tenant_id = ?1"
                      " AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
                      NM_I(take->tenant_id), NM_I(take->now_ms), NM_I(NM_OPTIMOVE_METRICS_MAX));
  struct nm_row row = { .stmt = stmt, .arena = take->request.arena };
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    rc = 0;
    take->facts[take->count++] = (struct nm_fact){
      .id = nm_row_i64(&row, 0),
      .run_id = nm_row_i64(&row, 1),
      .campaign = nm_row_text(&row, 2),
      .channel_id = nm_row_i64(&row, 3),
      .template_id = nm_row_i64(&row, 4),
      .metric = (enum nm_fact_metric)nm_row_i64(&row, 5),
      .value = nm_row_i64(&row, 6),
    };
  }
  if (!rc && row.is_short) rc = NM_ENOMEM;
  return rc;
}

int nm_writer_facts_take(struct nm_writer *writer, struct nm_store_facts_take *take)
{
  take->count = 0;
  take->facts =
      nm_arena_alloc(take->request.arena, NM_OPTIMOVE_METRICS_MAX * sizeof *take->facts);
  if (!take->facts) return NM_ENOMEM;
  int rc = read_due(writer, take);
  for (size_t i = 0; i < take->count && !rc; i++)
    rc = nm_db_run(&writer->db, "UPDATE facts SET state = 1 WHERE id = ?1",
                   NM_I(take->facts[i].id));
  if (rc) return rc;
  return nm_db_number(&writer->db, &take->next_due_ms, 0,
                      "SELECT min(due_at) FROM facts INDEXED BY facts_open WHERE state = 0"
                      " AND tenant_id = ?1",
                      NM_I(take->tenant_id));
}

int nm_writer_facts_finish(struct nm_writer *writer, struct nm_store_facts_finish *finish)
{
  static const int states[] = { FACT_TOLD, FACT_DUE, FACT_UNKNOWN, FACT_REFUSED };
  int state = states[finish->end];
  int rc = NM_OK;
  for (size_t i = 0; i < finish->count && !rc; i++)
    rc = nm_db_run(&writer->db,
                   "UPDATE facts SET state = ?2, due_at = ?3, reason = ?4, ended_at = ?5"
                   " WHERE id = ?1 AND state = 1",
                   NM_I(finish->facts[i].id), NM_I(state),
                   NM_I(state == FACT_DUE ? finish->due_at_ms : 0), NM_T(finish->reason),
                   NM_I(state == FACT_DUE ? 0 : nm_clock_wall_ms()));
  return rc;
}

/* A call was under way when the process ended: whether it was done nobody knows. */
int nm_writer_recover_facts(struct nm_writer *writer, int64_t now_ms)
{
  return nm_db_run(&writer->db,
                   "UPDATE facts SET state = ?1, ended_at = ?2,"
                   " reason = 'netmove ended while the answer was awaited' WHERE state = 1",
                   NM_I(FACT_UNKNOWN), NM_I(now_ms));
}

int nm_writer_facts_leave(struct nm_writer *writer, int64_t tenant_id, int64_t before_id)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE runs SET is_told = 1 WHERE tenant_id = ?1 AND is_told = 0 AND id < ?2",
                     NM_I(tenant_id), NM_I(before_id));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE facts SET state = iif(state = 0, 4, 3), ended_at = ?3,"
                   " reason = 'the tenant has left the account at Optimove'"
                   " WHERE tenant_id = ?1 AND state IN (0, 1) AND run_id < ?2",
                   NM_I(tenant_id), NM_I(before_id), NM_I(nm_clock_wall_ms()));
  return rc;
}
