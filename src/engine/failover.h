/* failover.h - which provider of a channel's chain takes a message, now. */
#pragma once

#include "engine/lanes.h"

/* True where there is no reason to send its messages by another one. */
bool nm_lane_is_well(const struct nm_lane *lane);

/* The first of the channel's chain that is well and can carry the message (NULL = any); the first
 * that can carry it where nobody is well.  Empty where there is no chain. */
struct nm_text nm_failover_choose(const struct nm_book *book, enum nm_channel kind,
                                  const struct nm_message *message);

/* Why this provider cannot carry the message at all; empty = it can. */
struct nm_text nm_failover_misfit(const struct nm_book *book, struct nm_arena *arena,
                                  const struct nm_message *message, struct nm_text name);

/* True where the lane is not well and another one can take over. */
bool nm_lane_moves_over(const struct nm_lane *lane);

/* Moves what stands in the lane to the next of the chain, where the lane is not well. */
void nm_lane_move_over(struct nm_lane *lane);

/* A message that would wait for a lane that is not well: the lane that takes it, named in finish,
 * with why; NULL = it stays. */
struct nm_lane *nm_lane_move(struct nm_lane *lane, const struct nm_message *message,
                             struct nm_finish *finish, char *why, size_t size);
