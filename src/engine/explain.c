/* explain.c - what today's rules make of an event, step by step.  Writes nothing. */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/failover.h"
#include "engine/inbound.h"
#include "engine/shape.h"

enum { ARENA_MAX_BYTES = 16 * 1024 * 1024 };

struct explaining {
  struct nm_control *control;
  struct nm_book *book;
  struct nm_arena *arena;
  struct nm_event event;
  bool has_profile;
};

static void end(struct explaining *explaining, int rc, json_t *answer)
{
  nm_control_answer(explaining->control, rc, answer);
  nm_arena_destroy(explaining->arena);
  free(explaining);
}

/* ---- reading the question -------------------------------------------------------------------- */

/* args.event is the event's JSON, as text or as it is. */
static json_t *event_json(const json_t *args, struct nm_error *err)
{
  json_t *given = json_object_get(args, "event");
  json_t *parsed = NULL;
  if (json_is_object(given)) return json_incref(given);
  if (!json_is_string(given)) {
    nm_fail(err, NM_EINVAL, "which event? args need \"event\", a JSON object");
    return NULL;
  }
  struct nm_text text = { json_string_value(given), json_string_length(given) };
  if (nm_json_parse(&parsed, text, err)) return NULL;
  return parsed;
}

/* A webhook's request, as it was journaled or as an example gives it. */
static void take_inbound(struct explaining *explaining, const json_t *args, const json_t *json,
                         struct nm_text body)
{
  struct nm_text name = nm_json_string(json, "inbound");
  if (name.len == 0) name = nm_json_string(args, "name");
  explaining->event = (struct nm_event){ .kind = NM_EVENT_INBOUND, .body = body,
                                         .name = nm_arena_copy(explaining->arena, name),
                                         .tenant_id = explaining->book->tenant_id,
                                         .received_at_ms = nm_clock_wall_ms() };
}

/* A campaign event where it can be read as one (or args.kind says so), else a hook event. */
static int read_event(struct explaining *explaining, const json_t *args, struct nm_error *err)
{
  struct nm_text kind = nm_json_string(args, "kind");
  const char *field = NULL;
  json_t *json = event_json(args, err);
  if (!json) return NM_EINVAL;
  struct nm_text body = nm_json_text(explaining->arena, json);
  int rc = NM_EINVAL;
  if (nm_text_equal(kind, NM_TEXT("inbound")) || json_is_string(json_object_get(json, "inbound"))) {
    take_inbound(explaining, args, json, body);
    json_decref(json);
    return NM_OK;
  }
  if (!nm_text_equal(kind, NM_TEXT("hook")))
    rc = nm_event_read_campaign(explaining->arena, body, 0, &explaining->event, &field, err);
  bool may_be_hook =
      nm_text_equal(kind, NM_TEXT("hook")) ||
      (kind.len == 0 && (json_object_get(json, "name") || json_object_get(json, "extId")));
  if (rc && may_be_hook)
    rc = nm_event_read_hook(explaining->arena, json, &explaining->event, &field, err);
  json_decref(json);
  explaining->event.tenant_id = explaining->book->tenant_id;
  explaining->event.received_at_ms = nm_clock_wall_ms();
  return rc;
}

/* ---- writing the answer ---------------------------------------------------------------------- */

static void set_text(json_t *out, const char *key, struct nm_text text)
{
  if (text.len > 0) json_object_set_new(out, key, json_stringn(text.ptr, text.len));
}

static void set_number(json_t *out, const char *key, int64_t number)
{
  if (number != 0) json_object_set_new(out, key, json_integer(number));
}

static void set_minute(json_t *out, const char *key, int minute)
{
  json_object_set_new(out, key, json_sprintf("%02d:%02d", minute / 60, minute % 60));
}

static json_t *attributes_json(const struct nm_effect *effect)
{
  json_t *out = json_object();
  for (size_t i = 0; i < effect->attribute_count; i++)
    json_object_setn_new(
        out, effect->attributes[i].field.ptr, effect->attributes[i].field.len,
        json_stringn(effect->attributes[i].value.ptr, effect->attributes[i].value.len));
  return out;
}

static void set_track(json_t *out, const struct nm_effect *effect)
{
  json_t *context = NULL;
  set_text(out, "event", effect->event_name);
  set_text(out, "visitor", effect->visitor);
  set_text(out, "timestamp", effect->timestamp);
  if (nm_json_parse(&context, effect->context, NULL) == NM_OK)
    json_object_set_new(out, "context", context);
}

static json_t *caps_json(const struct nm_effect *effect)
{
  static const char *const pers[] = { "hour", "day", "week", "month" };
  json_t *out = json_array();
  for (size_t i = 0; i < effect->cap_count; i++)
    json_array_append_new(out, json_pack("{s:s%,s:I,s:s}", "scope", effect->caps[i].scope.ptr,
                                         effect->caps[i].scope.len, "max",
                                         (json_int_t)effect->caps[i].max, "per",
                                         pers[effect->caps[i].per]));
  return out;
}

