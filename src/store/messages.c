/* Messages: made, leased to a lane, finished. */
#include "store/internal.h"

#include "base/clock.h"

void nm_row_message(struct nm_row *row, struct nm_message *out)
{
  *out = (struct nm_message){
    .id = nm_row_i64(row, 0),
    .tenant_id = nm_row_i64(row, 1),
    .event_id = nm_row_i64(row, 2),
    .run_id = nm_row_i64(row, 3),
    .generation_id = nm_row_i64(row, 4),
    .state = (enum nm_message_state)nm_row_i64(row, 5),
    .priority = (enum nm_message_priority)nm_row_i64(row, 6),
    .channel = (enum nm_channel)nm_row_i64(row, 7),
    .channel_id = nm_row_i64(row, 8),
    .template_id = nm_row_i64(row, 9),
    .campaign = nm_row_text(row, 10),
    .customer = nm_row_text(row, 11),
    .address = nm_row_text(row, 12),
    .name = nm_row_text(row, 13),
    .provider = nm_row_text(row, 14),
    .content = nm_row_text(row, 15),
    .stamp = nm_row_text(row, 16),
    .reason = nm_row_text(row, 17),
    .triggered_at_ms = nm_row_i64(row, 18),
    .created_at_ms = nm_row_i64(row, 19),
    .due_at_ms = nm_row_i64(row, 20),
    .expires_at_ms = nm_row_i64(row, 21),
    .quiet = { (int)nm_row_i64(row, 22), (int)nm_row_i64(row, 23) },
    .attempts = (int)nm_row_i64(row, 24),
    .first_attempt_ms = nm_row_i64(row, 25),
  };
}

/* Nothing is sent to who was erased, and nothing is kept of it but that it was so. */
static int suppress_message(struct nm_writer *writer, struct nm_message *message)
{
  int rc = nm_writer_is_suppressed(writer, message->tenant_id, message->customer);
  if (rc != 1) return rc;
  struct nm_pending note = { .kind = NM_PENDING_STATE, .state = &message->state,
                             .was = message->state };
  rc = nm_writer_note(writer, note);
  if (rc) return rc;
  message->state = NM_MESSAGE_STOPPED;
  message->customer = message->address = message->content = NM_TEXT("");
  message->reason = NM_TEXT(NM_ERASED_REASON);
  return NM_OK;
}

void nm_writer_begin_message(struct nm_writer *writer, struct nm_message *message, int64_t now_ms)
{
  if (message->created_at_ms == 0) message->created_at_ms = now_ms;
  if (message->due_at_ms == 0) message->due_at_ms = message->created_at_ms;
  message->id = nm_writer_id(writer);
  if (message->state == NM_MESSAGE_WAITING) writer->work |= NM_STORE_WORK_MESSAGES;
  nm_fresh_add_message(writer->fresh, message, now_ms);
}

#define ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
/* FAIL: one row of many that cannot be takes the savepoint of its request with it. */
#define INSERT_MESSAGES                                                                            \
  "INSERT OR FAIL INTO messages (" NM_MESSAGE_COLUMNS ", stamp_ms, ended_at) VALUES "

enum { COLUMNS = 27 };

static const struct nm_db_insert message_rows = NM_DB_INSERT(COLUMNS, INSERT_MESSAGES, ROW);

static void list_values(const struct nm_made_row *row, struct nm_value *out)
{
  const struct nm_message *message = row->message;
  bool is_waiting = message->state == NM_MESSAGE_WAITING;
  const struct nm_value values[COLUMNS] = {
    NM_I(message->id), NM_I(message->tenant_id), NM_I(message->event_id), NM_I(message->run_id),
    NM_I(message->generation_id), NM_I(message->state), NM_I(message->priority),
    NM_I(message->channel), NM_I(message->channel_id), NM_I(message->template_id),
    NM_T(message->campaign), NM_T(message->customer), NM_T(message->address), NM_T(message->name),
    NM_T(message->provider), NM_T(message->content), NM_T(message->stamp), NM_T(message->reason),
    NM_I(message->triggered_at_ms), NM_I(message->created_at_ms), NM_I(message->due_at_ms),
    NM_I(message->expires_at_ms), NM_I(message->quiet.from_minute),
    NM_I(message->quiet.to_minute), NM_I(message->attempts), NM_I(row->stamp_ms),
    NM_I(is_waiting ? 0 : row->made_at_ms),
  };
  memcpy(out, values, sizeof values);
}

