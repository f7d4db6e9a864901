#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "process.h"

enum {
  CONTROL_FD = 3, /* in the new process; the doors come behind it */
  VARIABLE_MAX_BYTES = 256,
  HEARD_MAX_BYTES = 32,
  GO_MAX_MS = 2 * 3600 * 1000, /* longer than the longest stop_max */
  LOOK_MS = 10,
};

static const char PREPARED[] = "prepared\n", GO[] = "go\n", READY[] = "ready\n";

/* ---- this side: starting --------------------------------------------------------------------- */

struct nm_handover {
  struct nm_handover_env env;
  uv_process_t process;
  uv_pipe_t control;
  uv_timer_t limit;
  int handles; /* not yet closed */
  bool is_running, has_gone, is_ready, is_closing;
  char heard[HEARD_MAX_BYTES];
  size_t heard_len;
  char why[128];
};

static char *copy_text(const char *text)
{
  char *copy = strdup(text);
  nm_require(copy != NULL);
  return copy;
}

/* Our own environment, but for what was handed to us, and with what we hand on. */
static char **make_environment(const struct nm_doors *doors, const int fds[NM_DOORS_COUNT],
                               int control)
{
  extern char **environ;
  size_t count = 0, at = 0;
  char variable[VARIABLE_MAX_BYTES];
  while (environ[count]) count++;
  char **out = calloc(count + NM_DOORS_COUNT + 2, sizeof *out);
  nm_require(out != NULL);
  for (size_t i = 0; i < count; i++) {
    /* The watchdog waits for a process; the next one is told that it is it by MAINPID alone. */
    bool is_pid = strncmp(environ[i], "WATCHDOG_PID=", strlen("WATCHDOG_PID=")) == 0;
    if (!nm_doors_is_ours(environ[i]) && (!is_pid || control < 0))
      out[at++] = copy_text(environ[i]);
  }
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) {
    if (fds[kind] < 0) continue;
    nm_doors_write(doors, (enum nm_door_kind)kind, fds[kind], variable, sizeof variable);
    out[at++] = copy_text(variable);
  }
  if (control >= 0) {
    snprintf(variable, sizeof variable, "NETMOVE_CONTROL=%d", control);
    out[at] = copy_text(variable);
  }
  return out;
}

static void free_environment(char **environment)
{
  for (size_t i = 0; environment[i]; i++) free(environment[i]);
  free(environment);
}

static void tell(struct nm_handover *self, enum nm_handover_step step, const char *why)
{
  if (!self->is_closing) self->env.on_step(self->env.data, step, why);
}

static void on_process_exit(uv_process_t *process, int64_t code, int signal)
{
  struct nm_handover *self = process->data;
  char why[192];
  self->is_running = false;
  if (self->why[0])
    snprintf(why, sizeof why, "%s", self->why);
  else if (signal)
    snprintf(why, sizeof why, "it was ended by signal %d", signal);
  else
    snprintf(why, sizeof why, "it ended with code %lld before it was ready", (long long)code);
  if (!self->is_ready) tell(self, NM_HANDOVER_FAILED, why);
}

static void on_limit(uv_timer_t *timer)
{
  struct nm_handover *self = timer->data;
  snprintf(self->why, sizeof self->why,
           self->has_gone ? "it took the store and did not come to serve"
                          : "it did not say that it is prepared");
  nm_handover_kill(self, SIGKILL);
}

static bool has_heard(const struct nm_handover *self, const char *line)
{
  return self->heard_len == strlen(line) && memcmp(self->heard, line, self->heard_len) == 0;
}

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct nm_handover *self = handle->data;
  (void)suggested;
  *buf = uv_buf_init(self->heard + self->heard_len, (unsigned)(HEARD_MAX_BYTES - self->heard_len));
}

static void on_control(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
  struct nm_handover *self = stream->data;
  (void)buf;
  if (len < 0) { /* its end is what counts, and comes by itself */
    uv_read_stop(stream);
    return;
  }
  self->heard_len += (size_t)len;
  if (!self->has_gone && has_heard(self, PREPARED)) {
    self->heard_len = 0;
    uv_timer_stop(&self->limit);
    tell(self, NM_HANDOVER_PREPARED, "");
  } else if (self->has_gone && has_heard(self, READY)) {
    self->is_ready = true;
    uv_timer_stop(&self->limit);
    tell(self, NM_HANDOVER_READY, "");
  } else if (self->heard_len == HEARD_MAX_BYTES) {
    snprintf(self->why, sizeof self->why, "it said what makes no sense");
    nm_handover_kill(self, SIGKILL);
  }
}

/* Some libraries open descriptors that would go along: curl's do. */
static void keep_descriptors_here(void)
{
  if (close_range(CONTROL_FD, ~0U, CLOSE_RANGE_CLOEXEC))
    nm_log(NM_LOG_WARN, "main", NULL, "descriptors of libraries go along: %s", strerror(errno));
}

