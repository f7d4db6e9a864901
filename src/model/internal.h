/* internal.h - what the files that read and show events share.  NB: no other room includes this.
 *
 * A campaign event is read in one of two ways with one result: the short one (event_plain.c), and
 * where that does not take it the long one (event_campaign.c), which says what is wrong.
 */
#pragma once

#include "base/limits.h"
#include "model/event.h"

/* ---- the keys of a campaign event that mean something to us (event_fields.c) ----------------- */

enum nm_event_key {
  NM_KEY_TYPE = 0,
  NM_KEY_CHANNEL,
  NM_KEY_TEMPLATE,
  NM_KEY_CAMPAIGN,
  NM_KEY_CUSTOMER,
  NM_KEY_STAMP,
  NM_KEY_PROMO_CODE,
  NM_KEY_NOTES,
  NM_KEY_ACTION,
  NM_KEY_SCHEDULE,
  NM_KEY_SCHEDULED, /* the word of other functions of Optimove's for ScheduleTime */
  NM_KEY_ATTRIBUTES,
  NM_KEY_COUNT,
};

extern const char *const nm_event_keys[NM_KEY_COUNT]; /* as Optimove spells them */

/* In any letter case; NM_KEY_COUNT for a word that is none of them. */
enum nm_event_key nm_event_key_from(struct nm_text word);

/* The values of the keys by number, borrowed from the object; null counts as absent: NULL. */
void nm_event_find_keys(const json_t *object, json_t *found[NM_KEY_COUNT]);

/* ---- reading a field strictly (event_fields.c) ----------------------------------------------- */

enum { NM_EVENT_KEYS_FEW = 16 }; /* what most bodies hold at most: each is compared with each */

/* What one reading carries along; borrows all three. */
struct nm_event_reading {
  struct nm_arena *arena;
  const char **field; /* where the name of the field that is wrong goes */
  struct nm_error *err;
};

/* "FIELD WHY", and the field's name where the sender is told it; NM_EINVAL. */
int nm_event_refuse(const struct nm_event_reading *in, const char *field, const char *why);

int nm_event_no_memory(const struct nm_event_reading *in); /* NM_ENOMEM */

bool nm_event_has_control(struct nm_text text); /* a control character anywhere */

/* Both leave *out as it is where value is NULL, and put a copy into the arena where it is text
 * without control characters and not too long; NM_EINVAL, NM_ENOMEM.  An id may also be a whole
 * number above zero, and says something. */
NM_MUST_CHECK int nm_event_read_text(const struct nm_event_reading *in, const char *field,
                                     const json_t *value, struct nm_text *out);
NM_MUST_CHECK int nm_event_read_id(const struct nm_event_reading *in, const char *field,
                                   const json_t *value, struct nm_text *out);

/* What the body does not say, the hint of the URL (0 = none) or the other ids tell; NM_EINVAL. */
NM_MUST_CHECK int nm_event_settle_type(const struct nm_event_reading *in, int64_t type_hint,
                                       struct nm_event *event);

/* event_plain.c: false, and *out untouched, where the body is not plain: too many keys, one of them
 * twice, anything that is wrong, no memory.  Texts live in the arena. */
bool nm_event_read_plain(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                         struct nm_event *out);

/* ---- for rules (event_shown.c, event_hook.c) ------------------------------------------------- */

/* Sets nothing where the text is empty; NM_ENOMEM, NM_EINVAL. */
NM_MUST_CHECK int nm_event_set_text(json_t *table, const char *key, struct nm_text text);

/* Puts a hook event's pairs into the table; the errors of nm_event_set_text. */
NM_MUST_CHECK int nm_event_show_hook(const struct nm_event *event, const json_t *body,
                                     json_t *table);
