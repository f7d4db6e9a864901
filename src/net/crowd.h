/* crowd.h - how many connections each address has open.
 *
 * An IPv6 caller counts by its /64: that is what one customer gets.  Loop thread only.
 */
#pragma once

#include <sys/socket.h>

#include "base/error.h"

struct nm_crowd;
struct nm_crowd_place; /* one address with at least one connection */

NM_MUST_CHECK int nm_crowd_create(struct nm_crowd **out);
void nm_crowd_destroy(struct nm_crowd *crowd); /* everybody has left; NULL is fine */

/* Counts one more connection of this address; NULL where it has `most` already, or without memory.
 * Lent until nm_crowd_leave. */
struct nm_crowd_place *nm_crowd_enter(struct nm_crowd *crowd, const struct sockaddr *address,
                                      int most);
void nm_crowd_leave(struct nm_crowd *crowd, struct nm_crowd_place *place);
