/* links: base */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/limits.h"
#include "base/log_internal.h"
#include "base/metrics.h"

enum {
  PIPE_BYTES = 256 * 1024,
  READ_MAX_BYTES = 8 * 1024 * 1024,
  THREADS = 4,
  LINES_EACH = 3000,
};

/* stderr is a pipe during a test; what came out of it is in `read`. */
static struct {
  int terminal, read_end;
  char read[READ_MAX_BYTES];
  size_t len;
} t;

static int begin(void **state)
{
  (void)state;
  int ends[2];
  if (pipe(ends)) return -1;
  t.terminal = dup(STDERR_FILENO);
  t.read_end = ends[0];
  t.len = 0;
  t.read[0] = '\0';
  if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) return -1;
  if (dup2(ends[1], STDERR_FILENO) < 0) return -1;
  return close(ends[1]);
}

static int end(void **state)
{
  (void)state;
  close(t.read_end);
  nm_log_stop();
  if (dup2(t.terminal, STDERR_FILENO) < 0) return -1;
  nm_log_set_level(NM_LOG_INFO);
  return close(t.terminal);
}

/* As strstr, which sanitizers let measure all the rest of the text each time. */
static const char *find(const char *at, const char *wanted)
{
  size_t len = strlen(wanted);
  const char *end = t.read + t.len;
  while ((size_t)(end - at) >= len && (at = memchr(at, *wanted, (size_t)(end - at))) != NULL) {
    if ((size_t)(end - at) >= len && memcmp(at, wanted, len) == 0) return at;
    at++;
  }
  return NULL;
}

static bool read_some(void)
{
  ssize_t n = read(t.read_end, t.read + t.len, READ_MAX_BYTES - 1 - t.len);
  if (n <= 0) return false;
  t.len += (size_t)n;
  t.read[t.len] = '\0';
  return true;
}

/* Reads until the text is there, or all writers have gone. */
static void read_until(const char *wanted)
{
  size_t looked = 0;
  while (!wanted || !find(t.read + looked, wanted)) {
    size_t len = wanted ? strlen(wanted) : 0;
    looked = t.len > len ? t.len - len : 0;
    if (!read_some()) return;
  }
}

/* What is in the pipe now; nobody writes any more. */
static void read_rest(void)
{
  struct pollfd ready = { .fd = t.read_end, .events = POLLIN };
  while (poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN)) {
    if (!read_some()) return;
  }
}

static size_t count(const char *wanted)
{
  size_t found = 0;
  for (const char *at = t.read; (at = find(at, wanted)); at += strlen(wanted)) found++;
  return found;
}

/* As told by the lines that tell it. */
static int64_t told_lost(void)
{
  static const char before[] = "\"message\":\"";
  int64_t sum = 0;
  for (const char *at = t.read; (at = find(at, before));) {
    char *end;
    at += sizeof before - 1;
    long long lines = strtoll(at, &end, 10);
    if (strncmp(end, " lines were lost", 16) == 0) sum += lines;
  }
  return sum;
}

/* Each line is whole. */
static void assert_whole_lines(void)
{
  for (const char *at = t.read, *next; *at; at = next + 1) {
    next = strchr(at, '\n');
    assert_non_null(next);
    assert_memory_equal(at, "{\"time\":\"", 9);
    assert_memory_equal(next - 2, "\"}", 2);
  }
}

static const struct nm_log_ids *ids(int64_t event)
{
  static struct nm_log_ids of;
  of = (struct nm_log_ids){ .tenant = NM_TEXT("acme"), .event = event };
  return &of;
}

/* ---- lines ------------------------------------------------------------------------------- */

static void writes_one_line_that_no_value_can_forge(void **state)
{
  (void)state;
  nm_log(NM_LOG_INFO, "base", ids(7), "%s", "a\"}\n{\"level\":\"error\\\x01\xff \xc3\xa9");
  read_rest();
  assert_non_null(strstr(t.read, "\"level\":\"info\",\"room\":\"base\",\"tenant\":\"acme\","
                                 "\"event\":\"7\","
                                 "\"message\":\"a\\\"}\\u000a{\\\"level\\\":\\\"error\\\\\\u0001? "
                                 "\xc3\xa9\"}\n"));
  assert_int_equal(count("\n"), 1);
}

