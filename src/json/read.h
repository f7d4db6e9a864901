/* read.h - the quick way from bytes to a tree; private to the room. */
#pragma once

#include "json/json.h"

/* Reads what nm_json_parse() reads, several times faster; NULL where it is not JSON, has a number
 * with a fraction, is nested too deep or memory is short: then jansson reads it and has the word.
 * What comes back is what jansson would have made. */
json_t *nm_json_read(struct nm_text text, bool takes_scalars);
