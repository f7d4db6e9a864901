/* Lists for people and the API.
 *
 * A column's alias says its key and, behind a colon, how its value is written: `state:message` is
 * the key "state" with the word of a message's state.  So a list is one SELECT. */
#include "store/internal.h"

#include <stdio.h>

#include "base/clock.h"

static const char *const event_states[] = { "new",  "delayed", "planned",
                                            "held", "dropped", "skipped" };
static const char *const event_kinds[] = { "campaign", "hook", "callback", "inbound" };
static const char *const update_states[] = { "waiting", "waiting", "sending", "dead", "done" };
static const char *const batch_states[] = { "sending", "sent", "retry", "done", "dead" };
static const char *const fact_states[] = { "waiting", "calling", "told", "unknown", "refused" };
static const char *const fact_metrics[] = { "sent", "delivered", "opened", "clicked",
                                            "unsubscribed", "dropped", "spam", "", "", "bounced" };
static const char *const erasure_states[] = { "waiting", "under way", "under way", "done" };

#define WORD(words, n) ((n) < sizeof(words) / sizeof((words)[0]) ? (words)[n] : "unknown")

/* ---- rows into objects ----------------------------------------------------------------------- */

static const char *word_of(const char *how, size_t number)
{
  if (strcmp(how, "event") == 0) return WORD(event_states, number);
  if (strcmp(how, "event_kind") == 0) return WORD(event_kinds, number);
  if (strcmp(how, "message") == 0)
    return number <= NM_MESSAGE_PAUSED ? nm_message_state_name((enum nm_message_state)number) : "";
  if (strcmp(how, "run") == 0)
    return number <= NM_RUN_FAILED ? nm_run_state_name((enum nm_run_state)number) : "";
  if (strcmp(how, "channel") == 0)
    return number < NM_CHANNEL_COUNT ? nm_channel_name((enum nm_channel)number) : "";
  if (strcmp(how, "outcome") == 0)
    return number <= NM_OUTCOME_UNKNOWN ? nm_outcome_name((enum nm_outcome_kind)number) : "";
  if (strcmp(how, "update") == 0) return WORD(update_states, number);
  if (strcmp(how, "batch") == 0) return WORD(batch_states, number);
  if (strcmp(how, "fact") == 0) return WORD(fact_states, number);
  if (strcmp(how, "metric") == 0) return WORD(fact_metrics, number);
  if (strcmp(how, "erasure") == 0) return WORD(erasure_states, number);
  return NULL;
}

/* Bytes as they came may be no UTF-8: what JSON cannot hold is shown as question marks. */
static json_t *text_value(const char *bytes, size_t len)
{
  json_t *value = json_stringn(bytes, len);
  if (value) return value;
  struct nm_buffer shown;
  nm_buffer_init(&shown, len + 1);
  if (nm_buffer_append(&shown, bytes, len) == 0) {
    for (size_t i = 0; i < len; i++)
      if ((unsigned char)shown.ptr[i] >= 0x80 || shown.ptr[i] == '\0') shown.ptr[i] = '?';
    value = json_stringn(shown.ptr, len);
  }
  nm_buffer_deinit(&shown);
  return value;
}

static json_t *json_value(struct nm_text text)
{
  json_t *value;
  if (nm_text_is_empty(text)) return json_null();
  if (nm_json_parse_any(&value, text, NULL) == NM_OK) return value;
  return text_value(text.ptr, text.len);
}

static json_t *column_value(sqlite3_stmt *stmt, int column, const char *how)
{
  if (sqlite3_column_type(stmt, column) == SQLITE_INTEGER) {
    int64_t number = sqlite3_column_int64(stmt, column);
    if (!how) return json_integer(number);
    if (strcmp(how, "bool") == 0) return json_boolean(number != 0);
    if (strcmp(how, "id") == 0) {
      char text[24];
      snprintf(text, sizeof text, "%lld", (long long)number);
      return json_string(text);
    }
    const char *word = word_of(how, number < 0 ? SIZE_MAX : (size_t)number);
    return word ? json_string(word) : json_integer(number);
  }
  const char *bytes = sqlite3_column_blob(stmt, column);
  size_t len = (size_t)sqlite3_column_bytes(stmt, column);
  if (how && strcmp(how, "json") == 0) return json_value((struct nm_text){ bytes, len });
  return text_value(bytes ? bytes : "", len);
}

