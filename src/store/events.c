/* Events: into the journal, out to be planned, and what the plan made of them. */
#include "store/internal.h"

#include <stdlib.h>

#include "base/clock.h"

void nm_row_event(struct nm_row *row, struct nm_event *out)
{
  *out = (struct nm_event){
    .id = nm_row_i64(row, 0),
    .tenant_id = nm_row_i64(row, 1),
    .received_at_ms = nm_row_i64(row, 2),
    .kind = (enum nm_event_kind)nm_row_i64(row, 3),
    .type = nm_row_i64(row, 4),
    .channel_id = nm_row_i64(row, 5),
    .template_id = nm_row_i64(row, 6),
    .campaign = nm_row_text(row, 7),
    .customer = nm_row_text(row, 8),
    .stamp = nm_row_text(row, 9),
    .name = nm_row_text(row, 10),
    .foreign_id = nm_row_text(row, 11),
    .body = nm_row_text(row, 12),
  };
}

/* ---- accept ---------------------------------------------------------------------------------- */

/* FAIL: one row of many that cannot be takes its whole transaction with it, or its savepoint. */
#define INSERT_EVENTS                                                                              \
  "INSERT OR FAIL INTO events (id, tenant_id, received_at, kind, type, channel_id, template_id,"   \
  " campaign, customer, stamp, name, foreign_id, body, rank, identity, identity_until, origin_id)" \
  " VALUES "

enum { COLUMNS = 17 };

static const struct nm_db_insert event_rows =
  NM_DB_INSERT(COLUMNS, INSERT_EVENTS, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

static bool is_cancel(const struct nm_event *event)
{
  return event->kind == NM_EVENT_CAMPAIGN && event->type == NM_EVENT_TYPE_CANCEL;
}

static void list_values(const struct nm_arrived *arrived, struct nm_value *out)
{
  const struct nm_store_arrival *arrival = arrived->arrival;
  const struct nm_event *event = &arrival->event;
  struct nm_text identity = { (const char *)&arrived->key,
                              arrival->window_ms > 0 ? sizeof arrived->key : 0 };
  const struct nm_value values[COLUMNS] = {
    NM_I(arrived->id), NM_I(event->tenant_id), NM_I(event->received_at_ms), NM_I(event->kind),
    NM_I(event->type), NM_I(event->channel_id), NM_I(event->template_id), NM_T(event->campaign),
    NM_T(event->customer), NM_T(event->stamp), NM_T(event->name), NM_T(event->foreign_id),
    NM_B(event->body), NM_I(is_cancel(event) ? 0 : 1), NM_B(identity),
    NM_I(event->received_at_ms + arrival->window_ms), NM_I(arrival->origin_id),
  };
  memcpy(out, values, sizeof values);
}

int nm_writer_write_arrived(struct nm_writer *writer)
{
  struct nm_value values[NM_ARRIVED_MAX * COLUMNS];
  size_t count = writer->arrived_count;
  writer->arrived_count = 0;
  for (size_t i = 0; i < count; i++) list_values(&writer->arrived[i], &values[i * COLUMNS]);
  return nm_db_insert(&writer->db, &event_rows, values, count);
}

static struct nm_key key_of(const struct nm_store_arrival *arrival)
{
  return nm_recent_key(arrival->event.tenant_id, arrival->event.kind, arrival->identity);
}

void nm_writer_expect(struct nm_writer *writer, const struct nm_store_request *next)
{
  writer->expected = writer->expected_next;
  writer->expected_next = (struct nm_expected){ .arrival = NULL };
  if (!next || next->verb != NM_STORE_ACCEPT) return;
  const struct nm_store_accept *accept = (const struct nm_store_accept *)(const void *)next;
  if (accept->count == 0) return;
  struct nm_key key = key_of(accept->arrivals);
  nm_recent_prefetch(&writer->recent, key);
  writer->expected_next = (struct nm_expected){ accept->arrivals, key };
}

/* Knows it, gives it an id and puts it with those that are to be written. */
static int arrive(struct nm_writer *writer, struct nm_store_arrival *arrival)
{
  const struct nm_event *event = &arrival->event;
  struct nm_key key =
    writer->expected.arrival == arrival ? writer->expected.key : key_of(arrival);
  int64_t first = 0;
  if (arrival->window_ms > 0) first = nm_recent_find(&writer->recent, key, event->received_at_ms);
  arrival->is_duplicate = first != 0;
  arrival->id = first ? first : nm_writer_id(writer);
  if (first) return NM_OK;

  if (arrival->window_ms > 0) {
    int rc = nm_writer_note(writer,
                            (struct nm_pending){ .kind = NM_PENDING_RECENT_ADDED, .key = key });
    if (!rc)
      rc = nm_recent_add(&writer->recent, key, arrival->id,
                         event->received_at_ms + arrival->window_ms, event->received_at_ms);
    if (rc) return rc;
  }
  writer->arrived[writer->arrived_count++] =
      (struct nm_arrived){ .arrival = arrival, .id = arrival->id, .key = key };
  nm_fresh_add_event(writer->fresh, event, arrival->id, is_cancel(event) ? 0 : 1);
  writer->work |= NM_STORE_WORK_EVENTS;
  return writer->arrived_count == NM_ARRIVED_MAX ? nm_writer_write_arrived(writer) : NM_OK;
}

int nm_writer_arrive(struct nm_writer *writer, struct nm_store_arrival *arrival)
{
  int rc = arrive(writer, arrival);
  return rc ? rc : nm_writer_write_arrived(writer);
}

int nm_writer_accept(struct nm_writer *writer, struct nm_store_accept *accept)
{
  for (size_t i = 0; i < accept->count; i++) {
    int rc = arrive(writer, &accept->arrivals[i]);
    if (rc) return rc;
  }
  return NM_OK;
}

/* ---- take ------------------------------------------------------------------------------------ */

struct candidate {
  int64_t rank;
  int64_t id;
  bool is_new;
};

static int compare_candidates(const void *a, const void *b)
{
  const struct candidate *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

static int collect(struct nm_writer *writer, sqlite3_stmt *stmt, bool is_new,
                   struct candidate *out, size_t *count)
{
  int rc;
  while ((rc = nm_db_step(&writer->db, stmt)) == 1)
    out[(*count)++] = (struct candidate){ sqlite3_column_int64(stmt, 0),
                                          sqlite3_column_int64(stmt, 1), is_new };
  return rc;
}

static int find_due(struct nm_writer *writer, const struct nm_store_take *take, size_t max,
                    struct candidate *out, size_t *count)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT rank, id FROM events INDEXED BY events_delayed WHERE state = 1"
                      " AND due_at <= ?1 AND NOT is_claimed_event(id) ORDER BY due_at LIMIT ?2",
                      NM_I(take->now_ms), NM_I(max));
  return rc ? rc : collect(writer, stmt, false, out, count);
}

