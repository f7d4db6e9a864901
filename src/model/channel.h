/* channel.h - the three kinds of channel.  Optimove's own number for one is its channel id. */
#pragma once

#include "base/text.h"

enum nm_channel {
  NM_CHANNEL_NONE = 0,
  NM_CHANNEL_PUSH = 1,
  NM_CHANNEL_SMS = 2,
  NM_CHANNEL_EMAIL = 3
};

enum { NM_CHANNEL_COUNT = 4 };

/* "push", "sms", "email"; "none". */
const char *nm_channel_name(enum nm_channel channel);

/* NM_CHANNEL_NONE for any other word. */
enum nm_channel nm_channel_from(struct nm_text word);