/* Adds the row's columns to the object; an id that is 0 names nothing and is left out. */
static int add_row(json_t *object, sqlite3_stmt *stmt)
{
  for (int i = 0; i < sqlite3_column_count(stmt); i++) {
    struct nm_text key, how_text;
    char name[32];
    const char *alias = sqlite3_column_name(stmt, i);
    if (sqlite3_column_type(stmt, i) == SQLITE_NULL) continue;
    nm_text_cut(nm_text_from(alias), ':', &key, &how_text);
    const char *how = how_text.len > 0 ? how_text.ptr : NULL;
    if (how && strcmp(how, "id") == 0 && sqlite3_column_int64(stmt, i) == 0) continue;
    snprintf(name, sizeof name, "%.*s", NM_TEXT_ARG(key));
    if (json_object_set_new(object, name, column_value(stmt, i, how))) return NM_ENOMEM;
  }
  return NM_OK;
}

/* All rows as an array under `key`. */
static int add_list(struct nm_db *db, json_t *object, const char *key, const char *sql,
                    const struct nm_value *values, size_t count)
{
  sqlite3_stmt *stmt;
  json_t *list = json_array();
  if (json_object_set_new(object, key, list)) return NM_ENOMEM;
  int rc = nm_db_find_values(db, &stmt, sql, values, count);
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1) {
    json_t *row = json_object();
    rc = row ? add_row(row, stmt) : NM_ENOMEM;
    if (json_array_append_new(list, row)) rc = NM_ENOMEM;
    if (rc) sqlite3_reset(stmt);
  }
  return rc;
}

/* The first row's columns into the object; 1 = there was one, 0 = none. */
static int add_first(struct nm_db *db, json_t *object, const char *sql,
                     const struct nm_value *values, size_t count)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find_values(db, &stmt, sql, values, count);
  if (!rc) rc = nm_db_step(db, stmt);
  if (rc != 1) return rc;
  rc = add_row(object, stmt);
  sqlite3_reset(stmt);
  return rc ? rc : 1;
}

/* As add_first, in an object under `key`, which is left out where there is no row. */
static int add_object(struct nm_db *db, json_t *object, const char *key, const char *sql,
                      const struct nm_value *values, size_t count)
{
  json_t *found = json_object();
  if (!found) return NM_ENOMEM;
  int rc = add_first(db, found, sql, values, count);
  if (rc == 1) return json_object_set_new(object, key, found) ? NM_ENOMEM : NM_OK;
  json_decref(found);
  return rc;
}

int nm_query_add_list(struct nm_db *db, json_t *object, const char *key, const char *sql,
                      const struct nm_value *values, size_t count)
{
  return add_list(db, object, key, sql, values, count);
}

int nm_query_add_first(struct nm_db *db, json_t *object, const char *sql,
                       const struct nm_value *values, size_t count)
{
  return add_first(db, object, sql, values, count);
}

/* ---- what the tables look like from outside -------------------------------------------------- */

#define EVENT_VIEW                                                                                 \
  "'event' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", received_at AS at,"            \
  " kind AS \"event_kind:event_kind\", type, channel_id, template_id, campaign, customer, stamp,"  \
  " name, foreign_id, origin_id AS \"origin_id:id\", state AS \"state:event\", reason, due_at,"                                   \
  " generation_id AS \"generation_id:id\""
#define MESSAGE_VIEW                                                                               \
  "'message' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"           \
  " event_id AS \"event_id:id\", run_id AS \"run_id:id\", generation_id AS \"generation_id:id\","  \
  " state AS \"state:message\", reason, channel AS \"channel:channel\", channel_id, template_id,"  \
  " campaign, customer, address, name, provider, content AS \"content:json\", stamp,"              \
  " triggered_at, due_at, expires_at, quiet_from, quiet_to, ended_at,"                                  \
  " attempts AS tries, nullif(first_attempt_at, 0) AS first_attempt_at"
