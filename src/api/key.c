/* key.c - does Optimove take this key?  Asked before a tenant is saved, because a key that is refused refuses
 * the save.
 *
 * It asks with accounts of its own, so these few calls stand beside the engine's window of the same key: at most
 * one for each save that brings a new key or address. */
#include <stdlib.h>

#include "api/internal.h"

struct trial {
  uv_timer_t timer;
  void (*then)(void *data, int rc, const char *reason);
  void *data;
  bool is_told;     /* `then` has run */
  bool is_answered; /* Optimove's part is over, or never began */
  bool is_closed;   /* the timer's */
};

static void tell(struct trial *trial, int rc, const char *reason)
{
  if (trial->is_told) return;
  trial->is_told = true;
  trial->then(trial->data, rc, reason);
}

static void free_when_over(struct trial *trial)
{
  if (trial->is_answered && trial->is_closed) free(trial);
}

static void on_timer_closed(uv_handle_t *handle)
{
  struct trial *trial = handle->data;
  trial->is_closed = true;
  free_when_over(trial);
}

static void on_time_up(uv_timer_t *timer)
{
  struct trial *trial = timer->data;
  uv_close((uv_handle_t *)timer, on_timer_closed);
  tell(trial, NM_OK, NULL);
}

static void on_answer(void *data, const struct nm_optimove_answer *answer)
{
  struct trial *trial = data;
  bool is_denied = answer->end == NM_OPTIMOVE_DENIED && answer->status == 401;
  trial->is_answered = true;
  if (!uv_is_closing((uv_handle_t *)&trial->timer))
    uv_close((uv_handle_t *)&trial->timer, on_timer_closed);
  tell(trial, is_denied ? NM_EDENIED : NM_OK, answer->reason);
  free_when_over(trial);
}

void nm_api_try_key(struct nm_api *api, const struct nm_tenant *tenant, int64_t timeout_ms,
                    void (*then)(void *data, int rc, const char *reason), void *data)
{
  struct nm_optimove_account *account = nm_optimove_account(api->optimove, tenant);
  struct trial *trial = calloc(1, sizeof *trial);
  nm_require(trial != NULL && uv_timer_init(api->loop, &trial->timer) == 0);
  trial->timer.data = trial;
  trial->then = then;
  trial->data = data;
  int rc = account ? nm_optimove_listeners(account, on_answer, trial) : NM_ENOMEM;
  trial->is_answered = rc != NM_OK;
  /* where it could not even start, the turn after this one goes on with the save */
  uv_timer_start(&trial->timer, on_time_up, rc ? 0 : (uint64_t)timeout_ms, 0);
}
