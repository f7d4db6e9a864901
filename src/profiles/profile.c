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

struct nm_text nm_profile_address(const json_t *profile, enum nm_channel channel)
{
  if (channel == NM_CHANNEL_EMAIL) return nm_json_string(profile, "email");
  if (channel == NM_CHANNEL_SMS) return nm_json_string(profile, "msisdn");
  return (struct nm_text){ NULL, 0 };
}

const json_t *nm_profile_devices(const json_t *profile)
{
  const json_t *devices = json_object_get(profile, "devices");
  return json_array_size(devices) > 0 ? devices : NULL;
}

/* The event as a sender would have posted it.  Its own id is random: the same change made twice is
 * two changes. */
static json_t *make_event(struct nm_text ext_id, const json_t *changes, int64_t now_ms)
{
  unsigned char random[EVENT_ID_BYTES];
  char id[2 * EVENT_ID_BYTES + 1], when[32];
  time_t now_s = (time_t)(now_ms / 1000);
  struct tm utc;
  randombytes_buf(random, sizeof random);
  sodium_bin2hex(id, sizeof id, random, sizeof random);
  if (!gmtime_r(&now_s, &utc) || strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
    return NULL;
  return json_pack("{s:s,s:s,s:s,s:s,s:s%,s:{},s:O}", "id", id, "type", "PROFILE", "name",
                   "PROFILE_ATTRIBUTE_CHANGE", "time", when, "extId", ext_id.ptr, ext_id.len,
                   "attributes", "changes", changes);
}

int nm_profile_event(struct nm_arena *arena, int64_t tenant_id, struct nm_text ext_id,
                     const json_t *changes, int64_t now_ms, struct nm_store_arrival *out,
                     struct nm_error *err)
{
  struct nm_store_arrival arrival = { .event = { .id = 0 } };
  const char *field;
  json_t *event = make_event(ext_id, changes, now_ms);
  if (!event) return nm_fail(err, NM_ENOMEM, "out of memory");
  int rc = nm_event_read_hook(arena, event, &arrival.event, &field, err);
  json_decref(event);
  if (rc) return rc;
  arrival.event.tenant_id = tenant_id;
  arrival.event.received_at_ms = now_ms;
  arrival.identity = nm_event_identity(arena, &arrival.event, &arrival.window_ms);
  if (!arrival.identity.ptr) return nm_fail(err, NM_ENOMEM, "out of memory");
  *out = arrival;
  return NM_OK;
}
