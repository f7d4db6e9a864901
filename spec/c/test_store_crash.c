/* links: store */
#include "store_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/log.h"

/* ---- a crash --------------------------------------------------------------------------------- */

enum { OUTSTANDING = 32 };

struct told {
  struct nm_store_accept accept; /* first */
  struct nm_store_arrival arrival;
  char identity[32];
  int number;
};

static int told_fd;
static struct nm_store *told_store;
static _Atomic int told_next;

static void submit_next(struct told *told);

/* On the writer's thread: says what was acknowledged, then asks for the next. */
static void on_told(struct nm_task *task)
{
  struct told *told = (struct told *)task;
  int64_t pair[2] = { told->number, told->arrival.id };
  bool is_taken = told->accept.request.rc == NM_OK;
  if (is_taken && write(told_fd, pair, sizeof pair) != sizeof pair) _exit(3);
  submit_next(told);
}

static void submit_next(struct told *told)
{
  told->number = told_next++;
  snprintf(told->identity, sizeof told->identity, "event %d", told->number);
  told->arrival = (struct nm_store_arrival){
    .event = { .tenant_id = TENANT, .received_at_ms = nm_clock_wall_ms(), .type = 11,
               .body = NM_TEXT("{\"EventTypeID\":11}") },
    .identity = nm_text_from(told->identity),
    .window_ms = NM_EVENT_DEDUP_WINDOW_MS,
  };
  told->accept = (struct nm_store_accept){ .arrivals = &told->arrival, .count = 1 };
  told->accept.request.verb = NM_STORE_ACCEPT;
  told->accept.request.task.done = on_told;
  if (nm_store_submit(told_store, &told->accept.request)) _exit(4);
}

static void accept_until_killed(const char *url, int fd)
{
  static struct told told[OUTSTANDING];
  struct nm_store_options options = { .url = nm_text_from(url) };
  struct nm_error err;
  told_fd = fd;
  if (nm_store_open(&told_store, &options, &err)) _exit(2);
  for (int i = 0; i < OUTSTANDING; i++)
    submit_next(&told[i]);
  for (;;)
    pause();
}

static void check_acknowledged(struct kit *kit, const int64_t *pair)
{
  char identity[32];
  struct nm_store_arrival again = kit_event(11, "1", "u", "");
  snprintf(identity, sizeof identity, "event %lld", (long long)pair[0]);
  again.identity = nm_text_from(identity);
  kit_accept(kit, &again);
  assert_true(again.is_duplicate);
  assert_int_equal(again.id, pair[1]);
}

static void a_killed_process_loses_nothing_acknowledged(void **state)
{
  struct kit *kit = *state;
  nm_store_close(kit->store);
  kit->store = NULL;
  int rounds = 20;
  for (int round = 0; round < rounds; round++) {
    int pipes[2];
    int64_t pair[2], last = 0;
    snprintf(kit->url, sizeof kit->url, "sqlite:%s/round-%d.db", kit->folder, round);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
      close(pipes[0]);
      accept_until_killed(kit->url, pipes[1]);
    }
    close(pipes[1]);
    size_t wanted = 40 + 17 * (size_t)round, count = 0;
    int64_t(*pairs)[2] = calloc(wanted + 100000, sizeof *pairs);
    while (count < wanted + 100000 && read(pipes[0], pair, sizeof pair) == (ssize_t)sizeof pair) {
      memcpy(pairs[count++], pair, sizeof pair);
      if (count == wanted) kill(child, SIGKILL); /* in the midst of commits */
    }
    assert_true(count >= wanted);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipes[0]);

    kit_open(kit);
    for (size_t i = 0; i < count; i++) {
      check_acknowledged(kit, pairs[i]);
      if (pairs[i][1] > last) last = pairs[i][1];
    }
    assert_true(kit_event_id(kit, 11, "new", "u", "") > last);
    nm_store_close(kit->store);
    kit->store = NULL;
    nm_arena_reset(kit->arena);
    free(pairs);
  }
}

/* ---- who may open it ------------------------------------------------------------------------- */

static void a_second_opener_is_refused_and_told_who_holds_it(void **state)
{
  struct kit *kit = *state;
  struct nm_store *second = NULL;
  struct nm_store_options options = { .url = nm_text_from(kit->url) };
  struct nm_error err = { 0 };
  char pid[24];
  assert_int_equal(nm_store_open(&second, &options, &err), NM_ECONFLICT);
  assert_null(second);
  snprintf(pid, sizeof pid, "process %ld", (long)getpid());
  assert_non_null(strstr(err.text, pid));
  kit_event_id(kit, 11, "1", "u", ""); /* the first one still works */
}

