/* Runs: made by a plan, fed with pages, expanded into messages, set by hand. */
#include "store/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/clock.h"

void nm_row_run(struct nm_row *row, struct nm_run *out)
{
  *out = (struct nm_run){
    .id = nm_row_i64(row, 0),
    .tenant_id = nm_row_i64(row, 1),
    .event_id = nm_row_i64(row, 2),
    .generation_id = nm_row_i64(row, 3),
    .channel_id = nm_row_i64(row, 4),
    .state = (enum nm_run_state)nm_row_i64(row, 5),
    .campaign = nm_row_text(row, 6),
    .stamp = nm_row_text(row, 7),
    .reason = nm_row_text(row, 8),
    .quiet = { (int)nm_row_i64(row, 9), (int)nm_row_i64(row, 10) },
    .triggered_at_ms = nm_row_i64(row, 11),
    .created_at_ms = nm_row_i64(row, 12),
    .fenced_at_ms = nm_row_i64(row, 13),
    .rows_fetched = nm_row_i64(row, 14),
    .pages_fetched = nm_row_i64(row, 15),
    .is_fetched = nm_row_i64(row, 16) != 0,
    .cursor_page = nm_row_i64(row, 17),
    .cursor_row = nm_row_i64(row, 18),
    .made = nm_row_i64(row, 19),
    .repeated = nm_row_i64(row, 20),
    .skipped = nm_row_i64(row, 21),
    .held = nm_row_i64(row, 22),
    .sent = nm_row_i64(row, 23),
    .dead = nm_row_i64(row, 24),
    .stopped = nm_row_i64(row, 25),
    .expired = nm_row_i64(row, 26),
    .in_flight_at_fence = nm_row_i64(row, 27),
    .is_parked = nm_row_i64(row, 28) != 0,
    .repin_generation_id = nm_row_i64(row, 29),
    .repin_page = nm_row_i64(row, 30),
    .play_until = nm_row_i64(row, 31),
    .is_released = nm_row_i64(row, 32) != 0,
    .checked_at_ms = nm_row_i64(row, 33),
  };
}

/* ---- made ------------------------------------------------------------------------------------ */

/* The first run of the campaign and channel near this arrival.  A cancelled one does not count: a
 * later trigger after a cancel is a new run.  Nor does one that failed before it made a message. */
static int find_first_run(struct nm_writer *writer, const struct nm_plan *plan, int64_t *out)
{
  const struct nm_run *run = plan->run;
  *out = 0;
  if (plan->run_window_ms <= 0) return NM_OK;
  return nm_db_number(&writer->db, out, 0,
                      "SELECT id FROM runs WHERE tenant_id = ?1 AND campaign = ?2"
                      " AND channel_id = ?3 AND triggered_at > ?4 AND triggered_at < ?5"
                      " AND state <> 3 AND NOT (state = 6 AND made = 0)"
                      " ORDER BY triggered_at, id LIMIT 1",
                      NM_I(plan->tenant_id), NM_T(run->campaign), NM_I(run->channel_id),
                      NM_I(run->triggered_at_ms - plan->run_window_ms),
                      NM_I(run->triggered_at_ms + plan->run_window_ms));
}

static int choose_state(struct nm_writer *writer, const struct nm_plan *plan,
                        struct nm_arena *arena, int64_t now_ms)
{
  struct nm_run *run = plan->run;
  int64_t first = 0;
  int covered = nm_writer_is_cancelled(writer, plan, run->campaign, run->channel_id,
                                       run->triggered_at_ms);
  if (covered < 0) return covered;
  run->fenced_at_ms = 0;
  if (covered) {
    run->state = NM_RUN_CANCELLED;
    run->reason = NM_TEXT("cancelled before it began");
    run->fenced_at_ms = now_ms;
    return NM_OK;
  }
  int rc = find_first_run(writer, plan, &first);
  if (rc || first == 0) return rc;
  run->state = NM_RUN_HELD;
  run->reason = nm_arena_printf(
    arena, "run %" PRId64 " of the same campaign and channel began within %" PRId64 " h", first,
    plan->run_window_ms / (3600 * 1000));
  return run->reason.ptr ? NM_OK : NM_ENOMEM;
}

