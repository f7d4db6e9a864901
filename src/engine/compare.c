/* compare.c - what a tenant's rules and its settings name of each other.  Differences are warnings:
 * the events they touch are held, neither side is refused. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "engine/book.h"

struct comparing {
  const struct nm_book *book;
  json_t *warnings; /* NULL = only the log */
  bool is_logged;
};

NM_PRINTF(2, 3)
static void warn(const struct comparing *comparing, const char *format, ...)
{
  char line[320];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (comparing->warnings) json_array_append_new(comparing->warnings, json_string(line));
  struct nm_log_ids ids = nm_book_ids(comparing->book);
  if (comparing->is_logged) nm_log(NM_LOG_WARN, "engine", &ids, "%s", line);
}

static void compare_channels(const struct comparing *comparing, const struct nm_rules_facts *facts)
{
  const struct nm_tenant *tenant = comparing->book->tenant;
  bool is_told[NM_CHANNEL_COUNT] = { false };
  for (size_t i = 0; i < facts->channel_count; i++) {
    enum nm_channel kind = facts->channel_kinds[i];
    const struct nm_tenant_channel *channel = nm_tenant_find_channel(tenant, facts->channel_ids[i]);
    if (!channel) {
      warn(comparing,
           "the rules name channel %" PRId64 " (%s), which is none of the tenant's channels",
           facts->channel_ids[i], nm_channel_name(kind));
    } else if (channel->kind != kind) {
      warn(comparing, "channel %" PRId64 " is %s in the rules and %s in the tenant's channels",
           channel->id, nm_channel_name(kind), nm_channel_name(channel->kind));
    }
    if (tenant->chain_counts[kind] > 0 || is_told[kind]) continue;
    is_told[kind] = true;
    warn(comparing, "the rules use %s, for which the tenant has no provider",
         nm_channel_name(kind));
  }
}

static bool has_rule(const struct nm_rules_facts *facts, struct nm_text name)
{
  for (size_t i = 0; i < facts->hook_count; i++)
    if (nm_text_equal(facts->hooks[i], name)) return true;
  return false;
}

static void compare_hooks(const struct comparing *comparing, const struct nm_rules_facts *facts)
{
  const struct nm_tenant *tenant = comparing->book->tenant;
  for (size_t i = 0; i < tenant->hook_count; i++)
    if (tenant->hooks[i].is_active && !has_rule(facts, tenant->hooks[i].event))
      warn(comparing, "hook %.*s is ACTIVE, but the rules have no hooks.%.*s",
           NM_TEXT_ARG(tenant->hooks[i].event), NM_TEXT_ARG(tenant->hooks[i].event));
  for (size_t i = 0; i < facts->hook_count; i++)
    if (!nm_tenant_find_hook(tenant, facts->hooks[i]))
      warn(comparing, "the rules have hooks.%.*s, but the tenant has no such hook",
           NM_TEXT_ARG(facts->hooks[i]));
}

void nm_book_compare(const struct nm_book *book, json_t *warnings, bool is_logged)
{
  if (book->tenant->is_leaving) return; /* it reads as one that has nothing */
  struct comparing comparing = { book, warnings, is_logged };
  if (!book->active) {
    if (warnings) warn(&comparing, "the tenant has no proven rules yet: its events are held");
    return;
  }
  const struct nm_rules_facts *facts = nm_rules_facts(book->active->rules);
  if (book->tenant->connector.is_present) compare_channels(&comparing, facts);
  compare_hooks(&comparing, facts);
}
