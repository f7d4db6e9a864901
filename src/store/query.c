/* query.c - the verb of whoever looks: people, the API, the engine's guard; and what waits, in
 * numbers. */
#include "base/clock.h"
#include "store/query_parts.h"

/* Oldest: since when an event waits to be planned, or a message was due and is not sent. */
static const char status_sql[] =
  "SELECT e.n AS waiting_events, m.n AS waiting_messages,"
  " (SELECT count(*) FROM events WHERE state = 1) AS delayed_events,"
  " (SELECT count(*) FROM updates WHERE state IN (0, 1)) AS waiting_updates,"
  " (SELECT count(*) FROM batches WHERE state IN (0, 1, 2)) AS unsettled_batches,"
  " (SELECT count(*) FROM runs WHERE state IN (0, 1, 2, 4)) AS open_runs,"
  " (SELECT count(*) FROM events WHERE state = 3) AS held_events,"
  " (SELECT count(*) FROM updates WHERE state = 3) AS dead_updates,"
  " (SELECT count(*) FROM messages INDEXED BY messages_parked WHERE state = 6) AS paused_messages,"
  " s.held AS held_messages, s.dead AS dead_messages,"
  " (SELECT count(*) FROM events WHERE state = 3) + s.held AS held,"
  " (SELECT count(*) FROM updates WHERE state = 3) + s.dead AS dead,"
  " coalesce(min(e.oldest, m.oldest), e.oldest, m.oldest, 0) AS oldest_waiting_at,"
  " max(0, ?1 - coalesce(min(e.oldest, m.oldest), e.oldest, m.oldest, ?1)) AS oldest_waiting_ms"
  " FROM (SELECT count(*) AS n, min(received_at) AS oldest FROM events WHERE state = 0) AS e,"
  " (SELECT count(*) AS n, min(CASE WHEN due_at <= ?1 THEN due_at END) AS oldest"
  "  FROM messages INDEXED BY messages_waiting WHERE state = 0) AS m,"
  " (SELECT coalesce(sum(state = 4), 0) AS held, coalesce(sum(state = 2), 0) AS dead"
  "  FROM messages INDEXED BY messages_stuck WHERE state IN (2, 4)) AS s";
static const char file_sql[] =
  "SELECT page_count * page_size AS database_bytes, 'fsync' AS durability"
  " FROM pragma_page_count, pragma_page_size WHERE ?1";

static int show_status(struct nm_db *db, json_t *out)
{
  int rc = nm_query_add_first(db, out, status_sql, NM_VALUES(NM_I(nm_clock_wall_ms())));
  if (rc != 1) return rc;
  return nm_query_add_first(db, out, file_sql, NM_VALUES(NM_I(1)));
}

#define AGES                                                                                       \
  " count(*) AS total, sum(age < 5) AS \"5\", sum(age >= 5 AND age < 10) AS \"10\","               \
  " sum(age >= 10 AND age < 20) AS \"20\", sum(age >= 20 AND age < 40) AS \"40\","                 \
  " sum(age >= 40 AND age < 80) AS \"80\", sum(age >= 80 AND age < 160) AS \"160\","               \
  " sum(age >= 160 AND age < 320) AS \"320\", sum(age >= 320 AND age < 640) AS \"640\","           \
  " sum(age >= 640 AND age < 1280) AS \"1280\", sum(age >= 1280) AS \"1280+\""

/* What waits, by where it goes and by its age in minutes; events go to their rules. */
static const char shape_sql[] =
  "SELECT tenant_id, provider AS destination, 'message' AS kind," AGES
  " FROM (SELECT tenant_id, provider, (?1 - created_at) / 60000 AS age"
  "  FROM messages INDEXED BY messages_waiting WHERE state = 0) GROUP BY tenant_id, provider"
  " UNION ALL SELECT tenant_id, '(rules)', 'event'," AGES
  " FROM (SELECT tenant_id, (?1 - received_at) / 60000 AS age"
  "  FROM events INDEXED BY events_new WHERE state = 0"
  "  UNION ALL SELECT tenant_id, (?1 - received_at) / 60000"
  "  FROM events INDEXED BY events_delayed WHERE state = 1)"
  " GROUP BY tenant_id ORDER BY total DESC";

