/* event.h - what came in: a campaign event from Optimove or a hook event from Netmera's side.
 *
 * Reading is strict and happens once, at the front door; semantics.md, Identity, is the authority.
 * The engine reads the stored bytes again with the same functions.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

enum nm_event_kind {
  NM_EVENT_CAMPAIGN = 0,
  NM_EVENT_HOOK = 1,
  NM_EVENT_CALLBACK = 2, /* Optimove's answer to an attribute update, journaled raw */
  NM_EVENT_INBOUND = 3,  /* another program's webhook, journaled raw (inbound.h); `name` is its
                          * own */
};

enum { NM_EVENT_TYPE_CANCEL = 4, NM_EVENT_TYPE_SINGLE = 11, NM_EVENT_TYPE_CAMPAIGN = 13 };

struct nm_event {
  int64_t id;               /* given by the store */
  int64_t tenant_id;
  int64_t received_at_ms;   /* wall clock at the front door */
  enum nm_event_kind kind;
  int64_t type;             /* EventTypeID; 0 for hook events and callbacks */
  int64_t channel_id;       /* Optimove's number; 0 = none named */
  int64_t template_id;      /* 0 = none named */
  struct nm_text campaign;  /* always text; empty = none */
  struct nm_text customer;  /* CustomerID, or extId of a hook event */
  struct nm_text stamp;     /* TimeStamp as it was sent; empty = none */
  struct nm_text name;      /* a hook event's name (PURCHASE); a callback's batch number */
  struct nm_text foreign_id;/* a hook event's own `id`; empty = none */
  struct nm_text body;      /* the bytes as they came */
};

/* Reads a campaign event of any spelling.  `type_hint` is what the URL says (`t=`), 0 = nothing:
 * the body beats it.  Fills event (texts live in the arena), all but id, tenant_id, received_at_ms.
 * *field (a literal or arena text, or NULL) names the field that is wrong on NM_EINVAL. */
NM_MUST_CHECK int nm_event_read_campaign(struct nm_arena *arena, struct nm_text body,
                                         int64_t type_hint, struct nm_event *out,
                                         const char **field, struct nm_error *err);

/* Reads one hook event that is already parsed (a batch holds many); its body becomes the compact
 * JSON of `value`. */
NM_MUST_CHECK int nm_event_read_hook(struct nm_arena *arena, const json_t *value,
                                     struct nm_event *out, const char **field,
                                     struct nm_error *err);

/* The table that rules see: a campaign event's keys in Optimove's spelling, ids as semantics.md
 * says, `attributes` always an object; a hook event as the contract shows it.  Gives *out. */
NM_MUST_CHECK int nm_event_for_rules(const struct nm_event *event, json_t **out,
                                     struct nm_error *err);

/* The text that tells whether two events are the same one (semantics.md, Identity), without the
 * tenant; in the arena.  *window_ms says how long it counts, from arrival. */
struct nm_text nm_event_identity(struct nm_arena *arena, const struct nm_event *event,
                                 int64_t *window_ms);
