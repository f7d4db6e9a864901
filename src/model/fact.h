/* fact.h - a figure of a run for Optimove's reports: told once, when nothing changes it any
 * more. */
#pragma once

#include <stdint.h>

#include "base/text.h"

/* Optimove's MetricIDs, as clients in the field use them (UpdateCampaignMetrics is not documented
 * in full).  BOUNCED is 9 here and 7 as an EventID. */
enum nm_fact_metric {
  NM_FACT_SENT = 0,
  NM_FACT_DELIVERED = 1,
  NM_FACT_OPENED = 2,
  NM_FACT_CLICKED = 3,
  NM_FACT_UNSUBSCRIBED = 4,
  NM_FACT_DROPPED = 5,
  NM_FACT_BOUNCED = 9,
};

struct nm_fact {
  int64_t id;               /* given by the store */
  int64_t run_id;
  struct nm_text campaign;
  int64_t channel_id, template_id;
  enum nm_fact_metric metric;
  int64_t value;
};