int nm_writer_add_run(struct nm_writer *writer, const struct nm_plan *plan, struct nm_arena *arena)
{
  struct nm_run *run = plan->run;
  int64_t now_ms = nm_clock_wall_ms();
  int rc = choose_state(writer, plan, arena, now_ms);
  if (rc) return rc;
  run->id = nm_writer_id(writer);
  run->tenant_id = plan->tenant_id;
  run->event_id = plan->event_id;
  if (run->created_at_ms == 0) run->created_at_ms = now_ms;
  if (run->state == NM_RUN_ACTIVE) writer->work |= NM_STORE_WORK_MESSAGES;
  return nm_db_run(&writer->db,
                   "INSERT INTO runs (id, tenant_id, event_id, generation_id, channel_id, state,"
                   " campaign, stamp, stamp_ms, reason, quiet_from, quiet_to, triggered_at,"
                   " created_at, fenced_at, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                   " ?10, ?11, ?12, ?13, ?14, ?15, ?15)",
                   NM_I(run->id), NM_I(run->tenant_id), NM_I(run->event_id),
                   NM_I(run->generation_id), NM_I(run->channel_id), NM_I(run->state),
                   NM_T(run->campaign), NM_T(run->stamp), NM_I(plan->stamp_ms), NM_T(run->reason),
                   NM_I(run->quiet.from_minute), NM_I(run->quiet.to_minute),
                   NM_I(run->triggered_at_ms), NM_I(run->created_at_ms), NM_I(run->fenced_at_ms));
}

/* What the verbs below look at before they write. */
struct standing {
  int64_t state;
  int64_t pages_fetched;
  int64_t is_fetched;
  int64_t cursor_page, cursor_row;
  int64_t open;
};

static int find_standing(struct nm_writer *writer, int64_t run_id, struct standing *out,
                         struct nm_error *err)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT state, pages_fetched, is_fetched, cursor_page, cursor_row, open"
                      " FROM runs WHERE id = ?1",
                      NM_I(run_id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc < 0) return rc;
  if (rc == 0) return nm_fail(err, NM_ENOTFOUND, "there is no run %lld", (long long)run_id);
  *out = (struct standing){
    .state = sqlite3_column_int64(stmt, 0),
    .pages_fetched = sqlite3_column_int64(stmt, 1),
    .is_fetched = sqlite3_column_int64(stmt, 2),
    .cursor_page = sqlite3_column_int64(stmt, 3),
    .cursor_row = sqlite3_column_int64(stmt, 4),
    .open = sqlite3_column_int64(stmt, 5),
  };
  sqlite3_reset(stmt);
  return NM_OK;
}

static int refuse_state(struct nm_error *err, int64_t run_id, int64_t state)
{
  return nm_fail(err, NM_ECONFLICT, "run %lld is %s", (long long)run_id,
                 nm_run_state_name((enum nm_run_state)state));
}

/* ---- pages ----------------------------------------------------------------------------------- */

int nm_pages_pack(struct nm_store_page_save *save)
{
  struct nm_error *err = &save->request.error;
  if (save->body.len > NM_STORE_PAGE_MAX_BYTES)
    return nm_fail(err, NM_ELIMIT, "page of %zu bytes is above %d", save->body.len,
                   NM_STORE_PAGE_MAX_BYTES);
  if (save->rows == 0) return NM_OK;
  uLongf len = compressBound((uLong)save->body.len);
  save->packed = malloc(len);
  if (!save->packed) return nm_fail(err, NM_ENOMEM, "no memory to compress a page");
  /* Level 1: a page of JSON shrinks to about a sixth at a hundred megabytes a second and more. */
  int rc = compress2(save->packed, &len, (const Bytef *)save->body.ptr, (uLong)save->body.len, 1);
  if (rc != Z_OK) {
    free(save->packed);
    save->packed = NULL;
    return nm_fail(err, NM_EINTERNAL, "a page could not be compressed");
  }
  save->packed_len = len;
  return NM_OK;
}

void nm_pages_forget(struct nm_store_page_save *save)
{
  free(save->packed);
  save->packed = NULL;
  save->packed_len = 0;
}

