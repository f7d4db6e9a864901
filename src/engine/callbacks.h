/* callbacks.h - Optimove's word on a batch of attribute updates, as it was journaled. */
#pragma once

#include "engine/book.h"

/* Settles the batch that the event names.  done: 0, NM_ENOTFOUND where no such batch waits, or why
 * the store could not; never from inside. */
void nm_callback_apply(struct nm_book *book, const struct nm_event *event,
                       void (*done)(void *data, int rc), void *data);
