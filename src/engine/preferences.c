/* preferences.c - loaded, told for each of the tenant's channels of that kind, forgotten.
 *
 * SetCustomerChannelPreference said twice changes nothing: whatever went wrong, it is said again.
 */
#include "engine/preferences.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/backoff.h"
#include "engine/book.h"

enum { ARENA_MAX_BYTES = 64 * 1024 * 1024, GATHER_MS = 1000, STORE_WAIT_MS = 5000 };

/* People of one channel's kind on their way. */
struct saying {
  struct nm_preferences *preferences;
  struct nm_call *load;
  size_t channel; /* of the tenant's list: the next to be looked at */
};

static const struct nm_tenant_connector *connector_of(const struct nm_preferences *preferences)
{
  return &preferences->book->tenant->connector;
}

static bool may_say(const struct nm_preferences *preferences)
{
  const struct nm_tenant_connector *connector = connector_of(preferences);
  return nm_engine_is_running(preferences->book->engine) && connector->is_present &&
         connector->is_active && connector->unsubscribe_mode > 0 && preferences->book->account;
}

static void rest(struct nm_preferences *preferences, int64_t wait_ms)
{
  preferences->is_running = false;
  if (nm_engine_is_running(preferences->book->engine))
    nm_alarm_within(&preferences->alarm, wait_ms);
}

static void end_saying(struct saying *saying)
{
  nm_call_destroy(saying->load);
  free(saying);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static void on_forgotten(struct nm_call *call)
{
  struct saying *saying = call->data;
  struct nm_preferences *preferences = saying->preferences;
  if (call->u.head.rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  nm_call_destroy(call);
  end_saying(saying);
  rest(preferences, 0); /* there may be more */
}

static void forget(struct saying *saying)
{
  struct nm_store_preferences_load *load = &saying->load->u.preferences_load;
  struct nm_call *call = nm_call_create(saying->preferences->book->engine,
                                        NM_STORE_PREFERENCES_DONE, 4096, on_forgotten, saying);
  struct nm_store_preferences_done *done = &call->u.preferences_done;
  *done = (struct nm_store_preferences_done){
    .request = done->request, .tenant_id = load->tenant_id, .channel = load->channel,
    .customers = load->customers, .count = load->count, .last_id = load->last_id,
  };
  nm_call_submit(call);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void say(struct saying *saying);

static void on_said(void *data, const struct nm_optimove_answer *answer)
{
  struct saying *saying = data;
  struct nm_preferences *preferences = saying->preferences;
  struct nm_engine *engine = preferences->book->engine;
  struct nm_log_ids ids = nm_book_ids(preferences->book);
  engine->calls_out--;
  if (answer->end == NM_OPTIMOVE_OK) {
    preferences->failures = 0;
    nm_metric_add(NM_METRIC_UNSUBSCRIBES_TOLD, (int64_t)saying->load->u.preferences_load.count);
    say(saying);
  } else {
    preferences->failures++;
    int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_optimove, preferences->failures + 1,
                                         nm_engine_random(engine));
    if (answer->retry_after_ms > wait_ms) wait_ms = answer->retry_after_ms;
    nm_log(NM_LOG_WARN, "engine", &ids, "unsubscribes are told to Optimove later: %s",
           answer->reason);
    end_saying(saying);
    rest(preferences, wait_ms);
  }
  nm_engine_check_stop(engine);
}

static void say(struct saying *saying)
{
  struct nm_preferences *preferences = saying->preferences;
  const struct nm_tenant_connector *connector = connector_of(preferences);
  const struct nm_store_preferences_load *load = &saying->load->u.preferences_load;
  if (!may_say(preferences)) {
    preferences->is_running = false; /* it is still in the store */
    end_saying(saying);
    return;
  }
  while (saying->channel < connector->channel_count &&
         connector->channels[saying->channel].kind != load->channel)
    saying->channel++;
  if (saying->channel >= connector->channel_count) {
    forget(saying);
    return;
  }
  int64_t channel_id = connector->channels[saying->channel++].id;
  if (nm_optimove_set_preference(preferences->book->account, channel_id,
                                 connector->unsubscribe_mode, load->customers, load->count,
                                 on_said, saying)) {
    end_saying(saying);
    rest(preferences, STORE_WAIT_MS);
    return;
  }
  preferences->book->engine->calls_out++;
}

static void on_loaded(struct nm_call *call)
{
  struct nm_preferences *preferences = call->data;
  int rc = call->u.head.rc;
  if (rc || call->u.preferences_load.count == 0) {
    nm_call_destroy(call);
    preferences->is_running = false;
    if (rc) rest(preferences, STORE_WAIT_MS);
    else if (preferences->is_wanted) nm_preferences_soon(preferences);
    return;
  }
  struct saying *saying = calloc(1, sizeof *saying);
  nm_require(saying != NULL);
  *saying = (struct saying){ .preferences = preferences, .load = call };
  say(saying);
}

static void on_alarm(void *data)
{
  struct nm_preferences *preferences = data;
  if (preferences->is_running || !may_say(preferences)) return;
  preferences->is_running = true;
  preferences->is_wanted = false;
  struct nm_call *call = nm_call_create(preferences->book->engine, NM_STORE_PREFERENCES_LOAD,
                                        ARENA_MAX_BYTES, on_loaded, preferences);
  call->u.preferences_load.tenant_id = preferences->book->tenant_id;
  nm_call_submit(call);
}

void nm_preferences_open(struct nm_preferences *preferences, struct nm_book *book)
{
  *preferences = (struct nm_preferences){ .book = book };
  nm_alarm_open(&preferences->alarm, book->engine, on_alarm, preferences);
}

void nm_preferences_soon(struct nm_preferences *preferences)
{
  preferences->is_wanted = true;
  if (may_say(preferences)) nm_alarm_within(&preferences->alarm, GATHER_MS);
}
