/* log_writer.c - two buffers and a thread: who logs fills one under a short lock, the thread takes
 * it away whole and writes it out without any lock. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_internal.h"
#include "base/metrics.h"

enum { COMPANY_MS = 5, TICK_MS = 1000, CRASH_WAIT_MS = 500, CRASH_STEP_MS = 10 };

enum state {
  DIRECT = 0, /* no thread: who logs writes */
  RUNNING = 1,
  STUCK = 2, /* the thread could not end, nobody reads stderr: nothing is written any more */
};

static struct {
  pthread_mutex_t lock;
  pthread_cond_t filled, written;
  pthread_t thread;
  enum state state;
  bool has_clock; /* the conditions were told of the monotonic clock */
  bool is_stopping, has_ended, is_ticking;
  bool is_urgent; /* a warning, or somebody waits: not a moment more */
  int front; /* the buffer that is being filled */
  size_t len;
  uint64_t lost;
  _Atomic uint64_t bytes_put, bytes_written;
  char buffers[2][NM_LOG_BUFFER_MAX_BYTES];
} w = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Until all is written or stderr is gone: there is nowhere left to say that. */
static void write_out(const char *bytes, size_t len)
{
  while (len > 0) {
    ssize_t n = write(STDERR_FILENO, bytes, len);
    if (n > 0) {
      bytes += n;
      len -= (size_t)n;
    } else if (n < 0 && errno == EAGAIN) {
      struct pollfd stderr_poll = { .fd = STDERR_FILENO, .events = POLLOUT };
      (void)poll(&stderr_poll, 1, -1);
    } else if (n == 0 || errno != EINTR) {
      return;
    }
  }
}

