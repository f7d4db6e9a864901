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
  };
}

int nm_rules_run(struct nm_rules *rules, const json_t *event, const struct nm_rules_moment *moment,
                 struct nm_arena *arena, struct nm_effects *out, struct nm_error *err)
{
  struct nm_script_context context = context_at(rules->facts.zone, moment);
  struct nm_value given, trace;
  struct nm_effects effects = { NULL, 0, { NULL, 0 } };
  int rc = nm_script_evaluate(rules->script, event, &context, arena, &given, &trace, err);
  if (rc == NM_OK) rc = nm_rules_read_effects(&given, arena, &effects, err);
  if (rc == NM_OK && trace.kind == NM_VALUE_TABLE && trace.table.count > 0)
    rc = nm_value_json_text(&trace, arena, &effects.trace, err);
  if (rc == NM_OK) *out = effects;
  return rc;
}