int nm_writer_write_made(struct nm_writer *writer, struct nm_made *made)
{
  struct nm_value values[NM_MADE_MAX * COLUMNS];
  size_t count = made->count;
  made->count = 0;
  for (size_t i = 0; i < count; i++) list_values(&made->rows[i], &values[i * COLUMNS]);
  return nm_db_insert(&writer->db, &message_rows, values, count);
}

int nm_writer_make_message(struct nm_writer *writer, struct nm_made *made,
                           struct nm_message *message, int64_t stamp_ms)
{
  int64_t now_ms = nm_clock_wall_ms();
  int rc = suppress_message(writer, message);
  if (rc) return rc;
  nm_writer_begin_message(writer, message, now_ms);
  made->rows[made->count++] =
      (struct nm_made_row){ .message = message, .stamp_ms = stamp_ms, .made_at_ms = now_ms };
  return made->count == NM_MADE_MAX ? nm_writer_write_made(writer, made) : NM_OK;
}

int nm_writer_add_message(struct nm_writer *writer, struct nm_message *message, int64_t stamp_ms)
{
  struct nm_made made = { .count = 0 };
  int rc = nm_writer_make_message(writer, &made, message, stamp_ms);
  return rc ? rc : nm_writer_write_made(writer, &made);
}

/* ---- lease ----------------------------------------------------------------------------------- */

/* Leases are of few messages or of many: places are made as they are needed. */
static int claim_one(struct nm_writer *writer, struct nm_store_lease *lease,
                     const struct nm_message *message)
{
  if (lease->count == lease->capacity) {
    size_t capacity = lease->capacity ? lease->capacity * 4 : 32;
    void *more = nm_arena_alloc(lease->request.arena, capacity * sizeof *lease->messages);
    if (!more) return NM_ENOMEM;
    if (lease->count > 0) memcpy(more, lease->messages, lease->count * sizeof *lease->messages);
    lease->messages = more;
    lease->capacity = capacity;
  }
  int rc = nm_writer_claim(writer, &writer->messages, message->id, message->run_id);
  if (!rc) lease->messages[lease->count++] = *message;
  return rc;
}

static int lease_one(struct nm_writer *writer, struct nm_store_lease *lease, sqlite3_stmt *stmt)
{
  struct nm_row row = { .stmt = stmt, .arena = lease->request.arena };
  struct nm_message message;
  nm_row_message(&row, &message);
  if (row.is_short) return NM_ENOMEM;
  return claim_one(writer, lease, &message);
}

static void note_due(struct nm_store_lease *lease, int64_t due_at_ms)
{
  if (lease->next_due_ms == 0 || due_at_ms < lease->next_due_ms) lease->next_due_ms = due_at_ms;
}

/* Those of one priority that are due, in order, until max; the first that stays is noted. */
static int lease_priority(struct nm_writer *writer, struct nm_store_lease *lease, size_t max,
                          int priority)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT " NM_MESSAGE_COLUMNS " FROM messages INDEXED BY messages_waiting"
                      " WHERE state = 0 AND tenant_id = ?1 AND provider = ?2 AND priority = ?3"
                      " AND NOT is_claimed_message(id) ORDER BY due_at, id",
                      NM_I(lease->tenant_id), NM_T(lease->provider), NM_I(priority));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    int64_t due_at_ms = sqlite3_column_int64(stmt, 20);
    if (due_at_ms > lease->now_ms || lease->count == max) {
      note_due(lease, due_at_ms > 0 ? due_at_ms : 1);
      sqlite3_reset(stmt);
      return NM_OK;
    }
    rc = lease_one(writer, lease, stmt);
    if (rc == NM_ENOMEM && !writer->db.failure && lease->count > 0) {
      /* What fitted into the arena is enough for now. */
      note_due(lease, due_at_ms > 0 ? due_at_ms : 1);
      rc = NM_OK;
      break;
    }
  }
  sqlite3_reset(stmt);
  return rc;
}

/* Those that were written a moment ago, from memory. */
static int lease_fresh(struct nm_writer *writer, struct nm_store_lease *lease, size_t max,
                       struct nm_fresh_lane *lane)
{
  struct nm_message message;
  int rc = NM_OK;
  if (lane->next_due_ms > 0) note_due(lease, lane->next_due_ms);
  for (int priority = NM_PRIORITY_SINGLE; rc == 0 && priority <= NM_PRIORITY_RUN; priority++) {
    while (rc == 0 && lease->count < max) {
      rc = nm_fresh_take_message(writer->fresh, lane, priority, lease->request.arena, &message);
      if (rc != 1) break;
      rc = claim_one(writer, lease, &message);
    }
    if (rc == NM_ENOMEM && lease->count > 0) {
      nm_fresh_forget(writer->fresh); /* one was taken out and did not fit */
      note_due(lease, 1);
      return NM_OK;
    }
    if (!lane->queues[priority].is_whole || lane->queues[priority].first) note_due(lease, 1);
  }
  return rc;
}

