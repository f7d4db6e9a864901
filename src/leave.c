/* leave.c - the end of this process: for good, or because a newer one takes over (handover.h). */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon.h"
#include "process.h"

/* ---- closing, from the doors to the store ---------------------------------------------------- */

static void close_everything(struct nm_daemon *daemon)
{
  for (size_t i = 0; i < sizeof daemon->signals / sizeof *daemon->signals; i++)
    uv_close((uv_handle_t *)&daemon->signals[i], NULL);
  uv_close((uv_handle_t *)&daemon->deadline, NULL);
  uv_close((uv_handle_t *)&daemon->front_limit, NULL);
  nm_watchdog_close(&daemon->watchdog);
  if (daemon->handover) nm_handover_close(daemon->handover);
  nm_port_close(&daemon->control, NULL);
  nm_port_close(&daemon->home, NULL);
}

_Noreturn void nm_daemon_end_now(int code)
{
  nm_log_flush();
  _exit(code);
}

/* The process after us could not serve: we do again, as if started anew, and with the sockets. */
static void return_to_serving(struct nm_daemon *daemon)
{
  struct nm_error error = { 0 };
  nm_log(NM_LOG_WARN, "main", NULL, "starting this version again");
  nm_notify("STATUS=the new version failed; starting this one again");
  nm_log_stop();
  nm_handover_return(&daemon->doors, nm_process_program(), daemon->argv, &error);
  nm_log(NM_LOG_ERROR, "main", NULL, "%s", error.text);
  nm_daemon_end_now(NM_CLI_COULD_NOT);
}

/* Nothing of ours is open any more but the sockets. */
static void on_all_closed(struct nm_daemon *daemon)
{
  daemon->is_store_closed = true;
  uv_timer_stop(&daemon->deadline);
  if (daemon->is_handing_over && daemon->handover) {
    nm_log(NM_LOG_INFO, "main", NULL, "process %d takes the store",
           nm_handover_pid(daemon->handover));
    nm_handover_go(daemon->handover);
    return;
  }
  if (daemon->is_return_wanted && !daemon->is_end_wanted) return_to_serving(daemon);
  close_everything(daemon);
}

static void close_store(struct nm_daemon *daemon)
{
  struct nm_front *front = &daemon->front;
  nm_store_close(daemon->store);
  nm_engine_join(daemon->engine); /* now nobody can return a task to it any more */
  uv_timer_stop(&daemon->front_limit);
  if (!front->is_given_up) nm_front_order(front, NM_FRONT_CLOSE);
  uv_thread_join(&front->thread);
  on_all_closed(daemon);
}

static void on_front_quiet(struct nm_task *task);

static void on_front_limit(uv_timer_t *timer)
{
  struct nm_daemon *daemon = timer->data;
  if (daemon->is_front_quiet) return;
  nm_log(NM_LOG_WARN, "main", NULL, "callers who are still busy are cut off");
  nm_front_order(&daemon->front, NM_FRONT_GIVE_UP);
}

static void shut_front(struct nm_daemon *daemon)
{
  if (daemon->is_front_shut) return;
  daemon->is_front_shut = true;
  daemon->front.quiet = (struct nm_task){ .home = &daemon->home, .done = on_front_quiet };
  nm_watchdog_let_go(daemon->front_party);
  nm_front_order(&daemon->front, NM_FRONT_SHUT);
  uv_timer_start(&daemon->front_limit, on_front_limit, (uint64_t)daemon->settings->stop_max_ms / 3,
                 0);
}

/* The store goes last, with all that they wrote. */
static void go_on_closing(struct nm_daemon *daemon)
{
  if (!daemon->is_engine_gone) return;
  shut_front(daemon);
  if (daemon->is_front_quiet) close_store(daemon);
}

static void on_front_quiet(struct nm_task *task)
{
  struct nm_daemon *daemon = task->home->data;
  daemon->is_front_quiet = true;
  go_on_closing(daemon);
}

static void on_engine_stopped(struct nm_task *task)
{
  struct nm_daemon *daemon = task->home->data;
  daemon->is_engine_gone = true;
  go_on_closing(daemon);
}

static void on_keeper_closed(void *data)
{
  struct nm_daemon *daemon = data;
  daemon->keeper = NULL;
  nm_daemon_let_wake(daemon, NULL);
  nm_watchdog_let_go(daemon->engine_party);
  daemon->stop = (struct nm_control){ .task = { .home = &daemon->home, .done = on_engine_stopped },
                                      .verb = NM_CONTROL_STOP };
  int rc = nm_port_post(nm_engine_port(daemon->engine), &daemon->stop.task);
  nm_require(rc == NM_OK);
}

