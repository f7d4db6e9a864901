/* tape.h - a document as a flat list of nodes, for whoever only walks it once from front to back.
 *
 * As strict as nm_json_parse and several times cheaper: no tree, no copies.  A document that it
 * does not take may still be one (its reader then asks nm_json_parse, which also says what is
 * wrong); what it takes, nm_json_parse takes too, and sees the same.  Any thread.
 */
#pragma once

#include "json/json.h"

enum nm_json_kind {
  NM_JSON_NULL = 0,
  NM_JSON_FALSE = 1,
  NM_JSON_TRUE = 2,
  NM_JSON_INTEGER = 3,
  NM_JSON_REAL = 4,
  NM_JSON_TEXT = 5,
  NM_JSON_ARRAY = 6,  /* followed by its values */
  NM_JSON_OBJECT = 7, /* followed by its members, each a text and a value */
};

struct nm_json_node {
  enum nm_json_kind kind;
  uint32_t count; /* of an array's values or an object's members */
  union {
    int64_t integer;
    double real;
    struct nm_text text; /* of the document, or of the arena where it was escaped */
    size_t end;          /* of arrays and objects: the node behind all that is inside */
  };
};

struct nm_json_tape {
  const struct nm_json_node *nodes;
  size_t count;
  struct nm_json_node first[48]; /* holds the nodes while they are few: does not move */
};

/* Reads one whole object.  Borrows text, which must outlive the tape; more room is the arena's.
 * False where it is not taken, for whatever reason. */
NM_MUST_CHECK bool nm_json_tape_read(struct nm_json_tape *tape, struct nm_text text,
                                     struct nm_arena *arena);