static struct timespec after_ms(int64_t ms)
{
  int64_t at_ns = nm_clock_mono_ns() + ms * 1000000;
  return (struct timespec){ .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void write_lost(uint64_t lost)
{
  struct nm_log_line line;
  char text[96];
  int n = snprintf(text, sizeof text, "%llu lines were lost: stderr is read too slowly",
                   (unsigned long long)lost);
  nm_log_line_begin(&line, NM_LOG_WARN, "base", NULL);
  nm_log_line_end(&line, (struct nm_text){ text, (size_t)n });
  write_out(line.bytes, line.len);
}

/* Waits for lines; with something counted, no longer than a tick.  The lock is held. */
static void wait_for_lines(void)
{
  struct timespec until = after_ms(TICK_MS);
  while (w.len == 0 && !w.is_stopping) {
    if (!w.is_ticking) {
      pthread_cond_wait(&w.filled, &w.lock);
      until = after_ms(TICK_MS);
    } else if (pthread_cond_timedwait(&w.filled, &w.lock, &until) == ETIMEDOUT) {
      return;
    }
  }
}

/* While lines come one after the other they are written every few milliseconds, not one by one; the
 * first after a silence goes at once.  The lock is held. */
static void wait_for_company(int64_t written_ms)
{
  int64_t left_ms = written_ms + COMPANY_MS - nm_clock_mono_ms();
  if (w.len == 0 || left_ms <= 0) return;
  struct timespec until = after_ms(left_ms < COMPANY_MS ? left_ms : COMPANY_MS);
  while (!w.is_urgent && !w.is_stopping && w.len < NM_LOG_BUFFER_MAX_BYTES / 2)
    if (pthread_cond_timedwait(&w.filled, &w.lock, &until) == ETIMEDOUT) return;
}

static void *run(void *data)
{
  (void)data;
  bool is_over = false;
  int64_t written_ms = 0;
  pthread_mutex_lock(&w.lock);
  while (!is_over) {
    wait_for_lines();
    wait_for_company(written_ms);
    const char *bytes = w.buffers[w.front];
    size_t len = w.len;
    uint64_t lost = w.lost;
    bool is_ticking = w.is_ticking;
    is_over = w.is_stopping;
    w.front = 1 - w.front;
    w.len = 0;
    w.lost = 0;
    w.is_ticking = false;
    w.is_urgent = false;
    pthread_mutex_unlock(&w.lock);

    write_out(bytes, len);
    written_ms = nm_clock_mono_ms();
    if (lost > 0) write_lost(lost);
    bool has_more = is_ticking && nm_log_tell_repeated(false);

    pthread_mutex_lock(&w.lock);
    w.is_ticking |= has_more;
    is_over = is_over && w.len == 0;
    atomic_fetch_add(&w.bytes_written, len);
    pthread_cond_broadcast(&w.written);
  }
  w.has_ended = true;
  pthread_cond_broadcast(&w.written);
  pthread_mutex_unlock(&w.lock);
  return NULL;
}

void nm_log_writer_put(enum nm_log_level level, const struct nm_log_line *line)
{
  /* A part is kept for what went wrong: talk alone cannot fill it all. */
  size_t max = NM_LOG_BUFFER_MAX_BYTES;
  if (level < NM_LOG_WARN) max -= NM_LOG_BUFFER_KEPT_BYTES;

  pthread_mutex_lock(&w.lock);
  bool is_direct = w.state == DIRECT;
  if (w.state == RUNNING && w.len + line->len <= max) {
    memcpy(w.buffers[w.front] + w.len, line->bytes, line->len);
    size_t before = w.len;
    w.len += line->len;
    bool is_half = w.len >= NM_LOG_BUFFER_MAX_BYTES / 2 && before < NM_LOG_BUFFER_MAX_BYTES / 2;
    bool is_news = level >= NM_LOG_WARN && !w.is_urgent;
    w.is_urgent |= level >= NM_LOG_WARN;
    if (before == 0 || is_half || is_news) pthread_cond_signal(&w.filled);
    atomic_fetch_add(&w.bytes_put, line->len);
  } else if (!is_direct) {
    w.lost++;
    nm_metric_add(NM_METRIC_LOG_LOST, 1);
  }
  pthread_mutex_unlock(&w.lock);
  if (is_direct) write_out(line->bytes, line->len);
}

void nm_log_writer_tick(void)
{
  pthread_mutex_lock(&w.lock);
  if (w.state == RUNNING && !w.is_ticking) {
    w.is_ticking = true;
    pthread_cond_signal(&w.filled);
  }
  pthread_mutex_unlock(&w.lock);
}

/* ---- crashes ------------------------------------------------------------------------------- */

/* Writes a number with so many digits; gives what comes behind it. */
static char *put_digits(char *at, int64_t number, int digits)
{
  for (int i = digits - 1; i >= 0; i--, number /= 10) at[i] = (char)('0' + number % 10);
  return at + digits;
}

static char *put_word(char *at, const char *word)
{
  while (*word != '\0') *at++ = *word++;
  return at;
}

/* "2026-11-23T18:03:01.123Z", without the C library. */
static char *put_now(char *at)
{
  struct timespec now = { 0 };
  (void)clock_gettime(CLOCK_REALTIME, &now);
  int64_t days = now.tv_sec / 86400 + 719468, second = now.tv_sec % 86400; /* March first */
  int64_t of_era = days % 146097, era = days / 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t month = (5 * day_of_year + 2) / 153; /* 0 = March */
  at = put_digits(at, era * 400 + year_of_era + (month >= 10), 4);
  at = put_digits(put_word(at, "-"), month < 10 ? month + 3 : month - 9, 2);
  at = put_digits(put_word(at, "-"), day_of_year - (153 * month + 2) / 5 + 1, 2);
  at = put_digits(put_word(at, "T"), second / 3600, 2);
  at = put_digits(put_word(at, ":"), second / 60 % 60, 2);
  at = put_digits(put_word(at, ":"), second % 60, 2);
  at = put_digits(put_word(at, "."), now.tv_nsec / 1000000, 3);
  return put_word(at, "Z");
}

/* The last line, where stderr takes it: an abort inside a library has said nothing. */
static void say_crash(int number)
{
  char line[192], *at = put_word(line, "{\"time\":\"");
  at = put_word(put_now(at), "\",\"level\":\"error\",\"room\":\"base\",\"message\":");
  at = put_word(at, "\"the process ends by signal ");
  at = put_digits(at, number, number < 10 ? 1 : 2);
  at = put_word(at, number == SIGABRT ? "; where no line says why, a library had no memory" : "");
  at = put_word(at, "\"}\n");
  struct pollfd stderr_poll = { .fd = STDERR_FILENO, .events = POLLOUT };
  if (poll(&stderr_poll, 1, CRASH_STEP_MS) == 1)
    (void)!write(STDERR_FILENO, line, (size_t)(at - line));
}

/* Gives the thread, which lives on meanwhile, a moment for the last lines; then as without us.
 * Only what is safe in a signal handler. */
static void on_crash(int number)
{
  for (int waited_ms = 0; waited_ms < CRASH_WAIT_MS; waited_ms += CRASH_STEP_MS) {
    if (atomic_load(&w.bytes_written) >= atomic_load(&w.bytes_put)) break;
    (void)poll(NULL, 0, CRASH_STEP_MS);
  }
  say_crash(number);
  (void)raise(number); /* the default, which ends the process and may leave a core, is back */
}

/* Where somebody else (a sanitizer) listens already, they have it. */
static void listen_to_crashes(void)
{
  static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction before, after = { .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    after.sa_handler = on_crash;
    sigemptyset(&after.sa_mask);
    if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
      (void)sigaction(numbers[i], &after, NULL);
  }
}

/* ---- life ---------------------------------------------------------------------------------- */

static void set_clock(void)
{
  static bool is_at_exit;
  pthread_condattr_t monotonic;
  if (!w.has_clock) {
    nm_require(pthread_condattr_init(&monotonic) == 0);
    nm_require(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    nm_require(pthread_cond_init(&w.filled, &monotonic) == 0);
    nm_require(pthread_cond_init(&w.written, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    w.has_clock = true;
  }
  if (!is_at_exit) is_at_exit = atexit(nm_log_stop) == 0;
}

int nm_log_start(void)
{
  sigset_t all, before;
  set_clock();
  listen_to_crashes();
  sigfillset(&all);
  pthread_mutex_lock(&w.lock);
  int rc = w.state == DIRECT ? NM_OK : NM_ECONFLICT;
  if (rc == NM_OK) {
    w.is_stopping = w.has_ended = false;
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for others */
    if (pthread_create(&w.thread, NULL, run, NULL)) rc = NM_EIO;
    else w.state = RUNNING;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_mutex_unlock(&w.lock);
  return rc;
}

void nm_log_flush(void)
{
  struct timespec until = after_ms(NM_LOG_FLUSH_MAX_MS);
  pthread_mutex_lock(&w.lock);
  uint64_t wanted = atomic_load(&w.bytes_put);
  int rc = 0;
  while (w.state == RUNNING && atomic_load(&w.bytes_written) < wanted && !rc)
    rc = pthread_cond_timedwait(&w.written, &w.lock, &until);
  pthread_mutex_unlock(&w.lock);
}

void nm_log_stop(void)
{
  (void)nm_log_tell_repeated(true);
  struct timespec until = after_ms(NM_LOG_FLUSH_MAX_MS);
  int rc = 0;
  pthread_mutex_lock(&w.lock);
  if (w.state == RUNNING && !w.is_stopping) {
    w.is_stopping = true;
    pthread_cond_signal(&w.filled);
    while (!w.has_ended && !rc) rc = pthread_cond_timedwait(&w.written, &w.lock, &until);
    w.state = w.has_ended ? DIRECT : STUCK;
    if (w.has_ended) pthread_join(w.thread, NULL); /* it is past its last lock */
    else pthread_detach(w.thread);
  }
  pthread_mutex_unlock(&w.lock);
}
