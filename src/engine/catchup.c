/* catchup.c - for each channel: what was executed today and yesterday, against the notices. */
#include "engine/catchup.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/book.h"

enum {
  ARENA_MAX_BYTES = 16 * 1024 * 1024,
  DAYS = 2,
  EARLY_MS = 60 * 60 * 1000, /* a notice may come before Optimove's day begins for it */
  DAY_MS = 24 * 3600 * 1000,
};

/* One look: channel by channel. */
struct look {
  struct nm_catchup *catchup;
  size_t channel; /* its place in the tenant's list */
  int days_asked; /* of this channel */
  size_t waiting;
  struct nm_call *call; /* what is gathered of this channel */
  struct nm_text day;   /* the one that is asked about */
  int64_t day_from_ms;
};

static void next(struct look *look);

static const struct nm_tenant_connector *connector_of(const struct nm_catchup *catchup)
{
  return &catchup->book->tenant->connector;
}

static bool may_look(const struct nm_catchup *catchup)
{
  const struct nm_tenant_connector *connector = connector_of(catchup);
  return nm_engine_is_running(catchup->book->engine) && connector->is_present &&
         connector->is_active && connector->catch_up != NM_CATCH_UP_OFF && catchup->book->account;
}

static int64_t after_ms(const struct nm_catchup *catchup)
{
  int64_t set = connector_of(catchup)->catch_up_after_ms;
  return set > 0 ? set : NM_CATCH_UP_AFTER_MS;
}

static void end(struct look *look)
{
  struct nm_catchup *catchup = look->catchup;
  if (look->call) nm_call_destroy(look->call);
  catchup->is_running = false;
  catchup->waiting = look->waiting;
  catchup->last_ended_at_ms = nm_clock_wall_ms();
  /* Once more, when what has no notice yet has had its time. */
  if (look->waiting > 0 && may_look(catchup)) nm_alarm_within(&catchup->alarm, after_ms(catchup));
  free(look);
}

static void give_up(struct look *look, const char *reason)
{
  struct nm_log_ids ids = nm_book_ids(look->catchup->book);
  if (nm_engine_is_running(look->catchup->book->engine)) {
    snprintf(look->catchup->problem, sizeof look->catchup->problem, "%s", reason);
    nm_log(NM_LOG_WARN, "engine", &ids, "campaigns whose notice never came cannot be found: %s",
           reason);
  }
  end(look);
}

/* ---- what the store says of a channel -------------------------------------------------------- */

static void tell(const struct nm_catchup *catchup, const struct nm_store_missed *missed)
{
  const struct nm_event *event = &missed->arrival.event;
  struct nm_log_ids ids = nm_book_ids(catchup->book);
  ids.event = missed->arrival.id;
  nm_metric_add(NM_METRIC_CATCH_UP_MISSED, 1);
  nm_log(NM_LOG_WARN, "engine", &ids,
         "campaign %.*s was executed on channel %lld on %.*s, and its notice never came: it is %s",
         NM_TEXT_ARG(event->campaign), (long long)event->channel_id, NM_TEXT_ARG(event->stamp),
         connector_of(catchup)->catch_up == NM_CATCH_UP_RUN ? "run now" : "held for a person");
}

static void on_compared(struct nm_call *call)
{
  struct look *look = call->data;
  const struct nm_store_catch_up *found = &call->u.catch_up;
  look->call = NULL;
  if (call->u.head.rc) {
    give_up(look, call->u.head.error.text);
    nm_call_destroy(call);
    return;
  }
  for (size_t i = 0; i < found->count && found->missed > 0; i++)
    if (found->campaigns[i].arrival.id != 0) tell(look->catchup, &found->campaigns[i]);
  look->catchup->missed += (int64_t)found->missed;
  look->waiting += found->waiting;
  nm_call_destroy(call);
  look->channel++;
  look->days_asked = 0;
  next(look);
}

/* ---- what Optimove says of a day ------------------------------------------------------------- */

static void add_campaign(struct look *look, struct nm_text campaign)
{
  struct nm_store_catch_up *found = &look->call->u.catch_up;
  struct nm_arena *arena = look->call->u.head.arena;
  if (found->count == NM_CATCH_UP_CAMPAIGNS_MAX || campaign.len == 0) return;
  struct nm_store_missed *missed = &found->campaigns[found->count];
  struct nm_event *event = &missed->arrival.event;
  json_t *body = json_pack("{s:i,s:s%,s:I,s:s%}", "EventTypeID", NM_EVENT_TYPE_CAMPAIGN,
                           "CampaignID", campaign.ptr, campaign.len, "ChannelID",
                           (json_int_t)found->channel_id, "TimeStamp", look->day.ptr,
                           look->day.len);
  char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  json_decref(body);
  nm_require(text != NULL);
  *event = (struct nm_event){
    .tenant_id = found->tenant_id,
    .received_at_ms = found->now_ms,
    .kind = NM_EVENT_CAMPAIGN,
    .type = NM_EVENT_TYPE_CAMPAIGN,
    .channel_id = found->channel_id,
    .campaign = nm_arena_copy(arena, campaign),
    .stamp = look->day,
    .foreign_id = NM_TEXT(NM_CATCH_UP_MARK),
    .body = nm_arena_copy(arena, nm_text_from(text)),
  };
  free(text);
  missed->arrival.identity = nm_event_identity(arena, event, &missed->arrival.window_ms);
  missed->from_ms = look->day_from_ms;
  found->count++;
}