/* The table gave all that is due: what comes from now on is handed on from memory. */
static void note_lane(struct nm_writer *writer, const struct nm_store_lease *lease)
{
  bool is_all = lease->next_due_ms == 0 || lease->next_due_ms > lease->now_ms;
  struct nm_fresh_lane *lane = nm_fresh_find_lane(writer->fresh, lease->tenant_id, lease->provider);
  if (!is_all && lane) nm_fresh_forget_lane(writer->fresh, lane);
  if (is_all)
    nm_fresh_lane_asked(writer->fresh, lease->tenant_id, lease->provider, lease->next_due_ms);
}

/* Where they go back to, if they have to wait again. */
static void note_claims(struct nm_writer *writer, const struct nm_store_lease *lease)
{
  struct nm_fresh_lane *lane = nm_fresh_find_lane(writer->fresh, lease->tenant_id, lease->provider);
  for (size_t i = 0; lane && i < lease->count; i++) {
    struct nm_claim *claim = nm_claims_find(&writer->messages, lease->messages[i].id);
    if (claim) claim->lane = lane->number;
  }
}

int nm_writer_lease(struct nm_writer *writer, struct nm_store_lease *lease)
{
  size_t max = lease->max < NM_LANE_LEASE_MAX ? lease->max : NM_LANE_LEASE_MAX, fresh;
  lease->messages = NULL;
  lease->count = lease->capacity = 0;
  lease->next_due_ms = 0;
  int rc = nm_writer_see_clock(writer, lease->now_ms);
  if (rc) return rc;
  struct nm_fresh_lane *lane = nm_fresh_find_lane(writer->fresh, lease->tenant_id, lease->provider);
  if (nm_fresh_count_messages(lane, lease->now_ms, &fresh)) {
    rc = lease_fresh(writer, lease, max, lane);
  } else {
    for (int priority = NM_PRIORITY_SINGLE; rc == 0 && priority <= NM_PRIORITY_RUN; priority++)
      rc = lease_priority(writer, lease, max, priority);
    if (!rc) note_lane(writer, lease);
  }
  if (!rc) note_claims(writer, lease);
  if (rc == NM_ENOMEM && !writer->db.failure)
    nm_fail(&lease->request.error, rc, "store: no memory to lease %zu messages", max);
  if (!rc && lease->want_tried) rc = nm_writer_find_tried(writer, lease);
  return rc;
}

/* ---- finish ---------------------------------------------------------------------------------- */

/* What a request changes in one run's counts: one UPDATE a run, not one a message. */
struct tally {
  int64_t run_id;
  int64_t ended, sent, dead, stopped, expired;
};

enum { TALLIES_MAX = 32 };

struct tallies {
  struct tally items[TALLIES_MAX];
  size_t count;
};

static int write_tallies(struct nm_writer *writer, struct tallies *tallies)
{
  for (size_t i = 0; i < tallies->count; i++) {
    const struct tally *tally = &tallies->items[i];
    int rc = nm_db_run(&writer->db,
                       "UPDATE runs SET open = open - ?2, sent = sent + ?3, dead = dead + ?4,"
                       " stopped = stopped + ?5, expired = expired + ?6,"
                       " ended_at = CASE WHEN state = 4 AND open = ?2 THEN ?7 ELSE ended_at END,"
                       " state = CASE WHEN state = 4 AND open = ?2 THEN 5 ELSE state END"
                       " WHERE id = ?1",
                       NM_I(tally->run_id), NM_I(tally->ended), NM_I(tally->sent),
                       NM_I(tally->dead), NM_I(tally->stopped), NM_I(tally->expired),
                       NM_I(nm_clock_wall_ms()));
    if (rc) return rc;
  }
  tallies->count = 0;
  return NM_OK;
}

