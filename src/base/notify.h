/* notify.h - tells the supervisor how we are (sd_notify's protocol: a datagram to $NOTIFY_SOCKET),
 * and the watchdog that says "alive" only while every loop answers.
 */
#pragma once

#include <uv.h>

#include "base/error.h"

enum { NM_WATCHDOG_PARTIES_MAX = 4, NM_NOTIFY_MAX_BYTES = 512 };

/* Sends "READY=1\nSTATUS=..." and the like.  False where nobody supervises us or it cannot be sent:
 * then there is nothing to do about it.  Any thread. */
NM_PRINTF(1, 2)
bool nm_notify(const char *format, ...);

/* In how many milliseconds the supervisor wants to hear WATCHDOG=1 (WATCHDOG_USEC, where
 * WATCHDOG_PID is this process or is not said); 0: not at all. */
int64_t nm_notify_watchdog_ms(void);

/* One of those who must answer. */
struct nm_watchdog_party {
  void (*ask)(void *data); /* on the watchdog's loop: have nm_watchdog_answer() called on its own */
  void *data;
  _Atomic bool has_answered;
  bool is_gone;
};

struct nm_watchdog {
  uv_timer_t timer;
  struct nm_watchdog_party parties[NM_WATCHDOG_PARTIES_MAX];
  int count;
};

/* Asks every party each interval; says WATCHDOG=1 when all have answered since they were asked. */
void nm_watchdog_open(struct nm_watchdog *dog, uv_loop_t *loop);
struct nm_watchdog_party *nm_watchdog_add(struct nm_watchdog *dog, void (*ask)(void *data),
                                          void *data);
void nm_watchdog_start(struct nm_watchdog *dog, int64_t interval_ms);

/* Any thread. */
void nm_watchdog_answer(struct nm_watchdog_party *party);

/* It has ended as it should, and is not asked any more.  NULL does nothing. */
void nm_watchdog_let_go(struct nm_watchdog_party *party);

/* The loop then closes the timer. */
void nm_watchdog_close(struct nm_watchdog *dog);