/* Up to max new ones and up to max that are due, together in the order of planning. */
static int find_candidates(struct nm_writer *writer, const struct nm_store_take *take, size_t max,
                           struct candidate *out, size_t *count)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT rank, id FROM events INDEXED BY events_new WHERE state = 0"
                      " AND NOT is_claimed_event(id) ORDER BY rank, id LIMIT ?1",
                      NM_I(max));
  if (!rc) rc = collect(writer, stmt, true, out, count);
  if (!rc) rc = find_due(writer, take, max, out, count);
  if (!rc) qsort(out, *count, sizeof *out, compare_candidates);
  return rc;
}

static int take_one(struct nm_writer *writer, struct nm_store_take *take, int64_t id)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT " NM_EVENT_COLUMNS " FROM events WHERE id = ?1", NM_I(id));
  if (rc) return rc;
  rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  struct nm_row row = { .stmt = stmt, .arena = take->request.arena };
  struct nm_event event;
  nm_row_event(&row, &event);
  sqlite3_reset(stmt);
  if (row.is_short) return NM_ENOMEM;
  rc = nm_writer_claim(writer, &writer->events, id, 0);
  if (!rc) take->events[take->count++] = event;
  return rc;
}

/* New ones of a rank, from memory. */
static int take_fresh(struct nm_writer *writer, struct nm_store_take *take, int rank, size_t max)
{
  int rc = 1;
  while (rc == 1 && take->count < max) {
    struct nm_event *event = &take->events[take->count];
    rc = nm_fresh_take_event(writer->fresh, rank, take->request.arena, event);
    if (rc != 1) break;
    int claimed = nm_writer_claim(writer, &writer->events, event->id, 0);
    if (claimed) {
      nm_fresh_forget(writer->fresh); /* it was taken out already */
      return claimed;
    }
    take->count++;
  }
  return rc == 1 ? NM_OK : rc;
}

static int make_places(struct nm_store_take *take, size_t count)
{
  take->events = nm_arena_alloc(take->request.arena, (count ? count : 1) * sizeof *take->events);
  if (take->events) return NM_OK;
  return nm_fail(&take->request.error, NM_ENOMEM, "store: no memory to take %zu events", count);
}

/* Cancels, then what is due again, then the new: those of tenants who wait for nobody of their own
 * before those who do. */
