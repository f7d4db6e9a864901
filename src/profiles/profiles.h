/* profiles.h - a person by external id (Optimove's CustomerID): addresses, devices, attributes,
 * permissions.
 *
 * Pure functions over JSON; where profiles are kept is the store's.  A profile is
 * {"email","msisdn","devices":[{"kind","token"}],"attributes":{},"permissions":{"push":true}},
 * every key optional; an absent permission means allowed.  Any thread.
 */
#pragma once

#include "json/json.h"
#include "model/channel.h"
#include "store/store.h"

/* Checks what somebody wants to set, and normalises it (an address' blanks, a number's dashes) in
 * place. *field (a literal or arena text) names what is wrong on NM_EINVAL. */
NM_MUST_CHECK int nm_profile_check(json_t *patch, struct nm_arena *arena, const char **field,
                                   struct nm_error *err);

/* What the profile becomes.  `old` NULL = there was none.  null takes a value away; devices are
 * joined by token (one whose kind is null is taken away); attributes and permissions are joined by
 * name.  Gives *out and *changes: {attribute: new value}, null for one taken away, empty where none
 * changed.  NM_ELIMIT: the whole would be above its limits. */
NM_MUST_CHECK int nm_profile_merge(const json_t *old, const json_t *patch, json_t **out,
                                   json_t **changes, struct nm_error *err);

/* May this person be written to on the channel?  profile NULL = nobody said no. */
bool nm_profile_may(const json_t *profile, enum nm_channel channel);

/* Channels that this person allowed and now does not, as bits 1u << channel.  old NULL = nobody
 * said anything. */
unsigned nm_profile_unsubscribed(const json_t *old, const json_t *fresh);

/* Borrows all. */
struct nm_profile_change {
  int64_t tenant_id;
  struct nm_text ext_id;
  const json_t *changes; /* as nm_profile_merge gives them */
  int64_t now_ms;
};

/* The PROFILE_ATTRIBUTE_CHANGE event of it, as the journal takes it: texts in the arena, never
 * equal to another one. */
NM_MUST_CHECK int nm_profile_event(struct nm_arena *arena, const struct nm_profile_change *change,
                                   struct nm_store_arrival *out, struct nm_error *err);
