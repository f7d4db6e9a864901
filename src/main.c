/* main.c - start, stop, signals; the only file that knows every room.
 *
 * Three threads besides the store's: this one keeps rules and passes on what operators ask, `front`
 * answers HTTP, and the engine has its own.  They meet only in the store and at ports.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "adapters/adapter.h"
#include "api/api.h"
#include "base/limits.h"
#include "base/log.h"
#include "cli/cli.h"
#include "config/config.h"
#include "engine/engine.h"
#include "http/http.h"
#include "net/listen.h"
#include "rules/keeper.h"
#include "store/store.h"
#include "tenants/tenants.h"

enum { STOP_MAX_MS = 30 * 1000, ADDRESS_MAX_BYTES = 128, URL_MAX_BYTES = 512 };

/* What runs on the front thread. */
struct front {
  uv_thread_t thread;
  uv_loop_t loop;
  uv_sem_t started;
  uv_async_t stop, look; /* look: at the certificates */
  struct nm_tls *tls;    /* NULL: plain HTTP */
  struct nm_networks behind;
  struct nm_port home; /* the store's and the engine's answers */
  struct nm_api *api;
  struct nm_http_server *servers[3]; /* public, admin, socket */
  int open_servers;
  struct nm_task quiet; /* returned to the main thread when no connection is left */
  _Atomic bool is_last_call; /* engine and store are gone: `stop` now means close all */
  int rc;
  struct nm_error error;
  char public_address[ADDRESS_MAX_BYTES];
};

struct daemon {
  const struct nm_settings *settings;
  uv_loop_t loop;
  struct nm_port home;    /* the store's answers to this thread */
  struct nm_port control; /* what operators ask */
  struct nm_keyring *keyring;
  struct nm_store *store;
  struct nm_tenants *tenants;
  struct nm_rules_keeper *keeper;
  struct nm_engine *engine;
  uv_mutex_t wake_lock;   /* the store's writer wakes the engine under it */
  struct nm_engine *to_wake; /* the engine, until it is asked to stop */
  struct front front;
  uv_signal_t signals[3];
  uv_timer_t deadline;
  struct nm_control rules_are_in, stop;
  char public_url[URL_MAX_BYTES];
  bool is_stopping;
};

/* ---- the front thread ------------------------------------------------------------------------------ */

static void close_front_handles(void *data)
{
  struct front *front = data;
  nm_port_close(&front->home, NULL);
  uv_close((uv_handle_t *)&front->stop, NULL);
  uv_close((uv_handle_t *)&front->look, NULL);
  if (front->tls) nm_tls_close(front->tls, NULL, NULL);
}

static void on_front_look(uv_async_t *async)
{
  struct front *front = async->data;
  if (front->tls) nm_tls_look(front->tls);
}

static void on_server_stopped(void *data)
{
  struct front *front = data;
  if (--front->open_servers == 0) nm_task_return(&front->quiet);
}

/* Called twice: first the doors are shut and every request is answered; then, with engine and store gone,
 * nothing can come back any more and the rest is closed. */
static void on_front_stop(uv_async_t *async)
{
  struct front *front = async->data;
  if (atomic_load(&front->is_last_call)) {
    nm_api_close(front->api, close_front_handles, front);
    return;
  }
  for (int i = front->open_servers - 1; i >= 0; i--)
    nm_http_stop(front->servers[i], on_server_stopped, front);
}

static int listen_on(struct front *front, const char *what, struct nm_text address,
                     const struct nm_http_options *options)
{
  if (address.len == 0) return NM_OK;
  struct nm_http_server **server = &front->servers[front->open_servers];
  int rc = nm_http_listen(server, &front->loop, address, options, &front->error);
  if (rc) return rc;
  front->open_servers++;
  struct nm_text real = nm_http_address(*server);
  nm_log(NM_LOG_INFO, "main", NULL, "%s on %.*s", what, NM_TEXT_ARG(real));
  return NM_OK;
}

