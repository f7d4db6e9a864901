/* links: store */
/* A flipped bit, a zeroed sector, a file cut short: whatever of the store's files is damaged, it is
 * refused with a word, or recovered exactly, or said when it is read; never served as if it were
 * right. NETMOVE_LONG=1 or NETMOVE_FLIPS=n takes more of them. */
#include "store_kit.h"

#include <fcntl.h>
#include <sodium.h>

enum { FILES = 4, EVENTS = 120, COPY_MAX_BYTES = 16 * 1024 * 1024 };

static const char *const ends[FILES] = { "", "-wal", "-shm", ".lock" };

struct bytes {
  unsigned char *at;
  size_t len;
  bool exists;
};

static struct bytes files[FILES];

static uint64_t next_random(uint64_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static unsigned long env_number(const char *name, unsigned long otherwise)
{
  const char *text = getenv(name);
  return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void remember(struct kit *kit)
{
  for (int i = 0; i < FILES; i++) {
    char path[160];
    snprintf(path, sizeof path, "%s%s", kit->path, ends[i]);
    FILE *file = fopen(path, "rb");
    free(files[i].at);
    files[i] = (struct bytes){ .exists = file != NULL };
    if (!file)
      continue;
    files[i].at = malloc(COPY_MAX_BYTES);
    files[i].len = fread(files[i].at, 1, COPY_MAX_BYTES, file);
    fclose(file);
  }
}

static void put_back(struct kit *kit)
{
  for (int i = 0; i < FILES; i++) {
    char path[160];
    snprintf(path, sizeof path, "%s%s", kit->path, ends[i]);
    unlink(path);
    if (!files[i].exists)
      continue;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, files[i].at, files[i].len), files[i].len);
    close(fd);
  }
}

struct damage {
  int file;
  int kind; /* 0 a bit, 1 a sector of zeros, 2 cut short */
  size_t at;
  int bit;
};

static void do_damage(struct kit *kit, const struct damage *damage)
{
  char path[160];
  const unsigned char zeros[512] = { 0 };
  snprintf(path, sizeof path, "%s%s", kit->path, ends[damage->file]);
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  unsigned char flipped = files[damage->file].at[damage->at] ^ (unsigned char)(1u << damage->bit);
  if (damage->kind == 0)
    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)damage->at), 1);
  else if (damage->kind == 1)
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)(damage->at / 512 * 512)), 512);
  else
    assert_int_equal(ftruncate(fd, (off_t)damage->at), 0);
  close(fd);
}

static struct damage choose_damage(uint64_t *seed)
{
  static const int weights[10] = { 0, 0, 0, 0, 1, 1, 1, 1, 2, 3 };
  struct damage damage = { .file = weights[next_random(seed) % 10] };
  if (!files[damage.file].exists || files[damage.file].len == 0)
    damage.file = 0;
  damage.kind = (int)(next_random(seed) % 4) - 1;
  if (damage.kind < 0)
    damage.kind = 0;
  damage.at = next_random(seed) % files[damage.file].len;
  if (damage.file == 0 && next_random(seed) % 4 == 0)
    damage.at %= 200; /* where it hurts most */
  if (damage.file == 1 && next_random(seed) % 4 == 0)
    damage.at %= 80;
  damage.bit = (int)(next_random(seed) % 8);
  return damage;
}

/* ---- what the store holds -------------------------------------------------------------------- */

static int hash_rows(sqlite3 *db, const char *table, crypto_generichash_state *state)
{
  char sql[128];
  sqlite3_stmt *stmt;
  snprintf(sql, sizeof sql, "SELECT * FROM \"%.60s\"", table);
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    for (int i = 0; i < sqlite3_column_count(stmt); i++) {
      int len = sqlite3_column_bytes(stmt, i);
      const void *value = sqlite3_column_blob(stmt, i);
      crypto_generichash_update(state, (const unsigned char *)&len, sizeof len);
      if (len > 0 && value)
        crypto_generichash_update(state, value, (unsigned long long)len);
    }
    rc = SQLITE_OK;
  }
  sqlite3_finalize(stmt);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* SQLITE_OK and the hash of every row by every table and index, or the error of who reads it. */