static void on_deadline(uv_timer_t *timer)
{
  struct nm_daemon *daemon = timer->data;
  /* What is in flight counts as a crash would count it: its outcome is unknown, nothing is lost.  A
   * process after us hears our end and takes the store. */
  nm_log(NM_LOG_WARN, "main", NULL, "stopped after %d s with work in flight",
         (int)(uv_now(&daemon->loop) - daemon->stop_began_ms) / 1000);
  if (daemon->is_handing_over && daemon->handover)
    nm_notify("MAINPID=%d", nm_handover_pid(daemon->handover));
  nm_daemon_end_now(0);
}

/* Rules and engine: nothing new is begun, what is in flight is finished.  Callers are still served.
 */
static void begin_drain(struct nm_daemon *daemon, uint64_t max_ms)
{
  daemon->is_stopping = true;
  daemon->stop_began_ms = uv_now(&daemon->loop);
  uv_timer_start(&daemon->deadline, on_deadline, max_ms, 0);
  nm_rules_keeper_close(daemon->keeper, on_keeper_closed, daemon);
}

/* ---- handing over ---------------------------------------------------------------------------- */

static void on_handed_over(struct nm_daemon *daemon)
{
  int pid = nm_handover_pid(daemon->handover);
  nm_notify("MAINPID=%d\nREADY=1\nSTATUS=serving, in the place of process %d", pid, (int)getpid());
  nm_log(NM_LOG_INFO, "main", NULL, "handed over to process %d", pid);
  close_everything(daemon);
}

static void on_handover_failed(struct nm_daemon *daemon, const char *why)
{
  bool was_under_way = daemon->is_handing_over;
  nm_handover_close(daemon->handover);
  daemon->handover = NULL;
  daemon->is_handing_over = false;
  if (daemon->is_end_wanted) {
    if (daemon->is_store_closed) on_all_closed(daemon);
    return;
  }
  nm_log(NM_LOG_ERROR, "main", NULL, "the new version does not take over: %s", why);
  if (!was_under_way) {
    nm_daemon_say_serving(daemon);
    return;
  }
  daemon->is_return_wanted = true;
  if (daemon->is_store_closed) on_all_closed(daemon);
}

static void on_handover(void *data, enum nm_handover_step step, const char *why)
{
  struct nm_daemon *daemon = data;
  switch (step) {
  case NM_HANDOVER_PREPARED:
    nm_log(NM_LOG_INFO, "main", NULL, "process %d is prepared; finishing what is in flight",
           nm_handover_pid(daemon->handover));
    daemon->is_handing_over = true;
    begin_drain(daemon, (uint64_t)daemon->settings->stop_max_ms * 4 / 3);
    break;
  case NM_HANDOVER_READY: on_handed_over(daemon); break;
  case NM_HANDOVER_FAILED: on_handover_failed(daemon, why); break;
  }
}

void nm_daemon_hand_over(struct nm_daemon *daemon)
{
  struct nm_error error = { 0 };
  const struct nm_handover_env env = { .loop = &daemon->loop,
                                       .program = nm_process_program(),
                                       .argv = daemon->argv,
                                       .doors = &daemon->doors,
                                       .on_step = on_handover,
                                       .data = daemon };
  if (!daemon->is_ready || daemon->is_stopping || daemon->handover || !env.program) {
    nm_log(NM_LOG_WARN, "main", NULL, "SIGUSR2 does nothing now: %s",
           !env.program       ? "the system does not tell where the program lies"
           : daemon->is_ready ? "it is under way"
                              : "not ready yet");
    return;
  }
  nm_daemon_say_busy("starting the new version");
  nm_log(NM_LOG_INFO, "main", NULL, "starting %s to hand over to it", env.program);
  if (!nm_handover_start(&daemon->handover, &env, &error)) return;
  nm_log(NM_LOG_ERROR, "main", NULL, "the new version does not take over: %s", error.text);
  nm_daemon_say_serving(daemon);
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* While the store changes hands it is the new process that has to stop; else the two ends are
 * closed at the same time. */
void nm_daemon_stop(struct nm_daemon *daemon)
{
  if (daemon->is_end_wanted) return;
  daemon->is_end_wanted = true;
  nm_log(NM_LOG_INFO, "main", NULL, "stopping");
  nm_notify("STOPPING=1\nSTATUS=finishing what is in flight");
  nm_doors_close(&daemon->doors);
  if (daemon->handover)
    nm_handover_kill(daemon->handover, daemon->is_store_closed ? SIGTERM : SIGKILL);
  if (daemon->is_store_closed) return;
  if (!daemon->is_stopping) begin_drain(daemon, (uint64_t)daemon->settings->stop_max_ms);
  shut_front(daemon);
}
