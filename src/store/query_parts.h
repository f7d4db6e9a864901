/* query_parts.h - what the files of `query` share.  NB: no other room includes this.
 *
 * A column's alias says its key and, behind a colon, how its value is written: `state:message` is
 * the key "state" with the word of a message's state.  So a list is one SELECT.
 */
#pragma once

#include "store/internal.h"

/* ---- rows into objects (query_rows.c): NM_ENOMEM, or what the database says ------------------ */

/* All rows as an array under `key`. */
NM_MUST_CHECK int nm_query_add_list(struct nm_db *db, json_t *object, const char *key,
                                    const char *sql, const struct nm_value *values, size_t count);

/* The first row's columns into the object; 1 = there was one, 0 = none. */
NM_MUST_CHECK int nm_query_add_first(struct nm_db *db, json_t *object, const char *sql,
                                     const struct nm_value *values, size_t count);

/* The first row as an object under `key`, which is left out where there is no row; 0. */
NM_MUST_CHECK int nm_query_add_object(struct nm_db *db, json_t *object, const char *key,
                                      const char *sql, const struct nm_value *values,
                                      size_t count);

/* ---- the parts ------------------------------------------------------------------------------- */

/* Lists, newest first, under "rows" (query_lists.c); fills the request's error where what it asks
 * for is wrong. */
NM_MUST_CHECK int nm_query_list(struct nm_db *db, struct nm_store_query *query, json_t *out);

/* One thing with what belongs to it (query_show.c): the event or the run of this id, or whatever
 * has it; 1 = there is one, 0 = none. */
NM_MUST_CHECK int nm_query_show(struct nm_db *db, enum nm_store_query_kind kind, int64_t id,
                                json_t *out);

/* A run as it looks from outside. */
#define NM_QUERY_RUN_VIEW                                                                          \
  "'run' AS kind, id AS \"id:id\", tenant_id AS \"tenant_id:id\", created_at AS at,"               \
  " event_id AS \"event_id:id\", generation_id AS \"generation_id:id\", state AS \"state:run\","   \
  " reason, campaign, channel_id, stamp, triggered_at, fenced_at, ended_at, rows_fetched,"         \
  " pages_fetched, is_fetched AS \"is_fetched:bool\", cursor_page, cursor_row, made, repeated,"    \
  " skipped, held, sent, dead, stopped, expired, open AS waiting, in_flight_at_fence,"             \
  " is_parked AS \"is_parked:bool\", repin_generation_id AS \"repin_generation_id:id\","           \
  " CASE WHEN repin_generation_id <> 0 THEN repin_page END AS repin_page,"                         \
  " play_until > 0 AS \"is_playing:bool\", is_released AS \"is_released:bool\","                   \
  " nullif(checked_at, 0) AS checked_at, nullif(template_id, 0) AS template_id,"                   \
  " nullif(sample, '') AS \"sample:json\""
