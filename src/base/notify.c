#include "base/notify.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum { SEND_MAX_S = 1 };

/* ---- telling --------------------------------------------------------------------------------- */

/* A path, or '@' and a name outside of the file system; the length that counts, or 0. */
static socklen_t read_address(struct sockaddr_un *at)
{
  const char *name = getenv("NOTIFY_SOCKET");
  if (!name || (name[0] != '/' && name[0] != '@')) return 0;
  size_t len = strlen(name);
  if (len < 2 || len >= sizeof at->sun_path) return 0;
  *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
  memcpy(at->sun_path, name, len);
  if (name[0] == '@') at->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

bool nm_notify(const char *format, ...)
{
  struct sockaddr_un at;
  char state[NM_NOTIFY_MAX_BYTES];
  va_list args;
  socklen_t address_len = read_address(&at);
  if (address_len == 0) return false;
  va_start(args, format);
  int len = vsnprintf(state, sizeof state, format, args);
  va_end(args);
  if (len <= 0) return false;
  if ((size_t)len >= sizeof state) len = (int)sizeof state - 1;

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  /* A supervisor that does not read must not hold a loop for long. */
  const struct timeval limit = { .tv_sec = SEND_MAX_S };
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ssize_t sent = sendto(fd, state, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&at, address_len);
  close(fd);
  return sent == len;
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

int64_t nm_notify_watchdog_ms(void)
{
  const char *usec = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
  int64_t number, pid;
  if (!usec || !nm_text_to_i64(nm_text_from(usec), &number) || number <= 0) return 0;
  if (whose && (!nm_text_to_i64(nm_text_from(whose), &pid) || pid != getpid())) return 0;
  return number >= 1000 ? number / 1000 : 1;
}

static void ask_all(struct nm_watchdog *dog)
{
  for (int i = 0; i < dog->count; i++) {
    struct nm_watchdog_party *party = &dog->parties[i];
    if (party->is_gone) continue;
    atomic_store(&party->has_answered, false);
    party->ask(party->data);
  }
}

static void on_interval(uv_timer_t *timer)
{
  struct nm_watchdog *dog = timer->data;
  for (int i = 0; i < dog->count; i++) {
    const struct nm_watchdog_party *party = &dog->parties[i];
    if (!party->is_gone && !atomic_load(&party->has_answered)) return; /* asked already */
  }
  nm_notify("WATCHDOG=1");
  ask_all(dog);
}

void nm_watchdog_open(struct nm_watchdog *dog, uv_loop_t *loop)
{
  *dog = (struct nm_watchdog){ .count = 0 };
  nm_require(uv_timer_init(loop, &dog->timer) == 0);
  dog->timer.data = dog;
}

struct nm_watchdog_party *nm_watchdog_add(struct nm_watchdog *dog, void (*ask)(void *data),
                                          void *data)
{
  nm_require(dog->count < NM_WATCHDOG_PARTIES_MAX);
  struct nm_watchdog_party *party = &dog->parties[dog->count++];
  party->ask = ask;
  party->data = data;
  atomic_store(&party->has_answered, false);
  return party;
}

void nm_watchdog_start(struct nm_watchdog *dog, int64_t interval_ms)
{
  uint64_t interval = interval_ms > 0 ? (uint64_t)interval_ms : 1;
  ask_all(dog);
  uv_timer_start(&dog->timer, on_interval, interval, interval);
}

void nm_watchdog_answer(struct nm_watchdog_party *party)
{
  atomic_store(&party->has_answered, true);
}

void nm_watchdog_let_go(struct nm_watchdog_party *party)
{
  if (party) party->is_gone = true;
}

void nm_watchdog_close(struct nm_watchdog *dog)
{
  uv_close((uv_handle_t *)&dog->timer, NULL);
}
