/* internal.h - the engine's own tools: jobs that share the loop, alarms, requests to the store.
 *
 * Engine thread only, but for engine->bits.  Small memory of the engine's own bookkeeping is
 * required (nm_require): without it the daemon ends, and the journal has everything.
 */
#pragma once

#include <stdatomic.h>
#include <uv.h>

#include "adapters/adapter.h"
#include "base/limits.h"
#include "client/client.h"
#include "engine/breaker.h"
#include "engine/engine.h"
#include "model/control.h"
#include "optimove/optimove.h"

struct nm_book;

/* ---- jobs: a piece of work a turn of the loop ------------------------------------------------ */

/* run() works for NM_ENGINE_TURN_MAX_MS at most and asks for another turn if something is left.
 * Jobs take turns, so nobody's work keeps the loop from anybody else's. */
struct nm_job {
  struct nm_job *next;
  bool is_queued;
  void (*run)(void *data);
  void *data;
};

void nm_engine_soon(struct nm_engine *engine, struct nm_job *job);
void nm_engine_forget(struct nm_engine *engine, struct nm_job *job); /* takes it out of the line */

/* When a job has to stop, by the monotonic clock. */
static inline int64_t nm_engine_turn_end_ns(int64_t now_ns)
{
  return now_ns + (int64_t)NM_ENGINE_TURN_MAX_MS * 1000000;
}

/* True while single messages come: what is of runs then works in small pieces, and so does not
 * stand in their way. */
bool nm_engine_is_gentle(const struct nm_engine *engine);
/* The same as nm_engine_turn_end_ns for what is of runs. */
int64_t nm_engine_run_turn_end_ns(const struct nm_engine *engine);
/* How long what is of runs has to rest now, and that it worked since then: so a part of the time is
 * nobody's while single messages come. */
int64_t nm_engine_run_rest_ms(const struct nm_engine *engine);
void nm_engine_run_worked(struct nm_engine *engine, int64_t since_ns);

/* ---- alarms ---------------------------------------------------------------------------------- */

struct nm_alarm {
  uv_timer_t timer;
  void (*on)(void *data);
  void (*on_closed)(void *data);
  void *data;
  bool is_open;
  bool is_set;
  int64_t at_ms; /* monotonic */
};

void nm_alarm_open(struct nm_alarm *alarm, struct nm_engine *engine, void (*on)(void *data),
                   void *data);
/* Sets it, or moves it to an earlier time. */
void nm_alarm_within(struct nm_alarm *alarm, int64_t wait_ms);
/* The same for a time of the wall clock; in a minute at most, since that clock may jump. */
void nm_alarm_due(struct nm_alarm *alarm, int64_t wall_ms);
void nm_alarm_clear(struct nm_alarm *alarm);
void nm_alarm_close(struct nm_alarm *alarm,
                    void (*on_closed)(void *data)); /* on_closed may be NULL */

/* ---- requests to the store ------------------------------------------------------------------- */

/* One request with its arena.  `then` runs on the engine's loop, always, also when the store could
 * not take it (head.rc says so); then() owns the call and destroys it. */
struct nm_call {
  union {
    struct nm_store_request head; /* first: its task is how the call is found again */
    struct nm_store_take take;
    struct nm_store_plan plan;
    struct nm_store_lease lease;
    struct nm_store_finish finish;
    struct nm_store_page_save page_save;
    struct nm_store_page_load page_load;
    struct nm_store_mark_load mark_load;
    struct nm_store_run_release run_release;
    struct nm_store_run_repin run_repin;
    struct nm_store_run_check run_check;
    struct nm_store_query query;
    struct nm_store_expand expand;
    struct nm_store_run_set run_set;
    struct nm_store_fence fence;
    struct nm_store_batch_take batch_take;
    struct nm_store_batch_finish batch_finish;
    struct nm_store_profiles_load profiles;
    struct nm_store_resume resume;
    struct nm_store_catch_up catch_up;
    struct nm_store_tally tally;
    struct nm_store_preferences_load preferences_load;
    struct nm_store_preferences_done preferences_done;
    struct nm_store_facts_save facts_save;
    struct nm_store_facts_take facts_take;
    struct nm_store_facts_finish facts_finish;
    struct nm_store_erase_step erase_step;
    struct nm_store_tenant_remove tenant_remove;
    struct nm_store_retain retain;
    struct nm_store_listeners_load listeners;
    struct nm_store_scrub scrub;
  } u;
  struct nm_engine *engine;
  void (*then)(struct nm_call *call);
  void *data;
  struct nm_call *next; /* waiting for a place in the store's mailbox, or for its time */
  int tries;            /* for calls that are made again */
  bool is_bulk;         /* handed over as what may wait */
};

struct nm_call *nm_call_create(struct nm_engine *engine, enum nm_store_verb verb,
                               size_t arena_max_bytes, void (*then)(struct nm_call *call),
                               void *data);
void nm_call_submit(struct nm_call *call);
/* The same for what is of runs and may wait for a moment: while single messages come, it goes in
 * groups, with pauses between them, so that most of the time no commit stands before theirs. */
