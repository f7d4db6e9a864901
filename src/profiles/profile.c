#include "profiles/profiles.h"

#include <sodium.h>
#include <time.h>

enum { EVENT_ID_BYTES = 16 };

bool nm_profile_may(const json_t *profile, enum nm_channel channel)
{
  const json_t *permissions = json_object_get(profile, "permissions");
  return !json_is_false(json_object_get(permissions, nm_channel_name(channel)));
}

unsigned nm_profile_unsubscribed(const json_t *old, const json_t *fresh)
{
  unsigned bits = 0;
  for (int channel = NM_CHANNEL_PUSH; channel < NM_CHANNEL_COUNT; channel++)
    if (nm_profile_may(old, (enum nm_channel)channel) &&
        !nm_profile_may(fresh, (enum nm_channel)channel))
      bits |= 1u << channel;
  return bits;
}

/* The event as a sender would have posted it.  Its own id is random: the same change made twice is
 * two changes. */
static json_t *make_event(const struct nm_profile_change *change)
{
  unsigned char random[EVENT_ID_BYTES];
  char id[2 * EVENT_ID_BYTES + 1], when[32];
  time_t now_s = (time_t)(change->now_ms / 1000);
  struct tm utc;
  randombytes_buf(random, sizeof random);
  sodium_bin2hex(id, sizeof id, random, sizeof random);
  if (!gmtime_r(&now_s, &utc) || strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
    return NULL;
  return json_pack("{s:s,s:s,s:s,s:s,s:s%,s:{},s:O}", "id", id, "type", "PROFILE", "name",
                   "PROFILE_ATTRIBUTE_CHANGE", "time", when, "extId", change->ext_id.ptr,
                   change->ext_id.len, "attributes", "changes", change->changes);
}

int nm_profile_event(struct nm_arena *arena, const struct nm_profile_change *change,
                     struct nm_store_arrival *out, struct nm_error *err)
{
  struct nm_store_arrival arrival = { .event = { .id = 0 } };
  const char *field;
  json_t *event = make_event(change);
  if (!event) return nm_fail(err, NM_ENOMEM, "out of memory");
  int rc = nm_event_read_hook(arena, event, &arrival.event, &field, err);
  json_decref(event);
  if (rc) return rc;
  arrival.event.tenant_id = change->tenant_id;
  arrival.event.received_at_ms = change->now_ms;
  arrival.identity = nm_event_identity(arena, &arrival.event, &arrival.window_ms);
  if (!arrival.identity.ptr) return nm_fail(err, NM_ENOMEM, "out of memory");
  *out = arrival;
  return NM_OK;
}
