/* The tables, and how one version becomes the next: forward only, each step in a transaction. */
#include "store/internal.h"

#include <stdio.h>

/* "nmov": tells our files from other people's. */
enum { APPLICATION_ID = 0x6e6d6f76 };

/* Times are wall-clock milliseconds, states the numbers of the enums in model/ and store.h.  No
 * foreign keys: the hot tables would pay for them with every row.  Waiting sets are partial
 * indexes, so their cost follows what waits and not what was. */
static const char *const step_1[] = {
  "CREATE TABLE events ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, received_at INTEGER NOT NULL,"
  " kind INTEGER NOT NULL, type INTEGER NOT NULL, channel_id INTEGER NOT NULL,"
  " template_id INTEGER NOT NULL, campaign TEXT NOT NULL, customer TEXT NOT NULL,"
  " stamp TEXT NOT NULL, name TEXT NOT NULL, foreign_id TEXT NOT NULL, body BLOB NOT NULL,"
  " rank INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',"
  " due_at INTEGER NOT NULL DEFAULT 0, generation_id INTEGER NOT NULL DEFAULT 0,"
  " identity BLOB NOT NULL, identity_until INTEGER NOT NULL) STRICT;"
  "CREATE INDEX events_new ON events (rank) WHERE state = 0;"
  "CREATE INDEX events_delayed ON events (due_at) WHERE state = 1;"
  "CREATE INDEX events_held ON events (state) WHERE state = 3;"
  "CREATE INDEX events_held_of_tenant ON events (tenant_id) WHERE state = 3",

  "CREATE TABLE messages ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, event_id INTEGER NOT NULL,"
  " run_id INTEGER NOT NULL, generation_id INTEGER NOT NULL, state INTEGER NOT NULL,"
  " priority INTEGER NOT NULL, channel INTEGER NOT NULL, channel_id INTEGER NOT NULL,"
  " template_id INTEGER NOT NULL, campaign TEXT NOT NULL, customer TEXT NOT NULL,"
  " address TEXT NOT NULL, name TEXT NOT NULL, provider TEXT NOT NULL, content TEXT NOT NULL,"
  " stamp TEXT NOT NULL, stamp_ms INTEGER NOT NULL, reason TEXT NOT NULL,"
  " triggered_at INTEGER NOT NULL, created_at INTEGER NOT NULL, due_at INTEGER NOT NULL,"
  " expires_at INTEGER NOT NULL, quiet_from INTEGER NOT NULL, quiet_to INTEGER NOT NULL,"
  " attempts INTEGER NOT NULL, ended_at INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE INDEX messages_waiting ON messages (tenant_id, provider, priority, due_at)"
  " WHERE state = 0;"
  "CREATE INDEX messages_open ON messages (run_id, tenant_id, campaign, channel_id)"
  " WHERE state = 0;"
  "CREATE INDEX messages_stuck ON messages (id) WHERE state IN (2, 4);"
  "CREATE INDEX messages_stuck_of_tenant ON messages (tenant_id, id) WHERE state IN (2, 4);"
  "CREATE INDEX messages_of_event ON messages (event_id) WHERE event_id > 0",

  "CREATE TABLE attempts ("
  " message_id INTEGER NOT NULL, id INTEGER NOT NULL, started_at INTEGER NOT NULL,"
  " ended_at INTEGER NOT NULL, outcome INTEGER NOT NULL, code INTEGER NOT NULL,"
  " reason TEXT NOT NULL, PRIMARY KEY (message_id, id)) STRICT, WITHOUT ROWID",

  "CREATE TABLE runs ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, event_id INTEGER NOT NULL,"
  " generation_id INTEGER NOT NULL, channel_id INTEGER NOT NULL, state INTEGER NOT NULL,"
  " campaign TEXT NOT NULL, stamp TEXT NOT NULL, stamp_ms INTEGER NOT NULL, reason TEXT NOT NULL,"
  " quiet_from INTEGER NOT NULL, quiet_to INTEGER NOT NULL, triggered_at INTEGER NOT NULL,"
  " created_at INTEGER NOT NULL, fenced_at INTEGER NOT NULL DEFAULT 0,"
  " ended_at INTEGER NOT NULL DEFAULT 0, rows_fetched INTEGER NOT NULL DEFAULT 0,"
  " pages_fetched INTEGER NOT NULL DEFAULT 0, is_fetched INTEGER NOT NULL DEFAULT 0,"
  " cursor_page INTEGER NOT NULL DEFAULT 0, cursor_row INTEGER NOT NULL DEFAULT 0,"
  " made INTEGER NOT NULL DEFAULT 0, repeated INTEGER NOT NULL DEFAULT 0,"
  " skipped INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,"
  " sent INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,"
  " stopped INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,"
  " in_flight_at_fence INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE INDEX runs_of_campaign ON runs (tenant_id, campaign, channel_id, triggered_at);"
  "CREATE INDEX runs_of_event ON runs (event_id);"
  "CREATE INDEX runs_open ON runs (id) WHERE state IN (0, 1, 2, 4);"
  "CREATE INDEX runs_left ON runs (id) WHERE open > 0",

  "CREATE TABLE pages ("
  " id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, number INTEGER NOT NULL,"
  " rows INTEGER NOT NULL, due_at INTEGER NOT NULL, raw_bytes INTEGER NOT NULL,"
  " body BLOB NOT NULL, UNIQUE (run_id, number)) STRICT;"
  "CREATE TABLE run_holds ("
  " id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, page INTEGER NOT NULL, reason TEXT NOT NULL,"
  " count INTEGER NOT NULL, rows TEXT NOT NULL) STRICT;"
  "CREATE INDEX run_holds_of_run ON run_holds (run_id, reason)",

  "CREATE TABLE tombstones ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, event_id INTEGER NOT NULL,"
  " campaign TEXT NOT NULL, channel_id INTEGER NOT NULL, stamp_ms INTEGER NOT NULL,"
  " arrived_at INTEGER NOT NULL) STRICT;"
  "CREATE INDEX tombstones_of_campaign ON tombstones (tenant_id, campaign)",

  "CREATE TABLE updates ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, event_id INTEGER NOT NULL,"
  " customer TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, state INTEGER NOT NULL,"
  " batch_id INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',"
  " created_at INTEGER NOT NULL, ended_at INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE UNIQUE INDEX updates_open ON updates (tenant_id, customer, field) WHERE state IN (0, 1);"
  "CREATE INDEX updates_waiting ON updates (tenant_id) WHERE state = 0;"
  "CREATE INDEX updates_batched ON updates (tenant_id, customer) WHERE state = 2;"
  "CREATE INDEX updates_of_batch ON updates (batch_id, customer) WHERE state = 2;"
  "CREATE INDEX updates_dead ON updates (id) WHERE state = 3;"
  "CREATE INDEX updates_dead_of_tenant ON updates (tenant_id, id) WHERE state = 3;"
  "CREATE INDEX updates_of_event ON updates (event_id);"
  "CREATE TABLE batches ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, state INTEGER NOT NULL,"
  " due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, reason TEXT NOT NULL,"
  " created_at INTEGER NOT NULL, ended_at INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE INDEX batches_open ON batches (tenant_id) WHERE state IN (0, 1, 2)",

  "CREATE TABLE tenants ("
  " id INTEGER PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,"
  " app_key TEXT NOT NULL UNIQUE, sealed TEXT NOT NULL, saved_at INTEGER NOT NULL) STRICT;"
  "CREATE TABLE generations ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, created_at INTEGER NOT NULL,"
  " activation INTEGER NOT NULL, is_active INTEGER NOT NULL, digest TEXT NOT NULL,"
  " source TEXT NOT NULL, pinned_over TEXT NOT NULL DEFAULT '', UNIQUE (tenant_id, digest)) STRICT;"
  "CREATE TABLE profiles ("
  " tenant_id INTEGER NOT NULL, ext_id TEXT NOT NULL, version INTEGER NOT NULL,"
  " saved_at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant_id, ext_id))"
  " STRICT, WITHOUT ROWID;"
  "CREATE TABLE listeners ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, event_type INTEGER NOT NULL,"
  " channel_id INTEGER NOT NULL, url TEXT NOT NULL, secret_number INTEGER NOT NULL,"
  " state INTEGER NOT NULL, saved_at INTEGER NOT NULL) STRICT;"
  "CREATE INDEX listeners_of_tenant ON listeners (tenant_id)",
  NULL,
};

