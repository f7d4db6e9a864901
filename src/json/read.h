/* read.h - the quick way from bytes to a tree; private to the room. */
#pragma once

#include "json/json.h"

/* Reads what nm_json_parse() reads, several times faster; NULL where it is not JSON, has a number
 * out of the ordinary or is nested too deep: then jansson reads it and has the word.  *is_short:
 * NULL came for want of memory, and jansson should not be asked: short of memory it loses bytes.
 * What comes back is what jansson would have made. */
json_t *nm_json_read(struct nm_text text, bool takes_scalars, bool *is_short);