static int spawn(struct nm_handover *self, int theirs)
{
  const struct nm_doors *doors = self->env.doors;
  uv_stdio_container_t stdio[CONTROL_FD + 1 + NM_DOORS_COUNT];
  int fds[NM_DOORS_COUNT], count = CONTROL_FD + 1;
  for (int fd = 0; fd < CONTROL_FD; fd++)
    stdio[fd] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = fd };
  stdio[CONTROL_FD] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = theirs };
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) {
    fds[kind] = doors->at[kind].fd >= 0 ? count : -1;
    if (fds[kind] < 0) continue;
    stdio[count++] =
        (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = doors->at[kind].fd };
  }
  char **environment = make_environment(doors, fds, CONTROL_FD);
  keep_descriptors_here();
  const uv_process_options_t options = { .file = self->env.program,
                                         .args = self->env.argv,
                                         .env = environment,
                                         .stdio = stdio,
                                         .stdio_count = count,
                                         .exit_cb = on_process_exit };
  int rc = uv_spawn(self->env.loop, &self->process, &options);
  free_environment(environment);
  return rc;
}

int nm_handover_start(struct nm_handover **out, const struct nm_handover_env *env,
                      struct nm_error *err)
{
  int pair[2];
  struct nm_handover *self = calloc(1, sizeof *self);
  if (!self) return nm_fail(err, NM_ENOMEM, "no memory to hand over");
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
    free(self);
    return nm_fail(err, NM_EIO, "no line to a new process: %s", strerror(errno));
  }
  self->env = *env;
  self->process.data = self->control.data = self->limit.data = self;
  self->handles = 3;
  nm_require(uv_pipe_init(env->loop, &self->control, 0) == 0);
  nm_require(uv_timer_init(env->loop, &self->limit) == 0);
  nm_require(uv_pipe_open(&self->control, pair[0]) == 0);
  int rc = spawn(self, pair[1]);
  close(pair[1]);
  if (rc) { /* libuv has made a handle of it all the same */
    nm_handover_close(self);
    return nm_fail(err, NM_EIO, "%s cannot be started: %s", env->program, uv_strerror(rc));
  }
  self->is_running = true;
  uv_read_start((uv_stream_t *)&self->control, on_buffer_wanted, on_control);
  uv_timer_start(&self->limit, on_limit, NM_HANDOVER_PREPARE_MAX_MS, 0);
  *out = self;
  return NM_OK;
}

int nm_handover_pid(const struct nm_handover *handover)
{
  return (int)handover->process.pid;
}

void nm_handover_go(struct nm_handover *handover)
{
  uv_buf_t word = uv_buf_init((char *)GO, (unsigned)strlen(GO));
  handover->has_gone = true;
  uv_timer_start(&handover->limit, on_limit, NM_HANDOVER_READY_MAX_MS, 0);
  /* Where it cannot be said the process has ended: that is heard of, or the limit passes. */
  (void)uv_try_write((uv_stream_t *)&handover->control, &word, 1);
}

void nm_handover_kill(struct nm_handover *handover, int signal)
{
  if (handover->is_running) uv_process_kill(&handover->process, signal);
}

static void on_handle_closed(uv_handle_t *handle)
{
  struct nm_handover *self = handle->data;
  if (--self->handles == 0) free(self);
}

void nm_handover_close(struct nm_handover *handover)
{
  if (handover->is_closing) return;
  handover->is_closing = true;
  uv_close((uv_handle_t *)&handover->process, on_handle_closed);
  uv_close((uv_handle_t *)&handover->control, on_handle_closed);
  uv_close((uv_handle_t *)&handover->limit, on_handle_closed);
}

void nm_handover_return(const struct nm_doors *doors, const char *program, char **argv,
                        struct nm_error *err)
{
  int fds[NM_DOORS_COUNT];
  setenv(NM_PROCESS_PROGRAM, program, 1);
  keep_descriptors_here();
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) {
    fds[kind] = doors->at[kind].fd;
    if (fds[kind] >= 0) fcntl(fds[kind], F_SETFD, 0);
  }
  execve("/proc/self/exe", argv, make_environment(doors, fds, -1));
  nm_fail(err, NM_EIO, "this program cannot be started again: %s", strerror(errno));
}

/* ---- the new process's side ------------------------------------------------------------------ */

/* What a process held is free before its children are given to another parent. */
static int await_end(pid_t parent, struct nm_error *err)
{
  int64_t until = nm_clock_mono_ms() + NM_HANDOVER_PREPARE_MAX_MS;
  while (getppid() == parent) {
    if (nm_clock_mono_ms() > until)
      return nm_fail(err, NM_ETIMEOUT, "process %d hung up and lives on; it keeps the store",
                     (int)parent);
    poll(NULL, 0, LOOK_MS);
  }
  return NM_OK;
}

int nm_handover_await_go(int control, struct nm_error *err)
{
  pid_t parent = getppid();
  char heard[HEARD_MAX_BYTES];
  size_t len = 0;
  if (write(control, PREPARED, strlen(PREPARED)) < 0) return await_end(parent, err);
  for (;;) {
    struct pollfd line = { .fd = control, .events = POLLIN };
    int rc = poll(&line, 1, GO_MAX_MS);
    if (rc < 0 && errno == EINTR) continue;
    if (rc <= 0)
      return nm_fail(err, NM_ETIMEOUT, "the process before this one never let go of the store");
    ssize_t got = read(control, heard + len, sizeof heard - len);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return await_end(parent, err);
    len += (size_t)got;
    if (len >= strlen(GO)) break;
  }
  if (len == strlen(GO) && memcmp(heard, GO, len) == 0) return NM_OK;
  return nm_fail(err, NM_EINVAL, "the process before this one said what makes no sense");
}

void nm_handover_say_ready(int control)
{
  if (write(control, READY, strlen(READY)) < 0)
    nm_log(NM_LOG_WARN, "main", NULL, "the process before this one has not waited: %s",
           strerror(errno));
  close(control);
}