static int count_end(struct nm_writer *writer, struct tallies *tallies, int64_t run_id,
                     enum nm_message_state state)
{
  size_t i = 0;
  if (run_id == 0 || state == NM_MESSAGE_WAITING) return NM_OK;
  while (i < tallies->count && tallies->items[i].run_id != run_id)
    i++;
  if (i == TALLIES_MAX) {
    int rc = write_tallies(writer, tallies);
    if (rc) return rc;
    i = 0;
  }
  if (i == tallies->count) tallies->items[tallies->count++] = (struct tally){ .run_id = run_id };
  struct tally *tally = &tallies->items[i];
  tally->ended++;
  if (state == NM_MESSAGE_SENT) tally->sent++;
  if (state == NM_MESSAGE_DEAD) tally->dead++;
  if (state == NM_MESSAGE_STOPPED) tally->stopped++;
  if (state == NM_MESSAGE_EXPIRED) tally->expired++;
  return NM_OK;
}

static int add_attempt(struct nm_writer *writer, const struct nm_finish *item)
{
  return nm_db_run(&writer->db,
                   "INSERT INTO attempts (message_id, id, started_at, ended_at, outcome, code,"
                   " reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   NM_I(item->message_id), NM_I(nm_writer_id(writer)), NM_I(item->started_at_ms),
                   NM_I(item->ended_at_ms), NM_I(item->outcome), NM_I(item->code),
                   NM_T(item->reason));
}

/* The content of what went out, expired or was stopped is of no more use: dropping it bounds the
 * disk. */
static int end_message(struct nm_writer *writer, const struct nm_finish *item,
                       enum nm_message_state state, struct nm_text reason, bool is_parked)
{
  if (state == NM_MESSAGE_WAITING)
    return nm_db_run(&writer->db,
                     "UPDATE messages SET due_at = CASE WHEN ?2 > 0 THEN ?2 ELSE due_at END,"
                     " attempts = ?3, reason = CASE WHEN ?4 <> '' THEN ?4 ELSE reason END,"
                     " first_attempt_at = ?5, provider = CASE WHEN ?6 <> '' THEN ?6 ELSE provider END,"
                     " state = ?7 WHERE id = ?1 AND state = 0",
                     NM_I(item->message_id), NM_I(item->due_at_ms), NM_I(item->attempts),
                     NM_T(reason), NM_I(item->first_attempt_ms), NM_T(item->provider),
                     NM_I(is_parked ? NM_MESSAGE_PAUSED : NM_MESSAGE_WAITING));
  return nm_db_run(&writer->db,
                   "UPDATE messages SET state = ?2, attempts = ?3, ended_at = ?5,"
                   " reason = CASE WHEN ?4 <> '' OR ?2 = 1 THEN ?4 ELSE reason END,"
                   /* not IN (1, 3, 5): SQLite makes a table of it for every row */
                   " content = CASE WHEN ?2 = 1 OR ?2 = 3 OR ?2 = 5 THEN '' ELSE content END"
                   " WHERE id = ?1 AND state = 0",
                   NM_I(item->message_id), NM_I(state), NM_I(item->attempts), NM_T(reason),
                   NM_I(nm_clock_wall_ms()));
}

/* ---- sent at once ------------------------------------------------------------------------------ */

enum { ENDS_APART_MAX_MS = 10 };

/* Went out at the first try that counts: the try is kept in the message's own row. */
static bool is_sent_at_once(const struct nm_finish *item)
{
  bool is_told = item->log != NULL; /* its MESSAGE_LOG event comes with it */
  return item->state == NM_MESSAGE_SENT && item->has_attempt && item->attempts == 1 && !is_told;
}

/* Of answers that came at nearly the same time the first one's is kept. */
static bool ended_together(const struct nm_finish *a, const struct nm_finish *b)
{
  int64_t apart_ms = a->ended_at_ms - b->ended_at_ms;
  return apart_ms <= ENDS_APART_MAX_MS && apart_ms >= -ENDS_APART_MAX_MS;
}

/* How many from here on went out together and have ids without a gap. */
static size_t count_together(const struct nm_finish *items, size_t count)
{
  size_t n = 1;
  if (!is_sent_at_once(&items[0])) return 0;
  while (n < count && is_sent_at_once(&items[n]) &&
         items[n].message_id == items[n - 1].message_id + 1 &&
         items[n].run_id == items[0].run_id && items[n].outcome == items[0].outcome &&
         items[n].code == items[0].code && items[n].started_at_ms == items[0].started_at_ms &&
         ended_together(&items[n], &items[0]) && nm_text_equal(items[n].reason, items[0].reason))
    n++;
  return n;
}

#define SENT_AT_ONCE                                                                               \
  "UPDATE OR FAIL messages NOT INDEXED SET state = 1, attempts = 1, content = '', ended_at = ?3,"          \
  " first_attempt_at = ?4, sent_as = ?5, reason = ?6"

