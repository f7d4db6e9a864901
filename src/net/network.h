/* network.h - ranges of addresses ("10.0.0.0/8", "fd00::/8") and whether an address is in them.
 *
 * IPv4 and IPv4 inside IPv6 are the same address here.  Any thread.
 */
#pragma once

#include "base/error.h"
#include "base/text.h"

struct nm_network {
  unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
  unsigned bits;           /* of the 128 */
};

struct nm_networks {
  struct nm_network *list;
  size_t count;
};

/* Reads the ranges; an address alone is itself.  NM_EINVAL names the first that is none.  Copies.
 * Gives what nm_networks_deinit frees. */
NM_MUST_CHECK int nm_networks_init(struct nm_networks *out, const struct nm_text *ranges,
                                   size_t count, struct nm_error *err);
void nm_networks_deinit(struct nm_networks *networks);

/* Whether the textual address ("203.0.113.7", "2001:db8::1") is in one of them; false where it is
 * no address at all ("unix"). */
bool nm_networks_contain(const struct nm_networks *networks, struct nm_text address);

/* 127.0.0.0/8 and ::1. */
bool nm_network_is_loopback(struct nm_text address);

/* Reads an address; false where it is none. */
bool nm_network_read_address(struct nm_text address, unsigned char bytes[16]);
