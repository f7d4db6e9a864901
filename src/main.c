/* main.c - the daemon's start, its signals, and what operators ask of it.
 *
 * Three threads besides the store's: this one keeps rules and passes on what operators ask, `front`
 * answers HTTP, and the engine has its own.  They meet only in the store and at ports.  The files
 * beside this one are the only ones that know every room.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "daemon.h"
#include "process.h"

enum { SETTINGS_ARENA_MAX_BYTES = 256 * 1024 };

/* ---- what operators ask ---------------------------------------------------------------------- */

/* Reloads are answered by the main thread, like all that operators ask. */
static void reload(void *data, struct nm_control *control)
{
  struct nm_daemon *daemon = data;
  int rc = nm_port_post(&daemon->control, &control->task);
  if (!rc) return; /* and it may be answered already: it is not touched any more */
  control->rc = nm_fail(&control->error, rc, "the daemon is busy: %s", nm_code_name(rc));
  nm_task_return(&control->task);
}

static void on_kept(void *data, int rc, const struct nm_error *err, const json_t *answer)
{
  struct nm_control *control = data;
  control->rc = rc;
  if (err) control->error = *err;
  control->answer = json_incref((json_t *)(uintptr_t)answer);
  nm_task_return(&control->task);
}

static void publish_rules(struct nm_daemon *daemon, struct nm_control *control)
{
  const struct nm_rules_publish what = {
    .tenant = nm_json_string(control->args, "tenant"),
    .source = nm_json_string(control->args, "source"),
    .if_digest = nm_json_string(control->args, "if_digest"),
    .is_dry_run = json_is_true(json_object_get(control->args, "dry_run")),
    .done = on_kept, .data = control,
  };
  nm_rules_keeper_publish(daemon->keeper, &what);
}

static void roll_back(struct nm_daemon *daemon, struct nm_control *control)
{
  int64_t generation = 0;
  (void)nm_json_i64(control->args, "generation", &generation);
  nm_rules_keeper_rollback(daemon->keeper, nm_json_string(control->args, "tenant"), generation,
                           on_kept, control);
}

static void pass_to_engine(struct nm_daemon *daemon, struct nm_control *control)
{
  struct nm_engine *engine = daemon->is_engine_gone ? NULL : daemon->engine;
  int rc = engine ? nm_port_post(nm_engine_port(engine), &control->task) : NM_ECLOSED;
  if (!rc) return;
  control->rc =
      nm_fail(&control->error, rc, "the engine takes no requests now: %s", nm_code_name(rc));
  nm_task_return(&control->task);
}