static int show_shape(struct nm_db *db, json_t *out)
{
  return nm_query_add_list(db, out, "rows", shape_sql, NM_VALUES(NM_I(nm_clock_wall_ms())));
}

/* Ids are time-ordered: a message made since then has one above that time's. */
static const char singles_sql[] =
  "SELECT count(*) AS singles FROM messages INDEXED BY messages_of_event"
  " WHERE event_id > ?2 AND event_id > 0 AND tenant_id = ?1";
static const char recipients_sql[] =
  "SELECT coalesce(sum(rows_fetched), 0) AS recipients FROM runs INDEXED BY runs_of_template"
  " WHERE tenant_id = ?1 AND checked_at > 0 AND checked_at > ?2";

static int show_made(struct nm_db *db, const json_t *args, json_t *out)
{
  int64_t tenant_id = 0, since_ms = 0;
  (void)nm_json_i64(args, "tenant_id", &tenant_id);
  (void)nm_json_i64(args, "since_ms", &since_ms);
  int rc = nm_query_add_first(db, out, singles_sql,
                              NM_VALUES(NM_I(tenant_id), NM_I(since_ms * (1 << 20))));
  if (rc >= 0)
    rc = nm_query_add_first(db, out, recipients_sql, NM_VALUES(NM_I(tenant_id), NM_I(since_ms)));
  return rc < 0 ? rc : NM_OK;
}

static int show_thing(struct nm_db *db, struct nm_store_query *query, json_t *out)
{
  int64_t id = 0;
  if (!nm_json_i64(query->args, "id", &id))
    return nm_fail(&query->request.error, NM_EINVAL, "this asks for an id");
  int rc = nm_query_show(db, query->kind, id, out);
  if (rc != 0) return rc;
  const char *thing = query->kind == NM_QUERY_RUN     ? "run"
                      : query->kind == NM_QUERY_EVENT ? "event"
                                                      : "event, message, run or update";
  return nm_fail(&query->request.error, NM_ENOTFOUND, "there is no %s %lld", thing, (long long)id);
}

static int answer(struct nm_db *db, struct nm_store_query *query, json_t *out)
{
  switch (query->kind) {
  case NM_QUERY_AUDIT:
  case NM_QUERY_EVENTS:
  case NM_QUERY_MESSAGES:
  case NM_QUERY_UPDATES:
  case NM_QUERY_PROFILES:
  case NM_QUERY_OWNER:
  case NM_QUERY_QUEUE:
  case NM_QUERY_RUNS:
  case NM_QUERY_GENERATIONS:
  case NM_QUERY_ERASURES: return nm_query_list(db, query, out);
  case NM_QUERY_STATUS: return show_status(db, out);
  case NM_QUERY_SHAPE: return show_shape(db, out);
  case NM_QUERY_MADE: return show_made(db, query->args, out);
  case NM_QUERY_SHOW:
  case NM_QUERY_RUN:
  case NM_QUERY_EVENT: return show_thing(db, query, out);
  }
  return nm_fail(&query->request.error, NM_EINTERNAL, "no such query");
}

int nm_reader_query(struct nm_db *db, struct nm_store_query *query)
{
  json_t *out = json_object();
  query->answer = NULL;
  if (!out) return nm_fail(&query->request.error, NM_ENOMEM, "no memory for an answer");
  int rc = answer(db, query, out);
  if (rc >= 0) {
    json_t *rows = json_object_get(out, "rows"); /* a list's answer is the array itself */
    query->answer = json_incref(rows ? rows : out);
  } else if (rc == NM_ENOMEM && !db->failure) {
    nm_fail(&query->request.error, rc, "no memory for an answer");
  }
  json_decref(out);
  return rc < 0 ? rc : NM_OK;
}
