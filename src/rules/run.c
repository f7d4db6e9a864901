#include "rules/internal.h"

static struct nm_script_context context_at(const struct nm_zone *zone,
                                           const struct nm_rules_moment *moment)
{
  struct nm_local local;
  nm_zone_local(zone, moment->now_ms, &local);
  return (struct nm_script_context){
    .now_ms = moment->now_ms,
    .year = local.year,
    .month = local.month,
    .day = local.day,
    .minute = local.hour * 60 + local.minute,
    .weekday = local.weekday,
    .is_recipient = moment->is_recipient,
    .wants_values = moment->wants_values,
  };
}

int nm_rules_run(struct nm_rules *rules, const json_t *event, const struct nm_rules_moment *moment,
                 struct nm_arena *arena, struct nm_effects *out, struct nm_error *err)
{
  struct nm_script_context context = context_at(rules->facts.zone, moment);
  struct nm_value given, trace;
  struct nm_effects effects = { NULL, 0, { NULL, 0 } };
  int rc = nm_rules_wake(rules, err);
  if (rc != NM_OK) return rc;
  rc = nm_script_evaluate(rules->script, event, &context, arena, &given, &trace, err);
  nm_rules_note_cost(rules, NULL);
  if (rc == NM_OK) rc = nm_rules_read_effects(&given, arena, &effects, err);
  if (rc == NM_OK && trace.kind == NM_VALUE_TABLE && trace.table.count > 0)
    rc = nm_value_json_text(&trace, arena, &effects.trace, err);
  if (rc == NM_OK) *out = effects;
  return rc;
}

/* ---- for traffic ----------------------------------------------------------------------------- */

static int take_send(const struct nm_script_send *send, struct nm_arena *arena,
                     struct nm_effects *out, struct nm_error *err)
{
  struct nm_effect *effect = nm_arena_alloc(arena, sizeof *effect);
  if (!effect) return nm_fail(err, NM_ENOMEM, "no room for what it gave");
  effect->kind = NM_EFFECT_SEND;
  effect->channel = nm_channel_from(send->channel);
  effect->channel_id = send->channel_id;
  effect->template_id = send->template_id;
  effect->message = send->message;
  effect->to = effect->customer = send->customer;
  effect->campaign = send->campaign;
  effect->content = send->content;
  effect->expires_in_ms = send->expires_in_ms;
  effect->quiet = (struct nm_quiet){ send->quiet_from, send->quiet_to };
  out->items = effect;
  out->count = 1;
  return NM_OK;
}

static int serve(struct nm_rules *rules, const struct nm_script_event *event,
                 const struct nm_rules_moment *moment, struct nm_arena *arena,
                 struct nm_effects *out, struct nm_error *err)
{
  struct nm_script_context context = context_at(rules->facts.zone, moment);
  struct nm_effects effects = { NULL, 0, { NULL, 0 } };
  struct nm_script_answer answer;
  int rc = nm_rules_wake(rules, err);
  if (rc != NM_OK) return rc;
  rc = nm_script_serve(rules->script, event, &context, arena, &answer, err);
  nm_rules_note_cost(rules, nm_rules_find_entry(rules, event->event, moment->is_recipient));
  if (rc == NM_OK)
    rc = answer.is_send ? take_send(&answer.send, arena, &effects, err)
                        : nm_rules_read_effects(&answer.effects, arena, &effects, err);
  if (rc == NM_OK) *out = effects;
  return rc;
}

int nm_rules_serve(struct nm_rules *rules, const struct nm_event *event, const json_t *profile,
                   const struct nm_rules_moment *moment, struct nm_arena *arena,
                   struct nm_effects *out, struct nm_error *err)
{
  struct nm_script_event subject = { .event = event, .profile = profile };
  return serve(rules, &subject, moment, arena, out, err);
}

int nm_rules_serve_row(struct nm_rules *rules, const struct nm_json_node *row,
                       const json_t *profile, const struct nm_rules_moment *moment,
                       struct nm_arena *arena, struct nm_effects *out, struct nm_error *err)
{
  struct nm_script_event subject = { .row = row, .profile = profile };
  return serve(rules, &subject, moment, arena, out, err);
}
