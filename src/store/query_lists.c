/* query_lists.c - lists of everything, newest first; and whose a thing is. */
#include "store/query_parts.h"

static const char *const event_states[] = { "new",  "delayed", "planned",
                                            "held", "dropped", "skipped" };
static const char *const update_states[] = { "waiting", "blocked", "sending", "dead", "done" };

struct range {
  int64_t tenant_id; /* 0 = all */
  int64_t before, limit;
  int64_t state; /* -1 = any */
  struct nm_text customer;
};

static int64_t state_of(enum nm_store_query_kind kind, struct nm_text word)
{
  if (kind == NM_QUERY_MESSAGES) {
    for (int state = 0; state <= NM_MESSAGE_PAUSED; state++)
      if (nm_text_equal(word, nm_text_from(nm_message_state_name((enum nm_message_state)state))))
        return state;
    return -1;
  }
  const char *const *words = kind == NM_QUERY_UPDATES ? update_states : event_states;
  size_t count = kind == NM_QUERY_UPDATES ? sizeof update_states / sizeof *update_states
                                          : sizeof event_states / sizeof *event_states;
  for (size_t i = 0; i < count; i++)
    if (nm_text_equal(word, nm_text_from(words[i]))) return (int64_t)i;
  return -1;
}

static struct range read_range(const json_t *args)
{
  struct range range = { .before = INT64_MAX, .limit = 100, .state = -1,
                         .customer = nm_json_string(args, "customer") };
  (void)nm_json_i64(args, "tenant_id", &range.tenant_id);
  (void)nm_json_i64(args, "limit", &range.limit);
  (void)nm_json_i64(args, "before", &range.before);
  if (range.before <= 0) range.before = INT64_MAX;
  if (range.limit < 1) range.limit = 1;
  if (range.limit > NM_STORE_QUERY_ROWS_MAX) range.limit = NM_STORE_QUERY_ROWS_MAX;
  return range;
}

static int read_state(struct nm_store_query *query, struct range *range)
{
  struct nm_text word = nm_json_string(query->args, "state");
  if (word.len == 0) return NM_OK;
  range->state = state_of(query->kind, word);
  if (range->state >= 0) return NM_OK;
  return nm_fail(&query->request.error, NM_EINVAL, "\"%.40s\" is no state of these", word.ptr);
}

/* ?1 tenant, ?2 before, ?3 limit, ?4 state, ?5 customer. */
#define RANGE(range)                                                                               \
  NM_VALUES(NM_I((range)->tenant_id), NM_I((range)->before), NM_I((range)->limit),                 \
            NM_I((range)->state), NM_T((range)->customer))
#define IN_RANGE                                                                                   \
  " WHERE (?1 = 0 OR tenant_id = ?1) AND id < ?2 AND (?4 < 0 OR state = ?4)"                       \
  " AND (?5 = '' OR customer = ?5) ORDER BY id DESC LIMIT ?3"

static const char events_sql[] =
  "SELECT 'event' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", received_at AS at,"
  " kind AS \"event_kind:event_kind\", type, channel_id, template_id, campaign, customer, stamp,"
  " name, state AS \"state:event\", reason, due_at FROM events" IN_RANGE;
static const char messages_sql[] =
  "SELECT 'message' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"
  " event_id AS \"event_id:id\", run_id AS \"run_id:id\", state AS \"state:message\", reason,"
  " channel AS \"channel:channel\", channel_id, template_id, campaign, customer, name, provider,"
  " due_at, ended_at, attempts AS tries FROM messages" IN_RANGE;
static const char updates_sql[] =
  "SELECT 'update' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"
  " event_id AS \"event_id:id\", batch_id AS \"batch_id:id\", state AS \"state:update\", reason,"
  " customer, field, value, ended_at FROM updates" IN_RANGE;

/* Two texts, so that one tenant's list does not walk through everybody's. */
#define AUDIT_SQL(only)                                                                            \
  "SELECT id AS \"id:id\", begun_at AS at, tenant_id AS \"tenant_id:id\", who, route, thing,"      \
  " status, CASE WHEN status = 0 THEN 'not known' WHEN status < 300 THEN 'done'"                   \
  " ELSE 'refused' END AS outcome, was, became, details AS \"details:json\", ended_at"             \
  " FROM audit WHERE " only " AND id < ?2 ORDER BY id DESC LIMIT ?3"
static const char audit_of_all_sql[] = AUDIT_SQL("?1 = 0");
static const char audit_of_tenant_sql[] = AUDIT_SQL("tenant_id = ?1");

#define QUEUE_COLUMNS                                                                              \
  "\"id:id\", kind, \"tenant_id:id\", at, state, reason, \"event_kind:event_kind\", type,"         \
  " \"channel:channel\", channel_id, template_id, campaign, customer, name, provider,"             \
  " \"run_id:id\", tries, field, value"
/* What needs a person; two texts, as above: `of` ends the indexes' names. */
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

static const char runs_sql[] =
  "SELECT " NM_QUERY_RUN_VIEW " FROM runs WHERE (?1 = 0 OR tenant_id = ?1) AND id < ?2"
  " ORDER BY id DESC LIMIT ?3";
