/* query_show.c - one thing, with what belongs to it. */
#include "store/query_parts.h"

#define EVENT_VIEW                                                                                 \
  "'event' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", received_at AS at,"            \
  " kind AS \"event_kind:event_kind\", type, channel_id, template_id, campaign, customer, stamp,"  \
  " name, foreign_id, origin_id AS \"origin_id:id\", state AS \"state:event\", reason, due_at,"    \
  " generation_id AS \"generation_id:id\""
#define MESSAGE_VIEW                                                                               \
  "'message' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"           \
  " event_id AS \"event_id:id\", run_id AS \"run_id:id\", generation_id AS \"generation_id:id\","  \
  " state AS \"state:message\", reason, channel AS \"channel:channel\", channel_id, template_id,"  \
  " campaign, customer, address, name, provider, content AS \"content:json\", stamp,"              \
  " triggered_at, due_at, expires_at, quiet_from, quiet_to, ended_at,"                             \
  " attempts AS tries, nullif(first_attempt_at, 0) AS first_attempt_at"
/* A first try that went well stands in the message itself. */
#define ATTEMPTS_OF_MESSAGE(rows)                                                                  \
  "SELECT id AS \"id:id\", started_at, ended_at, outcome AS \"outcome:outcome\", code, reason"     \
  " FROM attempts WHERE message_id = ?1 UNION ALL"                                                 \
  " SELECT id, first_attempt_at, ended_at, (sent_as & 15) - 1, sent_as >> 4, reason FROM messages" \
  " WHERE id = ?1 AND sent_as > 0 ORDER BY 2, 1 LIMIT " rows
#define UPDATE_VIEW                                                                                \
  "'update' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"            \
  " event_id AS \"event_id:id\", batch_id AS \"batch_id:id\", state AS \"state:update\", reason,"  \
  " customer, field, value, ended_at"
#define BATCH_VIEW                                                                                 \
  "'batch' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"             \
  " state AS \"state:batch\", reason, due_at, attempts AS tries, ended_at"

static const char event_sql[] = "SELECT " EVENT_VIEW ", body FROM events WHERE id = ?1";
static const char messages_of_event_sql[] =
  "SELECT " MESSAGE_VIEW " FROM messages INDEXED BY messages_of_event"
  " WHERE event_id > 0 AND event_id = ?1 ORDER BY id LIMIT 200";
static const char runs_of_event_sql[] =
  "SELECT " NM_QUERY_RUN_VIEW " FROM runs WHERE event_id = ?1 ORDER BY id LIMIT 200";
static const char became_of_event_sql[] =
  "SELECT " EVENT_VIEW " FROM events INDEXED BY events_of_origin"
  " WHERE origin_id > 0 AND origin_id = ?1 ORDER BY id LIMIT 200";
static const char updates_of_event_sql[] =
  "SELECT " UPDATE_VIEW " FROM updates WHERE event_id = ?1 ORDER BY id LIMIT 200";

static const char message_sql[] = "SELECT " MESSAGE_VIEW " FROM messages WHERE id = ?1";
static const char update_sql[] = "SELECT " UPDATE_VIEW " FROM updates WHERE id = ?1";
static const char batch_sql[] = "SELECT " BATCH_VIEW " FROM batches WHERE id = ?1";
static const char updates_of_batch_sql[] =
  "SELECT " UPDATE_VIEW " FROM updates INDEXED BY updates_of_batch"
  " WHERE state = 2 AND batch_id = ?1 ORDER BY customer, id LIMIT 1000";

static const char run_sql[] = "SELECT " NM_QUERY_RUN_VIEW " FROM runs WHERE id = ?1";
static const char holds_of_run_sql[] =
  "SELECT reason, sum(count) AS count, count(DISTINCT page) AS pages FROM run_holds"
  " WHERE run_id = ?1 GROUP BY reason ORDER BY 2 DESC LIMIT 100";
static const char figures_of_run_sql[] =
  "SELECT template_id, metric AS \"metric:metric\", value, state AS \"state:fact\", reason"
  " FROM facts WHERE run_id = ?1 ORDER BY template_id, metric LIMIT 500";
static const char counts_of_run_sql[] =
  "SELECT told AS \"told:json\" FROM runs WHERE id = ?1 AND told <> ''";
static const char drops_of_run_sql[] =
  "SELECT reason, count FROM run_drops WHERE run_id = ?1 ORDER BY count DESC, reason LIMIT 100";
