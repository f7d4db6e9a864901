#include "engine/shape.h"

#include <inttypes.h>

#include "engine/caps.h"
#include "engine/failover.h"
#include "engine/message_log.h"
#include "engine/guard.h"
#include "engine/quiet.h"

/* ---- one message ----------------------------------------------------------------------------- */

/* Why nothing can be sent on this channel id (0 = none named) and kind; empty = it can. */
static struct nm_text channel_trouble(const struct nm_book *book, struct nm_arena *arena,
                                      int64_t channel_id, enum nm_channel kind)
{
  const struct nm_tenant *tenant = book->tenant;
  if (channel_id != 0) {
    const struct nm_tenant_channel *channel = nm_tenant_find_channel(tenant, channel_id);
    if (!channel)
      return nm_arena_printf(arena, "channel %" PRId64 " is none of the channels of tenant %.*s",
                             channel_id, NM_TEXT_ARG(tenant->name));
    if (kind != NM_CHANNEL_NONE && channel->kind != kind)
      return nm_arena_printf(arena, "channel %" PRId64 " is %s at tenant %.*s, the message is %s",
                             channel_id, nm_channel_name(channel->kind), NM_TEXT_ARG(tenant->name),
                             nm_channel_name(kind));
    kind = channel->kind;
  }
  if (tenant->chain_counts[kind] == 0)
    return nm_arena_printf(arena, "no provider for %s", nm_channel_name(kind));
  return NM_TEXT("");
}

static bool is_unwanted(const json_t *profile, enum nm_channel kind)
{
  const json_t *permissions = json_object_get(profile, "permissions");
  return json_is_false(json_object_get(permissions, nm_channel_name(kind)));
}

static void fill_message(const struct nm_shape *shape, const struct nm_effect *effect,
                         struct nm_message *out)
{
  const struct nm_tenant *tenant = shape->book->tenant;
  bool is_single = shape->run_id == 0;
  bool has_quiet = effect->quiet.from_minute != effect->quiet.to_minute;
  *out = (struct nm_message){
    .tenant_id = tenant->id, .run_id = shape->run_id, .generation_id = shape->generation_id,
    .state = NM_MESSAGE_WAITING, .priority = is_single ? NM_PRIORITY_SINGLE : NM_PRIORITY_RUN,
    .channel = effect->channel, .channel_id = effect->channel_id,
    .template_id = effect->template_id, .campaign = effect->campaign,
    .customer = effect->customer.len > 0 || effect->to_is_address ? effect->customer : effect->to,
    .address = effect->to_is_address ? effect->to : NM_TEXT(""), .name = effect->message,
    .content = effect->content,
    .stamp = shape->stamp, .triggered_at_ms = shape->triggered_at_ms,
    .created_at_ms = shape->now_ms, .quiet = has_quiet ? effect->quiet : shape->run_quiet,
  };
  int64_t due_ms = shape->due_at_ms > shape->now_ms ? shape->due_at_ms : shape->now_ms;
  out->due_at_ms = nm_quiet_allowed_ms(out->quiet, shape->zone, due_ms);
  if (effect->expires_in_ms > 0) out->expires_at_ms = out->due_at_ms + effect->expires_in_ms;
  nm_caps_fill(shape->zone, effect, shape->arena, out);
}

enum nm_shaped nm_shape_message(const struct nm_shape *shape, const struct nm_effect *effect,
                                struct nm_message *out, struct nm_text *reason)
{
  *reason = channel_trouble(shape->book, shape->arena, effect->channel_id, effect->channel);
  if (!reason->ptr) *reason = NM_TEXT("out of memory"); /* an empty one would mean that all is well */
  if (reason->len > 0) return NM_SHAPED_HELD;
  if (is_unwanted(shape->profile, effect->channel)) {
    *reason = nm_arena_printf(shape->arena, "the customer does not allow %s",
                              nm_channel_name(effect->channel));
    return NM_SHAPED_DROPPED;
  }
  fill_message(shape, effect, out);
  if (out->cap_count != effect->cap_count) {
    *reason = NM_TEXT("out of memory");
    return NM_SHAPED_HELD;
  }
  /* A copy: the tenant may be saved anew before the store has the message. */
  out->provider =
      nm_arena_copy(shape->arena, nm_failover_choose(shape->book, effect->channel, out));
  *reason = nm_failover_misfit(shape->book, shape->arena, out, out->provider);
  if (!reason->ptr || !out->provider.ptr) *reason = NM_TEXT("out of memory");
  return reason->len > 0 ? NM_SHAPED_HELD : NM_SHAPED_MESSAGE;
}