static void leaves_out_of_a_reason_what_may_be_a_persons(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "", "" },
    { "event type 99 is not routed", "event type 99 is not routed" },
    { "template 123456 is not mapped", "template 123456 is not mapped" },
    { "TOTAL: \"Ada Lovelace\" is not a number", "TOTAL: \"...\" is not a number" },
    { "\"a \\\" b\"", "\"...\"" },
    { "\"not closed", "\"...\"" },
    { "x\"1\"y", "x\"...\"y" },
    { "no user ada@example.com here", "no user ... here" },
    { "no user a@b", "no user ..." },
    { "400/2101 +4915112345678 unknown, +49", "400/2101 ... unknown, +49" },
    { "200 of 2026-11-23, 10.0.0.12:80 C-1002 u8", "200 of 2026-11-23, 10.0.0.12:80 C-1002 u8" },
    { "RegisterEventListener: 500 key a1b2c3d4e5", "RegisterEventListener: 500 key ..." },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[NM_ERROR_TEXT_MAX_BYTES];
    assert_text(nm_log_discreet(out, nm_text_from(cases[i][0])), cases[i][1]);
  }
  static char words[2 * NM_ERROR_TEXT_MAX_BYTES];
  char out[NM_ERROR_TEXT_MAX_BYTES];
  memset(words, 'x', sizeof words);
  for (size_t i = 5; i < sizeof words; i += 6) words[i] = ' ';
  struct nm_text cut = nm_log_discreet(out, (struct nm_text){ words, sizeof words });
  assert_in_range(cut.len, NM_ERROR_TEXT_MAX_BYTES - 6, NM_ERROR_TEXT_MAX_BYTES);
  assert_memory_equal(cut.ptr, words, cut.len);
}

static void cuts_a_long_line_between_two_characters(void **state)
{
  (void)state;
  static char text[3 * NM_LOG_LINE_MAX_BYTES];
  for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 2);
  for (int shift = 0; shift < 2; shift++) {
    t.len = 0;
    nm_log(NM_LOG_WARN, "base", NULL, "%s%s", shift ? "x" : "", text);
    read_rest();
    assert_true(t.len <= NM_LOG_LINE_MAX_BYTES);
    assert_true(nm_text_is_utf8((struct nm_text){ t.read, t.len }));
    assert_whole_lines();
  }
}

static void works_before_its_thread_with_it_and_after_it(void **state)
{
  (void)state;
  nm_log(NM_LOG_INFO, "base", NULL, "before");
  assert_int_equal(nm_log_start(), NM_OK);
  assert_int_equal(nm_log_start(), NM_ECONFLICT);
  nm_log(NM_LOG_INFO, "base", NULL, "during");
  nm_log_flush();
  read_rest();
  assert_int_equal(count("\"before\""), 1);
  assert_int_equal(count("\"during\""), 1);
  nm_log_stop();
  nm_log(NM_LOG_INFO, "base", NULL, "after");
  assert_int_equal(nm_log_start(), NM_OK);
  nm_log(NM_LOG_INFO, "base", NULL, "again");
  nm_log_stop();
  nm_log_stop();
  read_rest();
  assert_int_equal(count("\"after\""), 1);
  assert_int_equal(count("\"again\""), 1);
  assert_whole_lines();
}

static void gives_a_room_a_level_of_its_own(void **state)
{
  (void)state;
  enum nm_log_level level;
  assert_int_equal(nm_log_set_room_level(NM_TEXT("kitchen"), NM_LOG_DEBUG), NM_ENOTFOUND);
  assert_int_equal(nm_log_set_room_level(NM_TEXT("engine"), NM_LOG_DEBUG), NM_OK);
  assert_int_equal(nm_log_set_room_level(NM_TEXT("api"), NM_LOG_ERROR), NM_OK);
  assert_true(nm_log_room_level(NM_TEXT("engine"), &level));
  assert_int_equal(level, NM_LOG_DEBUG);
  assert_false(nm_log_room_level(NM_TEXT("store"), &level));
  assert_int_equal(level, NM_LOG_INFO);
  nm_log(NM_LOG_DEBUG, "engine", NULL, "one");
  nm_log(NM_LOG_DEBUG, "store", NULL, "two");
  nm_log(NM_LOG_WARN, "api", NULL, "three");
  nm_log(NM_LOG_ERROR, "api", NULL, "four");
  nm_log(NM_LOG_INFO, "store", NULL, "five");
  assert_int_equal(nm_log_unset_room_level(NM_TEXT("engine")), NM_OK);
  assert_int_equal(nm_log_unset_room_level(NM_TEXT("api")), NM_OK);
  nm_log(NM_LOG_DEBUG, "engine", NULL, "six");
  nm_log(NM_LOG_WARN, "api", NULL, "seven");
  read_rest();
  assert_int_equal(count("\n"), 4);
  assert_int_equal(count("one") + count("four") + count("five") + count("seven"), 4);
}

/* ---- more lines than are read -------------------------------------------------------------- */