static int finish_together(struct nm_writer *writer, const struct nm_finish *items, size_t count,
                           struct tallies *tallies)
{
  /* The row's own order, whatever the planner thinks of the indexes on what waits. */
  int rc = nm_db_run(&writer->db,
                     count > 1 ? SENT_AT_ONCE " WHERE id BETWEEN ?1 AND ?2 AND state = 0"
                               : SENT_AT_ONCE " WHERE id = ?1 AND state = 0",
                     NM_I(items[0].message_id), NM_I(items[count - 1].message_id),
                     NM_I(items[0].ended_at_ms > 0 ? items[0].ended_at_ms : nm_clock_wall_ms()),
                     NM_I(items[0].started_at_ms),
                     NM_I(NM_SENT_AS(items[0].outcome, items[0].code)), NM_T(items[0].reason));
  const struct nm_claim *claim = nm_claims_find(&writer->messages, items[0].message_id);
  int64_t run_id = claim ? claim->run_id : items[0].run_id;
  if (!claim) nm_fresh_forget(writer->fresh);
  /* Those that have their end already keep it: finishing twice counts once. */
  int64_t changes = rc ? 0 : nm_db_changes(&writer->db);
  while (rc == 0 && changes-- > 0) rc = count_end(writer, tallies, run_id, NM_MESSAGE_SENT);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    if (!nm_claims_find(&writer->messages, items[i].message_id)) nm_fresh_forget(writer->fresh);
    rc = nm_writer_release(writer, &writer->messages, items[i].message_id);
  }
  return rc;
}

/* 1 = its person was erased while it was out. */
static int was_erased(struct nm_writer *writer, int64_t message_id)
{
  sqlite3_stmt *stmt;
  if (!writer->has_suppressed) return 0;
  int rc = nm_db_find(&writer->db, &stmt, "SELECT tenant_id, customer FROM messages WHERE id = ?1",
                      NM_I(message_id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  rc = nm_writer_is_suppressed(writer, sqlite3_column_int64(stmt, 0), nm_column_text(stmt, 1));
  sqlite3_reset(stmt);
  return rc;
}

/* What is handed on from memory must not pass by a message that waits in the table again. */
static void goes_back(struct nm_writer *writer, const struct nm_finish *item,
                      const struct nm_claim *claim)
{
  struct nm_fresh_lane *lane = claim ? nm_fresh_lane_numbered(writer->fresh, claim->lane) : NULL;
  if (!lane || item->provider.len > 0) nm_fresh_forget(writer->fresh);
  else nm_fresh_lane_waits(writer->fresh, lane, item->due_at_ms);
}

static int finish_one(struct nm_writer *writer, const struct nm_finish *item,
                      struct tallies *tallies)
{
  const struct nm_claim *claim = nm_claims_find(&writer->messages, item->message_id);
  enum nm_message_state state = item->state;
  struct nm_text reason = item->reason;
  int erased = was_erased(writer, item->message_id);
  if (erased < 0) return erased;
  if (erased && state != NM_MESSAGE_SENT) state = NM_MESSAGE_STOPPED;
  if (state == NM_MESSAGE_WAITING && claim && claim->is_fenced) {
    state = NM_MESSAGE_STOPPED;
    reason = NM_TEXT("cancelled");
  }
  int64_t run_id = claim ? claim->run_id : item->run_id;
  int rc = end_message(writer, item, state, reason, claim && claim->is_parked);
  if (rc) return rc;
  /* A message that has its end already keeps it: finishing twice counts once. */
  if (nm_db_changes(&writer->db) > 0) {
    if (item->has_attempt) rc = add_attempt(writer, item);
    if (!rc) rc = count_end(writer, tallies, run_id, state);
    if (!rc && item->log && !erased && state == item->state) rc = nm_writer_arrive(writer, item->log);
  }
  if (!rc && erased) rc = nm_writer_blank_message(writer, item->message_id);
  if (!claim || state == NM_MESSAGE_WAITING) goes_back(writer, item, claim);
  return rc ? rc : nm_writer_release(writer, &writer->messages, item->message_id);
}

int nm_writer_finish(struct nm_writer *writer, struct nm_store_finish *finish)
{
  struct tallies tallies = { .count = 0 };
  for (size_t i = 0, n; i < finish->count; i += n) {
    const struct nm_finish *items = finish->items + i;
    n = writer->has_suppressed ? 0 : count_together(items, finish->count - i);
    int rc = n > 0 ? finish_together(writer, items, n, &tallies)
                   : finish_one(writer, items, &tallies);
    if (rc) return rc;
    if (n == 0) n = 1;
  }
  return write_tallies(writer, &tallies);
}
