/* internal.h - what the files of config/ share. */
#pragma once

#include "config/config.h"
#include "json/json.h"

/* check.c.  Problems are lines that begin with `where` ("config/netmove.lua"). */

/* "127.0.0.1:8080" or "[::1]:8080"; localhost is understood. */
bool nm_config_is_address(struct nm_text address);
bool nm_config_is_loopback(struct nm_text address);
bool nm_config_is_wildcard(struct nm_text address);

/* "10.0.0.0/8", "fd00::/8"; an address alone is itself. */
bool nm_config_is_network(struct nm_text network);

/* What no single key shows: plain HTTP where others can listen, TLS, a URL that nobody can call. */
void nm_config_check(const struct nm_settings *settings, const char *where,
                     struct nm_problems *problems);

void nm_config_check_store(struct nm_text store, const char *where, struct nm_problems *problems);

/* What follows from other settings and was not given. */
NM_MUST_CHECK int nm_config_complete(struct nm_settings *settings);
