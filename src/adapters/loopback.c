/* loopback.c - delivers to the log and to a counter, for trying things without a provider. */
#include <stdlib.h>

#include "adapters/internal.h"
#include "base/log.h"
#include "base/metrics.h"

struct pending {
  struct pending *next;
  struct nm_send *send;
};

struct loopback {
  struct nm_provider head; /* first */
  uv_idle_t idle;          /* runs while something is pending: answers come on the next turn */
  struct pending *first, **last;
  bool is_closing;
  void (*on_closed)(void *data);
  void *data;
};

static int check(const json_t *settings, struct nm_error *err)
{
  return nm_adapter_check_keys(settings, NULL, 0, err);
}

static int open_loopback(struct nm_provider **out, const struct nm_adapter_env *env,
                         const json_t *settings, struct nm_error *err)
{
  int rc = check(settings, err);
  if (rc != NM_OK) return rc;
  struct loopback *loopback = calloc(1, sizeof *loopback);
  if (!loopback) return nm_fail(err, NM_ENOMEM, "no memory for a provider");
  loopback->head.adapter = &nm_adapter_loopback;
  loopback->last = &loopback->first;
  uv_idle_init(env->loop, &loopback->idle);
  loopback->idle.data = loopback;
  *out = &loopback->head;
  return NM_OK;
}

static const char *unfit(const struct nm_message *message)
{
  return nm_adapter_recipient(message).len == 0 ? "has nobody to go to" : NULL;
}

static void deliver(struct nm_send *send)
{
  static const struct nm_outcome delivered = { .kind = NM_OUTCOME_DELIVERED, .retry_after_ms = -1,
                                               .reason = { "loopback", 8 } };
  size_t count = send->count; /* the send may go with its last done */
  for (size_t i = 0; i < count; i++) {
    const struct nm_message *message = send->messages[i];
    struct nm_log_ids ids = { .event = message->event_id,
                              .run = message->run_id,
                              .message = message->id };
    nm_metric_add(NM_METRIC_LOOPBACK_DELIVERED, 1);
    nm_log(NM_LOG_DEBUG, "adapters", &ids, "loopback: %s \"%.*s\" to %.*s: %.*s",
           nm_channel_name(message->channel), NM_TEXT_ARG(message->name),
           NM_TEXT_ARG(nm_adapter_recipient(message)), NM_TEXT_ARG(message->content));
    send->done(send, i, &delivered);
  }
}

/* Takes what is there now: what a done sends again waits for the next turn. */
static void deliver_pending(struct loopback *loopback)
{
  struct pending *pending = loopback->first;
  loopback->first = NULL;
  loopback->last = &loopback->first;
  while (pending) {
    struct pending *next = pending->next;
    deliver(pending->send);
    free(pending);
    pending = next;
  }
}

static void on_turn(uv_idle_t *idle)
{
  struct loopback *loopback = idle->data;
  uv_idle_stop(idle);
  deliver_pending(loopback);
}

static void send_loopback(struct nm_provider *provider, struct nm_send *send)
{
  struct loopback *loopback = (struct loopback *)provider;
  nm_require(!loopback->is_closing);
  struct pending *pending = calloc(1, sizeof *pending);
  nm_require(pending != NULL);
  pending->send = send;
  *loopback->last = pending;
  loopback->last = &pending->next;
  uv_idle_start(&loopback->idle, on_turn);
}

static void on_idle_closed(uv_handle_t *handle)
{
  struct loopback *loopback = handle->data;
  void (*on_closed)(void *) = loopback->on_closed;
  void *data = loopback->data;
  free(loopback);
  if (on_closed) on_closed(data);
}

/* What was taken is delivered: there is nobody who could lose it. */
static void close_loopback(struct nm_provider *provider, void (*on_closed)(void *data), void *data)
{
  struct loopback *loopback = (struct loopback *)provider;
  loopback->is_closing = true;
  loopback->on_closed = on_closed;
  loopback->data = data;
  uv_close((uv_handle_t *)&loopback->idle, on_idle_closed);
  deliver_pending(loopback);
}

const struct nm_adapter nm_adapter_loopback = {
  .name = "loopback",
  .channels = 1u << NM_CHANNEL_PUSH | 1u << NM_CHANNEL_SMS | 1u << NM_CHANNEL_EMAIL,
  .batch_max = 1000,
  .sends_max = 16,
  .check = check,
  .open = open_loopback,
  .unfit = unfit,
  .send = send_loopback,
  .close = close_loopback,
};
