/* shape.h - effects into what the store keeps: messages, plans.  Looks at nothing but the book;
 * changes nothing. */
#pragma once

#include "engine/book.h"

/* What a message is made from. */
struct nm_shape {
  const struct nm_book *book;
  struct nm_arena *arena;
  int64_t now_ms;
  const struct nm_zone *zone;   /* the rules' */
  int64_t generation_id;
  int64_t run_id;               /* 0 = single */
  int64_t triggered_at_ms;
  int64_t due_at_ms;            /* ScheduleTime; 0 = now */
  struct nm_text stamp;
  struct nm_quiet run_quiet;    /* of the run's entry; where the effect has none of its own */
  const json_t *profile;        /* NULL = none */
};

enum nm_shaped {
  NM_SHAPED_MESSAGE = 0,
  NM_SHAPED_HELD = 1,    /* reason: a person should look */
  NM_SHAPED_DROPPED = 2, /* reason: this person does not want it */
};

/* Makes a message of a send effect; *reason (arena) where it could not. */
enum nm_shaped nm_shape_message(const struct nm_shape *shape, const struct nm_effect *effect,
                                struct nm_message *out, struct nm_text *reason);

/* What is to be done about an event, by the tenant's active rules.  Fills *plan; *effects (may be
 * NULL) gets what the rules said. */
void nm_shape_plan(const struct nm_book *book, const struct nm_event *event, const json_t *profile,
                   int64_t now_ms, struct nm_arena *arena, struct nm_plan *plan,
                   struct nm_effects *effects);