static void on_control(void *data, struct nm_mail *mail)
{
  struct nm_daemon *daemon = data;
  struct nm_control *control = (struct nm_control *)(void *)mail;

  if (control->verb == NM_CONTROL_RELOAD && daemon->keeper && !daemon->is_stopping) {
    nm_daemon_reload(daemon, control);
    return;
  }
  if (control->verb == NM_CONTROL_ROLLBACK && daemon->keeper && !daemon->is_stopping) {
    roll_back(daemon, control);
    return;
  }
  if (control->verb == NM_CONTROL_PUBLISH && daemon->keeper && !daemon->is_stopping) {
    publish_rules(daemon, control);
    return;
  }
  if (control->verb == NM_CONTROL_TENANT_SAVED && daemon->keeper && !daemon->is_stopping)
    nm_rules_keeper_adopt(daemon->keeper, nm_json_string(control->args, "tenant"));
  pass_to_engine(daemon, control);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void on_swapped(struct nm_task *task)
{
  free(task);
}

static void publish(void *data, struct nm_generation *generation)
{
  struct nm_daemon *daemon = data;
  struct nm_control *control = calloc(1, sizeof *control);
  nm_require(control != NULL);
  control->task.home = &daemon->home;
  control->task.done = on_swapped;
  control->verb = NM_CONTROL_SWAP_RULES;
  control->payload = generation;
  int rc = nm_port_post(nm_engine_port(daemon->engine), &control->task);
  if (!rc) return;
  nm_log(NM_LOG_ERROR, "main", NULL, "the engine does not take new rules: %s", nm_code_name(rc));
  nm_generation_unref(generation);
  free(control);
}

static void on_ready(struct nm_task *task)
{
  struct nm_daemon *daemon = task->home->data;
  int64_t watchdog_ms = nm_notify_watchdog_ms();
  daemon->is_ready = true;
  nm_process_forget_start();
  nm_log(NM_LOG_INFO, "main", NULL, "ready");
  if (daemon->control_fd < 0) nm_daemon_say_serving(daemon); /* else the old process says it */
  if (watchdog_ms > 0) nm_watchdog_start(&daemon->watchdog, watchdog_ms / 4);
  if (daemon->control_fd >= 0) nm_handover_say_ready(daemon->control_fd);
  daemon->control_fd = -1;
}

static void on_rules_ready(void *data)
{
  struct nm_daemon *daemon = data;
  daemon->rules_are_in = (struct nm_control){ .task = { .home = &daemon->home, .done = on_ready },
                                              .verb = NM_CONTROL_RULES_ARE_IN };
  int rc = nm_port_post(nm_engine_port(daemon->engine), &daemon->rules_are_in.task);
  nm_expect(rc == NM_OK);
}

/* ---- is everybody well? ---------------------------------------------------------------------- */

static void on_front_answer(struct nm_task *task)
{
  nm_watchdog_answer(((struct nm_front_question *)task)->party);
}

static void ask_front(void *data)
{
  struct nm_daemon *daemon = data;
  struct nm_front_question *question = &daemon->front_question;
  *question = (struct nm_front_question){ .task = { .done = on_front_answer },
                                          .party = daemon->front_party };
  int rc = nm_port_post(&daemon->front.home, &question->task);
  nm_expect(rc == NM_OK);
}

static void on_engine_answer(struct nm_task *task)
{
  struct nm_daemon *daemon = task->home->data;
  json_decref(daemon->engine_question.answer);
  nm_watchdog_answer(daemon->engine_party);
}

/* Where it cannot even be asked, silence is the right word. */
static void ask_engine(void *data)
{
  struct nm_daemon *daemon = data;
  daemon->engine_question =
      (struct nm_control){ .task = { .home = &daemon->home, .done = on_engine_answer },
                           .verb = NM_CONTROL_STATUS };
  (void)!nm_port_post(nm_engine_port(daemon->engine), &daemon->engine_question.task);
}

static void watch_loops(struct nm_daemon *daemon)
{
  daemon->front_party = nm_watchdog_add(&daemon->watchdog, ask_front, daemon);
  daemon->engine_party = nm_watchdog_add(&daemon->watchdog, ask_engine, daemon);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal, int number)
{
  struct nm_daemon *daemon = signal->data;
  bool is_end = number == SIGTERM || number == SIGINT;
  if (!daemon->is_started) { /* nothing was acknowledged that is not on disk */
    if (is_end) nm_daemon_end_now(0);
  } else if (is_end) {
    nm_daemon_stop(daemon);
  } else if (number == SIGUSR2) {
    nm_daemon_hand_over(daemon);
  } else if (!daemon->is_stopping) {
    nm_daemon_reload_by_signal(daemon);
  }
}

/* ---- start ----------------------------------------------------------------------------------- */

static void on_work(void *data, unsigned work)
{
  struct nm_daemon *daemon = data;
  uv_mutex_lock(&daemon->wake_lock);
  if (daemon->wakeable) nm_engine_wake(daemon->wakeable, work);
  uv_mutex_unlock(&daemon->wake_lock);
}

void nm_daemon_let_wake(struct nm_daemon *daemon, struct nm_engine *engine)
{
  uv_mutex_lock(&daemon->wake_lock);
  daemon->wakeable = engine;
  uv_mutex_unlock(&daemon->wake_lock);
}

static void on_tenants_loaded(struct nm_task *task)
{
  uv_stop(task->home->async.loop);
}

static int take_in_tenant(struct nm_daemon *daemon, const struct nm_store_tenant *stored,
                          struct nm_error *err)
{
  json_t *document = NULL;
  struct nm_tenant *tenant = NULL;
  int rc = nm_keyring_unseal(daemon->keyring, stored->name, stored->sealed, &document, err);
  if (rc) return rc;
  struct nm_problems problems = { .arena = nm_arena_create(1024 * 1024) };
  rc = nm_tenant_parse(&tenant, document, "store", false, NULL, &problems);
  for (const struct nm_problem *p = problems.first; p; p = p->next)
    nm_log(NM_LOG_ERROR, "main", NULL, "%.*s", NM_TEXT_ARG(p->text));
  nm_arena_destroy(problems.arena);
  json_decref(document);
  if (rc) return nm_fail(err, rc, "tenant %.*s cannot be read", NM_TEXT_ARG(stored->name));
  tenant->id = stored->id;
  tenant->version = stored->version;
  return nm_tenants_put(daemon->tenants, tenant);
}

static int load_tenants(struct nm_daemon *daemon, struct nm_error *err)
{
  struct nm_store_tenants_load load = {
    .request = { .task = { .home = &daemon->home, .done = on_tenants_loaded },
                 .verb = NM_STORE_TENANTS_LOAD,
                 .arena = nm_arena_create(SIZE_MAX / 2) },
  };
  int rc = nm_store_submit(daemon->store, &load.request);
  if (!rc) {
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    rc = load.request.rc;
    if (rc) *err = load.request.error;
  }
  for (size_t i = 0; i < load.count && !rc; i++) rc = take_in_tenant(daemon, &load.tenants[i], err);
  nm_arena_destroy(load.request.arena);
  return rc;
}

static int open_keyring(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_settings *settings = daemon->settings;
  char beside[512];
  bool was_made = false;
  struct nm_text path = settings->store;
  if (nm_text_starts_with(path, NM_TEXT("sqlite:"))) {
    path.ptr += strlen("sqlite:");
    path.len -= strlen("sqlite:");
  }
  int len = snprintf(beside, sizeof beside, "%.*s.key", NM_TEXT_ARG(path));
  int rc = nm_keyring_open(&daemon->keyring, settings->master_key,
                           (struct nm_text){ beside, (size_t)len }, &was_made, err);
  if (!rc && was_made)
    nm_log(NM_LOG_WARN, "main", NULL,
           "no master_key is set: made one in %s (mode 0600); keep it, secrets cannot be read "
           "without it",
           beside);
  return rc;
}

/* Where the settings say only where to listen, the URL is the address that came of it (port 0). */
static void name_public_url(struct nm_daemon *daemon)
{
  const struct nm_settings *settings = daemon->settings;
  if (settings->is_public_url_given)
    snprintf(daemon->public_url, sizeof daemon->public_url, "%.*s",
             NM_TEXT_ARG(settings->public_url));
  else
    snprintf(daemon->public_url, sizeof daemon->public_url, "%s://%s",
             nm_settings_has_tls(settings) ? "https" : "http", daemon->front.public_address);
}

static int start_front(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_api_env env = { .control = &daemon->control,
                                  .store = daemon->store,
                                  .tenants = daemon->tenants,
                                  .keyring = daemon->keyring,
                                  .settings = daemon->settings,
                                  .reload = reload,
                                  .data = daemon };
  int rc = nm_doors_open(&daemon->doors, daemon->settings, err);
  return rc ? rc : nm_front_start(&daemon->front, &env, &daemon->doors, err);
}

static int start_engine(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_engine_env env = { .store = daemon->store,
                                     .tenants = daemon->tenants,
                                     .keyring = daemon->keyring,
                                     .settings = daemon->settings,
                                     .public_url = nm_text_from(daemon->public_url) };
  int rc = nm_engine_start(&daemon->engine, &env, err);
  if (rc) return rc;
  nm_daemon_let_wake(daemon, daemon->engine);
  watch_loops(daemon);
  return NM_OK;
}

static int open_keeper(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_rules_keeper_env env = { .loop = &daemon->loop,
                                           .home = &daemon->home,
                                           .store = daemon->store,
                                           .tenants = daemon->tenants,
                                           .folder = daemon->settings->rules,
                                           .publish = publish,
                                           .on_ready = on_rules_ready,
                                           .data = daemon };
  return nm_rules_keeper_open(&daemon->keeper, &env, err);
}

static void listen_to_signals(struct nm_daemon *daemon)
{
  static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    uv_signal_init(&daemon->loop, &daemon->signals[i]);
    daemon->signals[i].data = daemon;
    uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
  }
  uv_timer_init(&daemon->loop, &daemon->deadline);
  uv_timer_init(&daemon->loop, &daemon->front_limit);
  daemon->deadline.data = daemon->front_limit.data = daemon;
}