static int open_tls(struct front *front, const struct nm_settings *settings)
{
  const struct nm_tls_options options = nm_settings_tls(settings);
  int rc = nm_networks_init(&front->behind, settings->behind, settings->behind_count,
                            &front->error);
  if (rc || !nm_settings_has_tls(settings)) return rc;
  struct nm_error error = { 0 };
  rc = nm_tls_open(&front->tls, &front->loop, &options, &error);
  return rc ? nm_fail(&front->error, rc, "public.tls: %s", error.text) : NM_OK;
}

static int count_connections(const struct nm_settings *settings)
{
  int wanted = settings->limits.connections, room = nm_listener_room(wanted);
  if (room < wanted)
    nm_log(NM_LOG_WARN, "main", NULL,
           "this process may open so few files that %d connections are the most, not %d; raise its "
           "limit (LimitNOFILE, ulimit -n)", room, wanted);
  return room;
}

static int open_front(struct front *front, const struct nm_settings *settings)
{
  int rc = open_tls(front, settings);
  if (rc) return rc;
  struct nm_http_options options = {
    .routes = nm_api_public_routes(front->api), .data = front->api,
    .tls = front->tls, .behind = &front->behind,
    .limits = { .connections_max = count_connections(settings),
                .per_address_max = settings->limits.per_address,
                .requests_max = settings->limits.requests,
                .handshake_timeout_ms = settings->limits.handshake_ms,
                .head_timeout_ms = settings->limits.head_ms,
                .body_timeout_ms = settings->limits.body_ms,
                .write_timeout_ms = settings->limits.write_ms,
                .idle_timeout_ms = settings->limits.idle_ms },
  };
  char socket[ADDRESS_MAX_BYTES];
  int len = snprintf(socket, sizeof socket, "unix:%.*s", NM_TEXT_ARG(settings->admin_socket));
  if (len >= (int)sizeof socket)
    return nm_fail(&front->error, NM_EINVAL, "admin.socket is longer than a socket's name may be");

  rc = listen_on(front, "public", settings->public_listen, &options);
  if (rc) return rc;
  struct nm_text address = nm_http_address(front->servers[0]);
  snprintf(front->public_address, sizeof front->public_address, "%.*s", NM_TEXT_ARG(address));

  options.limits = (struct nm_http_limits){ .connections_max = NM_HTTP_ADMIN_CONNECTIONS_MAX };
  options.tls = NULL;
  options.behind = NULL;
  options.routes = nm_api_admin_routes(front->api, false);
  rc = listen_on(front, "admin", settings->admin_listen, &options);
  if (rc) return rc;
  options.routes = nm_api_admin_routes(front->api, true);
  return listen_on(front, "commands", (struct nm_text){ socket, (size_t)len }, &options);
}

/* Reloads are answered by the main thread, like all that operators ask. */
static void reload(void *data, struct nm_control *control)
{
  struct daemon *daemon = data;
  control->rc = nm_port_post(&daemon->control, &control->task);
  if (!control->rc) return;
  (void)nm_fail(&control->error, control->rc, "the daemon is busy: %s", nm_code_name(control->rc));
  nm_task_return(&control->task);
}

static void run_front(void *data)
{
  struct daemon *daemon = data;
  struct front *front = &daemon->front;

  nm_require(uv_loop_init(&front->loop) == 0);
  nm_require(nm_port_open(&front->home, &front->loop, SIZE_MAX, NULL, NULL) == NM_OK);
  nm_require(uv_async_init(&front->loop, &front->stop, on_front_stop) == 0);
  nm_require(uv_async_init(&front->loop, &front->look, on_front_look) == 0);
  front->stop.data = front->look.data = front;
  const struct nm_api_env env = { .home = &front->home, .control = &daemon->control,
                                  .store = daemon->store, .tenants = daemon->tenants,
                                  .keyring = daemon->keyring, .settings = daemon->settings,
                                  .reload = reload, .data = daemon };
  front->rc = nm_api_create(&front->api, &env, &front->error);
  if (!front->rc) front->rc = open_front(front, daemon->settings);
  uv_sem_post(&front->started);
  if (front->rc) return; /* the process ends */
  uv_run(&front->loop, UV_RUN_DEFAULT);
  nm_port_deinit(&front->home);
  nm_networks_deinit(&front->behind);
  nm_expect(uv_loop_close(&front->loop) == 0);
}