static json_t *effect_json(const struct nm_effect *effect)
{
  json_t *out = json_object();
  json_t *content = NULL;
  json_object_set_new(out, "effect", json_string(nm_effect_name(effect->kind)));
  if (effect->kind == NM_EFFECT_SEND)
    json_object_set_new(out, "channel", json_string(nm_channel_name(effect->channel)));
  set_number(out, "channel_id", effect->channel_id);
  set_number(out, "template", effect->template_id);
  set_text(out, "message", effect->message);
  set_text(out, "to", effect->to);
  set_text(out, "customer", effect->customer);
  set_text(out, "campaign", effect->campaign);
  set_text(out, "reason", effect->reason);
  set_number(out, "expires_in_ms", effect->expires_in_ms);
  if (effect->quiet.from_minute != effect->quiet.to_minute) {
    set_minute(out, "quiet_from", effect->quiet.from_minute);
    set_minute(out, "quiet_to", effect->quiet.to_minute);
  }
  if (effect->kind == NM_EFFECT_DELAY) set_minute(out, "until_time", effect->until_minute);
  if (effect->attribute_count > 0) json_object_set_new(out, "attributes", attributes_json(effect));
  if (effect->content.len > 0 && nm_json_parse(&content, effect->content, NULL) == NM_OK)
    json_object_set_new(out, effect->kind == NM_EFFECT_BECOME ? "event" : "content", content);
  if (effect->kind == NM_EFFECT_TRACK) set_track(out, effect);
  if (effect->cap_count > 0) json_object_set_new(out, "caps", caps_json(effect));
  return out;
}

/* The channel's providers in their order: who takes it, and why others do not. */
static json_t *chain_json(const struct explaining *explaining, const struct nm_message *message)
{
  const struct nm_tenant *tenant = explaining->book->tenant;
  json_t *out = json_array();
  for (size_t i = 0; i < tenant->chain_counts[message->channel]; i++) {
    struct nm_text name = tenant->chains[message->channel][i];
    const struct nm_lane *lane = explaining->book->lanes;
    while (lane && !nm_text_equal(lane->name, name)) lane = nm_lane_next(lane);
    struct nm_text why = nm_failover_misfit(explaining->book, explaining->arena, message, name);
    if (why.len == 0 && lane && !nm_lane_is_well(lane)) why = NM_TEXT("is not well");
    json_t *one = json_object();
    set_text(one, "provider", name);
    json_object_set_new(one, "is_chosen", json_boolean(nm_text_equal(name, message->provider)));
    set_text(one, "trouble", why);
    json_array_append_new(out, one);
  }
  return out;
}

static json_t *message_json(const struct explaining *explaining, const struct nm_message *message)
{
  json_t *out = json_object();
  json_object_set_new(out, "channel", json_string(nm_channel_name(message->channel)));
  set_text(out, "message", message->name);
  set_text(out, "customer", message->customer);
  set_text(out, "provider", message->provider);
  set_number(out, "due_at", message->due_at_ms);
  set_number(out, "expires_at", message->expires_at_ms);
  json_object_set_new(out, "chain", chain_json(explaining, message));
  return out;
}

static const char *const state_names[] = {
  "new", "delayed", "planned", "held", "dropped", "skipped"
};

static json_t *answer_of(const struct explaining *explaining, const struct nm_plan *plan,
                         const struct nm_effects *effects)
{
  const struct nm_book *book = explaining->book;
  json_t *out = json_object();
  json_t *list = json_array(), *messages = json_array();
  json_t *trace = NULL;
  for (size_t i = 0; i < effects->count; i++)
    json_array_append_new(list, effect_json(&effects->items[i]));
  for (size_t i = 0; i < plan->message_count; i++)
    json_array_append_new(messages, message_json(explaining, &plan->messages[i]));
  if (book->active)
    json_object_set_new(out, "rules", json_string(nm_rules_facts(book->active->rules)->digest));
  json_object_set_new(out, "state", json_string(state_names[plan->state]));
  set_text(out, "reason", plan->reason);
  set_number(out, "due_at", plan->due_at_ms);
  json_object_set_new(out, "effects", list);
  json_object_set_new(out, "messages", messages);
  json_object_set_new(out, "has_profile", json_boolean(explaining->has_profile));
  json_object_set_new(out, "starts_run", json_boolean(plan->run != NULL));
  json_object_set_new(out, "cancels", json_boolean(plan->cancel != NULL));
  set_number(out, "updates", (int64_t)plan->update_count);
  if (plan->message_count > 0) set_text(out, "provider", plan->messages[0].provider);
  if (effects->trace.len > 0 && nm_json_parse_any(&trace, effects->trace, NULL) == NM_OK)
    json_object_set_new(out, "trace", trace);
  return out;
}

/* ---- one recipient of a campaign ------------------------------------------------------------- */

