/* links: store */
/* A power cut: what was acknowledged is there and the store is whole, wherever the cut falls and
 * whichever of the unsynced sectors the disk had written by then.  One recorded life gives any
 * number of cuts; NETMOVE_LONG=1 or NETMOVE_CUTS=n takes more of them, NETMOVE_SEED another choice.
 */
#include "faulty_vfs.h"
#include "store_kit.h"

#include <time.h>

enum { FLOWS = 150, LARGE = 60000, ACKS_MAX = 20000, OUTSTANDING = 8, LARGE_EVENTS = 200 };
enum { BEGINNING = 200 }; /* operations in which the store is made: a fourth of the cuts */

enum ack_kind { ACK_EVENT, ACK_PLANNED, ACK_SENT, ACK_PAGE, ACK_CURSOR, ACK_FENCED };

struct ack {
  enum ack_kind kind;
  int64_t id;
  int64_t number;
  size_t serial;
};

static pthread_mutex_t acks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ack acks[ACKS_MAX];
static size_t ack_count;

/* The moment of an answer: what has been written and synced by now must be enough. */
static void note_ack(enum ack_kind kind, int64_t id, int64_t number)
{
  size_t serial = faulty_serial();
  pthread_mutex_lock(&acks_lock);
  if (ack_count < ACKS_MAX)
    acks[ack_count++] = (struct ack){ kind, id, number, serial };
  pthread_mutex_unlock(&acks_lock);
}

/* ---- a life ---------------------------------------------------------------------------------- */

struct arriving {
  struct nm_store_accept accept; /* first */
  struct nm_store_arrival arrival;
  char identity[32];
  struct nm_store *store;
};

static char large[LARGE];
static _Atomic int large_next, large_open;

static void arrive(struct arriving *arriving);

/* On the writer's thread, as soon as it is durable. */
static void on_arrived(struct nm_task *task)
{
  struct arriving *arriving = (struct arriving *)(void *)task;
  if (arriving->accept.request.rc == NM_OK)
    note_ack(ACK_EVENT, arriving->arrival.id, 0);
  arrive(arriving);
}

static void arrive(struct arriving *arriving)
{
  int number = large_next++;
  if (number >= LARGE_EVENTS) {
    large_open--;
    return;
  }
  snprintf(arriving->identity, sizeof arriving->identity, "large %d", number);
  arriving->arrival = (struct nm_store_arrival){
    .event = { .tenant_id = TENANT,
               .received_at_ms = nm_clock_wall_ms(),
               .type = 11,
               .body = { large, (size_t)(number * 7919) % LARGE } },
    .identity = nm_text_from(arriving->identity),
    .window_ms = NM_EVENT_DEDUP_WINDOW_MS,
  };
  arriving->accept = (struct nm_store_accept){ .arrivals = &arriving->arrival, .count = 1 };
  arriving->accept.request.verb = NM_STORE_ACCEPT;
  arriving->accept.request.task.done = on_arrived;
  if (nm_store_submit(arriving->store, &arriving->accept.request))
    large_open--;
}

static void flow_single(struct kit *kit, int number)
{
  char campaign[24];
  snprintf(campaign, sizeof campaign, "s%d", number);
  struct nm_message message = kit_single(kit, campaign, "u", "", 0);
  note_ack(ACK_PLANNED, message.event_id, 0);
  struct nm_store_lease lease = kit_lease(kit, 10);
  for (size_t i = 0; i < lease.count; i++) {
    kit_finish(kit, &lease.messages[i], NM_MESSAGE_SENT);
    note_ack(ACK_SENT, lease.messages[i].id, 0);
  }
}

static void flow_run(struct kit *kit, int number)
{
  char campaign[24];
  snprintf(campaign, sizeof campaign, "r%d", number);
  struct nm_run run = kit_run(kit, campaign, "", 0);
  struct nm_text body = NM_TEXT("[{\"CustomerID\":\"u0\"},{\"CustomerID\":\"u1\"}]");
  for (int64_t page = 0; page < 2; page++) {
    struct nm_store_page_save save = { .run_id = run.id, .number = page, .rows = 2, .body = body };
    KIT_MUST(kit, NM_STORE_PAGE_SAVE, &save);
    note_ack(ACK_PAGE, run.id, page);
  }
  struct nm_message messages[2] = { kit_message(campaign, "u0"), kit_message(campaign, "u1") };
  struct nm_store_expand expand = {
    .run_id = run.id, .to_page = 1, .messages = messages, .message_count = 2
  };
  KIT_MUST(kit, NM_STORE_EXPAND, &expand);
  note_ack(ACK_CURSOR, run.id, 1);
  if (number % 2 == 0)
    return;
  struct nm_store_fence fence = { .run_id = run.id };
  KIT_MUST(kit, NM_STORE_FENCE, &fence);
  note_ack(ACK_FENCED, run.id, 0);
}

static void live(struct kit *kit)
{
  static struct arriving arriving[OUTSTANDING];
  large_next = 0;
  large_open = OUTSTANDING;
  for (int i = 0; i < OUTSTANDING; i++) {
    arriving[i].store = kit->store;
    arrive(&arriving[i]);
  }
  for (int i = 0; i < FLOWS; i++) {
    flow_single(kit, i);
    if (i % 5 == 0)
      flow_run(kit, i / 5);
  }
  while (large_open > 0) /* each asks once more, until there is nothing to ask */
    kit_take(kit, 0, NULL);
}

