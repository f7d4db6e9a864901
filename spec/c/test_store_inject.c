/* links: store, wraps: malloc calloc realloc */
/* The i-th write, sync, read or allocation fails, once or from then on: nothing crashes, every
 * refusal says why, what was acknowledged is there after a restart, and after a failed write or
 * sync nothing is acknowledged any more.  NETMOVE_LONG=1 or NETMOVE_INJECTIONS=n takes more of
 * them. */
#include "faulty_vfs.h"
#include "sqlite_memory.h"
#include "store_kit.h"
#include "want_of_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 6, ACKS_MAX = 64 };

/* ---- allocations ----------------------------------------------------------------------------- */

static pthread_t testing; /* its memory never fails, but for what it does inside open */
static atomic_bool is_opening;

static bool is_tests_own(void)
{
  return pthread_equal(pthread_self(), testing) && !is_opening;
}

static bool is_sqlite_out(void)
{
  return is_out_of_memory(MEMORY_SQLITES);
}

static void install_memory(void)
{
  testing = pthread_self();
  wrap_jansson();
  assert_int_equal(wrap_sqlite(is_sqlite_out), SQLITE_OK);
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0), SQLITE_OK);
  /* else it lives of its reserve and asks for nothing */
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

/* ---- a life ---------------------------------------------------------------------------------- */

struct ack {
  int64_t id;
  const char *state;
};

static struct ack acks[ACKS_MAX];
static size_t ack_count;
static long refusals;

static void note(struct kit *kit, int rc, int64_t id, const char *state, bool was_sound)
{
  if (rc)
    refusals++;
  else if (!was_sound)
    fail_msg("%lld is acknowledged after a failed write", (long long)id);
  else if (state) {
    assert_true(ack_count < ACKS_MAX);
    acks[ack_count++] = (struct ack){ id, state };
  }
  (void)kit;
}

static int64_t live_event(struct kit *kit, int serial, int number)
{
  char campaign[32];
  snprintf(campaign, sizeof campaign, "c%d-%d", serial, number);
  struct nm_store_arrival arrival = kit_event(11, campaign, "u", "");
  struct nm_store_accept accept = { .arrivals = &arrival, .count = 1 };
  bool was_sound = nm_store_is_sound(kit->store);
  int rc = kit_ask(kit, NM_STORE_ACCEPT, &accept.request);
  note(kit, rc, arrival.id, NULL, was_sound);
  return rc ? 0 : arrival.id;
}

/* From an event to a message that was sent. */
static void live_single(struct kit *kit, int serial, int number)
{
  int64_t id = live_event(kit, serial, number);
  if (id == 0)
    return;
  struct nm_message message = kit_message("c", "u");
  struct nm_plan plan = { .event_id = id,
                          .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED,
                          .messages = &message,
                          .message_count = 1 };
  bool was_sound = nm_store_is_sound(kit->store);
  struct nm_error err;
  int rc = kit_try_plan(kit, &plan, &err);
  note(kit, rc, id, rc ? NULL : "planned", was_sound);
  if (rc) {
    acks[ack_count++] = (struct ack){ id, "new" };
    return;
  }
  struct nm_finish item = { .message_id = message.id,
                            .state = NM_MESSAGE_SENT,
                            .attempts = 1,
                            .has_attempt = true,
                            .outcome = NM_OUTCOME_ACCEPTED,
                            .code = 200 };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  was_sound = nm_store_is_sound(kit->store);
  rc = kit_ask(kit, NM_STORE_FINISH, &finish.request);
  note(kit, rc, message.id, "sent", was_sound);
  if (rc)
    acks[ack_count++] = (struct ack){ message.id, "waiting" };
}

static void live_looks(struct kit *kit, int64_t id)
{
  json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
  struct nm_store_query show = { .kind = NM_QUERY_SHOW, .args = args };
  (void)kit_ask(kit, NM_STORE_QUERY, &show.request);
  json_decref(show.answer);
  struct nm_store_query status = { .kind = NM_QUERY_STATUS, .args = args };
  (void)kit_ask(kit, NM_STORE_QUERY, &status.request);
  json_decref(status.answer);
  json_decref(args);
  struct nm_store_lease lease = {
    .tenant_id = TENANT, .provider = NM_TEXT("netmera"), .now_ms = nm_clock_wall_ms(), .max = 5
  };
  (void)kit_ask(kit, NM_STORE_LEASE, &lease.request);
  struct nm_store_take take = { .now_ms = nm_clock_wall_ms(), .max = 5 };
  (void)kit_ask(kit, NM_STORE_TAKE, &take.request);
}