/* Counted as they end, never by looking at a million rows. */
static const char messages_of_run_sql[] =
  "SELECT made, open AS waiting, sent, dead, stopped, expired,"
  " made - open - sent - dead - stopped - expired AS held FROM runs WHERE id = ?1";
static const char progress_of_run_sql[] =
  "SELECT rows_fetched, pages_fetched, is_fetched AS \"is_fetched:bool\", cursor_page, cursor_row,"
  " made + repeated + skipped + held AS rows_expanded FROM runs WHERE id = ?1";

#define ONE NM_VALUES(NM_I(id))

static int add_attempts_of_each(struct nm_db *db, json_t *messages)
{
  size_t i;
  json_t *message;
  int rc = NM_OK;
  json_array_foreach(messages, i, message) {
    int64_t id = 0;
    if (rc || !nm_json_i64(message, "id", &id)) break;
    rc = nm_query_add_list(db, message, "attempts", ATTEMPTS_OF_MESSAGE("100"), ONE);
  }
  return rc;
}

static int show_event(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = nm_query_add_first(db, out, event_sql, ONE);
  if (rc != 1) return rc;
  rc = nm_query_add_list(db, out, "messages", messages_of_event_sql, ONE);
  if (!rc) rc = nm_query_add_list(db, out, "runs", runs_of_event_sql, ONE);
  if (!rc && nm_text_equal(nm_json_string(out, "event_kind"), NM_TEXT("inbound")))
    rc = nm_query_add_list(db, out, "became", became_of_event_sql, ONE);
  if (!rc) rc = nm_query_add_list(db, out, "updates", updates_of_event_sql, ONE);
  if (!rc) rc = add_attempts_of_each(db, json_object_get(out, "messages"));
  return rc ? rc : 1;
}

/* Who made it: the event, of its own or of its run. */
static int add_origin(struct nm_db *db, json_t *out)
{
  int64_t event_id = 0, run_id = 0;
  int rc = NM_OK;
  if (nm_json_i64(out, "run_id", &run_id))
    rc = nm_query_add_object(db, out, "run", run_sql, NM_VALUES(NM_I(run_id)));
  if (!nm_json_i64(out, "event_id", &event_id))
    (void)nm_json_i64(json_object_get(out, "run"), "event_id", &event_id);
  if (rc || event_id == 0) return rc;
  return nm_query_add_object(db, out, "event", event_sql, NM_VALUES(NM_I(event_id)));
}

static int show_message(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = nm_query_add_first(db, out, message_sql, ONE);
  if (rc != 1) return rc;
  rc = nm_query_add_list(db, out, "attempts", ATTEMPTS_OF_MESSAGE("200"), ONE);
  if (!rc) rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_run(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = nm_query_add_first(db, out, run_sql, ONE);
  if (rc != 1) return rc;
  rc = nm_query_add_list(db, out, "holds", holds_of_run_sql, ONE);
  if (!rc) rc = nm_query_add_list(db, out, "figures", figures_of_run_sql, ONE);
  if (!rc) rc = nm_query_add_object(db, out, "counts", counts_of_run_sql, ONE);
  if (!rc) rc = nm_query_add_list(db, out, "drops", drops_of_run_sql, ONE);
  if (!rc) rc = nm_query_add_object(db, out, "messages", messages_of_run_sql, ONE);
  if (!rc) rc = nm_query_add_object(db, out, "progress", progress_of_run_sql, ONE);
  if (!rc) rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_update(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = nm_query_add_first(db, out, update_sql, ONE);
  if (rc != 1) return rc;
  rc = add_origin(db, out);
  return rc ? rc : 1;
}

static int show_batch(struct nm_db *db, int64_t id, json_t *out)
{
  int rc = nm_query_add_first(db, out, batch_sql, ONE);
  if (rc != 1) return rc;
  rc = nm_query_add_list(db, out, "updates", updates_of_batch_sql, ONE);
  return rc ? rc : 1;
}

int nm_query_show(struct nm_db *db, enum nm_store_query_kind kind, int64_t id, json_t *out)
{
  if (kind == NM_QUERY_EVENT) return nm_query_add_first(db, out, event_sql, ONE);
  if (kind == NM_QUERY_RUN) return show_run(db, id, out);
  int rc = show_event(db, id, out);
  if (rc == 0) rc = show_message(db, id, out);
  if (rc == 0) rc = show_run(db, id, out);
  if (rc == 0) rc = show_update(db, id, out);
  if (rc == 0) rc = show_batch(db, id, out);
  return rc;
}