int nm_writer_page_save(struct nm_writer *writer, struct nm_store_page_save *save)
{
  struct standing run;
  int rc = find_standing(writer, save->run_id, &run, &save->request.error);
  if (rc) return rc;
  if (run.state != NM_RUN_ACTIVE && run.state != NM_RUN_PAUSED && run.state != NM_RUN_HELD)
    return refuse_state(&save->request.error, save->run_id, run.state);
  if (run.is_fetched || save->number != run.pages_fetched)
    return nm_fail(&save->request.error, NM_ECONFLICT, "run %lld waits for page %lld, not %lld",
                   (long long)save->run_id, (long long)run.pages_fetched, (long long)save->number);
  if (save->rows > 0) {
    struct nm_text packed = { save->packed, save->packed_len };
    rc = nm_db_run(&writer->db,
                   "INSERT INTO pages (id, run_id, number, rows, due_at, raw_bytes, body)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   NM_I(nm_writer_id(writer)), NM_I(save->run_id), NM_I(save->number),
                   NM_I(save->rows), NM_I(save->due_at_ms), NM_I(save->body.len), NM_B(packed));
    if (rc) return rc;
  }
  writer->work |= NM_STORE_WORK_MESSAGES;
  return nm_db_run(&writer->db,
                   "UPDATE runs SET rows_fetched = rows_fetched + ?2,"
                   " pages_fetched = pages_fetched + (?2 > 0), is_fetched = (?2 = 0) WHERE id = ?1",
                   NM_I(save->run_id), NM_I(save->rows));
}

int nm_reader_page_load(struct nm_db *db, struct nm_store_page_load *load)
{
  struct nm_error *err = &load->request.error;
  sqlite3_stmt *stmt;
  int rc = nm_db_find(db, &stmt,
                      "SELECT rows, due_at, raw_bytes, body FROM pages WHERE run_id = ?1"
                      " AND number = ?2",
                      NM_I(load->run_id), NM_I(load->number));
  if (!rc) rc = nm_db_step(db, stmt);
  if (rc < 0) return rc;
  if (rc == 0)
    return nm_fail(err, NM_ENOTFOUND, "run %lld has no page %lld", (long long)load->run_id,
                   (long long)load->number);
  int64_t raw_bytes = sqlite3_column_int64(stmt, 2);
  char *bytes = NULL;
  if (raw_bytes >= 0 && raw_bytes <= NM_STORE_PAGE_MAX_BYTES)
    bytes = nm_arena_alloc(load->request.arena, (size_t)raw_bytes + 1);
  uLongf len = (uLongf)raw_bytes;
  if (!bytes) {
    rc = nm_fail(err, NM_ENOMEM, "no room for a page of %lld bytes", (long long)raw_bytes);
  } else if (uncompress((Bytef *)bytes, &len, sqlite3_column_blob(stmt, 3),
                        (uLong)sqlite3_column_bytes(stmt, 3)) != Z_OK ||
             len != (uLongf)raw_bytes) {
    rc = nm_fail(err, NM_EIO, "page %lld of run %lld is damaged", (long long)load->number,
                 (long long)load->run_id);
  } else {
    load->rows = sqlite3_column_int64(stmt, 0);
    load->due_at_ms = sqlite3_column_int64(stmt, 1);
    load->body = (struct nm_text){ bytes, (size_t)raw_bytes };
    rc = NM_OK;
  }
  sqlite3_reset(stmt);
  return rc;
}

/* ---- expand ---------------------------------------------------------------------------------- */

static int add_holds(struct nm_writer *writer, const struct nm_store_expand *expand, int64_t *held)
{
  for (size_t i = 0; i < expand->hold_count; i++) {
    const struct nm_hold_mark *hold = &expand->holds[i];
    *held += hold->count;
    int rc = nm_db_run(&writer->db,
                       "INSERT INTO run_holds (id, run_id, page, reason, count, rows)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       NM_I(nm_writer_id(writer)), NM_I(expand->run_id), NM_I(expand->from_page),
                       NM_T(hold->reason), NM_I(hold->count), NM_T(hold->rows));
    if (rc) return rc;
  }
  return NM_OK;
}

static int check_expand(const struct nm_store_expand *expand, const struct standing *run,
                        struct nm_error *err)
{
  if (run->state != NM_RUN_ACTIVE) return refuse_state(err, expand->run_id, run->state);
  if (expand->mark_id != 0) return NM_OK;
  if (run->cursor_page != expand->from_page || run->cursor_row != expand->from_row)
    return nm_fail(err, NM_ECONFLICT, "the cursor of run %lld stands at %lld:%lld, not %lld:%lld",
                   (long long)expand->run_id, (long long)run->cursor_page,
                   (long long)run->cursor_row, (long long)expand->from_page,
                   (long long)expand->from_row);
  if (expand->to_page < expand->from_page ||
      (expand->to_page == expand->from_page && expand->to_row < expand->from_row))
    return nm_fail(err, NM_EINVAL, "the cursor of run %lld cannot go back",
                   (long long)expand->run_id);
  return NM_OK;
}

/* The rows of a mark became what they became: the mark is gone with the same transaction, so they
 * are played once. */