static int hash_all(struct kit *kit, unsigned char hash[32])
{
  sqlite3 *db;
  sqlite3_stmt *stmt = NULL;
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, 32);
  int rc = sqlite3_open_v2(kit->path, &db, SQLITE_OPEN_READONLY, "netmove");
  if (rc == SQLITE_OK)
    rc = sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                            -1, &stmt, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
    rc = hash_rows(db, (const char *)sqlite3_column_text(stmt, 0), &state);
  if (rc == SQLITE_DONE)
    rc = SQLITE_OK;
  sqlite3_finalize(stmt);
  if (rc == SQLITE_OK)
    rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL);
  if (rc == SQLITE_OK) {
    rc = sqlite3_step(stmt) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0
             ? SQLITE_OK
             : SQLITE_CORRUPT;
    sqlite3_finalize(stmt);
  }
  sqlite3_close(db);
  crypto_generichash_final(&state, hash, 32);
  return rc;
}

static void fill(struct kit *kit, int from)
{
  char campaign[32];
  for (int i = from; i < from + EVENTS; i++) {
    snprintf(campaign, sizeof campaign, "campaign %d", i);
    (void)kit_single(kit, campaign, "somebody", "", 0);
  }
  snprintf(campaign, sizeof campaign, "run %d", from);
  struct nm_run run = kit_run(kit, campaign, "", 0);
  struct nm_store_page_save save = { .run_id = run.id,
                                     .rows = 1,
                                     .body = NM_TEXT("[{\"CustomerID\":\"u0\"}]") };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &save);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_one(struct kit *kit, const struct damage *damage, const unsigned char right[32],
                      size_t counts[3])
{
  struct nm_error err = { 0 };
  unsigned char hash[32];
  put_back(kit);
  do_damage(kit, damage);
  int rc = kit_try_open(kit, &err);
  if (rc) {
    bool is_clear = strstr(err.text, "damaged") || strstr(err.text, "some other program") ||
                    strstr(err.text, "start the newer netmove");
    if (!is_clear || !strstr(err.text, kit->path))
      fail_msg("not clear: %s", err.text);
    counts[0]++;
    return;
  }
  nm_store_close(kit->store);
  kit->store = NULL;
  rc = hash_all(kit, hash);
  if (rc == SQLITE_OK && memcmp(hash, right, sizeof hash) != 0)
    fail_msg("file %s, kind %d, at %zu, bit %d: read as if it were right", ends[damage->file],
             damage->kind, damage->at, damage->bit);
  counts[rc == SQLITE_OK ? 2 : 1]++;
}

static void damage_at_random(struct kit *kit, const char *when)
{
  unsigned char right[32];
  size_t counts[3] = { 0 };
  bool is_long = env_number("NETMOVE_LONG", 0) == 1;
  unsigned long flips = env_number("NETMOVE_FLIPS", is_long ? 200 : 60);
  uint64_t seed = env_number("NETMOVE_SEED", 20261123);
  put_back(kit);
  kit_open(kit);
  nm_store_close(kit->store);
  kit->store = NULL;
  assert_int_equal(hash_all(kit, right), SQLITE_OK);
  for (unsigned long i = 0; i < flips; i++) {
    struct damage damage = choose_damage(&seed);
    check_one(kit, &damage, right, counts);
  }
  print_message("%s: %zu refused at start, %zu said when read, %zu recovered exactly\n", when,
                counts[0], counts[1], counts[2]);
  put_back(kit);
  kit_open(kit);
}

static void damage_after_a_crash_is_never_served(void **state)
{
  struct kit *kit = *state;
  fill(kit, 0);
  kit_reopen(kit);
  fill(kit, EVENTS);
  remember(kit); /* as kill -9 leaves it: pages in the database, commits in the log */
  nm_store_close(kit->store);
  damage_at_random(kit, "after a crash");
}

static void damage_of_a_closed_store_is_never_served(void **state)
{
  struct kit *kit = *state;
  fill(kit, 0);
  nm_store_close(kit->store);
  remember(kit);
  damage_at_random(kit, "after a clean end");
}