static int ask_as_recipient(struct explaining *explaining, const json_t *profile,
                            struct nm_effects *effects, struct nm_error *err)
{
  struct nm_rules_moment moment = { .now_ms = explaining->event.received_at_ms,
                                    .is_recipient = true, .wants_values = true };
  json_t *seen = NULL;
  int rc = nm_event_for_rules(&explaining->event, &seen, err);
  if (!rc && profile && json_object_set(seen, "user", (json_t *)(uintptr_t)profile))
    rc = nm_fail(err, NM_ENOMEM, "out of memory");
  if (!rc)
    rc = nm_rules_run(explaining->book->active->rules, seen, &moment, explaining->arena, effects,
                      err);
  json_decref(seen);
  return rc;
}

/* What a run would make of this row; as expand.c does, without its campaign. */
static void plan_recipient(struct explaining *explaining, const json_t *profile,
                           struct nm_plan *plan, struct nm_effects *effects)
{
  struct nm_error error = { 0 };
  struct nm_book *book = explaining->book;
  struct nm_text reason = NM_TEXT("the rules say nothing about this recipient");
  struct nm_shape shape = { .book = book, .arena = explaining->arena, .zone = nm_book_zone(book),
                            .now_ms = explaining->event.received_at_ms, .profile = profile };
  *plan = (struct nm_plan){ .state = NM_EVENT_HELD, .tenant_id = book->tenant_id };
  int rc = book->active ? ask_as_recipient(explaining, profile, effects, &error)
                        : nm_fail(&error, NM_EINVAL, "there are no proven rules");
  if (rc) {
    plan->reason = nm_arena_copy(explaining->arena, nm_text_from(error.text));
    return;
  }
  plan->messages =
      nm_arena_alloc(explaining->arena, (effects->count + 1) * sizeof *plan->messages);
  for (size_t i = 0; plan->messages && i < effects->count; i++) {
    const struct nm_effect *effect = &effects->items[i];
    struct nm_message *message = &plan->messages[plan->message_count];
    enum nm_shaped shaped = NM_SHAPED_DROPPED;
    if (effect->kind == NM_EFFECT_SEND)
      shaped = nm_shape_message(&shape, effect, message, &reason);
    else
      reason = effect->reason;
    if (shaped == NM_SHAPED_MESSAGE) plan->message_count++;
    else if (shaped == NM_SHAPED_DROPPED && effect->kind != NM_EFFECT_HOLD)
      plan->state = NM_EVENT_DROPPED;
  }
  if (plan->message_count > 0) plan->state = NM_EVENT_PLANNED;
  else plan->reason = reason;
}

static void explain(struct explaining *explaining, const json_t *profile)
{
  struct nm_plan plan;
  struct nm_effects effects = { 0 };
  explaining->has_profile = profile != NULL;
  if (explaining->event.kind == NM_EVENT_INBOUND)
    nm_inbound_plan(explaining->book, &explaining->event, explaining->event.received_at_ms,
                    explaining->arena, &plan, &effects);
  else if (json_is_true(json_object_get(explaining->control->args, "recipient")))
    plan_recipient(explaining, profile, &plan, &effects);
  else
    nm_shape_plan(explaining->book, &explaining->event, profile, explaining->event.received_at_ms,
                  explaining->arena, &plan, &effects);
  end(explaining, NM_OK, answer_of(explaining, &plan, &effects));
}

static void on_profile(struct nm_call *call)
{
  struct explaining *explaining = call->data;
  json_t *profile = NULL;
  if (call->u.head.rc) {
    explaining->control->error = call->u.head.error;
    end(explaining, call->u.head.rc, NULL);
  } else {
    const struct nm_store_profile *found = &call->u.profiles.profiles[0];
    if (found->body.len > 0 && nm_json_parse(&profile, found->body, NULL)) profile = NULL;
    explain(explaining, profile);
    json_decref(profile);
  }
  nm_call_destroy(call);
}

void nm_control_explain(struct nm_engine *engine, struct nm_control *control)
{
  struct nm_text name = nm_json_string(control->args, "tenant");
  struct nm_book *book = name.len > 0 ? nm_book_by_name(engine, name) : NULL;
  if (!book) {
    nm_fail(&control->error, NM_ENOTFOUND, "there is no tenant \"%.*s\"", NM_TEXT_ARG(name));
    nm_control_answer(control, NM_ENOTFOUND, NULL);
    return;
  }
  nm_book_refresh(book);
  struct explaining *explaining = calloc(1, sizeof *explaining);
  struct nm_arena *arena = nm_arena_create(ARENA_MAX_BYTES);
  nm_require(explaining != NULL && arena != NULL);
  *explaining = (struct explaining){ .control = control, .book = book, .arena = arena };
  int rc = read_event(explaining, control->args, &control->error);
  if (rc) {
    end(explaining, rc, NULL);
    return;
  }
  if (explaining->event.customer.len == 0) {
    explain(explaining, NULL);
    return;
  }
  struct nm_call *call =
      nm_call_create(engine, NM_STORE_PROFILES_LOAD, 1024 * 1024, on_profile, explaining);
  call->u.profiles.tenant_id = book->tenant_id;
  call->u.profiles.profiles = nm_call_alloc(call, sizeof *call->u.profiles.profiles);
  call->u.profiles.profiles[0].ext_id = explaining->event.customer;
  call->u.profiles.count = 1;
  nm_call_submit(call);
}