static int take_quickly(struct nm_writer *writer, struct nm_store_take *take, size_t max,
                        struct candidate *found, size_t fresh)
{
  size_t due = 0;
  int rc = find_due(writer, take, max, found, &due);
  if (!rc) rc = make_places(take, fresh + due < max ? fresh + due : max);
  if (!rc) rc = take_fresh(writer, take, NM_FRESH_CANCELS, max);
  for (size_t i = 0; rc == 0 && i < due && take->count < max; i++)
    rc = take_one(writer, take, found[i].id);
  if (!rc) rc = take_fresh(writer, take, NM_FRESH_AHEAD, max);
  return rc ? rc : take_fresh(writer, take, NM_FRESH_OTHERS, max);
}

/* Whatever waits, out of the tables. */
static int take_thoroughly(struct nm_writer *writer, struct nm_store_take *take, size_t max,
                           struct candidate *found)
{
  size_t count = 0, i = 0;
  int rc = find_candidates(writer, take, max, found, &count);
  if (!rc) rc = make_places(take, max);
  for (; rc == 0 && i < count && take->count < max && found[i].rank == 0; i++)
    rc = take_one(writer, take, found[i].id);
  if (!rc) rc = take_fresh(writer, take, NM_FRESH_AHEAD, max);
  for (; rc == 0 && i < count && take->count < max; i++) {
    if (nm_claims_find(&writer->events, found[i].id)) continue; /* it was ahead */
    rc = take_one(writer, take, found[i].id);
    if (!rc && found[i].is_new) nm_fresh_event_taken(writer->fresh, found[i].id);
  }
  /* fewer than were asked for: nobody else waits */
  nm_fresh_events_asked(writer->fresh, rc == 0 && i == count && count < max);
  return rc;
}

int nm_writer_take(struct nm_writer *writer, struct nm_store_take *take)
{
  size_t max = take->max < NM_STORE_TAKE_MAX ? take->max : NM_STORE_TAKE_MAX;
  size_t fresh = 0;
  take->count = 0;
  int rc = nm_db_number(&writer->db, &take->next_due_ms, 0,
                        "SELECT due_at FROM events INDEXED BY events_delayed WHERE state = 1"
                        " AND due_at > ?1 ORDER BY due_at LIMIT 1",
                        NM_I(take->now_ms));
  if (rc || max == 0) return rc;
  struct candidate *found = malloc(2 * max * sizeof *found);
  if (!found)
    return nm_fail(&take->request.error, NM_ENOMEM, "store: no memory to take %zu events", max);
  if (nm_fresh_count_events(writer->fresh, &fresh))
    rc = take_quickly(writer, take, max, found, fresh);
  else rc = take_thoroughly(writer, take, max, found);
  free(found);
  /* What fitted into the arena is enough for now. */
  if (rc == NM_ENOMEM && !writer->db.failure && take->count > 0) rc = NM_OK;
  return rc;
}

/* ---- plan ------------------------------------------------------------------------------------ */

#define IDS_4 "?, ?, ?, ?"
#define IDS_16 IDS_4 ", " IDS_4 ", " IDS_4 ", " IDS_4
#define IDS_64 IDS_16 ", " IDS_16 ", " IDS_16 ", " IDS_16
#define UPDATE_EVENTS                                                                              \
  "UPDATE OR FAIL events SET state = ?1, reason = ?2, due_at = ?3, generation_id = ?4"             \
  " WHERE tenant_id = ?5 AND state IN (0, 1) AND id IN "

enum { ALIKE_MAX = 64, ALIKE_FEW = 16, ALIKE_VALUES = 5 };

static bool are_alike(const struct nm_plan *a, const struct nm_plan *b)
{
  return a->tenant_id == b->tenant_id && a->state == b->state &&
         a->due_at_ms == b->due_at_ms && a->generation_id == b->generation_id &&
         nm_text_equal(a->reason, b->reason);
}

/* Plans that are alike but for their events. */
static int set_alike(struct nm_writer *writer, const struct nm_plan *plans, size_t count,
                     struct nm_error *err)
{
  const struct nm_plan *first = plans;
  struct nm_value values[ALIKE_VALUES + ALIKE_MAX] = {
    NM_I(first->state), NM_T(first->reason),
    NM_I(first->state == NM_EVENT_DELAYED ? first->due_at_ms : 0), NM_I(first->generation_id),
    NM_I(first->tenant_id),
  };
  for (size_t i = 0; i < count; i++) {
    values[ALIKE_VALUES + i] = NM_I(plans[i].event_id);
    if (!nm_claims_find(&writer->events, plans[i].event_id)) nm_fresh_forget(writer->fresh);
  }
  const char *sql = count == ALIKE_MAX   ? UPDATE_EVENTS "(" IDS_64 ")"
                    : count == ALIKE_FEW ? UPDATE_EVENTS "(" IDS_16 ")"
                                         : UPDATE_EVENTS "(?)";
  int rc = nm_db_run_values(&writer->db, sql, values, ALIKE_VALUES + count);
  if (rc) return rc;
  if (nm_db_changes(&writer->db) != (int64_t)count)
    return nm_fail(err, NM_ECONFLICT, "event %lld of tenant %lld%s does not wait to be planned",
                   (long long)first->event_id, (long long)first->tenant_id,
                   count > 1 ? ", or one that was planned with it," : "");
  if (first->state == NM_EVENT_NEW) {
    writer->work |= NM_STORE_WORK_EVENTS;
    nm_fresh_forget(writer->fresh); /* it waits in the table again */
  }
  return NM_OK;
}

