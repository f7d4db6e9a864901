/* cost.c - what rules take, of each version and of each of its entries. */
#include <inttypes.h>

#include "base/metrics.h"
#include "rules/internal.h"

int nm_rules_make_entries(struct nm_rules *rules)
{
  const struct nm_rules_facts *facts = &rules->facts;
  size_t count = 2 * facts->event_type_count + facts->hook_count;
  size_t room = (count ? count : 1) * sizeof(struct nm_rules_entry);
  struct nm_rules_entry *entries = nm_arena_alloc(rules->arena, room);
  if (!entries) return NM_ENOMEM;
  for (size_t i = 0; i < count; i++) {
    size_t hook = i - 2 * facts->event_type_count;
    entries[i].name =
        i < 2 * facts->event_type_count
            ? nm_arena_printf(rules->arena, "events[%" PRId64 "]%s", facts->event_types[i / 2],
                              i % 2 ? ", each recipient" : "")
            : nm_arena_printf(rules->arena, "hooks.%.*s", NM_TEXT_ARG(facts->hooks[hook]));
    if (!entries[i].name.ptr) return NM_ENOMEM;
  }
  rules->entries = entries;
  rules->entry_count = count;
  return NM_OK;
}

struct nm_rules_entry *nm_rules_find_entry(struct nm_rules *rules, const struct nm_event *event,
                                           bool is_recipient)
{
  const struct nm_rules_facts *facts = &rules->facts;
  /* Without an event it is one row of a campaign. */
  int64_t type = event ? event->type : NM_EVENT_TYPE_CAMPAIGN;
  if (event && event->kind == NM_EVENT_HOOK) {
    for (size_t i = 0; i < facts->hook_count; i++)
      if (nm_text_equal(facts->hooks[i], event->name))
        return &rules->entries[2 * facts->event_type_count + i];
    return NULL;
  }
  for (size_t i = 0; i < facts->event_type_count; i++)
    if (facts->event_types[i] == type) return &rules->entries[2 * i + is_recipient];
  return NULL;
}

static void note(struct nm_rules_cost *cost, const struct nm_script_cost *last)
{
  cost->calls++;
  cost->overruns += last->is_overrun;
  cost->instructions += last->instructions;
  if (last->instructions > cost->instructions_max) cost->instructions_max = last->instructions;
  cost->cpu_ns += last->cpu_ns;
  if (last->cpu_ns > cost->cpu_max_ns) cost->cpu_max_ns = last->cpu_ns;
  if (last->peak_bytes > cost->bytes_max) cost->bytes_max = last->peak_bytes;
}

void nm_rules_note_cost(struct nm_rules *rules, struct nm_rules_entry *entry)
{
  struct nm_script_cost last = nm_script_cost(rules->script);
  size_t bytes = nm_script_memory(rules->script, false);
  note(&rules->cost, &last);
  if (entry) note(&entry->cost, &last);

  nm_metric_add(NM_METRIC_RULES_CALLS, 1);
  if (last.is_overrun) nm_metric_add(NM_METRIC_RULES_OVERRUNS, 1);
  nm_metric_add(NM_METRIC_RULES_INSTRUCTIONS, last.instructions);
  nm_metric_add(NM_METRIC_RULES_CPU_NS, last.cpu_ns);
  nm_metric_add(NM_METRIC_RULES_BYTES, (int64_t)bytes - (int64_t)rules->told_bytes);
  rules->told_bytes = bytes;
}

void nm_rules_forget_cost(struct nm_rules *rules)
{
  nm_metric_add(NM_METRIC_RULES_BYTES, -(int64_t)rules->told_bytes);
  rules->told_bytes = 0;
}

const struct nm_rules_cost *nm_rules_cost(const struct nm_rules *rules)
{
  return &rules->cost;
}

const struct nm_rules_entry *nm_rules_entries(const struct nm_rules *rules, size_t *count)
{
  *count = rules->entry_count;
  return rules->entries;
}