static const char generations_sql[] =
  "SELECT id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at, activation >> 20"
  " AS activated_at, is_active AS \"is_active:bool\", digest, pinned_over,"
  " length(CAST(source AS BLOB)) AS bytes, (SELECT count(*) FROM runs INDEXED BY runs_open"
  " WHERE runs.state IN (0, 1, 2, 4) AND runs.generation_id = generations.id) AS open_runs"
  " FROM generations WHERE ?1 = 0 OR tenant_id = ?1 ORDER BY tenant_id, activation DESC LIMIT ?2";
static const char profiles_sql[] =
  "SELECT ext_id AS \"extId\", version AS \"version:id\", saved_at, body AS \"profile:json\""
  " FROM profiles WHERE tenant_id = ?1 AND ext_id > ?2 ORDER BY ext_id LIMIT ?3";
/* Without who it is: that is what the jobs are for. */
static const char erasures_sql[] =
  "SELECT id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"
  " state AS \"state:erasure\", CASE WHEN state = 1 THEN stage ELSE NULL END AS stage,"
  " looked, erased, CASE WHEN traces < 0 THEN NULL ELSE traces END AS traces,"
  " CASE WHEN state = 3 THEN ended_at ELSE NULL END AS ended_at FROM erasures"
  " WHERE (?1 = 0 OR tenant_id = ?1) AND (?2 = 0 OR id = ?2) AND id < ?3"
  " ORDER BY id DESC LIMIT ?4";

/* Ids come as text or numbers; whatever names nothing is nobody's. */
static int tell_owner(struct nm_db *db, const struct nm_store_query *query,
                      const struct range *range, json_t *out)
{
  size_t i;
  json_t *item;
  bool are_all = true;
  json_array_foreach(json_object_get(query->args, "ids"), i, item)
  {
    int64_t id = json_integer_value(item), found = 0;
    int rc = nm_db_number(db, &found, 0,
                          "SELECT tenant_id FROM events WHERE id = ?1 UNION ALL"
                          " SELECT tenant_id FROM messages WHERE id = ?1 UNION ALL"
                          " SELECT tenant_id FROM runs WHERE id = ?1 UNION ALL"
                          " SELECT tenant_id FROM updates WHERE id = ?1 UNION ALL"
                          " SELECT tenant_id FROM batches WHERE id = ?1",
                          NM_I(id));
    if (rc) return rc;
    if (found != range->tenant_id || found == 0) are_all = false;
  }
  return json_object_set_new(out, "are_all", json_boolean(are_all)) ? NM_ENOMEM : NM_OK;
}

static int list_rows(struct nm_db *db, struct nm_store_query *query, struct range *range,
                     const char *sql, json_t *out)
{
  int rc = read_state(query, range);
  return rc ? rc : nm_query_add_list(db, out, "rows", sql, RANGE(range));
}

/* One of two texts: ?1 tenant, ?2 before, ?3 limit. */
static int list_of(struct nm_db *db, const struct range *range, const char *of_all_sql,
                   const char *of_tenant_sql, json_t *out)
{
  return nm_query_add_list(db, out, "rows", range->tenant_id ? of_tenant_sql : of_all_sql,
                           NM_VALUES(NM_I(range->tenant_id), NM_I(range->before),
                                     NM_I(range->limit)));
}

static int list_profiles(struct nm_db *db, const json_t *args, const struct range *range,
                         json_t *out)
{
  struct nm_text after = nm_json_string(args, "after");
  return nm_query_add_list(db, out, "rows", profiles_sql,
                           NM_VALUES(NM_I(range->tenant_id), NM_T(after), NM_I(range->limit)));
}

static int list_erasures(struct nm_db *db, const json_t *args, const struct range *range,
                         json_t *out)
{
  int64_t id = 0;
  (void)nm_json_i64(args, "id", &id);
  return nm_query_add_list(db, out, "rows", erasures_sql,
                           NM_VALUES(NM_I(range->tenant_id), NM_I(id), NM_I(range->before),
                                     NM_I(range->limit)));
}

int nm_query_list(struct nm_db *db, struct nm_store_query *query, json_t *out)
{
  struct range range = read_range(query->args);
  switch (query->kind) {
  case NM_QUERY_EVENTS: return list_rows(db, query, &range, events_sql, out);
  case NM_QUERY_MESSAGES: return list_rows(db, query, &range, messages_sql, out);
  case NM_QUERY_UPDATES: return list_rows(db, query, &range, updates_sql, out);
  case NM_QUERY_PROFILES: return list_profiles(db, query->args, &range, out);
  case NM_QUERY_OWNER: return tell_owner(db, query, &range, out);
  case NM_QUERY_QUEUE: return list_of(db, &range, queue_of_all_sql, queue_of_tenant_sql, out);
  case NM_QUERY_RUNS: return list_of(db, &range, runs_sql, runs_sql, out);
  case NM_QUERY_ERASURES: return list_erasures(db, query->args, &range, out);
  case NM_QUERY_GENERATIONS:
    return nm_query_add_list(db, out, "rows", generations_sql,
                             NM_VALUES(NM_I(range.tenant_id), NM_I(range.limit)));
  default: return list_of(db, &range, audit_of_all_sql, audit_of_tenant_sql, out);
  }
}