/* What became of the events: those that follow each other and are alike by one statement. */
static int set_events(struct nm_writer *writer, const struct nm_plan *plans, size_t count,
                      struct nm_error *err)
{
  int rc = NM_OK;
  for (size_t done = 0, step; rc == 0 && done < count; done += step) {
    size_t alike = 1;
    while (alike < ALIKE_MAX && done + alike < count &&
           are_alike(&plans[done], &plans[done + alike]))
      alike++;
    step = alike == ALIKE_MAX ? ALIKE_MAX : alike >= ALIKE_FEW ? ALIKE_FEW : 1;
    rc = set_alike(writer, plans + done, step, err);
  }
  return rc;
}

static int plan_messages(struct nm_writer *writer, const struct nm_plan *plan, struct nm_made *made)
{
  for (size_t i = 0; i < plan->message_count; i++) {
    struct nm_message *message = &plan->messages[i];
    if (message->state == NM_MESSAGE_CAPPED) continue;
    int covered = nm_writer_is_cancelled(writer, plan, message->campaign, message->channel_id,
                                         message->triggered_at_ms);
    if (covered < 0) return covered;
    if (covered && message->state == NM_MESSAGE_WAITING) {
      struct nm_pending note = { .kind = NM_PENDING_STATE,
                                 .state = &message->state,
                                 .was = message->state };
      int rc = nm_writer_note(writer, note);
      if (rc) return rc;
      message->state = NM_MESSAGE_STOPPED;
    }
    message->tenant_id = plan->tenant_id;
    message->event_id = plan->event_id;
    int rc = nm_writer_make_message(writer, made, message, plan->stamp_ms);
    if (rc) return rc;
  }
  return NM_OK;
}

/* What a request became arrives as if it had come by itself; a repetition is none. */
static int plan_arrivals(struct nm_writer *writer, const struct nm_plan *plan)
{
  for (size_t i = 0; i < plan->arrival_count; i++) {
    struct nm_store_arrival *arrival = &plan->arrivals[i];
    arrival->event.tenant_id = plan->tenant_id;
    arrival->origin_id = plan->event_id;
    int rc = nm_writer_arrive(writer, arrival);
    if (rc) return rc;
  }
  return NM_OK;
}

/* What the event became; its own row says so already. */
static int plan_one(struct nm_writer *writer, struct nm_plan *plan,
                    struct nm_store_request *request, struct nm_made *made)
{
  int rc = NM_OK;
  /* Both look at what there is. */
  if (plan->cancel || plan->run) rc = nm_writer_write_made(writer, made);
  if (!rc && plan->is_suppressed) rc = nm_writer_blank_event(writer, plan->event_id);
  if (plan->cancel) nm_fresh_forget(writer->fresh); /* what waits may be stopped */
  if (!rc && plan->cancel) rc = nm_writer_cancel(writer, plan, request->arena);
  if (!rc && plan->run) rc = nm_writer_add_run(writer, plan, request->arena);
  if (!rc) rc = plan_messages(writer, plan, made);
  for (size_t i = 0; rc == 0 && i < plan->update_count; i++)
    rc = nm_writer_add_update(writer, plan, &plan->updates[i]);
  if (!rc) rc = plan_arrivals(writer, plan);
  return rc ? rc : nm_writer_release(writer, &writer->events, plan->event_id);
}

int nm_writer_plan(struct nm_writer *writer, struct nm_store_plan *plan)
{
  struct nm_made made = { .count = 0 };
  int rc = NM_OK;
  for (size_t i = 0; rc == 0 && i < plan->count; i++) {
    struct nm_plan *one = &plan->plans[i];
    rc = nm_writer_suppress_plan(writer, one, &one->is_suppressed);
    if (!rc) rc = nm_writer_cap_plan(writer, one, plan->request.arena);
  }
  if (!rc) rc = set_events(writer, plan->plans, plan->count, &plan->request.error);
  for (size_t i = 0; rc == 0 && i < plan->count; i++)
    rc = plan_one(writer, &plan->plans[i], &plan->request, &made);
  return rc ? rc : nm_writer_write_made(writer, &made);
}
