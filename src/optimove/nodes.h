/* nodes.h - building flat nodes (json/tape.h) where there is room for all of them.
 * Room-private. */
#pragma once

#include "json/tape.h"

struct nm_nodes {
  struct nm_json_node *items;
  size_t count, max;
};

/* False without memory.  Whoever adds more than `max` is a bug. */
NM_MUST_CHECK bool nm_nodes_init(struct nm_nodes *nodes, struct nm_arena *arena, size_t max);

/* Reads one object into a tape, the rare ones by way of a tree.  NM_EINVAL: err goes on behind the
 * name of what it is ("is no object"). */
NM_MUST_CHECK int nm_nodes_read(struct nm_json_tape *tape, struct nm_text text,
                                struct nm_arena *arena, struct nm_error *err);

/* The node behind the value that begins there. */
static inline size_t nm_nodes_behind(const struct nm_json_node *nodes, size_t at)
{
  return nodes[at].kind >= NM_JSON_ARRAY ? nodes[at].end : at + 1;
}

/* An object or array; what is added until it is closed stands in it. */
size_t nm_nodes_open(struct nm_nodes *nodes, enum nm_json_kind kind);
void nm_nodes_close(struct nm_nodes *nodes, size_t self);

void nm_nodes_text(struct nm_nodes *nodes, struct nm_text text);
void nm_nodes_key(struct nm_nodes *nodes, struct nm_text key);

/* Whole members; the first copies a value with all that is inside. */
void nm_nodes_member(struct nm_nodes *nodes, struct nm_text key, const struct nm_json_node *from,
                     size_t at);
void nm_nodes_member_text(struct nm_nodes *nodes, struct nm_text key, struct nm_text text);
void nm_nodes_member_integer(struct nm_nodes *nodes, struct nm_text key, int64_t integer);