/* ---- the plan of an event -------------------------------------------------------------------- */

struct planning {
  struct nm_shape shape;
  const struct nm_event *event;
  struct nm_plan *plan;
  struct nm_text held, dropped; /* the first reason of each */
  size_t done;                  /* effects that do something */
};

static void settle_state(struct nm_plan *plan, enum nm_event_state state, struct nm_text reason)
{
  plan->state = state;
  plan->reason = reason;
}

static void add_send(struct planning *p, const struct nm_effect *effect)
{
  struct nm_text reason;
  struct nm_message *message = &p->plan->messages[p->plan->message_count];
  if (nm_message_log_is_own(p->event)) {
    if (p->held.len == 0)
      p->held = NM_TEXT("a message about what became of a message would never end");
    return;
  }
  if (nm_guard_is_full(p->shape.book, p->shape.now_ms, p->plan->message_count + 1)) {
    if (p->held.len == 0)
      p->held = nm_arena_printf(p->shape.arena,
                                "tenant %.*s made %" PRId64 " messages within an hour, its ceiling",
                                NM_TEXT_ARG(p->shape.book->tenant->name),
                                p->shape.book->tenant->guard.hour);
    return;
  }
  switch (nm_shape_message(&p->shape, effect, message, &reason)) {
  case NM_SHAPED_MESSAGE:
    message->event_id = p->event->id;
    p->plan->message_count++;
    p->done++;
    break;
  case NM_SHAPED_HELD:
    if (p->held.len == 0) p->held = reason;
    break;
  case NM_SHAPED_DROPPED:
    if (p->dropped.len == 0) p->dropped = reason;
    break;
  }
}

static void add_expand(struct planning *p, const struct nm_effect *effect)
{
  const struct nm_book *book = p->shape.book;
  struct nm_text reason =
      channel_trouble(book, p->shape.arena, effect->channel_id, NM_CHANNEL_NONE);
  if (!reason.ptr) reason = NM_TEXT("out of memory");
  if (effect->channel_id == 0) reason = NM_TEXT("a run needs a ChannelID");
  if (p->plan->run) reason = NM_TEXT("one event can start one run only");
  struct nm_run *run = reason.len == 0 ? nm_arena_alloc(p->shape.arena, sizeof *run) : NULL;
  if (!run) {
    if (p->held.len == 0) p->held = reason.len > 0 ? reason : NM_TEXT("out of memory");
    return;
  }
  *run = (struct nm_run){
    .tenant_id = book->tenant_id, .event_id = p->event->id, .generation_id = p->shape.generation_id,
    .channel_id = effect->channel_id, .state = NM_RUN_ACTIVE, .campaign = effect->campaign,
    .stamp = p->event->stamp, .quiet = effect->quiet, .triggered_at_ms = p->event->received_at_ms,
    .created_at_ms = p->shape.now_ms,
  };
  p->plan->run = run;
  p->plan->run_window_ms = book->tenant->connector.repeat_allowed ? 0 : NM_RUN_REPEAT_WINDOW_MS;
  p->done++;
}

static void add_cancel(struct planning *p, const struct nm_effect *effect)
{
  struct nm_cancel *cancel =
      p->plan->cancel ? NULL : nm_arena_alloc(p->shape.arena, sizeof *cancel);
  if (!cancel) {
    if (p->held.len == 0) p->held = NM_TEXT("one event can cancel one campaign only");
    return;
  }
  *cancel = (struct nm_cancel){ .campaign = effect->campaign, .channel_id = effect->channel_id,
                                .stamp = p->event->stamp, .stamp_ms = p->plan->stamp_ms,
                                .arrived_at_ms = p->event->received_at_ms };
  p->plan->cancel = cancel;
  p->done++;
}