#define ATTEMPT_VIEW                                                                               \
  "id AS \"id:id\", started_at, ended_at, outcome AS \"outcome:outcome\", code, reason"
/* A first try that went well stands in the message itself. */
#define ATTEMPTS_OF_MESSAGE                                                                        \
  "SELECT " ATTEMPT_VIEW " FROM attempts WHERE message_id = ?1 UNION ALL"                          \
  " SELECT id, first_attempt_at, ended_at, (sent_as & 15) - 1, sent_as >> 4, reason FROM messages" \
  " WHERE id = ?1 AND sent_as > 0"
#define UPDATE_VIEW                                                                                \
  "'update' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"            \
  " event_id AS \"event_id:id\", batch_id AS \"batch_id:id\", state AS \"state:update\", reason,"  \
  " customer, field, value, ended_at"
#define BATCH_VIEW                                                                                 \
  "'batch' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"             \
  " state AS \"state:batch\", reason, due_at, attempts AS tries, ended_at"
#define RUN_VIEW                                                                                   \
  "'run' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"               \
  " event_id AS \"event_id:id\", generation_id AS \"generation_id:id\", state AS \"state:run\","   \
  " reason, campaign, channel_id, stamp, triggered_at, fenced_at, ended_at, rows_fetched,"         \
  " pages_fetched, is_fetched AS \"is_fetched:bool\", cursor_page, cursor_row, made, repeated,"    \
  " skipped, held, sent, dead, stopped, expired, open AS waiting, in_flight_at_fence,"   \
  " is_parked AS \"is_parked:bool\", repin_generation_id AS \"repin_generation_id:id\", CASE WHEN repin_generation_id <> 0"   \
  " THEN repin_page END AS repin_page,"   \
  " play_until > 0 AS \"is_playing:bool\", is_released AS \"is_released:bool\", nullif(checked_at, 0) AS checked_at,"  \
  " nullif(template_id, 0) AS template_id, nullif(sample, '') AS \"sample:json\""

#define QUEUE_COLUMNS                                                                              \
  "\"id:id\", kind, \"tenant_id:id\", at, state, reason, \"event_kind:event_kind\", type,"         \
  " \"channel:channel\", channel_id, template_id, campaign, customer, name, provider,"             \
  " \"run_id:id\", tries, field, value"

/* ---- lists ----------------------------------------------------------------------------------- */

struct range {
  int64_t tenant_id; /* 0 = all */
  int64_t before;
  int64_t limit;
};

static struct range read_range(const json_t *args)
{
  struct range range = { .tenant_id = 0, .before = INT64_MAX, .limit = 100 };
  (void)nm_json_i64(args, "tenant_id", &range.tenant_id);
  (void)nm_json_i64(args, "limit", &range.limit);
  if (!nm_json_i64(args, "before", &range.before) || range.before <= 0) range.before = INT64_MAX;
  if (range.limit < 1) range.limit = 1;
  if (range.limit > NM_STORE_QUERY_ROWS_MAX) range.limit = NM_STORE_QUERY_ROWS_MAX;
  return range;
}

/* Two texts, so that one tenant's list does not walk through everybody's: `of` ends the indexes'
 * names, `only` is the condition. */
