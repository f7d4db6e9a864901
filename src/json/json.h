/* json.h - the one way JSON comes in and goes out: jansson, strict and bounded.
 *
 * Other rooms may build and read json_t with jansson's own functions; parsing and writing go
 * through here, so that the limits hold everywhere.  Any thread, one tree in one thread at a time.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/buffer.h"

/* Parses one whole document: UTF-8 without NUL, no key twice, integers kept as 64 bits, nesting at
 * most NM_JSON_DEPTH_MAX, nothing behind it.  Borrows text, gives *out.  err says where.  NM_ENOMEM
 * says nothing of the text: it is not wrong, and may be read later. */
NM_MUST_CHECK int nm_json_parse(json_t **out, struct nm_text text, struct nm_error *err);

/* As nm_json_parse for documents that we or Optimove made, with scalars allowed at the top (a
 * quoted string is a way of answering there). */
NM_MUST_CHECK int nm_json_parse_any(json_t **out, struct nm_text text, struct nm_error *err);

/* Appends compact JSON; NM_ELIMIT above the buffer's maximum, or NM_ENOMEM. */
NM_MUST_CHECK int nm_json_write(struct nm_buffer *out, const json_t *value);

/* Compact JSON in the arena; ptr NULL when there was no room. */
struct nm_text nm_json_text(struct nm_arena *arena, const json_t *value);

/* Reading; a missing key or another kind gives the empty text or false.  Texts borrow from the
 * tree. */
struct nm_text nm_json_string(const json_t *object, const char *key);
struct nm_text nm_json_string_of(const json_t *value);
bool nm_json_i64(const json_t *object, const char *key, int64_t *out); /* integer, or its text */

/* Building: sets key to a copy of the text.  NM_ENOMEM or NM_EINVAL (not UTF-8). */
NM_MUST_CHECK int nm_json_set_text(json_t *object, const char *key, struct nm_text value);

/* Sets an id as text, as ids travel in our JSON. */
NM_MUST_CHECK int nm_json_set_id(json_t *object, const char *key, int64_t id);