static int try_show(struct kit *kit, int64_t id, struct nm_error *err)
{
  json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
  struct nm_store_query query = { .kind = NM_QUERY_SHOW, .args = args };
  int rc = kit_ask(kit, NM_STORE_QUERY, &query.request);
  *err = query.request.error;
  json_decref(args);
  json_decref(query.answer);
  return rc;
}

static void a_damaged_row_is_said_to_be_damaged(void **state)
{
  struct kit *kit = *state;
  struct nm_store_profile_save save = {
    .tenant_id = TENANT,
    .profile = { .ext_id = NM_TEXT("u1"), .body = NM_TEXT("{\"email\":\"findme@example.test\"}") },
  };
  KIT_MUST(kit, NM_STORE_PROFILE_SAVE, &save);
  nm_store_close(kit->store);
  kit->store = NULL;
  remember(kit);
  unsigned char *at = memmem(files[0].at, files[0].len, "findme@", 7);
  assert_non_null(at);
  struct damage damage = { .at = (size_t)(at - files[0].at) };
  do_damage(kit, &damage);
  kit_open(kit);
  struct nm_store_profile profile = { .ext_id = NM_TEXT("u1") };
  struct nm_store_profiles_load load = { .tenant_id = TENANT, .profiles = &profile, .count = 1 };
  assert_int_equal(kit_ask(kit, NM_STORE_PROFILES_LOAD, &load.request), NM_EIO);
  if (!strstr(load.request.error.text, "not as it was written"))
    fail_msg("%s", load.request.error.text);
}

static void a_lost_database_is_missed(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  char path[160];
  fill(kit, 0);
  nm_store_close(kit->store);
  kit->store = NULL;
  assert_int_equal(truncate(kit->path, 0), 0);
  assert_int_equal(kit_try_open(kit, &err), NM_EIO);
  if (!strstr(err.text, "is damaged (it is empty"))
    fail_msg("%s", err.text);
  unlink(kit->path);
  assert_int_equal(kit_try_open(kit, &err), NM_EIO);
  snprintf(path, sizeof path, "%s.lock", kit->path);
  unlink(path);
  kit_open(kit);
}

static void a_lost_log_is_missed(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  char path[160];
  fill(kit, 0);
  kit_reopen(kit);
  int64_t id = kit_event_id(kit, 11, "1", "late", "");
  remember(kit);
  nm_store_close(kit->store);
  kit->store = NULL;
  files[1].exists = files[2].exists = false;
  put_back(kit);
  for (int i = 0; i < 2; i++) { /* and not only the first time */
    assert_int_equal(kit_try_open(kit, &err), NM_EIO);
    if (!strstr(err.text, "it is gone"))
      fail_msg("%s", err.text);
  }
  /* The word says what an operator may do. */
  snprintf(path, sizeof path, "%s.lock", kit->path);
  assert_non_null(strstr(err.text, path));
  unlink(path);
  kit_open(kit);
  assert_int_equal(try_show(kit, id, &err), NM_ENOTFOUND);
}

/* Somebody looks with sqlite3 after a crash: it puts the log into the database as it leaves. */
static void another_programs_look_is_no_damage(void **state)
{
  struct kit *kit = *state;
  sqlite3 *other;
  fill(kit, 0);
  kit_reopen(kit);
  fill(kit, EVENTS);
  int64_t id = kit_event_id(kit, 11, "1", "late", "");
  remember(kit);
  nm_store_close(kit->store);
  kit->store = NULL;
  put_back(kit);
  assert_int_equal(sqlite3_open_v2(kit->path, &other, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "SELECT count(*) FROM events", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(other);
  kit_open(kit);
  kit_assert_state(kit, id, "new");
  nm_store_close(kit->store);
  kit->store = NULL;
  unsigned char hash[32];
  assert_int_equal(hash_all(kit, hash), SQLITE_OK);
  kit_open(kit);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(damage_after_a_crash_is_never_served),
    KIT_TEST(damage_of_a_closed_store_is_never_served),
    KIT_TEST(a_damaged_row_is_said_to_be_damaged),
    KIT_TEST(a_lost_database_is_missed),
    KIT_TEST(a_lost_log_is_missed),
    KIT_TEST(another_programs_look_is_no_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
