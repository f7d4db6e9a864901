/* inbound.h - a request of another program's webhook: journaled as it came, shown to rules as a
 * table. */
#pragma once

#include "model/event.h"

struct nm_inbound {
  struct nm_text name;         /* of the address */
  struct nm_text method;       /* "GET" or "POST" */
  struct nm_text query;        /* as it was sent, without our own secret */
  struct nm_text content_type; /* without parameters; empty = none */
  struct nm_text body;         /* UTF-8 */
  const json_t *headers;       /* names in small letters; NULL = none */
};

/* Fills the event (kind, name, body) and the text that tells two requests apart: what was asked
 * and said, without headers.  Texts live in the arena.  NM_EINVAL: what says it is JSON is none, or
 * is no UTF-8. */
NM_MUST_CHECK int nm_inbound_event(struct nm_arena *arena, const struct nm_inbound *inbound,
                                   struct nm_event *out, struct nm_text *identity,
                                   int64_t *window_ms, struct nm_error *err);

/* The table that rules see: {type = "INBOUND", name, method, query, form, json, text, headers}.
 * Gives *out. */
NM_MUST_CHECK int nm_inbound_for_rules(const struct nm_event *event, json_t **out,
                                       struct nm_error *err);

/* Reads what rules made of it, as the front door would: a campaign event or a hook event. */
NM_MUST_CHECK int nm_inbound_read(struct nm_arena *arena, struct nm_text made, struct nm_event *out,
                                  struct nm_error *err);
