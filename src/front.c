#include "front.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "net/listen.h"

/* ---- its end --------------------------------------------------------------------------------- */

static void close_front_handles(void *data)
{
  struct nm_front *front = data;
  nm_port_close(&front->home, NULL);
  uv_close((uv_handle_t *)&front->stop, NULL);
  uv_close((uv_handle_t *)&front->look, NULL);
  if (front->tls) nm_tls_close(front->tls, NULL, NULL);
  if (front->admin_tls) nm_tls_close(front->admin_tls, NULL, NULL);
}

static void on_front_look(uv_async_t *async)
{
  struct nm_front *front = async->data;
  if (front->tls) nm_tls_look(front->tls);
  if (front->admin_tls) nm_tls_look(front->admin_tls);
}

static void on_server_stopped(void *data)
{
  struct nm_front *front = data;
  if (--front->open_servers == 0) nm_task_return(&front->quiet);
}

static void shut_doors(struct nm_front *front)
{
  if (front->is_shut) return;
  front->is_shut = true;
  for (int i = front->open_servers - 1; i >= 0; i--)
    nm_http_stop(front->servers[i], on_server_stopped, front);
}

static void on_front_stop(uv_async_t *async)
{
  struct nm_front *front = async->data;
  switch (atomic_load(&front->order)) {
  case NM_FRONT_SHUT: shut_doors(front); break;
  case NM_FRONT_GIVE_UP:
    front->is_given_up = front->open_servers > 0;
    if (front->is_given_up) uv_stop(&front->loop);
    break;
  case NM_FRONT_CLOSE: nm_api_close(front->api, close_front_handles, front); break;
  default: break;
  }
}

void nm_front_order(struct nm_front *front, enum nm_front_order order)
{
  atomic_store(&front->order, (int)order);
  uv_async_send(&front->stop);
}

/* ---- its doors ------------------------------------------------------------------------------- */

static int listen_on(struct nm_front *front, enum nm_door_kind kind, const char *what,
                     const struct nm_http_options *options)
{
  char address[32];
  if (!nm_doors_copy(front->doors, kind, address)) return NM_OK;
  struct nm_http_server **server = &front->servers[front->open_servers];
  int rc = nm_http_listen(server, &front->loop, nm_text_from(address), options, &front->error);
  if (rc) return rc;
  front->open_servers++;
  struct nm_text real = nm_http_address(*server);
  nm_log(NM_LOG_INFO, "main", NULL, "%s on %.*s", what, NM_TEXT_ARG(real));
  return NM_OK;
}

static int open_tls(struct nm_front *front, const struct nm_settings *settings)
{
  const struct nm_tls_options options = nm_settings_tls(settings);
  int rc =
      nm_networks_init(&front->behind, settings->behind, settings->behind_count, &front->error);
  if (rc || !nm_settings_has_tls(settings)) return rc;
  struct nm_error error = { 0 };
  rc = nm_tls_open(&front->tls, &front->loop, &options, &error);
  return rc ? nm_fail(&front->error, rc, "public.tls: %s", error.text) : NM_OK;
}

static int open_admin_tls(struct nm_front *front, const struct nm_settings *settings)
{
  const struct nm_tls_options options = nm_settings_admin_tls(settings);
  struct nm_error error = { 0 };
  if (!nm_settings_has_admin_tls(settings)) return NM_OK;
  int rc = nm_tls_open(&front->admin_tls, &front->loop, &options, &error);
  return rc ? nm_fail(&front->error, rc, "admin.tls: %s", error.text) : NM_OK;
}

static int count_connections(const struct nm_settings *settings)
{
  int wanted = settings->limits.connections, room = nm_listener_room(wanted);
  if (room < wanted)
    nm_log(NM_LOG_WARN, "main", NULL,
           "this process may open so few files that %d connections are the most, not %d; raise its "
           "limit (LimitNOFILE, ulimit -n)",
           room, wanted);
  return room;
}

static int open_front(struct nm_front *front, const struct nm_settings *settings)
{
  int rc = open_tls(front, settings);
  if (!rc) rc = open_admin_tls(front, settings);
  if (rc) return rc;
  struct nm_http_options options = {
    .routes = nm_api_public_routes(front->api),
    .data = front->api,
    .tls = front->tls,
    .behind = &front->behind,
    .limits = { .connections_max = count_connections(settings),
                .per_address_max = settings->limits.per_address,
                .requests_max = settings->limits.requests,
                .handshake_timeout_ms = settings->limits.handshake_ms,
                .head_timeout_ms = settings->limits.head_ms,
                .body_timeout_ms = settings->limits.body_ms,
                .write_timeout_ms = settings->limits.write_ms,
                .idle_timeout_ms = settings->limits.idle_ms },
  };
  rc = listen_on(front, NM_DOOR_PUBLIC, "public", &options);
  if (rc) return rc;
  struct nm_text address = nm_http_address(front->servers[0]);
  snprintf(front->public_address, sizeof front->public_address, "%.*s", NM_TEXT_ARG(address));

  options.limits = (struct nm_http_limits){ .connections_max = NM_HTTP_ADMIN_CONNECTIONS_MAX };
  options.tls = front->admin_tls;
  options.behind = NULL;
  options.routes = nm_api_admin_routes(front->api, false);
  rc = listen_on(front, NM_DOOR_ADMIN, "admin", &options);
  if (rc) return rc;
  options.tls = NULL;
  options.routes = nm_api_admin_routes(front->api, true);
  return listen_on(front, NM_DOOR_COMMANDS, "commands", &options);
}

/* ---- its thread ------------------------------------------------------------------------------ */

static void run(void *data)
{
  struct nm_front *front = data;
  nm_require(uv_loop_init(&front->loop) == 0);
  nm_require(nm_port_open(&front->home, &front->loop, SIZE_MAX, NULL, NULL) == NM_OK);
  nm_require(uv_async_init(&front->loop, &front->stop, on_front_stop) == 0);
  nm_require(uv_async_init(&front->loop, &front->look, on_front_look) == 0);
  front->stop.data = front->look.data = front;
  front->rc = nm_api_create(&front->api, &front->env, &front->error);
  if (!front->rc) front->rc = open_front(front, front->env.settings);
  uv_sem_post(&front->started);
  if (front->rc) return; /* the process ends */
  uv_run(&front->loop, UV_RUN_DEFAULT);
  if (front->is_given_up) { /* what it holds goes with the process */
    nm_task_return(&front->quiet);
    return;
  }
  nm_port_deinit(&front->home);
  nm_networks_deinit(&front->behind);
  nm_expect(uv_loop_close(&front->loop) == 0);
}

int nm_front_start(struct nm_front *front, const struct nm_api_env *env,
                   const struct nm_doors *doors, struct nm_error *err)
{
  front->env = *env;
  front->env.home = &front->home;
  front->doors = doors;
  nm_require(uv_sem_init(&front->started, 0) == 0);
  if (uv_thread_create(&front->thread, run, front))
    return nm_fail(err, NM_EIO, "cannot start a thread");
  uv_sem_wait(&front->started);
  uv_sem_destroy(&front->started);
  if (!front->rc) return NM_OK;
  uv_thread_join(&front->thread);
  *err = front->error;
  return front->rc;
}
