/* Lists of everything, for people and the API, newest first; and whose a thing is.  The columns'
 * aliases are read as query.c says. */
#include "store/internal.h"

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

static int read_range(struct nm_store_query *query, struct range *out)
{
  const json_t *args = query->args;
  struct nm_text word = nm_json_string(args, "state");
  *out = (struct range){ .before = INT64_MAX, .limit = 100, .state = -1,
                         .customer = nm_json_string(args, "customer") };
  (void)nm_json_i64(args, "tenant_id", &out->tenant_id);
  (void)nm_json_i64(args, "limit", &out->limit);
  (void)nm_json_i64(args, "before", &out->before);
  if (out->before <= 0) out->before = INT64_MAX;
  if (out->limit < 1) out->limit = 1;
  if (out->limit > NM_STORE_QUERY_ROWS_MAX) out->limit = NM_STORE_QUERY_ROWS_MAX;
  if (word.len == 0) return NM_OK;
  out->state = state_of(query->kind, word);
  if (out->state >= 0) return NM_OK;
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

static int list_profiles(struct nm_db *db, const struct nm_store_query *query,
                         const struct range *range, json_t *out)
{
  return nm_query_add_list(db, out, "rows",
                           "SELECT ext_id AS \"extId\", version AS \"version:id\", saved_at,"
                           " body AS \"profile:json\" FROM profiles"
                           " WHERE tenant_id = ?1 AND ext_id > ?2 ORDER BY ext_id LIMIT ?3",
                           NM_VALUES(NM_I(range->tenant_id),
                                     NM_T(nm_json_string(query->args, "after")),
                                     NM_I(range->limit)));
}

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

int nm_query_list(struct nm_db *db, struct nm_store_query *query, json_t *out)
{
  struct range range;
  int rc = read_range(query, &range);
  if (rc) return rc;
  switch (query->kind) {
  case NM_QUERY_EVENTS: return nm_query_add_list(db, out, "rows", events_sql, RANGE(&range));
  case NM_QUERY_MESSAGES: return nm_query_add_list(db, out, "rows", messages_sql, RANGE(&range));
  case NM_QUERY_UPDATES: return nm_query_add_list(db, out, "rows", updates_sql, RANGE(&range));
  case NM_QUERY_PROFILES: return list_profiles(db, query, &range, out);
  case NM_QUERY_OWNER: return tell_owner(db, query, &range, out);
  default:
    return nm_query_add_list(db, out, "rows",
                             range.tenant_id ? audit_of_tenant_sql : audit_of_all_sql,
                             NM_VALUES(NM_I(range.tenant_id), NM_I(range.before),
                                       NM_I(range.limit)));
  }
}
