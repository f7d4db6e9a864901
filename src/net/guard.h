/* guard.h - which addresses a tenant's settings may make us call.
 *
 * Default deny: in v6 only 2000::/3, and of both families nothing that is private, local, for
 * documentation, tests, tunnels or groups, unless a range of the daemon's own settings
 * (outbound.allow) names it.  The rule is about addresses and is asked for the one that is about
 * to be connected to, so no name, spelling or later answer of a resolver gets around it; the URL
 * check before it exists to say early and clearly what is wrong.
 *
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

/* A guard that allows nothing private. */
extern const struct nm_guard nm_guard_public;

/* Reads "10.0.0.0/8", "::1/128" or one address ("10.1.2.3"), copying.  NM_EINVAL names the range
 * that is wrong; the guard then needs no deinit. */
NM_MUST_CHECK int nm_guard_init(struct nm_guard *guard, const struct nm_text *allow, size_t count,
                                struct nm_error *err);
void nm_guard_deinit(struct nm_guard *guard);

/* NM_EINVAL where nm_guard_init would refuse the range, with the same words. */
NM_MUST_CHECK int nm_guard_check_range(struct nm_text range, struct nm_error *err);

/* Asked right before a connect, with its port.  NM_EDENIED says why in words for people: the
 * address is special and not allowed, the port belongs to another protocol, or the family is not
 * AF_INET or AF_INET6.  An allowed range is allowed with every port. */
NM_MUST_CHECK int nm_guard_check_address(const struct nm_guard *guard,
                                         const struct sockaddr *address, struct nm_error *err);

/* What a URL that we call is made of; the texts lie in it. */
struct nm_guard_url {
  bool is_https;
  bool is_v6;          /* the host stood in brackets */
  bool is_literal;     /* the host is an address, not a name */
  struct nm_text host; /* without brackets; at most 254 bytes */
  int port;            /* 80 or 443 where none is written */
  struct nm_text path; /* with the query; may be empty */
};

/* Reads http://host[:port][/path][?query] and https:// so, strictly: what two readers could read
 * in two ways is refused (a user, a fragment, blanks, controls, backslashes, bytes beyond ASCII,
 * percent signs and zones in the host, addresses that are not four plain numbers or v6 in
 * brackets, port 0).  NM_EINVAL; the words never hold a part of the URL. */
NM_MUST_CHECK int nm_guard_read_url(struct nm_text url, struct nm_guard_url *out,
                                    struct nm_error *err);

/* For a URL in settings, before anything is called: NM_EINVAL where it cannot be read, NM_EDENIED
 * where its host is an address that the guard does not allow.  What a name stands for is looked at
 * when it is called.  guard NULL = only whether it can be read. */
NM_MUST_CHECK int nm_guard_check_url(const struct nm_guard *guard, struct nm_text url,
                                     struct nm_error *err);