void nm_call_submit_bulk(struct nm_call *call);
/* Submits it once more after a pause that grows; for what must not be lost. */
void nm_call_again(struct nm_call *call);
void nm_call_destroy(struct nm_call *call);

/* True where asking again later may do (store full or its memory short); false where the store is
 * gone until restart. */
bool nm_call_may_try_again(const struct nm_call *call);

/* Zeroed memory of the call's arena that must be there. */
void *nm_call_alloc(struct nm_call *call, size_t len);

/* ---- the engine ------------------------------------------------------------------------------ */

/* A host that several lanes may share. */
struct nm_host {
  struct nm_host *next;
  char *name; /* "https://host:port", or "tenant/provider" where there is no address */
  struct nm_breaker breaker;
};

enum nm_engine_phase {
  NM_ENGINE_STARTING = 0, /* until RESUME was answered and the rules are in */
  NM_ENGINE_RUNNING = 1,
  NM_ENGINE_DRAINING = 2, /* nothing new starts; what is in flight ends */
  NM_ENGINE_ENDING = 3,   /* providers, Optimove and client are being closed */
  NM_ENGINE_CLOSING = 4,  /* the last outcomes are stored, then the handles close */
};

struct nm_planner;
struct nm_finisher;
struct nm_outlet;
struct nm_erasures;

struct nm_engine {
  struct nm_engine_env env;
  char *public_url;
  uv_thread_t thread;
  uv_loop_t loop;
  uv_sem_t started;
  int start_rc;
  struct nm_error start_error;

  struct nm_port control, answers;
  uv_async_t waker;
  atomic_uint bits;

  uv_idle_t idle;
  struct nm_job *first_job, *last_job;
  size_t job_count;

  struct nm_client *client;
  struct nm_optimove *optimove;
  struct nm_adapter_env adapter_env;

  struct nm_book **books; /* sorted by tenant id */
  size_t book_count, book_capacity;
  struct nm_host *hosts;
  struct nm_outlet *outlets; /* providers that are open */
  struct nm_planner *planner;
  struct nm_finisher *finisher;
  struct nm_erasures *erasures;

  enum nm_engine_phase phase;
  bool is_resumed, are_rules_in;
  bool is_resuming, is_resume_wanted;
  struct nm_control *first_deferred,
      *last_deferred;      /* rules that came before RESUME was answered */
  bool is_cleared;         /* the 4s that waited at start are planned: lanes may send */
  int64_t singles_at_ms;   /* monotonic: when a single message was planned last; 0 = never */
  size_t leased;           /* messages of all lanes in memory */
  size_t sends;            /* sends of all lanes under way */
  size_t calls_out;        /* calls to Optimove whose end matters (updates) */
  size_t calls_open;       /* requests at the store */
  struct nm_call *first_bulk, *last_bulk; /* requests that wait for their time */
  size_t bulk_out;         /* and those that are at the store */
  int64_t bulk_began_ns, bulk_next_ns; /* monotonic: when they were handed over; when others may
                                        * be */
  int64_t run_rest_until_ns;
  size_t reconciles;       /* under way */
  struct nm_call *first_waiting, *last_waiting;
  struct nm_alarm waiting_alarm, bulk_alarm, stop_alarm, retention_alarm;
  struct nm_control *stopping; /* to be answered at the end */
  int closings;            /* rooms whose closing is under way */
  uint64_t random;
};

void nm_work_open(struct nm_engine *engine);

uint64_t nm_engine_random(struct nm_engine *engine);

/* True while new work may start. */
static inline bool nm_engine_is_running(const struct nm_engine *engine)
{
  return engine->phase == NM_ENGINE_RUNNING;
}

/* Something ended that the engine may wait for: goes on with stopping, if it does. */
void nm_engine_check_stop(struct nm_engine *engine);

/* Starts nothing new; engine->stopping is answered when all has ended. */
void nm_engine_stop(struct nm_engine *engine);

/* RESUME was answered, or the rules came in: planning starts when both are true. */
void nm_engine_check_start(struct nm_engine *engine);

/* Asks the store what there is to do and merges it into what is known (at start; by hand). */
void nm_engine_resume(struct nm_engine *engine);

/* The breaker of a host; the same one for the same name. */
struct nm_host *nm_engine_host(struct nm_engine *engine, struct nm_text name);

/* ---- control (control.c, explain.c, status.c) ------------------------------------------------ */

void nm_control_take(struct nm_engine *engine, struct nm_control *control);
void nm_control_answer(struct nm_control *control, int rc, json_t *answer); /* takes answer */
void nm_control_explain(struct nm_engine *engine, struct nm_control *control);
void nm_control_explain_message(struct nm_engine *engine, struct nm_control *control);
json_t *nm_control_status(struct nm_engine *engine);
void nm_control_metrics(struct nm_engine *engine, struct nm_control *control); /* gauges.c */
/* What is done to one run by hand (hand.c). */
void nm_control_run_cancel(struct nm_engine *engine, struct nm_control *control);
void nm_control_run_pause(struct nm_engine *engine, struct nm_control *control);
void nm_control_run_release(struct nm_engine *engine, struct nm_control *control);
void nm_control_run_progress(struct nm_engine *engine, struct nm_control *control);
void nm_control_run_repin(struct nm_engine *engine, struct nm_control *control);
