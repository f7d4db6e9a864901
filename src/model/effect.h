/* effect.h - what rules return. */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "model/channel.h"

enum nm_effect_kind {
  NM_EFFECT_SEND = 0,
  NM_EFFECT_EXPAND = 1,
  NM_EFFECT_CANCEL = 2,
  NM_EFFECT_DELAY = 3,
  NM_EFFECT_HOLD = 4,
  NM_EFFECT_DROP = 5,
  NM_EFFECT_UPDATE = 6,
  NM_EFFECT_TRACK = 7, /* a real-time event for Optimove (optimove-api 5.5) */
  NM_EFFECT_BECOME = 8, /* of an inbound request: the event that it is */
};

/* Calendar windows on the rules' clock in which a cap counts. */
enum nm_cap_per {
  NM_CAP_PER_HOUR = 0,
  NM_CAP_PER_DAY = 1,
  NM_CAP_PER_WEEK = 2, /* from Monday on */
  NM_CAP_PER_MONTH = 3,
};

/* At most so many messages of a scope to one customer in one window. */
struct nm_cap {
  struct nm_text scope; /* "message welcome", "push messages", "category offers": for people, too */
  int64_t max;          /* 0 = none at all */
  enum nm_cap_per per;
};

/* Minutes of the local day between which nothing is sent; from == to means none. */
struct nm_quiet {
  int from_minute, to_minute;
};

struct nm_attribute {
  struct nm_text field; /* RealFieldName */
  struct nm_text value; /* as text, booleans as TRUE and FALSE (optimove-api 5.2) */
};

/* One effect; texts live in the arena of the call that made them. */
struct nm_effect {
  enum nm_effect_kind kind;
  enum nm_channel channel;      /* send */
  int64_t channel_id;           /* send, expand, cancel; 0 = none */
  int64_t template_id;          /* send */
  struct nm_text message;       /* send: the message's name in the rules */
  struct nm_text to;            /* send: the customer, or the address that overrides it */
  bool to_is_address;           /* send: `to` came from the message, not from CustomerID */
  struct nm_text customer;      /* send, update, track */
  struct nm_text campaign;      /* send, expand, cancel */
  struct nm_text content;       /* send: JSON object, rendered; become: the event */
  int64_t expires_in_ms;        /* send; 0 = never */
  struct nm_quiet quiet;        /* send, expand */
  int until_minute;             /* delay: minute of the local day */
  struct nm_text reason;        /* hold, drop */
  struct nm_attribute *attributes; /* update */
  size_t attribute_count;
  const struct nm_cap *caps;    /* send: all that hold for it */
  size_t cap_count;
  struct nm_text event_name;    /* track: Optimove's name of the event, snake_case */
  struct nm_text visitor;       /* track: instead of `customer`; one of the two is empty */
  struct nm_text timestamp;     /* track: "2020-04-12 17:32:06.094 UTC"; never empty */
  struct nm_text context;       /* track: JSON object of text, numbers and booleans; perhaps {} */
};

struct nm_effects {
  struct nm_effect *items;
  size_t count;
  struct nm_text trace; /* JSON: which step answered, for explain; may be empty */
};

/* "send", "expand", ... */
const char *nm_effect_name(enum nm_effect_kind kind);