static void never_waits_for_who_reads_and_counts_what_was_lost(void **state)
{
  (void)state;
  enum { LINES = 40000 };
  static char filler[200];
  memset(filler, 'x', sizeof filler - 1);
  int64_t lost_before = nm_metric_get(NM_METRIC_LOG_LOST);
  assert_int_equal(nm_log_start(), NM_OK);
  for (int i = 1; i <= LINES; i++) nm_log(NM_LOG_INFO, "base", ids(i), "line %s", filler);
  nm_log(NM_LOG_ERROR, "base", NULL, "what matters");
  int64_t lost = nm_metric_get(NM_METRIC_LOG_LOST) - lost_before;
  assert_true(lost > 0);
  /* The rest may be more than the pipe holds, and who stops waits only so long for a reader. */
  int64_t lines = 0;
  while (lines < LINES - lost + 2 || told_lost() < lost) {
    size_t before = t.len;
    assert_true(read_some());
    for (size_t i = before; i < t.len; i++) lines += t.read[i] == '\n';
  }
  nm_log_stop();
  read_rest();
  assert_whole_lines();
  assert_int_equal(count("\"line x"), LINES - lost);
  assert_int_equal(count("\"what matters\""), 1); /* room is kept for it */
  assert_int_equal(told_lost(), lost);
}

static void log_from_a_thread(void *data)
{
  int number = *(int *)data;
  for (int i = 1; i <= LINES_EACH; i++) {
    struct nm_log_ids of = { .event = i, .run = number + 1 };
    nm_log(NM_LOG_INFO, "base", &of, "thread");
    if (i % 100 == 0) nm_log(NM_LOG_WARN, "base", NULL, "repeats itself");
    if (i % 500 == 0) nm_log_flush();
  }
}