static int start_front(struct daemon *daemon, struct nm_error *err)
{
  struct front *front = &daemon->front;
  nm_require(uv_sem_init(&front->started, 0) == 0);
  if (uv_thread_create(&front->thread, run_front, daemon))
    return nm_fail(err, NM_EIO, "cannot start a thread");
  uv_sem_wait(&front->started);
  uv_sem_destroy(&front->started);
  if (!front->rc) return NM_OK;
  uv_thread_join(&front->thread);
  *err = front->error;
  return front->rc;
}

/* ---- what operators ask ------------------------------------------------------------------------------- */

static void on_reloaded(void *data, const json_t *verdicts)
{
  struct nm_control *control = data;
  control->answer = json_pack("{s:O}", "rules", verdicts);
  control->rc = NM_OK;
  nm_task_return(&control->task);
}

static void on_rolled_back(void *data, int rc, const struct nm_error *err, const json_t *answer)
{
  struct nm_control *control = data;
  control->rc = rc;
  if (err) control->error = *err;
  control->answer = json_incref((json_t *)(uintptr_t)answer);
  nm_task_return(&control->task);
}

static void roll_back(struct daemon *daemon, struct nm_control *control)
{
  int64_t generation = 0;
  (void)nm_json_i64(control->args, "generation", &generation);
  nm_rules_keeper_rollback(daemon->keeper, nm_json_string(control->args, "tenant"), generation,
                           on_rolled_back, control);
}

static void pass_to_engine(struct daemon *daemon, struct nm_control *control)
{
  struct nm_engine *engine = daemon->engine;
  int rc = engine ? nm_port_post(nm_engine_port(engine), &control->task) : NM_ECLOSED;
  if (!rc) return;
  control->rc = nm_fail(&control->error, rc, "the engine takes no requests now: %s",
                        nm_code_name(rc));
  nm_task_return(&control->task);
}

static void on_control(void *data, struct nm_mail *mail)
{
  struct daemon *daemon = data;
  struct nm_control *control = (struct nm_control *)(void *)mail;

  if (control->verb == NM_CONTROL_RELOAD && daemon->keeper && !daemon->is_stopping) {
    uv_async_send(&daemon->front.look);
    nm_rules_keeper_reload(daemon->keeper, on_reloaded, control);
    return;
  }
  if (control->verb == NM_CONTROL_ROLLBACK && daemon->keeper && !daemon->is_stopping) {
    roll_back(daemon, control);
    return;
  }
  if (control->verb == NM_CONTROL_TENANT_SAVED && daemon->keeper && !daemon->is_stopping)
    nm_rules_keeper_adopt(daemon->keeper, nm_json_string(control->args, "tenant"));
  pass_to_engine(daemon, control);
}

/* ---- rules ------------------------------------------------------------------------------------------------ */

static void on_swapped(struct nm_task *task)
{
  free(task);
}

static void publish(void *data, struct nm_generation *generation)
{
  struct daemon *daemon = data;
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
  (void)task;
  nm_log(NM_LOG_INFO, "main", NULL, "ready");
}

static void on_rules_ready(void *data)
{
  struct daemon *daemon = data;
  daemon->rules_are_in = (struct nm_control){
    .task = { .home = &daemon->home, .done = on_ready }, .verb = NM_CONTROL_RULES_ARE_IN
  };
  int rc = nm_port_post(nm_engine_port(daemon->engine), &daemon->rules_are_in.task);
  nm_expect(rc == NM_OK);
}

/* ---- stop --------------------------------------------------------------------------------------------------- */

static void close_everything(struct daemon *daemon)
{
  for (size_t i = 0; i < sizeof daemon->signals / sizeof *daemon->signals; i++)
    uv_close((uv_handle_t *)&daemon->signals[i], NULL);
  uv_close((uv_handle_t *)&daemon->deadline, NULL);
  nm_port_close(&daemon->control, NULL);
  nm_port_close(&daemon->home, NULL);
}

/* Afterwards nobody is inside nm_engine_wake() of the one before. */
static void set_to_wake(struct daemon *daemon, struct nm_engine *engine)
{
  uv_mutex_lock(&daemon->wake_lock);
  daemon->to_wake = engine;
  uv_mutex_unlock(&daemon->wake_lock);
}