/* On failure the process ends at once: nothing was acknowledged that is not on disk. */
static int start(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_store_options options = { .url = daemon->settings->store,
                                            .on_work = on_work,
                                            .data = daemon };
  int rc = nm_store_open(&daemon->store, &options, err);
  if (!rc && !daemon->keyring) rc = open_keyring(daemon, err);
  if (rc) return rc;
  unsigned char person_key[NM_PERSON_KEY];
  nm_keyring_person_key(daemon->keyring, person_key);
  nm_store_set_person_key(daemon->store, person_key);
  daemon->tenants = nm_tenants_create(daemon->keyring);
  nm_require(daemon->tenants != NULL);
  rc = load_tenants(daemon, err);
  if (!rc) rc = start_front(daemon, err);
  if (rc) return rc;
  name_public_url(daemon);
  rc = start_engine(daemon, err);
  return rc ? rc : open_keeper(daemon, err);
}

static int check_files(const struct nm_settings *settings, struct nm_error *err)
{
  struct nm_problems problems = { .arena = nm_arena_create(SETTINGS_ARENA_MAX_BYTES) };
  nm_settings_check_files(settings, "settings", &problems);
  const struct nm_problem *first = problems.first;
  int rc = first ? nm_fail(err, NM_EINVAL, "%.*s", NM_TEXT_ARG(first->text)) : NM_OK;
  nm_arena_destroy(problems.arena);
  return rc;
}