static void writes_each_line_of_many_threads_once_and_in_order(void **state)
{
  (void)state;
  uv_thread_t threads[THREADS];
  int numbers[THREADS];
  assert_int_equal(nm_log_start(), NM_OK);
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i;
    assert_int_equal(uv_thread_create(&threads[i], log_from_a_thread, &numbers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    char last[64];
    snprintf(last, sizeof last, "\"event\":\"%d\",\"run\":\"%d\"", LINES_EACH, i + 1);
    read_until(last);
  }
  for (int i = 0; i < THREADS; i++) uv_thread_join(&threads[i]);
  nm_log_stop();
  read_rest();
  assert_whole_lines();
  long long next[THREADS] = { 1, 1, 1, 1 };
  static const char event_is[] = "\"event\":\"", run_is[] = "\",\"run\":\"";
  for (const char *at = t.read; (at = find(at, event_is));) {
    char *end;
    long long event = strtoll(at + sizeof event_is - 1, &end, 10);
    assert_memory_equal(end, run_is, sizeof run_is - 1);
    long long run = strtoll(end + sizeof run_is - 1, &end, 10);
    assert_in_range(run, 1, THREADS);
    assert_int_equal(event, next[run - 1]++);
    at = end;
  }
  for (int i = 0; i < THREADS; i++) assert_int_equal(next[i], LINES_EACH + 1);
}

/* ---- repetition ----------------------------------------------------------------------------- */

static void counts_what_one_place_repeats(void **state)
{
  (void)state;
  assert_int_equal(nm_log_start(), NM_OK);
  for (int i = 0; i < NM_LOG_REPEATED_LINES_MAX + 312; i++) {
    nm_log(NM_LOG_WARN, "store", NULL, "disk says %d", i);
    nm_log(NM_LOG_INFO, "store", ids(i + 1), "an event");
    nm_log(i % 2 ? NM_LOG_ERROR : NM_LOG_WARN, "api", NULL, "two levels");
  }
  nm_log(NM_LOG_WARN, "store", NULL, "another place");
  nm_log_stop();
  read_rest();
  assert_int_equal(count("\"disk says"), NM_LOG_REPEATED_LINES_MAX);
  assert_int_equal(count("\"level\":\"warn\",\"room\":\"store\","
                         "\"message\":\"repeated 312 times: disk says %d\""), 1);
  assert_int_equal(count("\"an event\""), NM_LOG_REPEATED_LINES_MAX + 312);
  assert_int_equal(count("\"level\":\"error\",\"room\":\"api\",\"message\":\"two levels\""),
                   NM_LOG_REPEATED_LINES_MAX);
  assert_int_equal(count("times: two levels"), 2);
  assert_int_equal(count("\"another place\""), 1);
}

static void say_it(int i)
{
  nm_log(NM_LOG_WARN, "base", NULL, "say %d", i);
}

static void tells_it_when_the_window_is_over_and_begins_anew(void **state)
{
  (void)state;
  assert_int_equal(nm_log_start(), NM_OK);
  for (int i = 0; i < NM_LOG_REPEATED_LINES_MAX + 5; i++) say_it(i);
  nm_log_set_repeat_window(0); /* as if so much time had passed */
  read_until("repeated");
  assert_int_equal(count("repeated 5 times: say %d"), 1);
  say_it(1000);
  nm_log_stop();
  nm_log_set_repeat_window(NM_LOG_REPEATED_WINDOW_MS);
  read_rest();
  assert_int_equal(count("\"say 1000\""), 1);
  assert_int_equal(count("repeated"), 1);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Runs it in a child with its own thread; how the child ended. */
static int in_child(void (*body)(void))
{
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    if (nm_log_start()) _exit(99);
    body();
    _exit(98);
  }
  close(STDERR_FILENO); /* the child's is the only writing end */
  read_until(NULL);
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void log_many(void)
{
  for (int i = 1; i <= 3000; i++) nm_log(NM_LOG_INFO, "base", ids(i), "many %0150d", i);
}

static void break_a_promise(void)
{
  log_many();
  nm_require(1 + 1 == 3);
}

static void abort_elsewhere(void)
{
  log_many();
  abort();
}

static void leave(void)
{
  log_many();
  exit(7); /* with what others registered */
}

static void leave_at_once(void)
{
  log_many();
  nm_log_flush();
  _exit(8);
}

static void writes_all_before_nm_require_aborts(void **state)
{
  (void)state;
  int status = in_child(break_a_promise);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_int_equal(count("\"many 0"), 3000);
  assert_int_equal(count("must not be: !(1 + 1 == 3)"), 1);
}

static void writes_all_before_an_abort_of_others(void **state)
{
  (void)state;
  int status = in_child(abort_elsewhere);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_int_equal(count("\"many 0"), 3000);

  /* And one more, whose time is told as that of the others. */
  static const char last_is[] = "\",\"level\":\"error\",\"room\":\"base\",\"message\":"
                                "\"the process ends by signal 6";
  const char *last = find(t.read, last_is), *time_is = "{\"time\":\"";
  time_t now = time(NULL);
  char stamp[32];
  assert_non_null(last);
  last -= strlen("2026-11-23T18:03:01.123Z");
  assert_memory_equal(last - strlen(time_is), time_is, strlen(time_is));
  assert_true(memcmp(last, t.read + strlen(time_is), 24) >= 0);
  assert_true(strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.999Z", gmtime(&now)) == 24);
  assert_true(memcmp(last, stamp, 24) <= 0);
}

static void writes_all_before_the_process_leaves(void **state)
{
  (void)state;
  int status = in_child(leave);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 7);
  assert_int_equal(count("\"many 0"), 3000);
}

static void writes_all_that_was_flushed_before_the_process_leaves_at_once(void **state)
{
  (void)state;
  int status = in_child(leave_at_once);
  assert_int_equal(WEXITSTATUS(status), 8);
  assert_int_equal(count("\"many 0"), 3000);
}

static void ends_although_nobody_reads(void **state)
{
  (void)state;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    if (nm_log_start()) _exit(99);
    for (int i = 1; i <= 10000; i++) nm_log(NM_LOG_INFO, "base", ids(i), "fills the pipe");
    nm_log_stop();
    nm_log(NM_LOG_INFO, "base", NULL, "is not waited for either");
    _exit(6);
  }
  int status = 0; /* nothing is read meanwhile */
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(WEXITSTATUS(status), 6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(writes_one_line_that_no_value_can_forge, begin, end),
    cmocka_unit_test(leaves_out_of_a_reason_what_may_be_a_persons),
    cmocka_unit_test_setup_teardown(cuts_a_long_line_between_two_characters, begin, end),
    cmocka_unit_test_setup_teardown(works_before_its_thread_with_it_and_after_it, begin, end),
    cmocka_unit_test_setup_teardown(gives_a_room_a_level_of_its_own, begin, end),
    cmocka_unit_test_setup_teardown(never_waits_for_who_reads_and_counts_what_was_lost, begin, end),
    cmocka_unit_test_setup_teardown(writes_each_line_of_many_threads_once_and_in_order, begin, end),
    cmocka_unit_test_setup_teardown(counts_what_one_place_repeats, begin, end),
    cmocka_unit_test_setup_teardown(tells_it_when_the_window_is_over_and_begins_anew, begin, end),
    cmocka_unit_test_setup_teardown(writes_all_before_nm_require_aborts, begin, end),
    cmocka_unit_test_setup_teardown(writes_all_before_an_abort_of_others, begin, end),
    cmocka_unit_test_setup_teardown(writes_all_before_the_process_leaves, begin, end),
    cmocka_unit_test_setup_teardown(writes_all_that_was_flushed_before_the_process_leaves_at_once,
                                    begin, end),
    cmocka_unit_test_setup_teardown(ends_although_nobody_reads, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
