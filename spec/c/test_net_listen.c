/* links: net */
/* Addresses, socket files, and accepting when there is no room. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listen.h"
#include "check.h"

enum { STREAMS_MAX = 64 };

struct world {
  uv_loop_t loop;
  struct nm_listener *listener;
  struct nm_stream *streams[STREAMS_MAX];
  size_t stream_count, closed_count, full_count;
  char heard[64];
  int ended;
  bool is_closed;
};

static struct world world;

static void on_bytes(void *data, struct nm_text bytes)
{
  (void)data;
  snprintf(world.heard, sizeof world.heard, "%.*s", NM_TEXT_ARG(bytes));
}

static void on_end(void *data, int code)
{
  (void)data;
  world.ended = code == NM_OK ? 1 : 2;
}

static void on_written(void *data)
{
  (void)data;
}

static void on_closed(void *data)
{
  (void)data;
  world.closed_count++;
}

static const struct nm_stream_events EVENTS = { .on_bytes = on_bytes, .on_end = on_end,
                                             .on_written = on_written, .on_closed = on_closed };

static void on_stream(void *data, struct nm_stream *stream)
{
  (void)data;
  assert_in_range(world.stream_count, 0, STREAMS_MAX - 1);
  world.streams[world.stream_count++] = stream;
  nm_stream_attend(stream, &EVENTS, NULL);
  assert_int_equal(nm_stream_start(stream), NM_OK);
}

static void on_full(void *data)
{
  (void)data;
  world.full_count++;
}

static void on_listener_closed(void *data)
{
  (void)data;
  world.is_closed = true;
}

static const struct nm_listener_options OPTIONS = {
  .connections_max = STREAMS_MAX, .on_stream = on_stream, .on_full = on_full
};

static int try_open(struct nm_listener **out, const char *address, struct nm_error *err)
{
  return nm_listener_open(out, &world.loop, nm_text_from(address), &OPTIONS, err);
}

#define run_until(condition)                                                                       \
  do {                                                                                             \
    while (!(condition)) uv_run(&world.loop, UV_RUN_ONCE);                                         \
  } while (0)

static int set_up(void **state)
{
  (void)state;
  world = (struct world){ 0 };
  alarm(120);
  return uv_loop_init(&world.loop);
}

static void close_listener(struct nm_listener *listener)
{
  world.is_closed = false;
  nm_listener_close(listener, on_listener_closed, NULL);
  run_until(world.is_closed);
}

static int tear_down(void **state)
{
  (void)state;
  uv_run(&world.loop, UV_RUN_DEFAULT);
  int rc = uv_loop_close(&world.loop);
  alarm(0);
  return rc != 0 || nm_log_error_count() != 0;
}

/* Connects with a plain blocking socket: the system's backlog lets it through before any accept. */
static int connect_tcp(void)
{
  struct nm_text address = nm_listener_address(world.listener);
  struct sockaddr_in at = { .sin_family = AF_INET };
  at.sin_port = htons((uint16_t)strtol(strrchr(address.ptr, ':') + 1, NULL, 10));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  return fd;
}

static char folder[] = "/tmp/nm-net-XXXXXX";

static const char *in_folder(const char *prefix, const char *name)
{
  static char path[2][96];
  static int turn;
  char *out = path[turn ^= 1];
  snprintf(out, sizeof path[0], "%s%s/%s", prefix, folder, name);
  return out;
}

static int make_folder(void **state)
{
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
  (void)state;
  return rmdir(folder);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void says_what_is_wrong_with_an_address(void **state)
{
  static const char *const WRONG[] = { "",          "8443",         "127.0.0.1",   ":8443",
                                       "127.0.0.1:", "127.0.0.1:x", "1.2.3.4:-1",  "1.2.3.4:65536",
                                       "::1:8443",  "[::1]",        "[]:1",        "127.0.0.1:+1",
                                       "300.1.1.1:80" };
  struct nm_listener *listener = NULL;
  (void)state;
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    struct nm_error err = { 0 };
    if (try_open(&listener, WRONG[i], &err) != NM_EINVAL) fail_msg("took '%s'", WRONG[i]);
    assert_true(strlen(err.text) > 0);
    assert_true(strstr(err.text, WRONG[i]) != NULL);
    assert_null(listener);
  }
}

