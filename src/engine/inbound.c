#include "engine/inbound.h"

#include "model/inbound.h"

struct making {
  const struct nm_book *book;
  const struct nm_event *event;
  struct nm_arena *arena;
  struct nm_plan *plan;
};

static void settle(const struct making *making, enum nm_event_state state, struct nm_text reason)
{
  making->plan->state = state;
  making->plan->reason = reason.ptr ? reason : NM_TEXT("out of memory");
}

static bool ask(const struct making *making, int64_t now_ms, bool wants_values,
                struct nm_effects *effects)
{
  struct nm_error error = { 0 };
  struct nm_rules_moment moment = { .now_ms = now_ms, .wants_values = wants_values };
  json_t *request = NULL;
  int rc = nm_inbound_for_rules(making->event, &request, &error);
  if (!rc)
    rc = nm_rules_run(making->book->active->rules, request, &moment, making->arena, effects,
                      &error);
  json_decref(request);
  if (!rc) return true;
  struct nm_text why = nm_text_from(error.text[0] ? error.text : nm_code_name(rc));
  settle(making, NM_EVENT_HELD, nm_arena_copy(making->arena, why));
  return false;
}

/* One event that the rules made; false where it is none. */
static bool add_event(const struct making *making, struct nm_text made, size_t of)
{
  struct nm_plan *plan = making->plan;
  struct nm_store_arrival *arrival = &plan->arrivals[plan->arrival_count];
  struct nm_error error = { 0 };
  *arrival = (struct nm_store_arrival){ .id = 0 };
  int rc = nm_inbound_read(making->arena, made, &arrival->event, &error);
  if (!rc) {
    arrival->event.tenant_id = making->book->tenant_id;
    arrival->event.received_at_ms = making->event->received_at_ms;
    arrival->identity = nm_event_identity(making->arena, &arrival->event, &arrival->window_ms);
    if (!arrival->identity.ptr) rc = nm_fail(&error, NM_ENOMEM, "out of memory");
  }
  if (!rc) {
    plan->arrival_count++;
    return true;
  }
  settle(making, NM_EVENT_HELD,
         of == 1 ? nm_arena_printf(making->arena, "inbound %.*s made no event: %s",
                                   NM_TEXT_ARG(making->event->name), error.text)
                 : nm_arena_printf(making->arena, "inbound %.*s: event %zu of %zu: %s",
                                   NM_TEXT_ARG(making->event->name), plan->arrival_count + 1, of,
                                   error.text));
  return false;
}

/* All of what it made or nothing: half of a request cannot be played again. */
static void take(const struct making *making, const struct nm_effects *effects)
{
  struct nm_plan *plan = making->plan;
  settle(making, NM_EVENT_PLANNED, NM_TEXT(""));
  plan->arrivals = nm_arena_alloc(making->arena, (effects->count + 1) * sizeof *plan->arrivals);
  if (!plan->arrivals) {
    settle(making, NM_EVENT_HELD, NM_TEXT("out of memory"));
    return;
  }
  for (size_t i = 0; i < effects->count; i++) {
    const struct nm_effect *effect = &effects->items[i];
    if (effect->kind == NM_EFFECT_BECOME && add_event(making, effect->content, effects->count))
      continue;
    if (effect->kind == NM_EFFECT_DROP) settle(making, NM_EVENT_DROPPED, effect->reason);
    else if (effect->kind == NM_EFFECT_HOLD) settle(making, NM_EVENT_HELD, effect->reason);
    plan->arrival_count = 0;
    return;
  }
  if (plan->arrival_count == 0)
    settle(making, NM_EVENT_HELD,
           nm_arena_printf(making->arena, "inbound %.*s gave no event",
                           NM_TEXT_ARG(making->event->name)));
}

void nm_inbound_plan(const struct nm_book *book, const struct nm_event *event, int64_t now_ms,
                     struct nm_arena *arena, struct nm_plan *plan, struct nm_effects *effects)
{
  struct nm_effects own = { 0 };
  struct making making = { book, event, arena, plan };
  bool wants_values = effects != NULL;
  if (!effects) effects = &own;
  *plan = (struct nm_plan){ .event_id = event->id, .tenant_id = book->tenant_id,
                            .generation_id = book->active ? book->active->id : 0 };
  if (!book->active) {
    settle(&making, NM_EVENT_HELD,
           nm_arena_printf(arena, "tenant %.*s has no proven rules",
                           NM_TEXT_ARG(book->tenant->name)));
    return;
  }
  if (ask(&making, now_ms, wants_values, effects)) take(&making, effects);
}