static void on_executed(void *data, const struct nm_optimove_answer *answer)
{
  struct look *look = data;
  if (answer->end != NM_OPTIMOVE_OK) {
    give_up(look, answer->reason);
    return;
  }
  size_t i;
  json_t *row;
  json_array_foreach(answer->body, i, row)
    if (json_is_object(row))
      add_campaign(look, nm_optimove_campaign_of(row, look->call->u.head.arena));
  /* One that is left out of the first look would be taken for a missed one by the next. */
  if (nm_arena_has_refused(look->call->u.head.arena)) give_up(look, "out of memory");
  else next(look);
}

static void begin_channel(struct look *look, int64_t channel_id)
{
  struct nm_book *book = look->catchup->book;
  look->call =
      nm_call_create(book->engine, NM_STORE_CATCH_UP, ARENA_MAX_BYTES, on_compared, look);
  struct nm_store_catch_up *found = &look->call->u.catch_up;
  found->tenant_id = book->tenant_id;
  found->channel_id = channel_id;
  found->now_ms = nm_clock_wall_ms();
  found->after_ms = after_ms(look->catchup);
  found->campaigns =
      nm_call_alloc(look->call, NM_CATCH_UP_CAMPAIGNS_MAX * sizeof *found->campaigns);
}

static void choose_day(struct look *look)
{
  const struct nm_zone *zone = connector_of(look->catchup)->zone;
  struct nm_local day;
  nm_zone_local(zone, look->call->u.catch_up.now_ms - (int64_t)look->days_asked * DAY_MS, &day);
  look->day = nm_arena_printf(look->call->u.head.arena, "%04d-%02d-%02d", day.year, day.month,
                              day.day);
  look->day_from_ms = nm_zone_instant(zone, day.year, day.month, day.day, 0, 0, 0) - EARLY_MS;
  look->days_asked++;
}

static void next(struct look *look)
{
  struct nm_catchup *catchup = look->catchup;
  const struct nm_tenant_connector *connector = connector_of(catchup);
  if (!may_look(catchup) || (!look->call && look->channel >= connector->channel_count)) {
    if (may_look(catchup)) catchup->problem[0] = '\0';
    end(look);
    return;
  }
  if (!look->call) begin_channel(look, connector->channels[look->channel].id);
  if (look->days_asked == DAYS) {
    nm_call_submit(look->call);
    return;
  }
  choose_day(look);
  if (!look->day.ptr ||
      nm_optimove_executed(catchup->book->account, look->call->u.catch_up.channel_id, look->day,
                           on_executed, look))
    give_up(look, "the call to Optimove could not be made");
}

/* ---- when ------------------------------------------------------------------------------------ */

static void on_alarm(void *data)
{
  struct nm_catchup *catchup = data;
  const struct nm_reconciler *reconciler = &catchup->book->reconciler;
  if (catchup->is_running || !may_look(catchup)) return;
  /* It may find that this is another account than before; its end asks for a look. */
  if (reconciler->is_running || reconciler->is_wanted) return;
  struct look *look = calloc(1, sizeof *look);
  nm_require(look != NULL);
  look->catchup = catchup;
  catchup->is_running = true;
  next(look);
}

void nm_catchup_open(struct nm_catchup *catchup, struct nm_book *book)
{
  *catchup = (struct nm_catchup){ .book = book };
  nm_alarm_open(&catchup->alarm, book->engine, on_alarm, catchup);
}

void nm_catchup_soon(struct nm_catchup *catchup)
{
  if (!may_look(catchup)) return;
  int64_t wait_ms = after_ms(catchup);
  nm_alarm_within(&catchup->alarm, wait_ms < NM_CATCH_UP_SOON_MS ? wait_ms : NM_CATCH_UP_SOON_MS);
}

json_t *nm_catchup_status(const struct nm_catchup *catchup)
{
  static const char *const modes[] = { "report", "run", "off" };
  json_t *status = json_pack("{s:s,s:I,s:I}", "mode", modes[connector_of(catchup)->catch_up],
                             "missed", (json_int_t)catchup->missed, "waiting",
                             (json_int_t)catchup->waiting);
  if (catchup->last_ended_at_ms)
    json_object_set_new(status, "last_look_at", json_integer(catchup->last_ended_at_ms));
  if (catchup->problem[0])
    json_object_set_new(status, "problem", json_string(catchup->problem));
  return status;
}