#define QUEUE_SQL(of, only)                                                                        \
  "SELECT " QUEUE_COLUMNS " FROM (SELECT * FROM ("                                                 \
  " SELECT id AS \"id:id\", 'event' AS kind, tenant_id AS \"tenant_id:id\", received_at AS at,"    \
  " 'held' AS state, reason, kind AS \"event_kind:event_kind\", type,"                             \
  " NULL AS \"channel:channel\", channel_id, template_id, campaign, customer, name,"               \
  " NULL AS provider, NULL AS \"run_id:id\", NULL AS tries, NULL AS field, NULL AS value"          \
  " FROM events INDEXED BY events_held" of                                                         \
  " WHERE state = 3 AND " only " AND id < ?2 ORDER BY id DESC LIMIT ?3)"                           \
  " UNION ALL SELECT * FROM ("                                                                     \
  " SELECT id, 'message', tenant_id, CASE WHEN ended_at > 0 THEN ended_at ELSE created_at END,"    \
  " CASE state WHEN 2 THEN 'dead' ELSE 'held' END, reason, NULL, NULL, channel, channel_id,"       \
  " template_id, campaign, customer, name, provider, run_id, attempts, NULL, NULL"                 \
  " FROM messages INDEXED BY messages_stuck" of                                                    \
  " WHERE state IN (2, 4) AND " only " AND id < ?2 ORDER BY id DESC LIMIT ?3)"                     \
  " UNION ALL SELECT * FROM ("                                                                     \
  " SELECT id, 'update', tenant_id, CASE WHEN ended_at > 0 THEN ended_at ELSE created_at END,"     \
  " 'dead', reason, NULL, NULL, NULL, NULL, NULL, NULL, customer, NULL, NULL, NULL, NULL, field,"  \
  " value FROM updates INDEXED BY updates_dead" of                                                 \
  " WHERE state = 3 AND " only " AND id < ?2 ORDER BY id DESC LIMIT ?3)"                           \
  " UNION ALL SELECT * FROM ("                                                                     \
  " SELECT id, 'run', tenant_id, created_at, 'held', reason, NULL, NULL, NULL, channel_id,"        \
  " nullif(template_id, 0), campaign, NULL, NULL, NULL, id, NULL, NULL, NULL"                      \
  " FROM runs INDEXED BY runs_open"                                                                \
  " WHERE state IN (0, 1, 2, 4) AND state = 2 AND " only " AND id < ?2"                            \
  " ORDER BY id DESC LIMIT ?3))"                                                                   \
  " ORDER BY \"id:id\" DESC LIMIT ?3"

static const char queue_of_all_sql[] = QUEUE_SQL("", "?1 = 0");
static const char queue_of_tenant_sql[] = QUEUE_SQL("_of_tenant", "tenant_id = ?1");

static int list_queue(struct nm_db *db, const json_t *args, json_t *holder)
{
  struct range range = read_range(args);
  const char *sql = range.tenant_id ? queue_of_tenant_sql : queue_of_all_sql;
  return add_list(db, holder, "rows", sql,
                  NM_VALUES(NM_I(range.tenant_id), NM_I(range.before), NM_I(range.limit)));
}

static int list_runs(struct nm_db *db, const json_t *args, json_t *holder)
{
  struct range range = read_range(args);
  return add_list(db, holder, "rows",
                  "SELECT " RUN_VIEW " FROM runs WHERE (?1 = 0 OR tenant_id = ?1) AND id < ?2"
                  " ORDER BY id DESC LIMIT ?3",
                  NM_VALUES(NM_I(range.tenant_id), NM_I(range.before), NM_I(range.limit)));
}

static int list_generations(struct nm_db *db, const json_t *args, json_t *holder)
{
  struct range range = read_range(args);
  return add_list(db, holder, "rows",
                  "SELECT id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at, activation >> 20"
                  " AS activated_at, is_active AS \"is_active:bool\", digest, pinned_over,"
                  " length(CAST(source AS BLOB)) AS bytes, (SELECT count(*) FROM runs INDEXED BY"
                  " runs_open WHERE runs.state IN (0, 1, 2, 4) AND runs.generation_id ="
                  " generations.id) AS open_runs FROM generations"
                  " WHERE ?1 = 0 OR tenant_id = ?1 ORDER BY tenant_id, activation DESC LIMIT ?2",
                  NM_VALUES(NM_I(range.tenant_id), NM_I(range.limit)));
}

/* Without who it is: that is what the jobs are for. */
static int list_erasures(struct nm_db *db, const json_t *args, json_t *holder)
{
  struct range range = read_range(args);
  int64_t id = 0;
  (void)nm_json_i64(args, "id", &id);
  return add_list(db, holder, "rows",
                  "SELECT id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"
                  " state AS \"state:erasure\", CASE WHEN state = 1 THEN stage ELSE NULL END AS stage,"
                  " looked, erased, CASE WHEN traces < 0 THEN NULL ELSE traces END AS traces,"
                  " CASE WHEN state = 3 THEN ended_at ELSE NULL END AS ended_at FROM erasures"
                  " WHERE (?1 = 0 OR tenant_id = ?1) AND (?2 = 0 OR id = ?2) AND id < ?3"
                  " ORDER BY id DESC LIMIT ?4",
                  NM_VALUES(NM_I(range.tenant_id), NM_I(id), NM_I(range.before),
                            NM_I(range.limit)));
}