static void on_engine_stopped(struct nm_task *task)
{
  struct daemon *daemon = task->home->data;
  struct nm_engine *engine = daemon->engine;
  daemon->engine = NULL;
  nm_store_close(daemon->store);
  nm_engine_join(engine);
  atomic_store(&daemon->front.is_last_call, true);
  uv_async_send(&daemon->front.stop);
  uv_thread_join(&daemon->front.thread);
  close_everything(daemon);
}

static void on_keeper_closed(void *data)
{
  struct daemon *daemon = data;
  daemon->keeper = NULL;
  daemon->stop = (struct nm_control){
    .task = { .home = &daemon->home, .done = on_engine_stopped }, .verb = NM_CONTROL_STOP
  };
  set_to_wake(daemon, NULL);
  int rc = nm_port_post(nm_engine_port(daemon->engine), &daemon->stop.task);
  nm_require(rc == NM_OK);
}

static void on_deadline(uv_timer_t *timer)
{
  (void)timer;
  /* What is in flight counts as a crash would count it: its outcome is unknown, nothing is lost. */
  nm_log(NM_LOG_WARN, "main", NULL, "stopped after %d s with work in flight", STOP_MAX_MS / 1000);
  nm_log_flush();
  _exit(0);
}

static void on_front_quiet(struct nm_task *task)
{
  struct daemon *daemon = task->home->data;
  nm_rules_keeper_close(daemon->keeper, on_keeper_closed, daemon);
}

/* First the door, then the rules, then the engine; the store goes last, with all that they wrote. */
static void begin_stop(struct daemon *daemon)
{
  if (daemon->is_stopping) return;
  daemon->is_stopping = true;
  nm_log(NM_LOG_INFO, "main", NULL, "stopping");
  uv_timer_start(&daemon->deadline, on_deadline, STOP_MAX_MS, 0);
  daemon->front.quiet = (struct nm_task){ .home = &daemon->home, .done = on_front_quiet };
  uv_async_send(&daemon->front.stop);
}

static void ignore_verdicts(void *data, const json_t *verdicts)
{
  (void)data;
  (void)verdicts; /* the log has them */
}

static void on_signal(uv_signal_t *signal, int number)
{
  struct daemon *daemon = signal->data;
  if (number == SIGHUP && !daemon->is_stopping) {
    uv_async_send(&daemon->front.look);
    nm_rules_keeper_reload(daemon->keeper, ignore_verdicts, NULL);
  } else if (number != SIGHUP) {
    begin_stop(daemon);
  }
}

/* ---- start -------------------------------------------------------------------------------------------------- */

static void on_work(void *data, unsigned work)
{
  struct daemon *daemon = data;
  uv_mutex_lock(&daemon->wake_lock);
  if (daemon->to_wake) nm_engine_wake(daemon->to_wake, work);
  uv_mutex_unlock(&daemon->wake_lock);
}

static void on_tenants_loaded(struct nm_task *task)
{
  uv_stop(task->home->async.loop);
}

static int take_in_tenant(struct daemon *daemon, const struct nm_store_tenant *stored,
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

static int load_tenants(struct daemon *daemon, struct nm_error *err)
{
  struct nm_store_tenants_load load = {
    .request = { .task = { .home = &daemon->home, .done = on_tenants_loaded },
                 .verb = NM_STORE_TENANTS_LOAD, .arena = nm_arena_create(SIZE_MAX / 2) },
  };
  int rc = nm_store_submit(daemon->store, &load.request);
  if (!rc) {
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    rc = load.request.rc;
    if (rc) *err = load.request.error;
  }
  for (size_t i = 0; i < load.count && !rc; i++)
    rc = take_in_tenant(daemon, &load.tenants[i], err);
  nm_arena_destroy(load.request.arena);
  return rc;
}

static int open_keyring(struct daemon *daemon, struct nm_error *err)
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
           "without it", beside);
  return rc;
}