static void says_where_it_really_listens(void **state)
{
  struct nm_listener *listener;
  struct nm_error err;
  (void)state;
  assert_int_equal(try_open(&listener, "127.0.0.1:0", &err), NM_OK);
  struct nm_text address = nm_listener_address(listener);
  assert_true(nm_text_starts_with(address, NM_TEXT("127.0.0.1:")));
  assert_int_not_equal(strtol(address.ptr + 10, NULL, 10), 0);

  struct nm_listener *second = NULL;
  assert_int_equal(try_open(&second, address.ptr, &err), NM_ECONFLICT);
  assert_true(strstr(err.text, "another netmove") != NULL);
  close_listener(listener);

  if (try_open(&listener, "[::1]:0", &err) == NM_OK) { /* where the machine has IPv6 at all */
    assert_true(nm_text_starts_with(nm_listener_address(listener), NM_TEXT("[::1]:")));
    close_listener(listener);
  }
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

static void makes_a_socket_file_for_its_user_alone(void **state)
{
  struct nm_listener *listener;
  struct nm_error err;
  struct stat found;
  (void)state;
  mode_t before = umask(0);
  assert_int_equal(try_open(&listener, in_folder("unix:", "a.sock"), &err), NM_OK);
  umask(before);
  assert_int_equal(lstat(in_folder("", "a.sock"), &found), 0);
  assert_true(S_ISSOCK(found.st_mode));
  assert_int_equal(found.st_mode & 07777, 0600);
  close_listener(listener);
  assert_int_equal(lstat(in_folder("", "a.sock"), &found), -1);
}

/* Leaves a socket file on which nobody answers, as a killed process does. */
static void leave_stale(const char *path)
{
  struct sockaddr_un at = { .sun_family = AF_UNIX };
  snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
  close(fd);
}

static void replaces_a_stale_socket_file_but_nothing_else(void **state)
{
  struct nm_listener *listener, *second = NULL;
  struct nm_error err;
  (void)state;
  leave_stale(in_folder("", "a.sock"));
  assert_int_equal(try_open(&listener, in_folder("unix:", "a.sock"), &err), NM_OK);

  assert_int_equal(try_open(&second, in_folder("unix:", "a.sock"), &err), NM_ECONFLICT);
  assert_true(strstr(err.text, "somebody answers") != NULL);
  close_listener(listener);

  int fd = open(in_folder("", "file"), O_CREAT | O_WRONLY, 0600);
  close(fd);
  assert_int_equal(try_open(&second, in_folder("unix:", "file"), &err), NM_ECONFLICT);
  assert_true(strstr(err.text, "not a socket") != NULL);
  assert_int_equal(unlink(in_folder("", "file")), 0);

  assert_int_equal(try_open(&second, in_folder("unix:", "no/where"), &err), NM_EIO);
  char longer[200] = "unix:/";
  memset(longer + 6, 'a', sizeof longer - 7);
  assert_int_equal(try_open(&second, longer, &err), NM_EINVAL);
  assert_int_equal(try_open(&second, "unix:", &err), NM_EINVAL);
}

static void leaves_a_socket_file_that_is_not_its_own(void **state)
{
  struct nm_listener *listener;
  struct nm_error err;
  (void)state;
  assert_int_equal(try_open(&listener, in_folder("unix:", "a.sock"), &err), NM_OK);
  assert_int_equal(rename(in_folder("", "a.sock"), in_folder("", "old.sock")), 0);
  leave_stale(in_folder("", "a.sock"));
  close_listener(listener);
  assert_int_equal(unlink(in_folder("", "a.sock")), 0);
  assert_int_equal(unlink(in_folder("", "old.sock")), 0);
}

/* ---- sockets that are open already ----------------------------------------------------------- */

static const char *fd_address(int fd)
{
  static char address[32];
  snprintf(address, sizeof address, "fd:%d", fd);
  return address;
}

static void takes_a_socket_that_was_bound_before_and_its_waiting_callers(void **state)
{
  struct nm_error err = { 0 };
  struct sockaddr_in at = { 0 };
  socklen_t len = sizeof at;
  int bound = -1;
  (void)state;
  assert_int_equal(nm_listener_bind(&bound, NM_TEXT("127.0.0.1:0"), &err), NM_OK);
  assert_true(fcntl(bound, F_GETFD) & FD_CLOEXEC);
  int kept = fcntl(bound, F_DUPFD_CLOEXEC, 3);
  assert_int_equal(getsockname(bound, (struct sockaddr *)&at, &len), 0);
  int caller = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(caller, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(write(caller, "early", 5), 5);

  char expected[32];
  snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(at.sin_port));
  assert_int_equal(try_open(&world.listener, fd_address(bound), &err), NM_OK);
  assert_string_equal(nm_listener_address(world.listener).ptr, expected);
  run_until(strcmp(world.heard, "early") == 0);
  nm_stream_close(world.streams[0]);
  close_listener(world.listener);

  /* Who kept a descriptor keeps the door: callers are not refused, they wait. */
  int second = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(second, (struct sockaddr *)&at, sizeof at), 0);
  close(kept);
  close(second);
  close(caller);
}