static void live_run(struct kit *kit, int serial)
{
  char campaign[32];
  snprintf(campaign, sizeof campaign, "r%d", serial);
  struct nm_store_arrival arrival = kit_event(13, campaign, "", "");
  struct nm_store_accept accept = { .arrivals = &arrival, .count = 1 };
  if (kit_ask(kit, NM_STORE_ACCEPT, &accept.request))
    return;
  struct nm_run run = { .channel_id = CHANNEL,
                        .campaign = nm_text_from(campaign),
                        .triggered_at_ms = nm_clock_wall_ms() };
  struct nm_plan plan = {
    .event_id = arrival.id, .tenant_id = TENANT, .state = NM_EVENT_PLANNED, .run = &run
  };
  struct nm_error err;
  if (kit_try_plan(kit, &plan, &err))
    return;
  struct nm_store_page_save save = { .run_id = run.id,
                                     .rows = 1,
                                     .body = NM_TEXT("[{\"CustomerID\":\"u0\"}]") };
  if (kit_ask(kit, NM_STORE_PAGE_SAVE, &save.request))
    return;
  struct nm_store_page_load load = { .run_id = run.id };
  (void)kit_ask(kit, NM_STORE_PAGE_LOAD, &load.request);
  struct nm_message message = kit_message(campaign, "u0");
  struct nm_store_expand expand = {
    .run_id = run.id, .to_page = 1, .messages = &message, .message_count = 1
  };
  if (kit_ask(kit, NM_STORE_EXPAND, &expand.request))
    return;
  acks[ack_count++] = (struct ack){ message.id, "waiting" };
}

static int try_life(struct kit *kit, int serial)
{
  struct nm_error err = { 0 };
  ack_count = 0;
  is_opening = true;
  int rc = kit_try_open(kit, &err);
  is_opening = false;
  if (rc) {
    kit->store = NULL;
    if (err.text[0] == '\0')
      fail_msg("a refused start says nothing");
    return rc;
  }
  for (int i = 0; i < ROUNDS; i++)
    live_single(kit, serial, i);
  live_run(kit, serial);
  live_looks(kit, ack_count ? acks[0].id : 1);
  nm_store_close(kit->store);
  kit->store = NULL;
  nm_arena_reset(kit->arena);
  return NM_OK;
}

/* What was said of each thing last is what is there: or the next state, where that was not said. */
static void check_life(struct kit *kit, const char *what, long i)
{
  struct nm_error err = { 0 };
  if (kit_try_open(kit, &err))
    fail_msg("%s %ld: after it: %s", what, i, err.text);
  for (size_t k = 0; k < ack_count; k++) {
    json_t *shown = kit_show(kit, acks[k].id);
    const char *state = json_string_value(json_object_get(shown, "state"));
    bool is_next = (strcmp(acks[k].state, "new") == 0 && strcmp(state, "planned") == 0) ||
                   (strcmp(acks[k].state, "waiting") == 0 && strcmp(state, "sent") == 0);
    if (strcmp(state, acks[k].state) != 0 && !is_next)
      fail_msg("%s %ld: %lld is %s, acknowledged as %s", what, i, (long long)acks[k].id, state,
               acks[k].state);
    json_decref(shown);
  }
  nm_store_close(kit->store);
  kit->store = NULL;
  nm_arena_reset(kit->arena);
}

