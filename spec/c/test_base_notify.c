/* links: base */
/* What a supervisor hears: readiness, status, and "alive" only from who is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"
#include "check.h"

static char folder[] = "/tmp/nm-notify-XXXXXX";
static char path[64];
static int supervisor = -1;

static int listen_at(const char *name)
{
  struct sockaddr_un at = { .sun_family = AF_UNIX };
  size_t len = strlen(name);
  memcpy(at.sun_path, name, len);
  if (name[0] == '@') at.sun_path[0] = '\0';
  supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  return supervisor < 0 ? -1 : bind(supervisor, (struct sockaddr *)&at, address_len);
}

static int set_up(void **state)
{
  (void)state;
  alarm(120);
  snprintf(folder, sizeof folder, "/tmp/nm-notify-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/notify", folder);
  setenv("NOTIFY_SOCKET", path, 1);
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  return listen_at(path);
}

static int tear_down(void **state)
{
  (void)state;
  close(supervisor);
  unlink(path);
  return rmdir(folder);
}

/* The next datagram, or "" where there is none now. */
static const char *heard(void)
{
  static char bytes[2048];
  ssize_t len = recv(supervisor, bytes, sizeof bytes - 1, 0);
  bytes[len > 0 ? len : 0] = '\0';
  return bytes;
}

static void says_one_datagram_a_state(void **state)
{
  (void)state;
  assert_true(nm_notify("READY=1\nSTATUS=%s", "serving"));
  assert_string_equal(heard(), "READY=1\nSTATUS=serving");
  assert_string_equal(heard(), "");
}

static void cuts_a_state_that_is_too_long(void **state)
{
  char status[2 * NM_NOTIFY_MAX_BYTES];
  (void)state;
  memset(status, 'x', sizeof status);
  status[sizeof status - 1] = '\0';
  assert_true(nm_notify("STATUS=%s", status));
  assert_int_equal(strlen(heard()), NM_NOTIFY_MAX_BYTES - 1);
}

static void finds_a_socket_that_has_no_file(void **state)
{
  char name[64];
  (void)state;
  close(supervisor);
  snprintf(name, sizeof name, "@nm-notify-%d", (int)getpid());
  assert_int_equal(listen_at(name), 0);
  setenv("NOTIFY_SOCKET", name, 1);
  assert_true(nm_notify("STOPPING=1"));
  assert_string_equal(heard(), "STOPPING=1");
}

static void says_nothing_where_nobody_listens(void **state)
{
  static const char *const NAMES[] = { "", "relative", "/", "@", "/nowhere/at/all" };
  char long_name[200];
  (void)state;
  unsetenv("NOTIFY_SOCKET");
  assert_false(nm_notify("READY=1"));
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    setenv("NOTIFY_SOCKET", NAMES[i], 1);
    assert_false(nm_notify("READY=1"));
  }
  memset(long_name, '/', sizeof long_name);
  long_name[sizeof long_name - 1] = '\0';
  setenv("NOTIFY_SOCKET", long_name, 1);
  assert_false(nm_notify("READY=1"));
}

static void knows_whether_a_watchdog_waits_for_this_process(void **state)
{
  char pid[16];
  (void)state;
  assert_int_equal(nm_notify_watchdog_ms(), 0);
  setenv("WATCHDOG_USEC", "20000000", 1);
  assert_int_equal(nm_notify_watchdog_ms(), 20000);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  setenv("WATCHDOG_PID", pid, 1);
  assert_int_equal(nm_notify_watchdog_ms(), 20000);
  setenv("WATCHDOG_PID", "1", 1);
  assert_int_equal(nm_notify_watchdog_ms(), 0);
  unsetenv("WATCHDOG_PID");
  setenv("WATCHDOG_USEC", "soon", 1);
  assert_int_equal(nm_notify_watchdog_ms(), 0);
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

struct loops {
  uv_loop_t loop;
  struct nm_watchdog dog;
  struct nm_watchdog_party *quick, *stuck;
  int quick_asked, stuck_asked;
};

static void ask_quick(void *data)
{
  struct loops *loops = data;
  loops->quick_asked++;
  nm_watchdog_answer(loops->quick);
}

static void ask_stuck(void *data)
{
  ((struct loops *)data)->stuck_asked++;
}

static const char *next(struct loops *loops)
{
  const char *word = heard();
  while (!word[0]) {
    uv_run(&loops->loop, UV_RUN_ONCE);
    word = heard();
  }
  return word;
}

static void says_alive_while_all_answer_and_is_silent_when_one_does_not(void **state)
{
  struct loops loops = { .quick_asked = 0 };
  (void)state;
  uv_loop_init(&loops.loop);
  nm_watchdog_open(&loops.dog, &loops.loop);
  loops.quick = nm_watchdog_add(&loops.dog, ask_quick, &loops);
  nm_watchdog_start(&loops.dog, 1);
  for (int i = 0; i < 3; i++) assert_string_equal(next(&loops), "WATCHDOG=1");

  loops.stuck = nm_watchdog_add(&loops.dog, ask_stuck, &loops);
  nm_watchdog_answer(loops.stuck);
  while (loops.stuck_asked == 0) uv_run(&loops.loop, UV_RUN_ONCE);
  while (heard()[0]) { /* what was said before the question */
  }
  for (int i = 0; i < 20; i++) uv_run(&loops.loop, UV_RUN_ONCE);
  assert_string_equal(heard(), "");
  assert_int_equal(loops.stuck_asked, 1); /* and is not asked over and over */

  nm_watchdog_answer(loops.stuck); /* it has come to itself */
  assert_string_equal(next(&loops), "WATCHDOG=1");
  nm_watchdog_let_go(loops.stuck); /* it has ended: that is no reason to be silent */
  for (int i = 0; i < 3; i++) assert_string_equal(next(&loops), "WATCHDOG=1");
  nm_watchdog_close(&loops.dog);
  uv_run(&loops.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loops.loop), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(says_one_datagram_a_state, set_up, tear_down),
    cmocka_unit_test_setup_teardown(cuts_a_state_that_is_too_long, set_up, tear_down),
    cmocka_unit_test_setup_teardown(finds_a_socket_that_has_no_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown(says_nothing_where_nobody_listens, set_up, tear_down),
    cmocka_unit_test_setup_teardown(knows_whether_a_watchdog_waits_for_this_process, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(says_alive_while_all_answer_and_is_silent_when_one_does_not,
                                    set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
