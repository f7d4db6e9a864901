/* query_rows.c - rows into JSON objects, by the aliases of their columns. */
#include "store/query_parts.h"

#include <stdio.h>

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

int nm_query_add_list(struct nm_db *db, json_t *object, const char *key, const char *sql,
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

int nm_query_add_first(struct nm_db *db, json_t *object, const char *sql,
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

int nm_query_add_object(struct nm_db *db, json_t *object, const char *key, const char *sql,
                        const struct nm_value *values, size_t count)
{
  json_t *found = json_object();
  if (!found) return NM_ENOMEM;
  int rc = nm_query_add_first(db, found, sql, values, count);
  if (rc == 1) return json_object_set_new(object, key, found) ? NM_ENOMEM : NM_OK;
  json_decref(found);
  return rc;
}
