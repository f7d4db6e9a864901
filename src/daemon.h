/* daemon.h - what the main thread keeps of the daemon; between main.c, reload.c and leave.c. */
#pragma once

#include "base/log.h"
#include "base/notify.h"
#include "engine/engine.h"
#include "front.h"
#include "handover.h"
#include "rules/keeper.h"

enum { NM_DAEMON_URL_MAX_BYTES = 512 };

struct nm_front_question {
  struct nm_task task; /* first */
  struct nm_watchdog_party *party;
};

struct nm_daemon {
  const struct nm_settings *settings;
  uv_loop_t loop;
  struct nm_port home;    /* the store's answers to this thread */
  struct nm_port control; /* what operators ask */
  struct nm_keyring *keyring;
  struct nm_store *store;
  struct nm_tenants *tenants;
  struct nm_rules_keeper *keeper;
  struct nm_engine *engine;
  uv_mutex_t wake_lock;
  struct nm_engine *wakeable; /* by the store's threads, under the lock; may be NULL */
  struct nm_front front;
  struct nm_doors doors;
  int control_fd; /* the line to the process before us, until we serve; -1 */
  char **argv;
  uv_signal_t signals[4];
  uv_timer_t deadline, front_limit;
  struct nm_control rules_are_in, stop;
  char public_url[NM_DAEMON_URL_MAX_BYTES];
  enum nm_log_level log_level; /* of the settings */
  bool is_started, is_ready;
  bool is_stopping; /* also to hand over */
  uint64_t stop_began_ms;
  bool is_front_shut, is_front_quiet, is_engine_gone;

  struct nm_handover *handover; /* to the process after us */
  bool is_handing_over;         /* it is prepared: we let go of the store */
  bool is_return_wanted;        /* it has failed since: we start again */
  bool is_end_wanted;           /* SIGTERM came meanwhile */
  bool is_store_closed;

  struct nm_watchdog watchdog;
  struct nm_watchdog_party *front_party, *engine_party;
  struct nm_front_question front_question;
  struct nm_control engine_question;
};

/* ---- main.c ---------------------------------------------------------------------------------- */

/* Whom the store's threads wake when there is work; NULL: nobody. */
void nm_daemon_let_wake(struct nm_daemon *daemon, struct nm_engine *engine);

/* ---- reload.c: rules and settings while we run ----------------------------------------------- */

/* A command's question; it is answered. */
void nm_daemon_reload(struct nm_daemon *daemon, struct nm_control *control);

/* The same without a question: the log has the answer. */
void nm_daemon_reload_by_signal(struct nm_daemon *daemon);

/* For the supervisor. */
void nm_daemon_say_serving(const struct nm_daemon *daemon);
void nm_daemon_say_busy(const char *status);

/* ---- leave.c: stopping, and handing over ----------------------------------------------------- */

void nm_daemon_stop(struct nm_daemon *daemon);
void nm_daemon_hand_over(struct nm_daemon *daemon);

/* Writes what the log still holds, and ends the process here. */
_Noreturn void nm_daemon_end_now(int code);
