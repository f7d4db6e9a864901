/* links: base */
/* What systemd hears of the real daemon: readiness, reloads, the watchdog, a hand-over, the end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "folder.h"

static const char SETTINGS[] =
    "return { public = { listen = \"127.0.0.1:0\" }, admin = { listen = false, socket = \"s\" },\n"
    "         store = \"sqlite:n.db\", rules = \"rules\", log = { level = \"error\" } }\n";

static char folder[64];
static int supervisor = -1;
static pid_t daemon_pid;

static int set_up(void **state)
{
  struct sockaddr_un at = { .sun_family = AF_UNIX };
  char path[96];
  (void)state;
  alarm(120);
  snprintf(folder, sizeof folder, "/tmp/nm-serve-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/netmove.lua", folder);
  FILE *file = fopen(path, "w");
  if (!file || fputs(SETTINGS, file) < 0 || fclose(file)) return -1;
  snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", folder);
  supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind(supervisor, (struct sockaddr *)&at, sizeof at)) return -1;
  setenv("NOTIFY_SOCKET", at.sun_path, 1);
  setenv("WATCHDOG_USEC", "200000", 1);
  unsetenv("WATCHDOG_PID");
  return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* the new process becomes ours to wait for */
}

static int tear_down(void **state)
{
  (void)state;
  if (daemon_pid > 0) kill(daemon_pid, SIGKILL);
  close(supervisor);
  return remove_folder(folder);
}

static void serve(void)
{
  const char *program = getenv("NETMOVE");
  if (!program) skip();
  daemon_pid = fork();
  assert_true(daemon_pid >= 0);
  if (daemon_pid > 0) return;
  if (chdir(folder) == 0) execl(program, program, "serve", "--config", "netmove.lua", (char *)NULL);
  _exit(127);
}

/* Reads until a message holds `word`; that message. */
static const char *hears(const char *word)
{
  static char bytes[1024];
  do {
    ssize_t len = recv(supervisor, bytes, sizeof bytes - 1, 0);
    assert_true(len > 0);
    bytes[len] = '\0';
  } while (!strstr(bytes, word));
  return bytes;
}

static void ends_well(pid_t pid)
{
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  daemon_pid = 0;
}

static void says_ready_alive_reloading_and_stopping(void **state)
{
  (void)state;
  serve();
  assert_non_null(strstr(hears("READY=1"), "STATUS=serving on 127.0.0.1:"));
  for (int i = 0; i < 3; i++) hears("WATCHDOG=1");
  assert_int_equal(kill(daemon_pid, SIGHUP), 0);
  assert_non_null(strstr(hears("RELOADING=1"), "MONOTONIC_USEC="));
  hears("READY=1");
  hears("WATCHDOG=1");
  assert_int_equal(kill(daemon_pid, SIGTERM), 0);
  hears("STOPPING=1");
  ends_well(daemon_pid);
}

static void names_the_process_that_took_over_and_that_is_watched_then(void **state)
{
  (void)state;
  serve();
  hears("READY=1");
  pid_t old = daemon_pid;
  assert_int_equal(kill(old, SIGUSR2), 0);
  hears("RELOADING=1");
  const char *said = hears("MAINPID=");
  assert_non_null(strstr(said, "READY=1"));
  daemon_pid = (pid_t)strtol(strstr(said, "MAINPID=") + strlen("MAINPID="), NULL, 10);
  assert_int_not_equal(daemon_pid, old);
  pid_t new = daemon_pid;
  ends_well(old);
  daemon_pid = new;
  for (int i = 0; i < 3; i++) hears("WATCHDOG=1");
  assert_int_equal(kill(new, SIGTERM), 0);
  hears("STOPPING=1");
  ends_well(new);
}

static void says_why_it_cannot_start(void **state)
{
  char path[96];
  int status = -1;
  (void)state;
  snprintf(path, sizeof path, "%s/netmove.lua", folder);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("return { user = \"nobody-of-this-name\" }", file);
  fclose(file);
  serve();
  assert_non_null(strstr(hears("STATUS="), "nobody-of-this-name"));
  assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
  assert_int_equal(WEXITSTATUS(status), 3);
  daemon_pid = 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(says_ready_alive_reloading_and_stopping, set_up, tear_down),
    cmocka_unit_test_setup_teardown(names_the_process_that_took_over_and_that_is_watched_then,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(says_why_it_cannot_start, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