/* ---- one thing ------------------------------------------------------------------------------- */

#define ONE NM_VALUES(NM_I(id))

static int show_event(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = add_first(db, out, "SELECT " EVENT_VIEW ", body FROM events WHERE id = ?1", ONE);
  if (rc != 1) return rc;
  rc = add_list(db, out, "messages",
                "SELECT " MESSAGE_VIEW " FROM messages INDEXED BY messages_of_event"
                " WHERE event_id > 0 AND event_id = ?1 ORDER BY id LIMIT 200",
                ONE);
  if (!rc)
    rc = add_list(db, out, "runs",
                  "SELECT " RUN_VIEW " FROM runs WHERE event_id = ?1 ORDER BY id LIMIT 200", ONE);
  if (!rc && nm_text_equal(nm_json_string(out, "event_kind"), NM_TEXT("inbound")))
    rc = add_list(db, out, "became",
                  "SELECT " EVENT_VIEW " FROM events INDEXED BY events_of_origin"
                  " WHERE origin_id > 0 AND origin_id = ?1 ORDER BY id LIMIT 200", ONE);
  if (!rc)
    rc = add_list(db, out, "updates",
                  "SELECT " UPDATE_VIEW " FROM updates WHERE event_id = ?1 ORDER BY id LIMIT 200",
                  ONE);
  size_t i;
  json_t *message;
  json_array_foreach(json_object_get(out, "messages"), i, message) {
    int64_t message_id = 0;
    if (rc || !nm_json_i64(message, "id", &message_id)) break;
    rc = add_list(db, message, "attempts",
                  ATTEMPTS_OF_MESSAGE " ORDER BY 2, 1 LIMIT 100",
                  NM_VALUES(NM_I(message_id)));
  }
  return rc ? rc : 1;
}

/* Who made it: the event, of its own or of its run. */
static int add_origin(struct nm_db *db, json_t *out)
{
  int64_t event_id = 0, run_id = 0;
  int rc = NM_OK;
  if (nm_json_i64(out, "run_id", &run_id))
    rc = add_object(db, out, "run", "SELECT " RUN_VIEW " FROM runs WHERE id = ?1",
                    NM_VALUES(NM_I(run_id)));
  if (!nm_json_i64(out, "event_id", &event_id))
    (void)nm_json_i64(json_object_get(out, "run"), "event_id", &event_id);
  if (rc || event_id == 0) return rc;
  return add_object(db, out, "event", "SELECT " EVENT_VIEW ", body FROM events WHERE id = ?1",
                    NM_VALUES(NM_I(event_id)));
}