static void leaves_the_file_of_a_taken_socket_to_who_bound_it(void **state)
{
  struct nm_error err = { 0 };
  struct stat found;
  int bound = -1;
  const char *address = in_folder("unix:", "taken.sock");
  (void)state;
  assert_int_equal(nm_listener_bind(&bound, nm_text_from(address), &err), NM_OK);
  assert_int_equal(try_open(&world.listener, fd_address(bound), &err), NM_OK);
  assert_string_equal(nm_listener_address(world.listener).ptr, address);
  close_listener(world.listener);
  assert_int_equal(lstat(address + strlen("unix:"), &found), 0);
  assert_int_equal(unlink(address + strlen("unix:")), 0);
}

static void refuses_what_is_no_stream_socket(void **state)
{
  struct nm_error err = { 0 };
  int pipes[2], datagrams = socket(AF_INET, SOCK_DGRAM, 0);
  (void)state;
  assert_int_equal(pipe(pipes), 0);
  static const char *const WRONG[] = { "fd:", "fd:x", "fd:-1", "fd:99999999999", "fd:1048575" };
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    if (try_open(&world.listener, WRONG[i], &err) != NM_EINVAL) fail_msg("took '%s'", WRONG[i]);
    assert_true(strstr(err.text, WRONG[i]) != NULL);
  }
  assert_int_equal(try_open(&world.listener, fd_address(pipes[0]), &err), NM_EINVAL);
  assert_int_equal(try_open(&world.listener, fd_address(datagrams), &err), NM_EINVAL);
  close(pipes[0]);
  close(pipes[1]);
  close(datagrams);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void carries_bytes_both_ways_and_tells_of_the_end(void **state)
{
  struct nm_error err;
  char in[16] = "";
  (void)state;
  assert_int_equal(try_open(&world.listener, "127.0.0.1:0", &err), NM_OK);
  int fd = connect_tcp();
  assert_int_equal(write(fd, "hello", 5), 5);
  run_until(world.heard[0]);
  assert_string_equal(world.heard, "hello");
  assert_string_equal(world.streams[0]->peer, "127.0.0.1");

  struct nm_text parts[] = { NM_TEXT("a"), NM_TEXT(""), NM_TEXT("bc") };
  assert_int_equal(nm_stream_write(world.streams[0], parts, 3), NM_OK);
  assert_int_equal(nm_stream_unsent(world.streams[0]), 0);
  nm_stream_end(world.streams[0]);
  assert_int_equal(read(fd, in, 3), 3);
  assert_string_equal(in, "abc");
  assert_int_equal(read(fd, in, 1), 0);

  assert_int_equal(shutdown(fd, SHUT_WR), 0);
  run_until(world.ended);
  assert_int_equal(world.ended, 1);
  nm_stream_close(world.streams[0]);
  nm_stream_close(world.streams[0]);
  run_until(world.closed_count == 1);
  close(fd);
  close_listener(world.listener);
}

