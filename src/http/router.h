/* router.h - which route a path and a method mean. */
#pragma once

#include "http/http.h"

/* What a path means before the request is looked at any further. */
struct nm_http_match {
  const struct nm_http_route *route; /* NULL: see methods */
  unsigned methods;                  /* of all routes of this path; 0: no such path */
  const char *names[NM_HTTP_PARAMS_MAX];
  struct nm_text values[NM_HTTP_PARAMS_MAX]; /* still percent-encoded */
  unsigned param_count;
};

/* Looks through the routes in their order; path "*" means all of them.  Borrows all. */
void nm_http_match(const struct nm_http_route *routes, struct nm_text path, unsigned method,
                   struct nm_http_match *out);

/* The length of the name behind names[i], which ends at '}'. */
struct nm_text nm_http_match_name(const char *name);

/* "GET, HEAD, OPTIONS" of the bits. */
enum { NM_HTTP_ALLOW_MAX_BYTES = 64 };
void nm_http_allow_text(char out[NM_HTTP_ALLOW_MAX_BYTES], unsigned methods);

/* True where one of the '|'-separated types is this one (case of letters does not matter). */
bool nm_http_type_is_one_of(const char *types, struct nm_text type);
