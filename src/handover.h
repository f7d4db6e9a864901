/* handover.h - an upgrade without a refused connection: the program now on disk is started beside
 * this one, gets the sockets at once and the store as soon as this one has let go of it.
 *
 *   old                                   new
 *   starts it with the sockets  ------->  reads its settings, opens what needs no store
 *                               <-------  "prepared"
 *   finishes what is in flight,
 *   closes the store            ------->  "go" (or the old one's end)
 *   keeps the sockets                     opens the store, serves
 *                               <-------  "ready"
 *   ends
 *
 * The store has one owner at every moment.  Who calls meanwhile waits in the backlog of sockets
 * that somebody always holds.  A new one that fails before "go" is as if it had never been; one
 * that fails after it leaves the old process, which starts its own program again in its place
 * (nm_handover_return).
 */
#pragma once

#include <uv.h>

#include "doors.h"

struct nm_handover;

enum nm_handover_step {
  NM_HANDOVER_PREPARED = 0, /* let go of the store, then nm_handover_go() */
  NM_HANDOVER_READY = 1,    /* it serves */
  NM_HANDOVER_FAILED = 2,   /* its process has ended */
};

struct nm_handover_env {
  uv_loop_t *loop;
  const char *program;
  char **argv;
  const struct nm_doors *doors;
  void (*on_step)(void *data, enum nm_handover_step step, const char *why);
  void *data;
};

/* Starts the program.  Gives *out.  Loop thread. */
NM_MUST_CHECK int nm_handover_start(struct nm_handover **out, const struct nm_handover_env *env,
                                    struct nm_error *err);

int nm_handover_pid(const struct nm_handover *handover);

/* The store is closed: it is the new process's now. */
void nm_handover_go(struct nm_handover *handover);

/* Ends the new process (SIGTERM as a stop does, or SIGKILL); FAILED follows. */
void nm_handover_kill(struct nm_handover *handover, int signal);

/* Frees it as the loop goes on; the new process, if it lives, is let be. */
void nm_handover_close(struct nm_handover *handover);

/* Puts this very program, which may be gone from the disk, in this process's place, with the
 * sockets. `program` is where the next one will lie.  Returns only where the system refuses. */
void nm_handover_return(const struct nm_doors *doors, const char *program, char **argv,
                        struct nm_error *err);

/* ---- the new process's side ------------------------------------------------------------------ */

/* Says "prepared" and waits, without a loop, until the store is free.  NM_ETIMEOUT: it never was.
 */
NM_MUST_CHECK int nm_handover_await_go(int control, struct nm_error *err);

/* Says "ready" and takes the descriptor. */
void nm_handover_say_ready(int control);
