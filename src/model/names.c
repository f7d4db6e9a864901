#include "model/channel.h"
#include "model/effect.h"
#include "model/message.h"
#include "model/run.h"

static const char *const channels[] = { "none", "push", "sms", "email" };
static const char *const effects[] = { "send", "expand", "cancel", "delay",
                                       "hold", "drop",   "update", "track",  "become" };
static const char *const outcomes[] = { "delivered", "accepted", "retry",   "throttled",
                                        "dead_recipient", "refused", "auth", "unknown" };
static const char *const message_states[] = { "waiting", "sent", "dead", "stopped",
                                              "held",    "expired", "paused", "capped" };
static const char *const run_states[] = { "active", "paused", "held", "cancelled",
                                          "expanded", "done", "failed" };

const char *nm_channel_name(enum nm_channel channel)
{
  return channels[channel];
}

enum nm_channel nm_channel_from(struct nm_text word)
{
  for (int i = NM_CHANNEL_PUSH; i < NM_CHANNEL_COUNT; i++)
    if (nm_text_equal(word, nm_text_from(channels[i]))) return (enum nm_channel)i;
  return NM_CHANNEL_NONE;
}

const char *nm_effect_name(enum nm_effect_kind kind)
{
  return effects[kind];
}

const char *nm_outcome_name(enum nm_outcome_kind kind)
{
  return outcomes[kind];
}

const char *nm_message_state_name(enum nm_message_state state)
{
  return message_states[state];
}

const char *nm_run_state_name(enum nm_run_state state)
{
  return run_states[state];
}
