/* suspend.c - rules that overrun again and again are not asked for a while. */
#include "rules/internal.h"

bool nm_rules_note_overrun(struct nm_rules *rules, int64_t now_ms)
{
  struct nm_rules_overruns *seen = &rules->overruns;
  seen->at_ms[seen->count++ % NM_RULES_OVERRUNS_MAX] = now_ms;
  if (seen->count < NM_RULES_OVERRUNS_MAX) return false;
  int64_t oldest_ms = seen->at_ms[seen->count % NM_RULES_OVERRUNS_MAX];
  if (now_ms - oldest_ms > NM_RULES_OVERRUNS_WITHIN_MS) return false;
  seen->count = 0;
  seen->suspensions++;
  seen->until_ms = seen->suspensions == 1 ? now_ms + NM_RULES_SUSPENDED_MS : INT64_MAX;
  return true;
}

int64_t nm_rules_suspended_ms(const struct nm_rules *rules, int64_t now_ms)
{
  int64_t until_ms = rules->overruns.until_ms;
  if (until_ms <= now_ms) return 0;
  /* Without an end it is looked at again after the same time. */
  return until_ms == INT64_MAX ? NM_RULES_SUSPENDED_MS : until_ms - now_ms;
}
