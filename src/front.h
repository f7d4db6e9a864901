/* front.h - the thread that answers HTTP, with a loop of its own. */
#pragma once

#include <stdatomic.h>
#include <uv.h>

#include "api/api.h"
#include "doors.h"
#include "http/http.h"

enum { NM_FRONT_ADDRESS_MAX_BYTES = 128 };

/* What the main thread wants of it. */
enum nm_front_order {
  NM_FRONT_SERVE = 0,
  NM_FRONT_SHUT = 1,    /* no new callers; answer what is asked */
  NM_FRONT_GIVE_UP = 2, /* whoever is not through by now is cut off */
  NM_FRONT_CLOSE = 3,   /* engine and store are gone: nothing can come back any more */
};

struct nm_front {
  uv_thread_t thread;
  uv_loop_t loop;
  uv_sem_t started;
  uv_async_t stop, look; /* look: at the certificates */
  struct nm_tls *tls;    /* NULL: plain HTTP */
  struct nm_tls *admin_tls; /* of the admin listener; NULL: plain HTTP */
  struct nm_networks behind;
  struct nm_port home; /* the store's and the engine's answers */
  struct nm_api_env env;
  struct nm_api *api;
  const struct nm_doors *doors;
  struct nm_http_server *servers[NM_DOORS_COUNT];
  int open_servers;
  _Atomic int order;    /* enum nm_front_order; `stop` tells that it changed */
  struct nm_task quiet; /* returned to the main thread when nobody is left, or was given up */
  bool is_shut, is_given_up;
  int rc;
  struct nm_error error;
  char public_address[NM_FRONT_ADDRESS_MAX_BYTES];
};

/* Starts the thread; it serves what comes through the doors.  Borrows env's members and doors, but
 * for env->home, which is its own. */
NM_MUST_CHECK int nm_front_start(struct nm_front *front, const struct nm_api_env *env,
                                 const struct nm_doors *doors, struct nm_error *err);

/* Before NM_FRONT_SHUT `quiet` is filled.  After quiet came, or CLOSE was ordered: uv_thread_join.
 */
void nm_front_order(struct nm_front *front, enum nm_front_order order);