static int end_mark(struct nm_writer *writer, const struct nm_store_expand *expand, int64_t held,
                    int64_t open)
{
  int64_t count;
  int rc = nm_db_number(&writer->db, &count, -1,
                        "SELECT count FROM run_holds WHERE id = ?1 AND run_id = ?2",
                        NM_I(expand->mark_id), NM_I(expand->run_id));
  if (!rc && count < 0) rc = NM_ECONFLICT;
  if (!rc)
    rc = nm_db_run(&writer->db, "DELETE FROM run_holds WHERE id = ?1", NM_I(expand->mark_id));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE runs SET made = made + ?2, repeated = repeated + ?3,"
                   " skipped = skipped + ?4, held = held + ?5, open = open + ?6,"
                   " stopped = stopped + ?7 WHERE id = ?1",
                   NM_I(expand->run_id), NM_I((int64_t)expand->message_count - expand->capped),
                   NM_I(expand->repeated), NM_I(expand->skipped + expand->capped),
                   NM_I(held - count), NM_I(open),
                   NM_I((int64_t)expand->message_count - expand->capped - open));
  return rc;
}

int nm_writer_expand(struct nm_writer *writer, struct nm_store_expand *expand)
{
  struct standing run;
  int64_t held = 0, open = 0, stopped = 0; /* stopped: who was erased */
  int rc = find_standing(writer, expand->run_id, &run, &expand->request.error);
  if (!rc) rc = check_expand(expand, &run, &expand->request.error);
  if (!rc) rc = nm_writer_cap_expand(writer, expand, &expand->capped);
  if (!rc) rc = nm_writer_add_slice(writer, expand, &open, &stopped);
  if (!rc) rc = nm_writer_note_keys(writer, expand);
  if (!rc) rc = add_holds(writer, expand, &held);
  if (rc) return rc;
  if (expand->mark_id != 0) return end_mark(writer, expand, held, open);

  enum nm_run_state state = NM_RUN_ACTIVE;
  if (expand->is_end) state = run.open + open > 0 ? NM_RUN_EXPANDED : NM_RUN_DONE;
  return nm_db_run(&writer->db,
                   "UPDATE runs SET state = ?2, cursor_page = ?3, cursor_row = ?4,"
                   " made = made + ?5,"
                   " repeated = repeated + ?6, skipped = skipped + ?7, held = held + ?8,"
                   " open = open + ?9, ended_at = ?10, stopped = stopped + ?11,"
                   " play_until = CASE WHEN ?2 = 0 THEN play_until ELSE 0 END,"
                   " generation_id = CASE WHEN repin_generation_id <> 0 AND ?3 >= repin_page"
                   " THEN repin_generation_id ELSE generation_id END,"
                   " repin_generation_id = CASE WHEN ?3 >= repin_page THEN 0"
                   " ELSE repin_generation_id END WHERE id = ?1",
                   NM_I(expand->run_id), NM_I(state), NM_I(expand->to_page), NM_I(expand->to_row),
                   NM_I((int64_t)expand->message_count - expand->capped),
                   NM_I(expand->repeated), NM_I(expand->skipped + expand->capped), NM_I(held),
                   NM_I(open),
                   NM_I(state == NM_RUN_DONE ? nm_clock_wall_ms() : 0), NM_I(stopped));
}

/* ---- by hand --------------------------------------------------------------------------------- */

int nm_writer_run_set(struct nm_writer *writer, struct nm_store_run_set *set)
{
  struct standing run;
  struct nm_error *err = &set->request.error;
  int rc = find_standing(writer, set->run_id, &run, err);
  if (rc) return rc;
  if (set->state == NM_RUN_CANCELLED)
    return nm_fail(err, NM_EINVAL, "a run is cancelled by its fence, not by its state");
  if (!(set->from_states & (1u << run.state))) return refuse_state(err, set->run_id, run.state);

  enum nm_run_state state = set->state;
  if (state == NM_RUN_EXPANDED && run.open == 0) state = NM_RUN_DONE;
  bool is_end = state == NM_RUN_DONE || state == NM_RUN_FAILED;
  writer->work |= NM_STORE_WORK_MESSAGES;
  if (set->is_parking) rc = nm_writer_park(writer, set->run_id);
  if (rc) return rc;
  return nm_db_run(&writer->db,
                   "UPDATE runs SET state = ?2, reason = ?3, ended_at = ?4 WHERE id = ?1",
                   NM_I(set->run_id), NM_I(state), NM_T(set->reason),
                   NM_I(is_end ? nm_clock_wall_ms() : 0));
}
