/* turns.h - who is next of one person: of all messages to somebody one is out, and the others stand
 * behind it in the order of their ids.  For lanes with order = "recipient".
 *
 * Knows messages, not time and not the store: whoever asks carries out what it says.  Two persons
 * whose hashes are the same only wait for each other.
 */
#pragma once

#include "engine/lanes.h"

/* Customer, or the address where there is none, as a number that is never 0. */
uint64_t nm_turns_person(struct nm_text customer, struct nm_text address);

enum nm_turns_word {
  NM_TURNS_GO = 0,    /* it is this one's turn */
  NM_TURNS_STAYS = 1, /* it stands behind one that is out; nm_turns_end gives it */
  NM_TURNS_LATER = 2, /* one before it is tried again at *due_at_ms: so is this one, after it */
};

/* A message was leased. */
enum nm_turns_word nm_turns_ask(struct nm_turns *turns, struct nm_item *item, int64_t *due_at_ms);

/* True where it is somebody's turn of this person already. */
bool nm_turns_has(const struct nm_turns *turns, const struct nm_message *message);

/* A message that was tried in another life and waits. */
void nm_turns_tried(struct nm_turns *turns, uint64_t person, int64_t message_id,
                    int64_t due_at_ms);

/* The one that is out waits for another try: nobody of its person goes before.  Gives those that
 * stand behind it, in order. */
struct nm_items nm_turns_defer(struct nm_turns *turns, const struct nm_message *message,
                               int64_t due_at_ms);

/* A message left the lane.  Where it was the one that was out, the next one, whose turn it is
 * now. */
struct nm_item *nm_turns_end(struct nm_turns *turns, const struct nm_message *message);

/* Takes all that stand behind others and fulfil `is_wanted` into `out`. */
void nm_turns_sift(struct nm_turns *turns, struct nm_items *out,
                   bool (*is_wanted)(void *data, const struct nm_message *message), void *data);

/* Forgets everything; gives all that stood behind others. */
struct nm_items nm_turns_clear(struct nm_turns *turns);