static int show_message(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = add_first(db, out, "SELECT " MESSAGE_VIEW " FROM messages WHERE id = ?1", ONE);
  if (rc != 1) return rc;
  rc = add_list(db, out, "attempts",
                ATTEMPTS_OF_MESSAGE " ORDER BY 2, 1 LIMIT 200", ONE);
  if (!rc) rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_run(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = add_first(db, out, "SELECT " RUN_VIEW " FROM runs WHERE id = ?1", ONE);
  if (rc != 1) return rc;
  rc = add_list(db, out, "holds",
                "SELECT reason, sum(count) AS count, count(DISTINCT page) AS pages FROM run_holds"
                " WHERE run_id = ?1 GROUP BY reason ORDER BY 2 DESC LIMIT 100",
                ONE);
  if (!rc)
    rc = add_list(db, out, "figures",
                  "SELECT template_id, metric AS \"metric:metric\", value,"
                  " state AS \"state:fact\", reason FROM facts WHERE run_id = ?1"
                  " ORDER BY template_id, metric LIMIT 500",
                  ONE);
  if (!rc)
    rc = add_object(db, out, "counts",
                    "SELECT told AS \"told:json\" FROM runs WHERE id = ?1 AND told <> ''", ONE);
  if (!rc)
    rc = add_list(db, out, "drops",
                  "SELECT reason, count FROM run_drops WHERE run_id = ?1 ORDER BY count DESC,"
                  " reason LIMIT 100", ONE);
  /* Counted as they end, never by looking at a million rows. */
  if (!rc)
    rc = add_object(db, out, "messages",
                    "SELECT made AS made, open AS waiting, sent, dead, stopped, expired,"
                    " made - open - sent - dead - stopped - expired AS held"
                    " FROM runs WHERE id = ?1",
                    ONE);
  if (!rc)
    rc = add_object(db, out, "progress",
                    "SELECT rows_fetched, pages_fetched, is_fetched AS \"is_fetched:bool\","
                    " cursor_page, cursor_row, made + repeated + skipped + held AS rows_expanded"
                    " FROM runs WHERE id = ?1",
                    ONE);
  if (!rc) rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_update(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = add_first(db, out, "SELECT " UPDATE_VIEW " FROM updates WHERE id = ?1", ONE);
  if (rc != 1) return rc;
  rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_batch(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = add_first(db, out, "SELECT " BATCH_VIEW " FROM batches WHERE id = ?1", ONE);
  if (rc != 1) return rc;
  rc = add_list(db, out, "updates",
                "SELECT " UPDATE_VIEW " FROM updates INDEXED BY updates_of_batch WHERE state = 2"
                " AND batch_id = ?1 ORDER BY customer, id LIMIT 1000",
                ONE);
  return rc ? rc : 1;
}

static int show(struct nm_db *db, enum nm_store_query_kind kind, int64_t id, json_t *out)
{
  int rc = 0;
  if (kind == NM_QUERY_EVENT)
    return add_first(db, out, "SELECT " EVENT_VIEW ", body FROM events WHERE id = ?1", ONE);
  if (kind == NM_QUERY_RUN) return show_run(db, id, out);
  rc = show_event(db, id, out);
  if (rc == 0) rc = show_message(db, id, out);
  if (rc == 0) rc = show_run(db, id, out);
  if (rc == 0) rc = show_update(db, id, out);
  if (rc == 0) rc = show_batch(db, id, out);
  return rc;
}

/* ---- status ---------------------------------------------------------------------------------- */

static int show_status(struct nm_db *db, json_t *out)
{
  int64_t now_ms = nm_clock_wall_ms();
  /* Oldest: since when an event waits to be planned, or a message was due and is not sent. */
  int rc = add_first(
    db, out,
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
    "  FROM messages INDEXED BY messages_stuck WHERE state IN (2, 4)) AS s",
    NM_VALUES(NM_I(now_ms)));
  if (rc != 1) return rc;
  rc = add_first(db, out,
                 "SELECT page_count * page_size AS database_bytes, 'fsync' AS durability"
                 " FROM pragma_page_count, pragma_page_size WHERE ?1",
                 NM_VALUES(NM_I(1)));
  return rc;
}

/* ---- shape ----------------------------------------------------------------------------------- */

#define AGES                                                                                       \
  " count(*) AS total, sum(age < 5) AS \"5\", sum(age >= 5 AND age < 10) AS \"10\","             \
  " sum(age >= 10 AND age < 20) AS \"20\", sum(age >= 20 AND age < 40) AS \"40\","               \
  " sum(age >= 40 AND age < 80) AS \"80\", sum(age >= 80 AND age < 160) AS \"160\","             \
  " sum(age >= 160 AND age < 320) AS \"320\", sum(age >= 320 AND age < 640) AS \"640\","         \
  " sum(age >= 640 AND age < 1280) AS \"1280\", sum(age >= 1280) AS \"1280+\""

/* What waits, by where it goes and by its age in minutes; events go to their rules. */
static int list_shape(struct nm_db *db, json_t *out)
{
  return add_list(db, out, "rows",
                  "SELECT tenant_id, provider AS destination, 'message' AS kind," AGES
                  " FROM (SELECT tenant_id, provider, (?1 - created_at) / 60000 AS age"
                  "  FROM messages INDEXED BY messages_waiting WHERE state = 0)"
                  " GROUP BY tenant_id, provider"
                  " UNION ALL SELECT tenant_id, '(rules)', 'event'," AGES
                  " FROM (SELECT tenant_id, (?1 - received_at) / 60000 AS age"
                  "  FROM events INDEXED BY events_new WHERE state = 0"
                  "  UNION ALL SELECT tenant_id, (?1 - received_at) / 60000"
                  "  FROM events INDEXED BY events_delayed WHERE state = 1)"
                  " GROUP BY tenant_id ORDER BY total DESC",
                  NM_VALUES(NM_I(nm_clock_wall_ms())));
}

static int show_made(struct nm_db *db, const json_t *args, json_t *out)
{
  int64_t tenant_id = 0, since_ms = 0;
  (void)nm_json_i64(args, "tenant_id", &tenant_id);
  (void)nm_json_i64(args, "since_ms", &since_ms);
  int rc = nm_query_add_first(db, out,
                     "SELECT count(*) AS singles FROM messages INDEXED BY messages_of_event"
                     " WHERE event_id > ?2 AND event_id > 0 AND tenant_id = ?1",
                     NM_VALUES(NM_I(tenant_id), NM_I(since_ms * (1 << 20))));
  if (rc >= 0)
    rc = nm_query_add_first(db, out,
                   "SELECT coalesce(sum(rows_fetched), 0) AS recipients FROM runs"
                   " INDEXED BY runs_of_template WHERE tenant_id = ?1 AND checked_at > 0"
                   " AND checked_at > ?2",
                   NM_VALUES(NM_I(tenant_id), NM_I(since_ms)));
  return rc < 0 ? rc : NM_OK;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int answer(struct nm_db *db, struct nm_store_query *query, json_t *out)
{
  int64_t id = 0;
  int rc;
  switch (query->kind) {
  case NM_QUERY_AUDIT:
  case NM_QUERY_EVENTS:
  case NM_QUERY_MESSAGES:
  case NM_QUERY_UPDATES:
  case NM_QUERY_PROFILES:
  case NM_QUERY_OWNER: return nm_query_list(db, query, out);
  case NM_QUERY_QUEUE: return list_queue(db, query->args, out);
  case NM_QUERY_RUNS: return list_runs(db, query->args, out);
  case NM_QUERY_GENERATIONS: return list_generations(db, query->args, out);
  case NM_QUERY_STATUS: return show_status(db, out);
  case NM_QUERY_SHAPE: return list_shape(db, out);
  case NM_QUERY_MADE: return show_made(db, query->args, out);
  case NM_QUERY_ERASURES: return list_erasures(db, query->args, out);
  case NM_QUERY_SHOW:
  case NM_QUERY_RUN:
  case NM_QUERY_EVENT:
    if (!nm_json_i64(query->args, "id", &id))
      return nm_fail(&query->request.error, NM_EINVAL, "this asks for an id");
    rc = show(db, query->kind, id, out);
    if (rc == 0)
      return nm_fail(&query->request.error, NM_ENOTFOUND, "there is no %s %lld",
                     query->kind == NM_QUERY_RUN     ? "run"
                     : query->kind == NM_QUERY_EVENT ? "event"
                                                     : "event, message, run or update",
                     (long long)id);
    return rc;
  }
  return nm_fail(&query->request.error, NM_EINTERNAL, "no such query");
}

int nm_reader_query(struct nm_db *db, struct nm_store_query *query)
{
  json_t *out = json_object();
  query->answer = NULL;
  if (!out) return nm_fail(&query->request.error, NM_ENOMEM, "no memory for an answer");
  int rc = answer(db, query, out);
  if (rc < 0) {
    json_decref(out);
    if (rc == NM_ENOMEM && !db->failure)
      nm_fail(&query->request.error, rc, "no memory for an answer");
    return rc;
  }
  bool is_list = query->kind == NM_QUERY_QUEUE || query->kind == NM_QUERY_RUNS ||
                 query->kind == NM_QUERY_GENERATIONS || query->kind == NM_QUERY_SHAPE ||
                 query->kind == NM_QUERY_ERASURES;
  is_list = is_list || json_object_get(out, "rows") != NULL;
  query->answer = is_list ? json_incref(json_object_get(out, "rows")) : json_incref(out);
  json_decref(out);
  return NM_OK;
}