/* Where the settings say only where to listen, the URL is the address that came of it (port 0). */
static void name_public_url(struct daemon *daemon)
{
  const struct nm_settings *settings = daemon->settings;
  if (settings->is_public_url_given)
    snprintf(daemon->public_url, sizeof daemon->public_url, "%.*s",
             NM_TEXT_ARG(settings->public_url));
  else
    snprintf(daemon->public_url, sizeof daemon->public_url, "%s://%s",
             nm_settings_has_tls(settings) ? "https" : "http", daemon->front.public_address);
}

static int start_engine(struct daemon *daemon, struct nm_error *err)
{
  struct nm_engine *engine = NULL;
  const struct nm_engine_env env = { .store = daemon->store, .tenants = daemon->tenants,
                                     .keyring = daemon->keyring, .settings = daemon->settings,
                                     .public_url = nm_text_from(daemon->public_url) };
  int rc = nm_engine_start(&engine, &env, err);
  daemon->engine = engine;
  set_to_wake(daemon, engine);
  return rc;
}

static int open_keeper(struct daemon *daemon, struct nm_error *err)
{
  const struct nm_rules_keeper_env env = {
    .loop = &daemon->loop, .home = &daemon->home, .store = daemon->store,
    .tenants = daemon->tenants, .folder = daemon->settings->rules, .publish = publish,
    .on_ready = on_rules_ready, .data = daemon
  };
  return nm_rules_keeper_open(&daemon->keeper, &env, err);
}

static void listen_to_signals(struct daemon *daemon)
{
  static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    uv_signal_init(&daemon->loop, &daemon->signals[i]);
    daemon->signals[i].data = daemon;
    uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
  }
  uv_timer_init(&daemon->loop, &daemon->deadline);
}

/* On failure the process ends at once: nothing was acknowledged that is not on disk. */
static int start(struct daemon *daemon, struct nm_error *err)
{
  const struct nm_store_options options = { .url = daemon->settings->store, .on_work = on_work,
                                            .data = daemon };
  int rc = nm_store_open(&daemon->store, &options, err);
  if (!rc) rc = open_keyring(daemon, err);
  if (rc) return rc;
  daemon->tenants = nm_tenants_create(daemon->keyring);
  nm_require(daemon->tenants != NULL);
  rc = load_tenants(daemon, err);
  if (!rc) rc = start_front(daemon, err);
  if (rc) return rc;
  name_public_url(daemon);
  rc = start_engine(daemon, err);
  return rc ? rc : open_keeper(daemon, err);
}

static int serve(const struct nm_settings *settings)
{
  static struct daemon daemon;
  struct nm_error error = { 0 };
  enum nm_log_level level;

  signal(SIGPIPE, SIG_IGN);
  umask(077);
  if (nm_log_level_from(settings->log_level, &level)) nm_log_set_level(level);
  if (nm_log_start())
    nm_log(NM_LOG_WARN, "main", NULL, "no thread for the log: its lines are written by who logs");
  daemon.settings = settings;
  nm_require(uv_loop_init(&daemon.loop) == 0);
  nm_require(uv_mutex_init(&daemon.wake_lock) == 0);
  nm_require(nm_port_open(&daemon.home, &daemon.loop, SIZE_MAX, NULL, &daemon) == NM_OK);
  nm_require(nm_port_open(&daemon.control, &daemon.loop, NM_CONTROL_MAILBOX_MAX, on_control,
                          &daemon) == NM_OK);
  if (start(&daemon, &error)) {
    nm_log(NM_LOG_ERROR, "main", NULL, "cannot start: %s", error.text);
    nm_log_stop();
    fprintf(stderr, "netmove serve: %s\n", error.text);
    _exit(NM_CLI_COULD_NOT);
  }
  listen_to_signals(&daemon);
  uv_run(&daemon.loop, UV_RUN_DEFAULT);

  nm_port_deinit(&daemon.home);
  nm_port_deinit(&daemon.control);
  nm_tenants_destroy(daemon.tenants);
  nm_keyring_destroy(daemon.keyring);
  nm_expect(uv_loop_close(&daemon.loop) == 0);
  nm_log(NM_LOG_INFO, "main", NULL, "stopped");
  nm_log_stop();
  return NM_CLI_DONE;
}

int main(int argc, char **argv)
{
  return nm_cli_main(argc, argv, serve);
}