static void ends_only_behind_what_was_queued(void **state)
{
  enum { LEN = 32 * 1024 * 1024 };
  struct nm_error err;
  char *big = calloc(1, LEN), *in = malloc(LEN);
  (void)state;
  assert_int_equal(try_open(&world.listener, "127.0.0.1:0", &err), NM_OK);
  int fd = connect_tcp();
  run_until(world.stream_count == 1);
  struct nm_text part = { big, LEN };
  assert_int_equal(nm_stream_write(world.streams[0], &part, 1), NM_OK);
  assert_in_range(nm_stream_unsent(world.streams[0]), 1, LEN);
  nm_stream_end(world.streams[0]);
  memset(big, 'x', LEN); /* what is queued is a copy */

  size_t got = 0;
  ssize_t len;
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  while ((len = read(fd, in, LEN)) != 0) {
    for (ssize_t i = 0; i < len; i++) assert_int_equal(in[i], 0);
    if (len > 0) got += (size_t)len;
    uv_run(&world.loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(got, LEN);
  nm_stream_close(world.streams[0]);
  close_listener(world.listener);
  assert_int_equal(world.closed_count, 1);
  close(fd);
  free(big);
  free(in);
}

/* ---- no room --------------------------------------------------------------------------------- */

static int iterations;

static void on_prepared(uv_prepare_t *prepare)
{
  (void)prepare;
  iterations++;
}

static void on_window_over(uv_timer_t *timer)
{
  *(bool *)timer->data = true;
}

/* Counts how often the loop turns in a moment: a few times, or as fast as it can. */
static int turns_in(uint64_t window_ms)
{
  uv_prepare_t prepare;
  uv_timer_t timer;
  bool is_over = false;
  iterations = 0;
  uv_prepare_init(&world.loop, &prepare);
  uv_prepare_start(&prepare, on_prepared);
  uv_timer_init(&world.loop, &timer);
  timer.data = &is_over;
  uv_timer_start(&timer, on_window_over, window_ms, 0);
  run_until(is_over);
  uv_close((uv_handle_t *)&prepare, NULL);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&world.loop, UV_RUN_NOWAIT);
  return iterations;
}

static void rests_when_there_is_no_file_descriptor_and_wakes_when_there_is(void **state)
{
  enum { FILL_MAX = 256 };
  struct nm_error err;
  struct rlimit before, low;
  int fill[FILL_MAX], fill_count = 0;
  (void)state;
  nm_log_set_level(NM_LOG_ERROR);
  assert_int_equal(try_open(&world.listener, "127.0.0.1:0", &err), NM_OK);
  int first = connect_tcp();
  run_until(world.stream_count == 1);
  int second = connect_tcp();

  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  low = before;
  low.rlim_cur = FILL_MAX;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  while (fill_count < FILL_MAX && (fill[fill_count] = dup(first)) >= 0) fill_count++;

  assert_in_range(turns_in(300), 1, 30);
  assert_int_equal(world.stream_count, 1);
  assert_true(world.full_count >= 1);

  nm_stream_close(world.streams[0]); /* gives one descriptor back */
  run_until(world.stream_count == 2);

  while (fill_count > 0) close(fill[--fill_count]);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  nm_stream_close(world.streams[1]);
  close(first);
  close(second);
  close_listener(world.listener);
  nm_log_set_level(NM_LOG_INFO);
}

static void accepts_no_more_than_it_may_until_one_is_closed(void **state)
{
  struct nm_listener_options options = OPTIONS;
  struct nm_error err;
  int fds[3];
  (void)state;
  options.connections_max = 2;
  assert_int_equal(nm_listener_open(&world.listener, &world.loop, NM_TEXT("127.0.0.1:0"), &options,
                                    &err), NM_OK);
  for (int i = 0; i < 3; i++) fds[i] = connect_tcp();
  assert_in_range(turns_in(100), 1, 30);
  assert_int_equal(world.stream_count, 2);
  nm_stream_close(world.streams[0]);
  run_until(world.stream_count == 3);
  for (int i = 1; i < 3; i++) nm_stream_close(world.streams[i]);
  close_listener(world.listener);
  assert_int_equal(world.closed_count, 3);
  for (int i = 0; i < 3; i++) close(fds[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(says_what_is_wrong_with_an_address, set_up, tear_down),
    cmocka_unit_test_setup_teardown(says_where_it_really_listens, set_up, tear_down),
    cmocka_unit_test_setup_teardown(makes_a_socket_file_for_its_user_alone, set_up, tear_down),
    cmocka_unit_test_setup_teardown(replaces_a_stale_socket_file_but_nothing_else, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(leaves_a_socket_file_that_is_not_its_own, set_up, tear_down),
    cmocka_unit_test_setup_teardown(takes_a_socket_that_was_bound_before_and_its_waiting_callers,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(leaves_the_file_of_a_taken_socket_to_who_bound_it, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(refuses_what_is_no_stream_socket, set_up, tear_down),
    cmocka_unit_test_setup_teardown(carries_bytes_both_ways_and_tells_of_the_end, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(ends_only_behind_what_was_queued, set_up, tear_down),
    cmocka_unit_test_setup_teardown(rests_when_there_is_no_file_descriptor_and_wakes_when_there_is,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(accepts_no_more_than_it_may_until_one_is_closed, set_up,
                                    tear_down),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