/* ---- after the cut --------------------------------------------------------------------------- */

static int64_t ask_number(sqlite3 *db, const char *sql, int64_t id, int64_t number)
{
  sqlite3_stmt *stmt;
  int64_t found = -1;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
    fail_msg("%s", sqlite3_errmsg(db));
  sqlite3_bind_int64(stmt, 1, id);
  sqlite3_bind_int64(stmt, 2, number);
  if (sqlite3_step(stmt) == SQLITE_ROW)
    found = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  return found;
}

static bool is_kept(sqlite3 *db, const struct ack *ack)
{
  switch (ack->kind) {
  case ACK_EVENT:
    return ask_number(db, "SELECT 1 FROM events WHERE id = ?1", ack->id, 0) == 1;
  case ACK_PLANNED:
    return ask_number(db, "SELECT state FROM events WHERE id = ?1", ack->id, 0) == NM_EVENT_PLANNED;
  case ACK_SENT:
    return ask_number(db, "SELECT state FROM messages WHERE id = ?1", ack->id, 0) ==
           NM_MESSAGE_SENT;
  case ACK_PAGE:
    return ask_number(db, "SELECT 1 FROM pages WHERE run_id = ?1 AND number = ?2", ack->id,
                      ack->number) == 1;
  case ACK_CURSOR:
    return ask_number(db, "SELECT cursor_page FROM runs WHERE id = ?1", ack->id, 0) ==
               ack->number &&
           ask_number(db, "SELECT count(*) FROM messages WHERE run_id = ?1", ack->id, 0) == 2;
  case ACK_FENCED:
    return ask_number(db, "SELECT state FROM runs WHERE id = ?1", ack->id, 0) == NM_RUN_CANCELLED;
  }
  return false;
}

static void check_file(const char *path, size_t cut, uint64_t seed)
{
  sqlite3 *db;
  sqlite3_stmt *stmt;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  const char *word = (const char *)sqlite3_column_text(stmt, 0);
  if (strcmp(word, "ok") != 0)
    fail_msg("cut %zu, seed %llu: %s", cut, (unsigned long long)seed, word);
  sqlite3_finalize(stmt);
  for (size_t i = 0; i < ack_count; i++)
    if (acks[i].serial <= cut && !is_kept(db, &acks[i]))
      fail_msg("cut %zu, seed %llu: acknowledgement %zu of kind %d (id %lld, at %zu) is lost", cut,
               (unsigned long long)seed, i, (int)acks[i].kind, (long long)acks[i].id,
               acks[i].serial);
  sqlite3_close(db);
}

static void check_cut(struct kit *kit, const char *folder, size_t cut, uint64_t seed)
{
  struct nm_error err = { 0 };
  char path[160];
  snprintf(path, sizeof path, "%s/var", kit->folder);
  assert_int_equal(faulty_image(cut, seed, folder, path), 0);
  snprintf(path, sizeof path, "%s.lock", kit->path); /* of another life */
  unlink(path);
  if (kit_try_open(kit, &err))
    fail_msg("cut %zu, seed %llu: %s", cut, (unsigned long long)seed, err.text);
  int64_t id = kit_event_id(kit, 11, "after", "u", ""); /* and life goes on */
  nm_store_close(kit->store);
  kit->store = NULL;
  for (size_t i = 0; i < ack_count; i++)
    if (acks[i].serial <= cut)
      assert_true(id > acks[i].id);
  check_file(kit->path, cut, seed);
  nm_arena_reset(kit->arena);
}

static unsigned long env_number(const char *name, unsigned long otherwise)
{
  const char *text = getenv(name);
  return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

static void a_power_cut_loses_nothing_acknowledged(void **state)
{
  struct kit *kit = *state;
  char recorded[128];
  bool is_long = env_number("NETMOVE_LONG", 0) == 1;
  unsigned long cuts = env_number("NETMOVE_CUTS", is_long ? 500 : 30);
  uint64_t seed = env_number("NETMOVE_SEED", 20261123);
  nm_store_close(kit->store);

  /* A life in a folder of its own, from its first byte to its clean end. */
  snprintf(kit->path, sizeof kit->path, "%s/lived/netmove.db", kit->folder);
  snprintf(kit->url, sizeof kit->url, "sqlite:%s", kit->path);
  snprintf(recorded, sizeof recorded, "%s/lived", kit->folder);
  faulty.is_recording = true;
  kit_open(kit);
  live(kit);
  nm_store_close(kit->store);
  kit->store = NULL;
  faulty.is_recording = false;
  snprintf(kit->path, sizeof kit->path, "%s/var/netmove.db", kit->folder);
  snprintf(kit->url, sizeof kit->url, "sqlite:%s", kit->path);

  for (unsigned long i = 0; i < cuts; i++) {
    size_t range = i % 4 == 0 ? BEGINNING : faulty.count + 1;
    size_t cut = i + 1 == cuts ? faulty.count : faulty_random(&seed) % range;
    check_cut(kit, recorded, cut, seed);
  }
  print_message("%lu cuts of %zu operations, %zu acknowledgements\n", cuts, faulty.count,
                ack_count);
  faulty_forget();
  kit_open(kit);
}

int main(void)
{
  const struct CMUnitTest tests[] = { KIT_TEST(a_power_cut_loses_nothing_acknowledged) };
  faulty_install();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