static void a_newer_schema_is_refused(void **state)
{
  struct kit *kit = *state;
  char back[64];
  struct nm_error err = { 0 };
  nm_store_close(kit->store);
  kit->store = NULL;
  int64_t version = kit_sql_number(kit, "PRAGMA user_version");
  kit_sql(kit, "PRAGMA user_version = 9999");
  assert_int_equal(kit_try_open(kit, &err), NM_ECONFLICT);
  assert_non_null(strstr(err.text, "schema 9999"));
  assert_non_null(strstr(err.text, kit->path));
  snprintf(back, sizeof back, "PRAGMA user_version = %lld", (long long)version);
  kit_sql(kit, back);
  kit_open(kit);
}

static void another_programs_database_is_refused(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  nm_store_close(kit->store);
  kit->store = NULL;
  unlink(kit->path);
  kit_sql(kit, "CREATE TABLE songs (name TEXT)");
  assert_int_equal(kit_try_open(kit, &err), NM_ECONFLICT);
  assert_non_null(strstr(err.text, "some other program"));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  nm_store_close(kit->store);
  kit->store = NULL;
  FILE *file = fopen(kit->path, "w");
  for (int i = 0; i < 4096; i++)
    fputs("this is no database. ", file);
  fclose(file);
  assert_true(kit_try_open(kit, &err) < 0);
  assert_non_null(strstr(err.text, "damaged"));
  assert_non_null(strstr(err.text, kit->path));
}

/* Overwrites pages from `first` (from the end where negative), with a log as after a crash. */
static void damage(struct kit *kit, long first)
{
  char path[160], rubbish[4096];
  struct stat status;
  memset(rubbish, 0x5a, sizeof rubbish);
  int fd = open(kit->path, O_WRONLY);
  assert_int_equal(fstat(fd, &status), 0);
  long pages = (long)(status.st_size / 4096);
  for (long page = first < 0 ? pages + first : first; page < pages; page++)
    assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, page * 4096), sizeof rubbish);
  close(fd);
  snprintf(path, sizeof path, "%s-wal", kit->path);
  fd = open(path, O_WRONLY | O_CREAT, 0600);
  assert_int_equal(write(fd, rubbish, sizeof rubbish), sizeof rubbish);
  close(fd);
}

static void a_file_damaged_at_a_crash_is_refused(void **state)
{
  struct kit *kit = *state;
  struct nm_error err = { 0 };
  for (int i = 0; i < 200; i++) {
    char customer[16];
    snprintf(customer, sizeof customer, "u%d", i);
    kit_event_id(kit, 11, "1", customer, "");
  }
  nm_store_close(kit->store);
  kit->store = NULL;
  damage(kit, -3); /* rows */
  assert_int_equal(kit_try_open(kit, &err), NM_EIO);
  if (!strstr(err.text, "is damaged (")) fail_msg("%s", err.text);
  damage(kit, 2); /* tables */
  assert_int_equal(kit_try_open(kit, &err), NM_EIO);
  if (!strstr(err.text, "is damaged")) fail_msg("%s", err.text);
}

static void an_unknown_url_is_refused_with_a_word(void **state)
{
  struct kit *kit = *state;
  struct nm_store *store = NULL;
  struct nm_error err = { 0 };
  struct {
    const char *url;
    int rc;
    const char *word;
  } cases[] = {
    { "postgresql://u@h/db", NM_EUNSUPPORTED, "not built yet" },
    { "mysql:x", NM_EINVAL, "sqlite:PATH" },
    { "", NM_EINVAL, "sqlite:PATH" },
    { "sqlite:", NM_EINVAL, "names no file" },
    { "sqlite::memory:", NM_EINVAL, "names no file" },
    { "sqlite:file:x?mode=memory", NM_EINVAL, "names no file" },
    { "sqlite:/proc/nothing/x.db", NM_EIO, "cannot be made" },
  };
  (void)kit;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct nm_store_options options = { .url = nm_text_from(cases[i].url) };
    assert_int_equal(nm_store_open(&store, &options, &err), cases[i].rc);
    if (!strstr(err.text, cases[i].word)) fail_msg("%s: %s", cases[i].url, err.text);
  }
}

static void the_files_are_nobody_elses_to_read(void **state)
{
  struct kit *kit = *state;
  const char *const ends[] = { "", "-wal", "-shm", ".lock" };
  kit_event_id(kit, 11, "1", "u", "");
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    char path[160];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", kit->path, ends[i]);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 077, 0);
  }
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static int try_event(struct kit *kit, const char *identity, struct nm_text body, int64_t *id)
{
  struct nm_store_arrival arrival = kit_event(11, "1", "u", "");
  arrival.identity = nm_text_from(identity);
  arrival.event.body = body;
  struct nm_store_accept accept = { .arrivals = &arrival, .count = 1 };
  int rc = kit_ask(kit, NM_STORE_ACCEPT, &accept.request);
  *id = arrival.is_duplicate ? -1 : arrival.id;
  return rc;
}

