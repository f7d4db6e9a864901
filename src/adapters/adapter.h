/* adapter.h - the contract of a way to deliver messages (Netmera, FCM, APNs, SMTP, SMPP, HTTP
 * gateways).
 *
 * One file or folder implements each kind; the engine knows nothing of protocols and an adapter
 * nothing of queues.
 *
 * An adapter
 * - MUST call `done` of a send exactly once for each of its messages, with an outcome of
 *   model/message.h, also when it is closed meanwhile (unknown, or retry where nothing was sent);
 * - MUST say `unknown` where bytes may have reached the provider and the answer was lost, `retry`
 *   only where nothing was sent or the provider said so;
 * - MUST split a partial answer by what the answer names, and MAY split blindly (must_split) only
 *   where the answer proves that nothing was sent;
 * - MUST classify by its protocol's own words, kept as `reason`, without secret, token or address;
 * - MAY NOT block, retry, delay, reorder between persons, or start a thread of its own;
 * - MAY NOT call `done` from inside `send`;
 * - MAY NOT keep a pointer into a message after its `done`;
 * - MAY NOT log a secret, an address or a message's text.
 * How often, how fast, when and whether is the engine's alone.
 */
#pragma once

#include <uv.h>

#include "client/client.h"
#include "json/json.h"
#include "model/message.h"

/* A configured instance of an adapter: the head of each adapter's own struct. */
struct nm_provider {
  const struct nm_adapter *adapter;
};

/* What an adapter may use.  Outlives every provider. */
struct nm_adapter_env {
  uv_loop_t *loop;
  struct nm_client *client;
};

/* Messages of one lane that go out together; lives until the last done.
 *
 * must_split is the adapter's, false at first, and read at each done: a message that gets RETRY
 * while it is true goes out again at once, in halves (two sends, each with at most half of those
 * messages), and the try is not counted as an attempt.  An adapter sets it where the whole was
 * refused for the sake of some messages, nothing of it was sent, and the answer does not tell
 * which; never for a send of one message, so that halving ends.  Those whose fate the answer does
 * tell it settles first, while must_split is still false. */
struct nm_send {
  const struct nm_message *const *messages;
  size_t count;
  void (*done)(struct nm_send *send, size_t index, const struct nm_outcome *outcome);
  void *data;
  bool must_split;
};

/* What a provider's own reports say of what was sent by one key between two instants. */
struct nm_result_counts {
  int64_t delivered, failed;
  bool knows_clicks;
  int64_t clicked;
};

struct nm_results {
  struct nm_text report_key;
  int64_t from_ms, to_ms; /* by the provider's clock */
  int64_t most;           /* beyond so many it may stop: they are not all ours */
  /* Once.  rc: NM_EDENIED where the key may not ask or is not known, NM_EIO where asking later may
   * do; reason is for people. */
  void (*done)(void *data, int rc, const struct nm_result_counts *counts, const char *reason);
  void *data;
};

/* Whether a provider would take something from us. */
struct nm_provider_test {
  /* Once.  result: "fine", "warning" or "wrong"; text says in plain words what is wrong and what to
   * do about it, without a secret. */
  void (*done)(void *data, const char *result, const char *text);
  void *data;
};

struct nm_adapter {
  const char *name;       /* "netmera": what a tenant's provider names */
  unsigned channels;      /* bits 1u << enum nm_channel that it can carry */
  size_t batch_max;       /* messages that one send may carry */
  int sends_max; /* sends under way at a time, for each provider, where settings do not say */

  /* Checks a provider's settings: the provider's table without `adapter`, secrets as plain text (or
   * as any word, where only their presence can be checked).  Names the key that is wrong, also one
   * that nobody knows.  rate, url, unknown, order, retry, concurrency and ahead are the same for
   * all and checked by tenants. */
  int (*check)(const json_t *settings, struct nm_error *err);

  /* Gives *out.  Borrows settings for the call. */
  int (*open)(struct nm_provider **out, const struct nm_adapter_env *env, const json_t *settings,
              struct nm_error *err);

  /* Why this message cannot go by this adapter at all ("has no notification_key"), or NULL.  The
   * engine holds it with that reason.  Pure. */
  const char *(*unfit)(const struct nm_message *message);

  /* Starts delivering; takes nothing, returns at once.  `address`, where a message has one, is whom
   * to deliver to, else `customer`. */
  void (*send)(struct nm_provider *provider, struct nm_send *send);

  /* Asks for results; NULL where the provider has no reports.  Borrows all but what->done and
   * what->data for the call; needs no open provider; MAY NOT call done from inside. */
  int (*results)(const struct nm_adapter_env *env, const json_t *settings,
                 const struct nm_results *what);

  /* Logs in, or asks something that proves it; sends nothing to a person.  NULL where there is
   * nothing to log in to.  Borrows settings for the call; needs no open provider; MAY NOT call done
   * from inside. */
  int (*test)(const struct nm_adapter_env *env, const json_t *settings,
              const struct nm_provider_test *what);

  /* Ends what is under way (each still gets its done), then frees, then calls on_closed. */
  void (*close)(struct nm_provider *provider, void (*on_closed)(void *data), void *data);
};

/* The adapters that are built; NULL for any other name.  nm_adapter_is_known tells those that a
 * later version brings from words that are none. */
const struct nm_adapter *nm_adapter_find(struct nm_text name);
bool nm_adapter_is_known(struct nm_text name);

extern const struct nm_adapter nm_adapter_loopback;
extern const struct nm_adapter nm_adapter_netmera;
extern const struct nm_adapter nm_adapter_realtime; /* optimove.realtime of a tenant */
