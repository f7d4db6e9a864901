/* guard.h - which addresses a tenant's settings may make us call.
 *
 * Refuses everything that is not the public internet (loopback, private, link-local, carrier, test,
 * multicast and reserved ranges, and the v6 forms that hide a v4 address), unless a range of the
 * daemon's own settings allows it.  Looks at resolved addresses, so names cannot get around it.
 * Immutable after init; any thread.
 */
#pragma once

#include <sys/socket.h>

#include "base/error.h"
#include "base/text.h"

struct nm_guard_range; /* one "10.0.0.0/8" */

struct nm_guard {
  struct nm_guard_range *allow;
  size_t allow_count;
};

/* Reads "10.0.0.0/8", "::1/128" or one address ("10.1.2.3"), copying.  NM_EINVAL names the range
 * that is wrong; the guard then needs no deinit. */
NM_MUST_CHECK int nm_guard_init(struct nm_guard *guard, const struct nm_text *allow, size_t count,
                                struct nm_error *err);
void nm_guard_deinit(struct nm_guard *guard);

/* False for anything but AF_INET and AF_INET6. */
bool nm_guard_allows(const struct nm_guard *guard, const struct sockaddr *address);