static void add_updates(struct planning *p, const struct nm_effect *effect)
{
  for (size_t i = 0; i < effect->attribute_count; i++)
    p->plan->updates[p->plan->update_count++] =
        (struct nm_update){ .customer = effect->customer, .field = effect->attributes[i].field,
                            .value = effect->attributes[i].value };
  p->done++;
}

/* What Optimove is to be told, as the adapter completes it. */
static struct nm_text track_content(struct nm_arena *arena, const struct nm_effect *effect)
{
  json_t *context = NULL, *event = NULL;
  struct nm_text out = { NULL, 0 };
  const char *who = effect->visitor.len > 0 ? "visitor" : "customer";
  struct nm_text person = effect->visitor.len > 0 ? effect->visitor : effect->customer;
  if (effect->context.len == 0) context = json_object();
  else if (nm_json_parse(&context, effect->context, NULL)) return out;
  event = json_pack("{s:s%,s:s%,s:s%,s:o}", "event", effect->event_name.ptr, effect->event_name.len,
                    who, person.ptr, person.len, "timestamp", effect->timestamp.ptr,
                    effect->timestamp.len, "context", context);
  if (event) out = nm_json_text(arena, event);
  json_decref(event);
  return out;
}

static void add_track(struct planning *p, const struct nm_effect *effect)
{
  const struct nm_tenant *tenant = p->shape.book->tenant;
  struct nm_text content = { NULL, 0 };
  if (tenant->connector.has_realtime) content = track_content(p->shape.arena, effect);
  if (!content.ptr) {
    if (p->held.len == 0)
      p->held = tenant->connector.has_realtime
                    ? NM_TEXT("out of memory")
                    : nm_arena_printf(p->shape.arena,
                                      "real-time events have no endpoint: tenant %.*s has no "
                                      "optimove.realtime",
                                      NM_TEXT_ARG(tenant->name));
    return;
  }
  p->plan->messages[p->plan->message_count++] = (struct nm_message){
    .tenant_id = tenant->id, .event_id = p->event->id, .generation_id = p->shape.generation_id,
    .state = NM_MESSAGE_WAITING, .priority = NM_PRIORITY_SINGLE, .channel = NM_CHANNEL_NONE,
    .customer = effect->customer, .address = effect->visitor, .name = effect->event_name,
    .provider = NM_TEXT(NM_TENANT_REALTIME), .content = content, .stamp = p->shape.stamp,
    .triggered_at_ms = p->shape.triggered_at_ms, .created_at_ms = p->shape.now_ms,
    .due_at_ms = p->shape.now_ms,
  };
  p->done++;
}

static void add_delay(struct planning *p, const struct nm_effect *effect)
{
  int64_t due_ms = nm_zone_next_minute(p->shape.zone, p->shape.now_ms, effect->until_minute);
  if (p->plan->due_at_ms == 0 || due_ms < p->plan->due_at_ms) p->plan->due_at_ms = due_ms;
}

static void add_effect(struct planning *p, const struct nm_effect *effect)
{
  switch (effect->kind) {
  case NM_EFFECT_SEND: add_send(p, effect); break;
  case NM_EFFECT_EXPAND: add_expand(p, effect); break;
  case NM_EFFECT_CANCEL: add_cancel(p, effect); break;
  case NM_EFFECT_UPDATE: add_updates(p, effect); break;
  case NM_EFFECT_TRACK: add_track(p, effect); break;
  case NM_EFFECT_BECOME: break; /* inbound.c's */
  case NM_EFFECT_DELAY: add_delay(p, effect); break;
  case NM_EFFECT_HOLD:
    if (p->held.len == 0) p->held = effect->reason;
    break;
  case NM_EFFECT_DROP:
    if (p->dropped.len == 0) p->dropped = effect->reason;
    break;
  }
}