/* Templates at Optimove that are ours. */
static const char *const step_2[] = {
  "CREATE TABLE IF NOT EXISTS templates ("
  " tenant_id INTEGER NOT NULL, channel_id INTEGER NOT NULL, template_id INTEGER NOT NULL,"
  " name TEXT NOT NULL, state INTEGER NOT NULL, saved_at INTEGER NOT NULL,"
  " PRIMARY KEY (tenant_id, channel_id, template_id)) STRICT, WITHOUT ROWID",
  NULL,
};

/* Runs that are paused, repinned, guarded and played again; when a message was first tried. */
static const char *const step_3[] = {
  /* what another program's webhook became */
  "ALTER TABLE events ADD COLUMN origin_id INTEGER NOT NULL DEFAULT 0;"
  "CREATE INDEX events_of_origin ON events (origin_id) WHERE origin_id > 0",

  /* frequency caps: what each person was made in a window; rows of runs that they forbade */
  "CREATE TABLE caps ("
  " tenant_id INTEGER NOT NULL, scope TEXT NOT NULL, window_from INTEGER NOT NULL,"
  " window_until INTEGER NOT NULL, person BLOB NOT NULL, count INTEGER NOT NULL,"
  " PRIMARY KEY (tenant_id, scope, window_from, window_until, person)) STRICT, WITHOUT ROWID;"
  "CREATE TABLE cap_windows ("
  " window_until INTEGER NOT NULL, tenant_id INTEGER NOT NULL, scope TEXT NOT NULL,"
  " window_from INTEGER NOT NULL, PRIMARY KEY (window_until, tenant_id, scope, window_from))"
  " STRICT, WITHOUT ROWID;"
  "CREATE TABLE run_drops ("
  " run_id INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,"
  " PRIMARY KEY (run_id, reason)) STRICT, WITHOUT ROWID",

  "ALTER TABLE runs ADD COLUMN is_parked INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN repin_generation_id INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN repin_page INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN play_until INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN is_released INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN checked_at INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN template_id INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN sample TEXT NOT NULL DEFAULT '';"
  "CREATE INDEX runs_of_template ON runs (tenant_id, channel_id, template_id, checked_at)"
  " WHERE checked_at > 0;"
  "ALTER TABLE messages ADD COLUMN first_attempt_at INTEGER NOT NULL DEFAULT 0;"
  "CREATE INDEX messages_parked ON messages (run_id) WHERE state = 6;"
  /* A message that goes out at its first try has no row in attempts: that try stands here. */
  "ALTER TABLE messages ADD COLUMN sent_as INTEGER NOT NULL DEFAULT 0;"
  /* Of what waits for a run there is never much: it is found among what waits of its tenant, and a
   * campaign pays for one index less. */
  "DROP INDEX messages_open;"
  "CREATE INDEX messages_open ON messages (tenant_id, campaign, channel_id)"
  " WHERE state = 0 AND run_id = 0;"
  "DROP INDEX messages_waiting;"
  "CREATE INDEX messages_waiting ON messages (tenant_id, priority, provider, due_at)"
  " WHERE state = 0",

  /* campaigns whose notice never came */
  "CREATE TABLE catch_ups ("
  " tenant_id INTEGER NOT NULL, channel_id INTEGER NOT NULL, day TEXT NOT NULL,"
  " campaign TEXT NOT NULL, first_seen_at INTEGER NOT NULL, is_settled INTEGER NOT NULL,"
  " PRIMARY KEY (tenant_id, channel_id, day, campaign)) STRICT, WITHOUT ROWID;"
  "CREATE INDEX events_of_campaign ON events (tenant_id, campaign, channel_id, received_at)"
  " WHERE type = 13",

  /* what became of each run, for Optimove's reports; runs that ended before are not told */
  "ALTER TABLE runs ADD COLUMN is_told INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE runs ADD COLUMN told TEXT NOT NULL DEFAULT '';"
  "UPDATE runs SET is_told = 1;"
  "CREATE INDEX runs_untold ON runs (tenant_id, ended_at) WHERE is_told = 0;"
  "CREATE TABLE run_keys ("
  " run_id INTEGER NOT NULL, template_id INTEGER NOT NULL, provider TEXT NOT NULL,"
  " report_key TEXT NOT NULL, PRIMARY KEY (run_id, template_id, provider)) STRICT, WITHOUT ROWID;"
  "CREATE TABLE facts ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, run_id INTEGER NOT NULL,"
  " campaign TEXT NOT NULL, channel_id INTEGER NOT NULL, template_id INTEGER NOT NULL,"
  " metric INTEGER NOT NULL, value INTEGER NOT NULL, state INTEGER NOT NULL,"
  " due_at INTEGER NOT NULL, reason TEXT NOT NULL, created_at INTEGER NOT NULL,"
  " ended_at INTEGER NOT NULL DEFAULT 0, UNIQUE (run_id, template_id, metric)) STRICT;"
  "CREATE INDEX facts_open ON facts (tenant_id, due_at) WHERE state = 0;"
  "CREATE INDEX facts_calling ON facts (id) WHERE state = 1;"
  "CREATE TABLE preferences ("
  " tenant_id INTEGER NOT NULL, channel INTEGER NOT NULL, customer TEXT NOT NULL,"
  " id INTEGER NOT NULL, PRIMARY KEY (tenant_id, channel, customer)) STRICT, WITHOUT ROWID;"
  "CREATE INDEX preferences_of ON preferences (tenant_id, customer)",
  /* People who are being erased, and those who were: a keyed hash is all that stays. */
  "CREATE TABLE erasures ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, state INTEGER NOT NULL,"
  " customer TEXT NOT NULL, needles TEXT NOT NULL, hash BLOB NOT NULL, stage INTEGER NOT NULL,"
  " after_id INTEGER NOT NULL, looked INTEGER NOT NULL, erased INTEGER NOT NULL,"
  " traces INTEGER NOT NULL DEFAULT -1, created_at INTEGER NOT NULL,"
  " ended_at INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE INDEX erasures_by_state ON erasures (state);"
  "ALTER TABLE batches ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;"
  "ALTER TABLE listeners ADD COLUMN account_id INTEGER NOT NULL DEFAULT 0;"
  "CREATE TABLE old_accounts ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, sealed TEXT NOT NULL,"
  " saved_at INTEGER NOT NULL, is_same_host INTEGER NOT NULL) STRICT;"
  "CREATE TABLE suppressed ("
  " tenant_id INTEGER NOT NULL, hash BLOB NOT NULL, saved_at INTEGER NOT NULL,"
  " PRIMARY KEY (tenant_id, hash)) STRICT, WITHOUT ROWID",

  /* Who may use the admin API: of a token only its digest is kept.  Who changed what: a line is
   * there before the change, its end comes with it; status 0 = begun. */
  "CREATE TABLE tokens ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, role INTEGER NOT NULL,"
  " name TEXT NOT NULL UNIQUE, hash BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL,"
  " expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL DEFAULT 0) STRICT;"
  "CREATE TABLE audit ("
  " id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, begun_at INTEGER NOT NULL,"
  " ended_at INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0, who TEXT NOT NULL,"
  " route TEXT NOT NULL, thing TEXT NOT NULL, was TEXT NOT NULL DEFAULT '',"
  " became TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT '') STRICT;"
  "CREATE INDEX audit_of_tenant ON audit (tenant_id, id)",

  /* templates of ours also at accounts that were left */
  "CREATE TABLE templates_of_accounts ("
  " tenant_id INTEGER NOT NULL, account_id INTEGER NOT NULL, channel_id INTEGER NOT NULL,"
  " template_id INTEGER NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL,"
  " saved_at INTEGER NOT NULL, PRIMARY KEY (tenant_id, account_id, channel_id, template_id))"
  " STRICT, WITHOUT ROWID;"
  "INSERT INTO templates_of_accounts SELECT tenant_id, 0, channel_id, template_id, name, state,"
  " saved_at FROM templates;"
  "DROP TABLE templates;"
  "ALTER TABLE templates_of_accounts RENAME TO templates",
  NULL,
};

