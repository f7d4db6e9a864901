/* Frequency caps: how many messages of a scope each person was made in a window, counted in the
 * transaction that makes them, so that neither a crash nor a second event at the same moment makes
 * one too many.
 *
 * People stand here as a keyed hash.  A window's counts go when it has ended. */
#include "store/internal.h"

#include <inttypes.h>

enum { TALLIES_MAX = 32, WINDOWS_A_CALL = 64 };

static const char *const per_words[] = { "hour", "day", "week", "month" };

/* "cap: 3 a day of channel push" */
static struct nm_text reason_of(struct nm_arena *arena, const struct nm_message_cap *cap)
{
  struct nm_text text =
      nm_arena_printf(arena, "cap: %" PRId64 " %s %s of %.*s", cap->max,
                      cap->per == NM_CAP_PER_HOUR ? "an" : "a", per_words[cap->per],
                      NM_TEXT_ARG(cap->scope));
  return text.ptr ? text : NM_TEXT("cap");
}

static int count_of(struct nm_writer *writer, const struct nm_message *message,
                    const struct nm_message_cap *cap, struct nm_text person, int64_t *out)
{
  return nm_db_number(&writer->db, out, 0,
                      "SELECT count FROM caps WHERE tenant_id = ?1 AND scope = ?2"
                      " AND window_from = ?3 AND window_until = ?4 AND person = ?5",
                      NM_I(message->tenant_id), NM_T(cap->scope), NM_I(cap->from_ms),
                      NM_I(cap->until_ms), NM_B(person));
}

static int count_one(struct nm_writer *writer, const struct nm_message *message,
                     const struct nm_message_cap *cap, struct nm_text person)
{
  int rc = nm_db_run(&writer->db,
                     "INSERT INTO caps (tenant_id, scope, window_from, window_until, person, count)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                     NM_I(message->tenant_id), NM_T(cap->scope), NM_I(cap->from_ms),
                     NM_I(cap->until_ms), NM_B(person));
  if (rc) return rc;
  return nm_db_run(&writer->db,
                   "INSERT OR IGNORE INTO cap_windows (window_until, tenant_id, scope, window_from)"
                   " VALUES (?1, ?2, ?3, ?4)",
                   NM_I(cap->until_ms), NM_I(message->tenant_id), NM_T(cap->scope),
                   NM_I(cap->from_ms));
}

/* Counts a message that is to be made; *full is the cap that forbids it, and nothing was
 * counted. */
static int look_at(struct nm_writer *writer, struct nm_message *message,
                   const struct nm_message_cap **full)
{
  unsigned char hash[NM_PERSON_HASH_BYTES];
  struct nm_text who = message->customer.len > 0 ? message->customer : message->address;
  struct nm_text person = { (const char *)hash, sizeof hash };
  int64_t count;
  nm_person_hash(writer, message->tenant_id, who, hash);
  *full = NULL;
  for (size_t i = 0; i < message->cap_count; i++) {
    int rc = count_of(writer, message, &message->caps[i], person, &count);
    if (rc) return rc;
    if (count < message->caps[i].max) continue;
    *full = &message->caps[i];
    struct nm_pending note = { .kind = NM_PENDING_STATE, .state = &message->state,
                               .was = message->state };
    rc = nm_writer_note(writer, note);
    if (rc == NM_OK) message->state = NM_MESSAGE_CAPPED;
    return rc;
  }
  for (size_t i = 0; i < message->cap_count; i++) {
    int rc = count_one(writer, message, &message->caps[i], person);
    if (rc) return rc;
  }
  return NM_OK;
}

/* ---- the plan of an event -------------------------------------------------------------------- */

static bool does_nothing(const struct nm_plan *plan, size_t capped)
{
  return capped == plan->message_count && !plan->run && !plan->cancel && plan->update_count == 0 &&
         plan->arrival_count == 0;
}

int nm_writer_cap_plan(struct nm_writer *writer, struct nm_plan *plan, struct nm_arena *arena)
{
  const struct nm_message_cap *full = NULL, *first = NULL;
  size_t capped = 0;
  if (plan->is_capped) { /* by a transaction that came to nothing */
    plan->is_capped = false;
    plan->state = NM_EVENT_PLANNED;
    plan->reason = plan->reason_before;
  }
  for (size_t i = 0; i < plan->message_count; i++) {
    struct nm_message *message = &plan->messages[i];
    if (message->cap_count == 0 || message->state != NM_MESSAGE_WAITING) continue;
    int covered = nm_writer_is_cancelled(writer, plan, message->campaign, message->channel_id,
                                         message->triggered_at_ms);
    if (covered < 0) return covered;
    int rc = covered ? NM_OK : look_at(writer, message, &full);
    if (rc) return rc;
    if (covered || !full) continue;
    capped++;
    if (!first) first = full;
  }
  if (capped == 0) return NM_OK;
  plan->is_capped = true;
  plan->reason_before = plan->reason;
  bool is_held = plan->reason.len > 0; /* an effect beside them; a person should look */
  if (!is_held) plan->reason = reason_of(arena, first);
  if (does_nothing(plan, capped)) plan->state = is_held ? NM_EVENT_HELD : NM_EVENT_DROPPED;
  return NM_OK;
}