static unsigned long env_number(const char *name, unsigned long otherwise)
{
  const char *text = getenv(name);
  return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

static long injections(long of_suite)
{
  unsigned long all =
      env_number("NETMOVE_INJECTIONS", env_number("NETMOVE_LONG", 0) == 1 ? 5000 : 200);
  return (long)all * of_suite / 200;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void fail_disk(struct kit *kit, const char *what, enum faulty_kind kind, int code,
                      long count)
{
  static int serial;
  nm_store_close(kit->store);
  kit->store = NULL;
  long before = faulty.calls[kind];
  assert_int_equal(try_life(kit, serial++), NM_OK);
  check_life(kit, what, -1);
  long calls = faulty.calls[kind] - before;
  long hit = 0;
  refusals = 0;
  for (long i = 0; i < count; i++) {
    faulty_fail(kind, i * calls / count, code, i % 2 == 0);
    (void)try_life(kit, serial++);
    hit += faulty.failed > 0;
    faulty_mend();
    check_life(kit, what, i);
  }
  print_message("%s: %ld of %ld injections met a call (of %ld), %ld requests refused\n", what, hit,
                count, calls, refusals);
  assert_true(hit > 0);
  kit_open(kit);
}

static void a_failed_write_loses_nothing(void **state)
{
  fail_disk(*state, "write", FAULTY_WRITE, SQLITE_IOERR_WRITE, injections(30));
}

static void a_failed_sync_loses_nothing(void **state)
{
  fail_disk(*state, "sync", FAULTY_SYNC, SQLITE_IOERR_FSYNC, injections(20));
}

static void a_failed_read_loses_nothing(void **state)
{
  fail_disk(*state, "read", FAULTY_READ, SQLITE_IOERR_READ, injections(20));
}

static void a_full_disk_loses_nothing(void **state)
{
  fail_disk(*state, "full", FAULTY_WRITE, SQLITE_FULL, injections(30));
}

static void a_failed_opening_loses_nothing(void **state)
{
  fail_disk(*state, "open", FAULTY_OPEN, SQLITE_CANTOPEN, injections(10));
  fail_disk(*state, "size", FAULTY_SIZE, SQLITE_IOERR_FSTAT, injections(5));
  fail_disk(*state, "shared memory", FAULTY_SHARED, SQLITE_IOERR_SHMMAP, injections(5));
}

/* A sync that failed once is not asked again: what it left on the disk is not known. */
static void after_a_failed_sync_nothing_is_acknowledged(void **state)
{
  struct kit *kit = *state;
  assert_true(live_event(kit, -1, 0) > 0);
  faulty_fail(FAULTY_SYNC, 0, SQLITE_IOERR_FSYNC, false);
  assert_int_equal(live_event(kit, -1, 1), 0);
  assert_false(nm_store_is_sound(kit->store));
  for (int i = 2; i < 6; i++)
    assert_int_equal(live_event(kit, -1, i), 0);
  faulty_mend();
  assert_int_equal(live_event(kit, -1, 6), 0);
  kit_reopen(kit);
  assert_true(nm_store_is_sound(kit->store));
  assert_true(live_event(kit, -1, 7) > 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void fail_memory(struct kit *kit, const char *what, enum memory_source source, long count)
{
  static int serial = 100000;
  nm_store_close(kit->store);
  kit->store = NULL;
  long before = memory_calls(source);
  assert_int_equal(try_life(kit, serial++), NM_OK);
  long calls = memory_calls(source) - before;
  check_life(kit, what, -1);
  long hit = 0;
  refusals = 0;
  for (long i = 0; i < count; i++) {
    memory_fail(source, i * calls / count, i % 2 == 1);
    (void)try_life(kit, serial++);
    hit += memory_mend();
    check_life(kit, what, i);
  }
  print_message("%s: %ld of %ld injections met a call (of %ld), %ld requests refused\n", what, hit,
                count, calls, refusals);
  assert_true(hit > 0);
  kit_open(kit);
}

static void want_of_memory_loses_nothing(void **state)
{
  fail_memory(*state, "our memory", MEMORY_OURS, injections(30));
}

static void sqlites_want_of_memory_loses_nothing(void **state)
{
  fail_memory(*state, "SQLite's memory", MEMORY_SQLITES, injections(40));
}

static void janssons_want_of_memory_loses_nothing(void **state)
{
  fail_memory(*state, "jansson's memory", MEMORY_JANSSONS, injections(10));
}

/* ---- a start that fails after a crash --------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
  char bytes[4096];
  ssize_t len;
  int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(in >= 0 && out >= 0);
  while ((len = read(in, bytes, sizeof bytes)) > 0)
    assert_int_equal(write(out, bytes, (size_t)len), len);
  close(in);
  close(out);
}

/* The store's files, beside themselves or back. */
static void copy_store(struct kit *kit, bool is_back)
{
  static const char *const ends[] = { "", "-wal", ".lock" };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    char file[200], aside[220];
    snprintf(file, sizeof file, "%s%s", kit->path, ends[i]);
    snprintf(aside, sizeof aside, "%s.aside", file);
    if (is_back) copy_file(aside, file);
    else copy_file(file, aside);
  }
}

static int64_t log_bytes(const struct kit *kit)
{
  char path[200];
  struct stat status;
  snprintf(path, sizeof path, "%s-wal", kit->path);
  return stat(path, &status) ? 0 : status.st_size;
}

/* Closing what had been opened took the log of the crash away; its mark stayed, and once the
 * start's own commit had changed the page that it names, no start was possible any more. */
static void a_failed_start_after_a_crash_leaves_the_log(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  int64_t id = live_event(kit, -1, 0);
  copy_store(kit, false);
  nm_store_close(kit->store);
  copy_store(kit, true);
  long before = memory_calls(MEMORY_SQLITES), failed = 0, count = injections(20);
  is_opening = true;
  assert_int_equal(kit_try_open(kit, &err), NM_OK);
  long calls = memory_calls(MEMORY_SQLITES) - before;
  is_opening = false;
  nm_store_close(kit->store);
  for (long i = 0; i < count; i++) {
    copy_store(kit, true);
    memory_fail(MEMORY_SQLITES, i * calls / count, false);
    is_opening = true;
    int rc = kit_try_open(kit, &err);
    is_opening = false;
    (void)memory_mend();
    if (rc) {
      failed++;
      assert_true(log_bytes(kit) > 0);
      assert_int_equal(kit_try_open(kit, &err), NM_OK);
    }
    kit_assert_state(kit, id, "new");
    nm_store_close(kit->store);
  }
  assert_true(failed > 0);
  kit_open(kit);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_failed_write_loses_nothing),
    KIT_TEST(a_failed_sync_loses_nothing),
    KIT_TEST(a_failed_read_loses_nothing),
    KIT_TEST(a_full_disk_loses_nothing),
    KIT_TEST(a_failed_opening_loses_nothing),
    KIT_TEST(after_a_failed_sync_nothing_is_acknowledged),
    KIT_TEST(want_of_memory_loses_nothing),
    KIT_TEST(sqlites_want_of_memory_loses_nothing),
    KIT_TEST(janssons_want_of_memory_loses_nothing),
    KIT_TEST(a_failed_start_after_a_crash_leaves_the_log),
  };
  install_memory();
  faulty_install();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