/* All that can go wrong without the store, before it is touched. */
static int prepare(struct nm_daemon *daemon, struct nm_error *err)
{
  const struct nm_settings *settings = daemon->settings;
  struct nm_process_user user;
  int rc = nm_doors_inherit(&daemon->doors, &daemon->control_fd, err);
  if (!rc) rc = nm_process_find_user(&user, settings->user, err);
  if (!rc) rc = check_files(settings, err);
  if (!rc && settings->master_key.len > 0) rc = open_keyring(daemon, err);
  if (!rc && (user.is_wanted || daemon->control_fd >= 0))
    rc = nm_doors_open(&daemon->doors, settings, err);
  if (!rc && user.is_wanted) rc = nm_doors_give(&daemon->doors, user.uid, user.gid, err);
  if (!rc) rc = nm_process_become(&user, err);
  if (!rc && daemon->control_fd >= 0) rc = nm_handover_await_go(daemon->control_fd, err);
  return rc;
}

static char **program_argv;

static int end(struct nm_daemon *daemon)
{
  bool is_whole = !daemon->front.is_given_up;
  nm_port_deinit(&daemon->home);
  nm_port_deinit(&daemon->control);
  nm_tenants_destroy(daemon->tenants);
  nm_keyring_destroy(daemon->keyring);
  nm_expect(uv_loop_close(&daemon->loop) == 0);
  nm_log(NM_LOG_INFO, "main", NULL, "stopped");
  if (!is_whole) nm_daemon_end_now(NM_CLI_DONE); /* callers who were cut off still hold memory */
  nm_log_stop();
  return NM_CLI_DONE;
}

static int serve(const struct nm_settings *settings)
{
  static struct nm_daemon daemon;
  struct nm_error error = { 0 };

  if (nm_log_level_from(settings->log_level, &daemon.log_level)) nm_log_set_level(daemon.log_level);
  nm_process_prepare();
  if (nm_log_start())
    nm_log(NM_LOG_WARN, "main", NULL, "no thread for the log: its lines are written by who logs");
  daemon.settings = settings;
  daemon.argv = program_argv;
  nm_require(uv_mutex_init(&daemon.wake_lock) == 0);
  nm_require(uv_loop_init(&daemon.loop) == 0);
  nm_require(nm_port_open(&daemon.home, &daemon.loop, SIZE_MAX, NULL, &daemon) == NM_OK);
  nm_require(nm_port_open(&daemon.control, &daemon.loop, NM_CONTROL_MAILBOX_MAX, on_control,
                          &daemon) == NM_OK);
  nm_watchdog_open(&daemon.watchdog, &daemon.loop);
  int rc = prepare(&daemon, &error);
  if (!rc) listen_to_signals(&daemon);
  if (!rc) rc = start(&daemon, &error);
  if (rc) {
    nm_log(NM_LOG_ERROR, "main", NULL, "cannot start: %s", error.text);
    if (daemon.control_fd < 0) nm_notify("STATUS=cannot start: %s", error.text);
    nm_log_stop();
    fprintf(stderr, "netmove serve: %s\n", error.text);
    _exit(NM_CLI_COULD_NOT);
  }
  daemon.is_started = true;
  uv_run(&daemon.loop, UV_RUN_DEFAULT);
  return end(&daemon);
}

int main(int argc, char **argv)
{
  program_argv = argv;
  return nm_cli_main(argc, argv, serve);
}
