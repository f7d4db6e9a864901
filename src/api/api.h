/* api.h - the routes: what Optimove, Netmera's side and operators may ask, and what they are
 * answered.
 *
 * Everything here runs on one loop, that of `home`.  A public handler checks who calls, hands a
 * record to the store and answers when it is durable; an admin handler asks the store's reader, or
 * the engine by `control`.
 */
#pragma once

#include "config/config.h"
#include "http/http.h"
#include "model/control.h"
#include "store/store.h"
#include "tenants/tenants.h"

struct nm_api;

/* Everything is borrowed and outlives the api. */
struct nm_api_env {
  struct nm_store *store;
  struct nm_tenants *tenants;
  struct nm_keyring *keyring;
  const struct nm_settings *settings;
  struct nm_port *control; /* the engine's: takes struct nm_control */
  struct nm_port *home;    /* on the loop that serves; opened without on_task */

  /* NM_CONTROL_RELOAD, answered by whoever watches the rules: fills rc, error and answer and
   * returns the task, now or later, on any thread.  NULL: 501. */
  void (*reload)(void *data, struct nm_control *control);
  void *data; /* for reload */
};

/* On home's loop.  Gives *out. */
NM_MUST_CHECK int nm_api_create(struct nm_api **out, const struct nm_api_env *env,
                                struct nm_error *err);

/* For struct nm_http_options: routes with `data` = the api.  The admin routes of the unix socket
 * need no token; those of TCP one for everything under /api/v1. */
const struct nm_http_route *nm_api_public_routes(const struct nm_api *api);
const struct nm_http_route *nm_api_admin_routes(const struct nm_api *api, bool is_socket);

/* After the servers have stopped and the engine and the store are gone (home may be closed): frees
 * what was never answered, then calls on_closed; the api is then gone. */
void nm_api_close(struct nm_api *api, void (*on_closed)(void *data), void *data);

/* What nm_tenant_parse() wants to know of adapters: is it built, are its settings right? */
int nm_api_check_provider(struct nm_text adapter, const json_t *settings, struct nm_error *err);
