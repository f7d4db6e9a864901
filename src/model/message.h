/* message.h - one recipient, one template, one channel; and what became of one try to deliver
 * it. */
#pragma once

#include <stdint.h>

#include "base/text.h"
#include "model/channel.h"
#include "model/effect.h"

enum nm_message_state {
  NM_MESSAGE_WAITING = 0, /* due now or later */
  NM_MESSAGE_SENT = 1,    /* delivered or accepted */
  NM_MESSAGE_DEAD = 2,    /* dead letter, with the last reason */
  NM_MESSAGE_STOPPED = 3, /* by a cancel, before it was sent */
  NM_MESSAGE_HELD = 4,    /* a person should look */
  NM_MESSAGE_EXPIRED = 5, /* expires_in passed before it could be sent */
  NM_MESSAGE_PAUSED = 6,  /* waiting, with its run, until that is released */
  NM_MESSAGE_CAPPED = 7,  /* not made: a frequency cap forbids it; never stored */
};

enum nm_message_priority { NM_PRIORITY_SINGLE = 0, NM_PRIORITY_RUN = 1 };

/* How many messages of a scope its customer may have in a window that has these ends. */
struct nm_message_cap {
  struct nm_text scope; /* "message welcome", "channel push", "category offers" */
  int64_t max;
  enum nm_cap_per per;
  int64_t from_ms, until_ms; /* the window that it is due in */
};

struct nm_message {
  int64_t id;             /* given by the store */
  int64_t tenant_id;
  int64_t event_id;       /* 0 for rows of a run that come from no event of their own */
  int64_t run_id;         /* 0 = a single message */
  int64_t generation_id;  /* the rules that made it */
  enum nm_message_state state;
  enum nm_message_priority priority;
  enum nm_channel channel;
  int64_t channel_id;
  int64_t template_id;
  struct nm_text campaign;
  struct nm_text customer;  /* external id */
  struct nm_text address;   /* overrides the one found by customer; empty = none */
  struct nm_text name;      /* the message's name in the rules */
  struct nm_text provider;  /* the provider's name: with the tenant, its lane */
  struct nm_text content;   /* JSON object */
  struct nm_text stamp;     /* its event's TimeStamp, for the cancel fence */
  struct nm_text reason;    /* why it is held or dead; the last attempt's word */
  int64_t triggered_at_ms;  /* arrival of the event or of the run's event, for the cancel fence */
  int64_t created_at_ms;
  int64_t due_at_ms;
  int64_t expires_at_ms;    /* 0 = never */
  struct nm_quiet quiet;
  int attempts;             /* those that count */
  int64_t first_attempt_ms; /* when the first of those began; 0 = none yet */
  const struct nm_message_cap *caps; /* while it is made; not stored */
  size_t cap_count;
};

enum nm_outcome_kind {
  NM_OUTCOME_DELIVERED = 0,      /* the provider says it arrived */
  NM_OUTCOME_ACCEPTED = 1,       /* the provider took it; a receipt may come */
  NM_OUTCOME_RETRY = 2,          /* failed for now; nothing was sent */
  NM_OUTCOME_THROTTLED = 3,      /* too fast; see scope */
  NM_OUTCOME_DEAD_RECIPIENT = 4, /* this person or token will never work */
  NM_OUTCOME_REFUSED = 5,        /* this message will never work */
  NM_OUTCOME_AUTH = 6,           /* our key is refused: the lane stops */
  NM_OUTCOME_UNKNOWN = 7,        /* sent, and the answer was lost */
};

enum nm_outcome_scope { NM_SCOPE_MESSAGE = 0, NM_SCOPE_LANE = 1, NM_SCOPE_ACCOUNT = 2 };

struct nm_outcome {
  enum nm_outcome_kind kind;
  enum nm_outcome_scope scope; /* of throttled and auth */
  bool is_unreachable;         /* retry: connect, DNS or TLS failed (opens the breaker of the
                                * host) */
  int64_t retry_after_ms;      /* the provider's own word; -1 = none */
  int code;                    /* HTTP or SMTP status, SMPP command status; 0 = none */
  struct nm_text reason;       /* for people, at most 256 bytes kept; borrows */
};

/* "delivered", "dead_recipient", ... */
const char *nm_outcome_name(enum nm_outcome_kind kind);
/* "waiting", "sent", ... */
const char *nm_message_state_name(enum nm_message_state state);