/* Room for everything that the effects can ask for. */
static bool make_room(struct planning *p, const struct nm_effects *effects)
{
  size_t sends = 0, updates = 0;
  for (size_t i = 0; i < effects->count; i++) {
    if (effects->items[i].kind == NM_EFFECT_SEND || effects->items[i].kind == NM_EFFECT_TRACK)
      sends++;
    if (effects->items[i].kind == NM_EFFECT_UPDATE) updates += effects->items[i].attribute_count;
  }
  struct nm_arena *arena = p->shape.arena;
  if (sends > 0) p->plan->messages = nm_arena_alloc(arena, sends * sizeof *p->plan->messages);
  if (updates > 0) p->plan->updates = nm_arena_alloc(arena, updates * sizeof *p->plan->updates);
  return (sends == 0 || p->plan->messages) && (updates == 0 || p->plan->updates);
}

/* What does something is done; a hold beside it stays visible as the event's reason.  An event that
 * does nothing else is held, delayed or dropped, and can be played again whole. */
static void decide(struct planning *p)
{
  struct nm_plan *plan = p->plan;
  if (p->done > 0) settle_state(plan, NM_EVENT_PLANNED, p->held);
  else if (p->held.len > 0) settle_state(plan, NM_EVENT_HELD, p->held);
  else if (plan->due_at_ms > 0) settle_state(plan, NM_EVENT_DELAYED, NM_TEXT("quiet hours"));
  else if (p->dropped.len > 0) settle_state(plan, NM_EVENT_DROPPED, p->dropped);
  else settle_state(plan, NM_EVENT_HELD, NM_TEXT("the rules say nothing about it"));
  if (plan->state != NM_EVENT_DELAYED) plan->due_at_ms = 0;
}

/* ---- what must be there before rules are asked ----------------------------------------------- */

static bool has_rule(const struct nm_rules_facts *facts, struct nm_text name)
{
  for (size_t i = 0; i < facts->hook_count; i++)
    if (nm_text_equal(facts->hooks[i], name)) return true;
  return false;
}

/* Everything that is missing for a hook event, in one line; empty = nothing. */
static struct nm_text missing_for_hook(const struct planning *p, const struct nm_tenant_hook *hook)
{
  const struct nm_tenant_connector *connector = &p->shape.book->tenant->connector;
  struct nm_arena *arena = p->shape.arena;
  struct nm_text name = p->event->name;
  bool has_it = has_rule(nm_rules_facts(p->shape.book->active->rules), name);
  const char *first = !connector->is_present  ? "the tenant has no connector"
                      : !connector->is_active ? "the connector is INACTIVE"
                                              : "";
  const char *rule = has_it ? "" : "no rule";
  const char *between = first[0] ? ", " : "";
  if (!hook)
    return nm_arena_printf(arena, "%s%sno hook of the name %.*s%s%s", first, between,
                           NM_TEXT_ARG(name), has_it ? "" : ", ", rule);
  if (!hook->is_active)
    return nm_arena_printf(arena, "%s%sthe hook %.*s is INACTIVE%s%s", first, between,
                           NM_TEXT_ARG(name), has_it ? "" : ", ", rule);
  if (!has_it)
    return nm_arena_printf(arena, "%s%sno rule for hook %.*s", first, between, NM_TEXT_ARG(name));
  return nm_text_from(first);
}