static void a_full_disk_refuses_and_recovers(void **state)
{
  struct kit *kit = *state;
  enum { LARGE = 60000 };
  char *bytes = calloc(1, LARGE);
  char identity[32];
  int64_t id;
  int rc = NM_OK, accepted = 0;
  nm_store_close(kit->store);
  kit->max_bytes = 1024 * 1024;
  kit_open(kit);
  struct nm_message message = kit_single(kit, "1", "m", "", 0);
  assert_int_equal(kit_lease(kit, 5).count, 1);

  while (accepted < 100) {
    snprintf(identity, sizeof identity, "large %d", accepted);
    rc = try_event(kit, identity, (struct nm_text){ bytes, LARGE }, &id);
    if (rc) break;
    accepted++;
  }
  assert_int_equal(rc, NM_EFULL);
  assert_true(accepted > 5);
  assert_true(nm_store_is_sound(kit->store));

  /* What was refused is not known as a duplicate; what fits is still done. */
  assert_int_equal(try_event(kit, identity, (struct nm_text){ bytes, LARGE }, &id), NM_EFULL);
  kit_finish(kit, &message, NM_MESSAGE_SENT);
  kit_assert_state(kit, message.id, "sent");

  /* Room is made. */
  nm_store_close(kit->store);
  kit->max_bytes = 0;
  kit_open(kit);
  assert_int_equal(try_event(kit, identity, (struct nm_text){ bytes, LARGE }, &id), NM_OK);
  assert_true(id > 0);
  free(bytes);
}

static void retention_makes_room_on_a_full_disk(void **state)
{
  struct kit *kit = *state;
  enum { LARGE = 60000 };
  char *bytes = calloc(1, LARGE);
  char identity[32];
  int64_t id;
  nm_store_close(kit->store);
  kit->max_bytes = 1024 * 1024;
  kit_open(kit);
  for (int i = 0; i < 100; i++) {
    snprintf(identity, sizeof identity, "large %d", i);
    if (try_event(kit, identity, (struct nm_text){ bytes, LARGE }, &id)) break;
    struct nm_plan plan = { .event_id = id, .tenant_id = TENANT, .state = NM_EVENT_DROPPED };
    if (kit_try_plan(kit, &plan, NULL)) break;
  }
  assert_int_equal(try_event(kit, "more", (struct nm_text){ bytes, LARGE }, &id), NM_EFULL);
  struct nm_store_retain retain = { .now_ms = nm_clock_wall_ms() + 49ll * HOUR_MS,
                                    .rows_max = 100 };
  KIT_MUST(kit, NM_STORE_RETAIN, &retain);
  assert_int_equal(try_event(kit, "more", (struct nm_text){ bytes, LARGE }, &id), NM_OK);
  free(bytes);
}

/* ---- a failing disk -------------------------------------------------------------------------- */

static void after_a_failed_write_nothing_is_acknowledged_until_restart(void **state)
{
  struct kit *kit = *state;
  enum { LARGE = 60000 };
  char *bytes = calloc(1, LARGE);
  char identity[32];
  struct rlimit before, small;
  int64_t id, last = 0;
  uint64_t errors = nm_log_error_count();
  int rc = NM_OK;
  kit_reopen(kit); /* a log that begins anew */
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 512 * 1024;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* writes beyond fail with EFBIG */
  for (int i = 0; i < 100 && rc == NM_OK; i++) {
    snprintf(identity, sizeof identity, "large %d", i);
    rc = try_event(kit, identity, (struct nm_text){ bytes, LARGE }, &id);
    if (rc == NM_OK) last = id;
  }
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(rc, NM_EIO);
  assert_true(last > 0);
  assert_false(nm_store_is_sound(kit->store));
  assert_int_equal(nm_log_error_count(), errors + 1);

  /* The disk would write again: what is there is not known, so nothing is taken. */
  assert_int_equal(try_event(kit, "small", NM_TEXT("{}"), &id), NM_EIO);
  kit_assert_state(kit, last, "new"); /* looking goes on */
  assert_int_equal(nm_log_error_count(), errors + 1);

  kit_reopen(kit);
  assert_true(nm_store_is_sound(kit->store));
  kit_assert_state(kit, last, "new");
  assert_int_equal(try_event(kit, "small", NM_TEXT("{}"), &id), NM_OK);
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_killed_process_loses_nothing_acknowledged),
    KIT_TEST(a_second_opener_is_refused_and_told_who_holds_it),
    KIT_TEST(a_newer_schema_is_refused),
    KIT_TEST(another_programs_database_is_refused),
    KIT_TEST(a_file_that_is_no_database_is_refused),
    KIT_TEST(a_file_damaged_at_a_crash_is_refused),
    KIT_TEST(an_unknown_url_is_refused_with_a_word),
    KIT_TEST(the_files_are_nobody_elses_to_read),
    KIT_TEST(a_full_disk_refuses_and_recovers),
    KIT_TEST(retention_makes_room_on_a_full_disk),
    KIT_TEST(after_a_failed_write_nothing_is_acknowledged_until_restart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