/* ---- a slice of a run ------------------------------------------------------------------------ */

struct tally {
  const struct nm_message_cap *cap;
  int64_t count;
};

static bool is_same_cap(const struct nm_message_cap *a, const struct nm_message_cap *b)
{
  return a->max == b->max && a->per == b->per && nm_text_equal(a->scope, b->scope);
}

/* What does not find a place of its own is counted with the last one. */
static void add_to(struct tally *tallies, size_t *count, const struct nm_message_cap *cap)
{
  size_t at = 0;
  while (at < *count && at < TALLIES_MAX - 1 && !is_same_cap(tallies[at].cap, cap)) at++;
  if (at == *count) tallies[(*count)++] = (struct tally){ cap, 0 };
  tallies[at].count++;
}

int nm_writer_cap_expand(struct nm_writer *writer, struct nm_store_expand *expand, int64_t *capped)
{
  struct tally tallies[TALLIES_MAX];
  const struct nm_message_cap *full = NULL;
  size_t count = 0;
  *capped = 0;
  for (size_t i = 0; i < expand->message_count; i++) {
    struct nm_message *message = &expand->messages[i];
    if (message->cap_count == 0) continue;
    int rc = look_at(writer, message, &full);
    if (rc) return rc;
    if (!full) continue;
    add_to(tallies, &count, full);
    ++*capped;
  }
  for (size_t i = 0; i < count; i++) {
    int rc = nm_db_run(&writer->db,
                       "INSERT INTO run_drops (run_id, reason, count) VALUES (?1, ?2, ?3)"
                       " ON CONFLICT DO UPDATE SET count = count + ?3",
                       NM_I(expand->run_id),
                       NM_T(reason_of(expand->request.arena, tallies[i].cap)),
                       NM_I(tallies[i].count));
    if (rc) return rc;
  }
  return NM_OK;
}

/* ---- windows that have ended ----------------------------------------------------------------- */

/* One window that has ended; 1 where it is gone, 0 where there is none. */
static int drop_window(struct nm_writer *writer, int64_t now_ms, int64_t *left)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT tenant_id, scope, window_from, window_until FROM cap_windows"
                      " WHERE window_until <= ?1 ORDER BY window_until LIMIT 1",
                      NM_I(now_ms));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  char scope[512];
  int64_t tenant_id = sqlite3_column_int64(stmt, 0), from_ms = sqlite3_column_int64(stmt, 2);
  int64_t until_ms = sqlite3_column_int64(stmt, 3);
  int len = snprintf(scope, sizeof scope, "%.*s", NM_TEXT_ARG(nm_column_text(stmt, 1)));
  sqlite3_reset(stmt);
  struct nm_text name = { scope, len < (int)sizeof scope ? (size_t)len : sizeof scope - 1 };
  rc =
      nm_db_run(&writer->db,
                "DELETE FROM caps WHERE tenant_id = ?1 AND scope = ?2 AND window_from = ?3"
                " AND window_until = ?4 AND person IN (SELECT person FROM caps WHERE tenant_id = ?1"
                " AND scope = ?2 AND window_from = ?3 AND window_until = ?4 LIMIT ?5)",
                NM_I(tenant_id), NM_T(name), NM_I(from_ms), NM_I(until_ms), NM_I(*left));
  if (rc) return rc;
  int64_t gone = nm_db_changes(&writer->db);
  bool is_empty = gone < *left;
  *left -= gone;
  if (!is_empty) return 1;
  rc = nm_db_run(&writer->db,
                 "DELETE FROM cap_windows WHERE window_until = ?1 AND tenant_id = ?2"
                 " AND scope = ?3 AND window_from = ?4",
                 NM_I(until_ms), NM_I(tenant_id), NM_T(name), NM_I(from_ms));
  return rc ? rc : 1;
}

int nm_writer_retain_caps(struct nm_writer *writer, int64_t now_ms, int64_t *left)
{
  int rc = 1;
  for (int i = 0; i < WINDOWS_A_CALL && rc == 1 && *left > 0; i++)
    rc = drop_window(writer, now_ms, left);
  return rc;
}