/* True where the event is settled without asking the rules. */
static bool is_settled_before(struct planning *p)
{
  const struct nm_book *book = p->shape.book;
  const struct nm_tenant *tenant = book->tenant;
  struct nm_plan *plan = p->plan;
  if (!book->active) {
    settle_state(plan, NM_EVENT_HELD,
                 nm_arena_printf(p->shape.arena, "tenant %.*s has no proven rules",
                                 NM_TEXT_ARG(tenant->name)));
    return true;
  }
  if (p->event->kind == NM_EVENT_HOOK) {
    const struct nm_tenant_hook *hook = nm_tenant_find_hook(tenant, p->event->name);
    struct nm_text missing = missing_for_hook(p, hook);
    if (!missing.ptr) missing = NM_TEXT("out of memory");
    if (missing.len == 0) return false;
    settle_state(plan, hook && hook->hold_inactive ? NM_EVENT_HELD : NM_EVENT_SKIPPED, missing);
    return true;
  }
  if (!tenant->connector.is_present) {
    settle_state(plan, NM_EVENT_HELD,
                 nm_arena_printf(p->shape.arena, "tenant %.*s has no Optimove connector",
                                 NM_TEXT_ARG(tenant->name)));
    return true;
  }
  if (p->event->type == NM_EVENT_TYPE_CAMPAIGN && tenant->connector.is_active &&
      tenant->connector.catch_up != NM_CATCH_UP_RUN &&
      nm_text_equal(p->event->foreign_id, NM_TEXT(NM_CATCH_UP_MARK))) {
    settle_state(plan, NM_EVENT_HELD,
                 NM_TEXT("found by catch-up: the campaign was executed, its notice never came"));
    return true;
  }
  if (tenant->connector.is_active || p->event->type == NM_EVENT_TYPE_CANCEL) return false;
  settle_state(plan, NM_EVENT_HELD, NM_TEXT("the connector is INACTIVE"));
  return true;
}

/* As traffic does, or with a trace of it. */
static int ask(const struct planning *p, bool wants_trace, struct nm_effects *effects,
               struct nm_error *error)
{
  struct nm_rules *rules = p->shape.book->active->rules;
  struct nm_rules_moment moment = { .now_ms = p->shape.now_ms, .wants_values = wants_trace };
  json_t *seen = NULL;
  if (!wants_trace)
    return nm_rules_serve(rules, p->event, p->shape.profile, &moment, p->shape.arena, effects,
                          error);
  int rc = nm_event_for_rules(p->event, &seen, error);
  if (!rc && p->shape.profile &&
      json_object_set(seen, "user", (json_t *)(uintptr_t)p->shape.profile))
    rc = nm_fail(error, NM_ENOMEM, "out of memory");
  if (!rc) rc = nm_rules_run(rules, seen, &moment, p->shape.arena, effects, error);
  json_decref(seen);
  return rc;
}

/* Asks the rules; false where they failed, and the event is then held with their line. */
static bool ask_rules(struct planning *p, bool wants_trace, struct nm_effects *effects)
{
  struct nm_error error = { 0 };
  int rc = ask(p, wants_trace, effects, &error);
  if (!rc) return true;
  struct nm_text reason = nm_text_from(error.text[0] ? error.text : nm_code_name(rc));
  reason = nm_arena_copy(p->shape.arena, reason);
  settle_state(p->plan, NM_EVENT_HELD, reason.ptr ? reason : NM_TEXT("out of memory"));
  return false;
}

void nm_shape_plan(const struct nm_book *book, const struct nm_event *event, const json_t *profile,
                   int64_t now_ms, struct nm_arena *arena, struct nm_plan *plan,
                   struct nm_effects *effects)
{
  struct nm_effects own = { 0 };
  const struct nm_zone *zone = book->tenant->connector.zone;
  struct planning p = {
    .shape = { .book = book, .arena = arena, .now_ms = now_ms, .zone = nm_book_zone(book),
               .generation_id = book->active ? book->active->id : 0,
               .triggered_at_ms = event->received_at_ms, .stamp = event->stamp,
               .profile = profile },
    .event = event, .plan = plan,
  };
  bool wants_trace = effects != NULL; /* of explain; nobody else looks at effects */
  if (!effects) effects = &own;
  *plan = (struct nm_plan){ .event_id = event->id, .tenant_id = book->tenant_id,
                            .generation_id = p.shape.generation_id };
  if (event->stamp.len > 0 && zone && !nm_zone_read(zone, event->stamp, &plan->stamp_ms))
    plan->stamp_ms = 0;
  if (is_settled_before(&p) || !ask_rules(&p, wants_trace, effects)) return;
  if (!make_room(&p, effects)) {
    settle_state(plan, NM_EVENT_HELD, NM_TEXT("out of memory"));
    return;
  }
  for (size_t i = 0; i < effects->count; i++) add_effect(&p, &effects->items[i]);
  decide(&p);
}
