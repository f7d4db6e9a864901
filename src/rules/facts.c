#include "rules/internal.h"

/* The library has checked the file; what does not fit here is a mistake of ours. */
static int misfit(struct nm_error *err, const char *what)
{
  return nm_fail(err, NM_EINTERNAL, "the library gave no usable %s", what);
}

static const struct nm_value *table(const struct nm_value *found, const char *key)
{
  static const struct nm_value empty = { .kind = NM_VALUE_TABLE };
  const struct nm_value *value = nm_value_get(found, key);
  return value && value->kind == NM_VALUE_TABLE ? value : &empty;
}

/* A table's values, or its keys, which are whole numbers; NULL where one is something else. */
static int64_t *integers(struct nm_arena *arena, const struct nm_value *from, bool keys)
{
  size_t count = from->table.count;
  int64_t *out = nm_arena_alloc(arena, (count ? count : 1) * sizeof *out);
  for (size_t i = 0; out && i < count; i++) {
    const struct nm_entry *entry = &from->table.entries[i];
    const struct nm_value *value = keys ? &entry->key : &entry->value;
    if (value->kind != NM_VALUE_INTEGER) return NULL;
    out[i] = value->integer;
  }
  return out;
}

static int read_channels(struct nm_rules *rules, const struct nm_value *found, struct nm_error *err)
{
  const struct nm_value *from = table(found, "channels");
  size_t count = from->table.count;
  enum nm_channel *kinds = nm_arena_alloc(rules->arena, (count ? count : 1) * sizeof *kinds);
  int64_t *ids = integers(rules->arena, from, true);
  if (!kinds || !ids) return misfit(err, "channels");
  for (size_t i = 0; i < count; i++) {
    const struct nm_value *kind = &from->table.entries[i].value;
    if (kind->kind != NM_VALUE_TEXT) return misfit(err, "channels");
    kinds[i] = nm_channel_from(kind->text);
    if (kinds[i] == NM_CHANNEL_NONE) return misfit(err, "channels");
  }
  rules->facts.channel_ids = ids;
  rules->facts.channel_kinds = kinds;
  rules->facts.channel_count = count;
  return NM_OK;
}

static int read_templates(struct nm_rules *rules, const struct nm_value *found,
                          struct nm_error *err)
{
  const struct nm_value *from = table(found, "templates"), *messages = table(found, "messages");
  size_t count = from->table.count;
  int64_t *ids = integers(rules->arena, from, true);
  struct nm_text *names = nm_arena_alloc(rules->arena, (count ? count : 1) * sizeof *names);
  enum nm_channel *kinds = nm_arena_alloc(rules->arena, (count ? count : 1) * sizeof *kinds);
  if (!ids || !names || !kinds) return misfit(err, "templates");
  for (size_t i = 0; i < count; i++) {
    const struct nm_value *name = &from->table.entries[i].value;
    if (name->kind != NM_VALUE_TEXT) return misfit(err, "templates");
    names[i] = name->text;
    for (size_t m = 0; m < messages->table.count; m++) {
      const struct nm_entry *entry = &messages->table.entries[m];
      if (entry->key.kind == NM_VALUE_TEXT && nm_text_equal(entry->key.text, names[i]) &&
          entry->value.kind == NM_VALUE_TEXT)
        kinds[i] = nm_channel_from(entry->value.text);
    }
  }
  rules->facts.template_ids = ids;
  rules->facts.template_names = names;
  rules->facts.template_kinds = kinds;
  rules->facts.template_count = count;
  return NM_OK;
}

static int read_hooks(struct nm_rules *rules, const struct nm_value *found, struct nm_error *err)
{
  const struct nm_value *from = table(found, "hooks_named");
  size_t count = from->table.count;
  struct nm_text *hooks = nm_arena_alloc(rules->arena, (count ? count : 1) * sizeof *hooks);
  for (size_t i = 0; hooks && i < count; i++) {
    const struct nm_value *name = &from->table.entries[i].value;
    if (name->kind != NM_VALUE_TEXT) return misfit(err, "hooks");
    hooks[i] = name->text;
  }
  if (!hooks) return misfit(err, "hooks");
  rules->facts.hooks = hooks;
  rules->facts.hook_count = count;
  return NM_OK;
}

static int read_warnings(struct nm_rules *rules, const struct nm_value *found, struct nm_error *err)
{
  const struct nm_value *from = table(found, "warnings");
  size_t count = from->table.count;
  struct nm_text *lines = nm_arena_alloc(rules->arena, (count ? count : 1) * sizeof *lines);
  for (size_t i = 0; lines && i < count; i++) lines[i] = from->table.entries[i].value.text;
  if (!lines) return misfit(err, "warnings");
  rules->facts.warnings = lines;
  rules->facts.warning_count = count;
  return NM_OK;
}

int nm_rules_read_facts(struct nm_rules *rules, const struct nm_value *found, struct nm_error *err)
{
  struct nm_rules_facts *facts = &rules->facts;
  struct nm_text zone = nm_value_text(found, "time_zone");
  const struct nm_value *types = table(found, "event_types");
  facts->name = nm_value_text(found, "name");
  if (facts->name.len == 0) return misfit(err, "name");
  if (nm_zone_find(&facts->zone, zone.len > 0 ? zone : NM_TEXT("UTC")) != NM_OK)
    return misfit(err, "time_zone");

  facts->event_types = integers(rules->arena, types, false);
  facts->event_type_count = types->table.count;
  if (!facts->event_types) return misfit(err, "events");
  int rc = read_channels(rules, found, err);
  if (rc == NM_OK) rc = read_templates(rules, found, err);
  if (rc == NM_OK) rc = read_hooks(rules, found, err);
  if (rc == NM_OK) rc = read_warnings(rules, found, err);
  return rc;
}