static const char *const *const steps[] = { step_1, step_2, step_3 };

enum { SCHEMA_VERSION = sizeof steps / sizeof steps[0] };

static int read_pragma(struct nm_db *db, const char *sql, int64_t *out)
{
  return nm_db_number_values(db, out, 0, sql, NULL, 0);
}

static int migrate_step(struct nm_db *db, int version)
{
  char set[96];
  snprintf(set, sizeof set, "PRAGMA user_version = %d; PRAGMA application_id = %d", version,
           APPLICATION_ID);
  int rc = nm_db_exec(db, "BEGIN IMMEDIATE");
  if (rc) return rc;
  for (const char *const *sql = steps[version - 1]; rc == 0 && *sql; sql++)
    rc = nm_db_exec(db, *sql);
  if (!rc) rc = nm_db_exec(db, set);
  if (!rc) rc = nm_db_exec(db, "COMMIT");
  if (rc) sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}

int nm_schema_migrate(struct nm_db *db, const char *path, struct nm_error *err)
{
  int64_t version = 0, application = 0, tables = 0;
  int rc = read_pragma(db, "PRAGMA user_version", &version);
  if (!rc) rc = read_pragma(db, "PRAGMA application_id", &application);
  if (!rc) rc = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables);
  if (rc) return nm_fail(err, rc, "%s cannot be read: %s", path, db->error.text);

  if (tables > 0 && application != APPLICATION_ID)
    return nm_fail(err, NM_ECONFLICT, "%s is a database of some other program; name another file",
                   path);
  if (version > SCHEMA_VERSION)
    return nm_fail(err, NM_ECONFLICT,
                   "%s has schema %lld, this netmove knows %d: start the newer netmove", path,
                   (long long)version, SCHEMA_VERSION);
  while (version < SCHEMA_VERSION) {
    rc = migrate_step(db, (int)++version);
    if (rc)
      return nm_fail(err, rc, "%s: migration to schema %d failed: %s", path, (int)version,
                     db->error.text);
  }
  return NM_OK;
}
