#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/internal.h"

enum { CONNECTIONS_PER_HOST = 64, CONNECTIONS_KEPT = 256, IDLE_CALLS_MAX = 64 };

/* curl takes a connection's socket off after each request and puts it on again for the next: it
 * stays on the loop meanwhile.  The resolver's sockets come and go as curl says. */
struct watched {
  struct watched *prev, *next;
  struct nm_client *client;
  uv_poll_t poll;
  curl_socket_t socket;
  bool is_connection;
  bool is_corked; /* what curl writes stays in the kernel until `push` */
  bool is_to_push;
  struct watched *next_to_push;
  int wanted; /* by curl; 0 = no request is on it */
  int armed;  /* on the loop */
};

static uv_once_t curl_once = UV_ONCE_INIT;
static CURLcode curl_ready;
bool nm_client_has_trust_file;

/* TLS writes have no MSG_NOSIGNAL: a peer that is gone would end the process. */
static void init_curl(void)
{
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
  curl_ready = curl_global_init(CURL_GLOBAL_ALL);
  /* Asked once: to tell, libcurl calls into every library that it is made with. */
  nm_client_has_trust_file = curl_version_info(CURLVERSION_NOW)->cainfo != NULL;
}

/* The last handle gone: nobody can reach the client any more. */
static void close_one_less(struct nm_client *client)
{
  nm_require(client->handles_open > 0);
  if (--client->handles_open > 0 || !client->is_closing) return;
  void (*on_closed)(void *) = client->on_closed;
  void *data = client->data;
  nm_guard_deinit(&client->guard);
  free(client->ca_file);
  free(client->by_socket);
  nm_buffer_deinit(&client->shape);
  free(client);
  if (on_closed) on_closed(data);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void on_call_closed(uv_handle_t *handle)
{
  struct call *call = handle->data;
  struct nm_client *client = call->client;
  free(call);
  close_one_less(client);
}

static void drop_call(struct call *call)
{
  curl_easy_cleanup(call->easy);
  call->easy = NULL;
  nm_call_deinit(call);
  uv_close((uv_handle_t *)&call->deadline, on_call_closed);
}

static void release_call(struct call *call, bool is_well)
{
  struct nm_client *client = call->client;
  nm_call_clear(call, is_well);
  if (client->is_closing || client->idle_count >= IDLE_CALLS_MAX) {
    drop_call(call);
    return;
  }
  call->next = client->idle;
  client->idle = call;
  client->idle_count++;
}

static struct call *take_call(struct nm_client *client)
{
  struct call *call = client->idle;
  if (call) {
    client->idle = call->next;
    client->idle_count--;
    return call;
  }
  call = calloc(1, sizeof *call);
  if (!call) return NULL;
  call->easy = curl_easy_init();
  if (!call->easy) {
    free(call);
    return NULL;
  }
  call->client = client;
  nm_buffer_init(&call->shape, NM_CLIENT_SHAPE_MAX_BYTES);
  uv_timer_init(client->loop, &call->deadline);
  call->deadline.data = call;
  client->handles_open++;
  return call;
}

static void link_call(struct call *call)
{
  struct nm_client *client = call->client;
  call->prev = NULL;
  call->next = client->active;
  if (call->next) call->next->prev = call;
  client->active = call;
  client->active_count++;
}

static void unlink_call(struct call *call)
{
  struct nm_client *client = call->client;
  if (call->prev) call->prev->next = call->next;
  else client->active = call->next;
  if (call->next) call->next->prev = call->prev;
  client->active_count--;
}

/* The one place where a call ends.  `done` may start calls and may close the client: the call's own
 * timer keeps the client's memory until it is released. */
static void end_call(struct call *call, CURLcode code)
{
  struct nm_client_answer answer;
  nm_call_describe(call, code, &answer);
  uv_timer_stop(&call->deadline);
  if (call->is_in_multi) curl_multi_remove_handle(call->client->multi, call->easy);
  call->is_in_multi = false;
  unlink_call(call);
  call->done(call->data, &answer);
  release_call(call, answer.end == NM_CLIENT_ANSWERED);
}

static void on_deadline(uv_timer_t *timer)
{
  end_call(timer->data, CURLE_OPERATION_TIMEDOUT);
}

/* A done may close the client; its memory then lives on to the end of this loop turn, its multi
 * does not. */
static void end_finished(struct nm_client *client)
{
  CURLMsg *message;
  int left;
  while (!client->is_closing && (message = curl_multi_info_read(client->multi, &left))) {
    struct call *call = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
    end_call(call, message->data.result);
  }
}

/* ---- requests leave together ----------------------------------------------------------------- */

/* curl takes some 10 us to set up a request.  A peer on the same machine, or a proxy beside us,
 * answers sooner and sleeps again: waking it costs more than the packet.  So what was written while
 * curl had the thread is kept back and leaves when curl has done all that it had to do.  The kernel
 * would not keep it longer than 200 ms, whatever we forgot. */
static void cork(struct watched *watched)
{
  int on = 1;
  watched->is_corked =
      setsockopt(watched->socket, IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0;
}

static void push_later(struct watched *watched)
{
  struct nm_client *client = watched->client;
  if (!watched->is_corked || watched->is_to_push) return;
  watched->is_to_push = true;
  watched->next_to_push = client->to_push;
  client->to_push = watched;
}

/* Of a corked socket NODELAY sends what is there and leaves it corked. */
static void push_all(struct nm_client *client)
{
  while (client->to_push) {
    struct watched *watched = client->to_push;
    int on = 1;
    client->to_push = watched->next_to_push;
    watched->is_to_push = false;
    setsockopt(watched->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
}

static void forget_push(struct watched *watched)
{
  struct watched **at = &watched->client->to_push;
  if (!watched->is_to_push) return;
  while (*at != watched) at = &(*at)->next_to_push;
  *at = watched->next_to_push;
}

/* ---- curl's sockets and its timer on the loop ------------------------------------------------ */

static struct watched *find_watched(const struct nm_client *client, curl_socket_t socket)
{
  return (size_t)socket < client->socket_places ? client->by_socket[socket] : NULL;
}

/* Lets curl go on.  Where it had no memory for what it keeps of a socket, 7.88 divides by zero at its
 * next look at it: we end first, with a word. */
static void let_go_on(struct nm_client *client, curl_socket_t socket, int flags)
{
  int running;
  CURLMcode code = curl_multi_socket_action(client->multi, socket, flags, &running);
  nm_require(code != CURLM_OUT_OF_MEMORY);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
  struct watched *watched = poll->data;
  struct nm_client *client = watched->client;
  curl_socket_t socket = watched->socket;
  int flags = status < 0 ? CURL_CSELECT_ERR : 0;
  if (!watched->wanted) { /* idle, and closed or speaking unasked: curl sees it when it needs it */
    uv_poll_stop(&watched->poll);
    watched->armed = 0;
    return;
  }
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  let_go_on(client, socket, flags);
  /* Of a handshake curl may have written the next part without wanting anything else than before. */
  watched = find_watched(client, socket);
  if (watched && watched->wanted) push_later(watched);
  push_all(client);
  end_finished(client);
}

static void on_watched_closed(uv_handle_t *handle)
{
  struct watched *watched = handle->data;
  struct nm_client *client = watched->client;
  free(watched);
  close_one_less(client);
}

static void unwatch(struct watched *watched)
{
  struct nm_client *client = watched->client;
  client->by_socket[watched->socket] = NULL;
  forget_push(watched);
  if (watched->prev) watched->prev->next = watched->next;
  else client->watched = watched->next;
  if (watched->next) watched->next->prev = watched->prev;
  uv_poll_stop(&watched->poll);
  uv_close((uv_handle_t *)&watched->poll, on_watched_closed);
}

static bool make_place(struct nm_client *client, size_t socket)
{
  size_t places = client->socket_places ? client->socket_places : 64;
  while (places <= socket) places *= 2;
  if (places == client->socket_places) return true;
  struct watched **grown = realloc(client->by_socket, places * sizeof *grown);
  if (!grown) return false;
  memset(grown + client->socket_places, 0, (places - client->socket_places) * sizeof *grown);
  client->by_socket = grown;
  client->socket_places = places;
  return true;
}

static struct watched *watch(struct nm_client *client, curl_socket_t socket)
{
  struct watched *watched = make_place(client, (size_t)socket) ? calloc(1, sizeof *watched) : NULL;
  if (!watched) return NULL;
  *watched = (struct watched){ .client = client, .socket = socket, .next = client->watched };
  if (uv_poll_init_socket(client->loop, &watched->poll, socket)) {
    free(watched);
    return NULL;
  }
  watched->poll.data = watched;
  if (watched->next) watched->next->prev = watched;
  client->watched = watched;
  client->by_socket[socket] = watched;
  client->handles_open++;
  return watched;
}

/* Never -1: all requests of the client would end, the sent ones with their outcome unknown.  One whose
 * socket is not watched ends by its time. */
static int on_socket_changed(CURL *easy, curl_socket_t socket, int what, void *data, void *known)
{
  struct nm_client *client = data;
  struct watched *watched = find_watched(client, socket);
  int events = 0;
  (void)easy, (void)known;

  if (what == CURL_POLL_REMOVE) {
    if (watched && watched->is_connection) watched->wanted = 0;
    else if (watched) unwatch(watched);
    return 0;
  }
  if (!watched) watched = watch(client, socket);
  if (!watched) return 0;
  if (what != CURL_POLL_OUT) events |= UV_READABLE;
  if (what != CURL_POLL_IN) events |= UV_WRITABLE;
  watched->wanted = events;
  push_later(watched);
  if (watched->armed == events) return 0;
  watched->armed = events;
  uv_poll_start(&watched->poll, events, on_ready);
  return 0;
}

curl_socket_t nm_client_make_socket(struct nm_client *client, const struct curl_sockaddr *address,
                                    bool is_shared)
{
  curl_socket_t made =
      socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (made == CURL_SOCKET_BAD) return made;
  struct watched *watched = watch(client, made);
  if (watched) {
    watched->is_connection = true;
    if (!is_shared) cork(watched);
    return made;
  }
  close(made);
  return CURL_SOCKET_BAD;
}

int nm_client_close_socket(void *data, curl_socket_t socket)
{
  struct watched *watched = find_watched(data, socket);
  if (watched) unwatch(watched);
  return close(socket);
}

static void on_timeout(uv_timer_t *timer)
{
  struct nm_client *client = timer->data;
  client->is_in_timer = true;
  let_go_on(client, CURL_SOCKET_TIMEOUT, 0);
  push_all(client);
  end_finished(client);
  client->is_in_timer = false;
}

/* A timer of 0 that is started by a timer runs in the same pass of the loop: calls that fail at
 * once and are started again would keep everybody else from their turn. */
static int on_timer_changed(CURLM *multi, long timeout_ms, void *data)
{
  struct nm_client *client = data;
  (void)multi;
  if (timeout_ms < 0) {
    uv_timer_stop(&client->timer);
    return 0;
  }
  if (timeout_ms == 0 && client->is_in_timer) timeout_ms = 1;
  if (!uv_is_closing((uv_handle_t *)&client->timer))
    uv_timer_start(&client->timer, on_timeout, (uint64_t)timeout_ms, 0);
  return 0;
}

/* ---- the client ------------------------------------------------------------------------------ */

static void set_multi(struct nm_client *client, int connections_per_host_max)
{
  long most = connections_per_host_max > 0 ? connections_per_host_max : CONNECTIONS_PER_HOST;
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_changed);
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_changed);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, most);
  curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
}

int nm_client_open(struct nm_client **out, uv_loop_t *loop, const struct nm_client_options *options,
                   struct nm_error *err)
{
  static const struct nm_client_options none;
  struct nm_client *client = NULL;
  if (!options) options = &none;
  uv_once(&curl_once, init_curl);
  if (curl_ready) return nm_fail(err, NM_EINTERNAL, "libcurl: %s", curl_easy_strerror(curl_ready));

  client = calloc(1, sizeof *client);
  if (!client) return nm_fail(err, NM_ENOMEM, "no memory for the HTTP client");
  int rc = nm_guard_init(&client->guard, options->allow, options->allow_count, err);
  if (rc != NM_OK) {
    free(client);
    return rc;
  }
  client->loop = loop;
  nm_buffer_init(&client->shape, NM_CLIENT_SHAPE_MAX_BYTES);
  client->multi = curl_multi_init();
  client->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
  if (!client->multi || (options->ca_file && !client->ca_file)) {
    if (client->multi) curl_multi_cleanup(client->multi);
    free(client->ca_file);
    nm_guard_deinit(&client->guard);
    free(client);
    return nm_fail(err, NM_ENOMEM, "no memory for the HTTP client");
  }
  uv_timer_init(loop, &client->timer);
  client->timer.data = client;
  client->handles_open = 1;
  set_multi(client, options->connections_per_host_max);
  *out = client;
  return NM_OK;
}

int nm_client_start(struct nm_client *client, const struct nm_client_call *wanted,
                    struct nm_error *err)
{
  if (client->is_closing) return nm_fail(err, NM_ECLOSED, "the HTTP client is closing");
  struct call *call = take_call(client);
  if (!call) return nm_fail(err, NM_ENOMEM, "no memory for a call");

  int rc = nm_call_prepare(call, wanted, err);
  if (rc == NM_OK && !call->is_refused) {
    CURLMcode code = curl_multi_add_handle(client->multi, call->easy);
    if (code) rc = nm_fail(err, NM_EINTERNAL, "libcurl: %s", curl_multi_strerror(code));
    call->is_in_multi = rc == NM_OK;
  }
  if (rc != NM_OK) {
    release_call(call, false);
    return rc;
  }
  link_call(call);
  /* curl's own timeout does not count while a call waits for a connection. */
  uv_update_time(client->loop);
  uint64_t wait_ms = call->is_refused ? 1 : (uint64_t)call->timeout_ms;
  uv_timer_start(&call->deadline, on_deadline, wait_ms, 0);
  return NM_OK;
}

size_t nm_client_active(const struct nm_client *client)
{
  return client->active_count;
}

static void on_timer_closed(uv_handle_t *handle)
{
  close_one_less(handle->data);
}

void nm_client_close(struct nm_client *client, void (*on_closed)(void *data), void *data)
{
  nm_require(!client->is_closing);
  client->is_closing = true;
  client->on_closed = on_closed;
  client->data = data;

  while (client->active) end_call(client->active, CURLE_ABORTED_BY_CALLBACK);
  while (client->idle) {
    struct call *call = client->idle;
    client->idle = call->next;
    drop_call(call);
  }
  curl_multi_cleanup(client->multi);
  client->multi = NULL;
  while (client->watched) unwatch(client->watched);
  uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}
