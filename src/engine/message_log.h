/* message_log.h - what became of our own messages, as MESSAGE_LOG events for hooks that ask for
 * them. */
#pragma once

#include "engine/book.h"

/* Ids of events that are our own word begin so; what comes of such an event is never a message, or
 * it would never end. */
#define NM_MESSAGE_LOG_PREFIX "netmove:"

bool nm_message_log_is_own(const struct nm_event *event);

/* The event of a message that has come to its end, as the journal takes it; NULL where the end is
 * no news (it waits, it is held), nobody asks (connector, hook or rule is missing) or it has no
 * customer. Texts and the arrival live in the arena. */
struct nm_store_arrival *nm_message_log_make(const struct nm_book *book, struct nm_arena *arena,
                                             const struct nm_message *message,
                                             const struct nm_finish *end);
