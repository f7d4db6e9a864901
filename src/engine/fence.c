#include "engine/fence.h"

/* Triggered not later than the cancel: by both TimeStamps, else by arrival. */
static bool is_earlier(const struct nm_fence *fence, struct nm_text stamp, int64_t triggered_at_ms,
                       const struct nm_zone *zone)
{
  int64_t stamp_ms;
  if (fence->stamp_ms != 0 && stamp.len > 0 && nm_zone_read(zone, stamp, &stamp_ms))
    return stamp_ms <= fence->stamp_ms;
  return triggered_at_ms <= fence->arrived_at_ms;
}

static bool is_of_campaign(const struct nm_fence *fence, struct nm_text campaign,
                           int64_t channel_id)
{
  return (fence->channel_id == 0 || fence->channel_id == channel_id) &&
         nm_text_equal(fence->campaign, campaign);
}

bool nm_fence_covers_message(const struct nm_fence *fence, const struct nm_message *message,
                             const struct nm_zone *zone)
{
  if (fence->run_id != 0) return fence->run_id == message->run_id;
  return is_of_campaign(fence, message->campaign, message->channel_id) &&
         is_earlier(fence, message->stamp, message->triggered_at_ms, zone);
}

bool nm_fence_covers_run(const struct nm_fence *fence, const struct nm_run *run,
                         const struct nm_zone *zone)
{
  if (fence->run_id != 0) return fence->run_id == run->id;
  return is_of_campaign(fence, run->campaign, run->channel_id) &&
         is_earlier(fence, run->stamp, run->triggered_at_ms, zone);
}
