/* port.h - how one loop's thread is reached by the others: a mailbox that wakes a uv loop.
 *
 * A request is a struct that begins with a struct nm_task.  Who asks fills `home` and `done`; who
 * answers calls nm_task_return() and touches it no more; `done` then runs on the asker's loop.
 * The asker owns the request all the time and frees it in or after `done`.
 */
#pragma once

#include <uv.h>

#include "base/mailbox.h"

struct nm_port {
  uv_async_t async;
  struct nm_mailbox box;
  void (*on_task)(void *data, struct nm_mail *task);
  void *data;
  void (*on_closed)(void *data);
};

struct nm_task {
  struct nm_mail mail;                 /* first: the port's list */
  struct nm_port *home;                /* where the answer goes; NULL: nobody waits */
  void (*done)(struct nm_task *task);  /* runs on home's loop; who made the task frees it there */
};

/* Opens a port on the loop of the calling thread.  on_task gets each task posted to it, on that
 * thread; for a port that only takes answers give NULL: `done` of each is then called. */
NM_MUST_CHECK int nm_port_open(struct nm_port *port, uv_loop_t *loop, size_t max,
                               void (*on_task)(void *data, struct nm_mail *task), void *data);

/* Posts from any thread; NM_EFULL or NM_ECLOSED leave the task with the caller. */
NM_MUST_CHECK int nm_port_post(struct nm_port *port, struct nm_task *task);

/* Gives an answered task back to who asked (or, without a home, calls `done` here, if there is
 * one).  Never fails; a home whose port is closed loses its answers. */
void nm_task_return(struct nm_task *task);

/* On the port's own thread.  Tasks still in the box are dropped. */
void nm_port_close(struct nm_port *port, void (*on_closed)(void *data));

/* After the loop has run the close to its end: frees what the mailbox holds. */
void nm_port_deinit(struct nm_port *port);
