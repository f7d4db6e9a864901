#include "engine/turns.h"

#include <stdlib.h>

enum { SLOTS_MIN = 64 };

struct nm_turn {
  struct nm_turn *next; /* of the slot */
  uint64_t person;
  int64_t owner;        /* the message whose turn it is */
  int64_t due_at_ms;    /* of the owner, where it waits to be tried again */
  bool is_waiting;
  struct nm_items behind;
};

/* FNV-1a. */
uint64_t nm_turns_person(struct nm_text customer, struct nm_text address)
{
  struct nm_text who = customer.len > 0 ? customer : address;
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < who.len; i++) hash = (hash ^ (unsigned char)who.ptr[i]) * 0x100000001b3u;
  return hash ? hash : 1;
}

static uint64_t person_of(const struct nm_message *message)
{
  return nm_turns_person(message->customer, message->address);
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct nm_turn **slot_of(const struct nm_turns *turns, uint64_t person)
{
  return &turns->slots[(size_t)(person ^ (person >> 32)) & (turns->capacity - 1)];
}

static struct nm_turn *find(const struct nm_turns *turns, uint64_t person)
{
  struct nm_turn *turn = turns->capacity > 0 ? *slot_of(turns, person) : NULL;
  while (turn && turn->person != person) turn = turn->next;
  return turn;
}

static void grow(struct nm_turns *turns)
{
  struct nm_turns grown = { .capacity = turns->capacity ? turns->capacity * 2 : SLOTS_MIN,
                            .count = turns->count, .behind = turns->behind };
  grown.slots = calloc(grown.capacity, sizeof *grown.slots);
  nm_require(grown.slots != NULL);
  for (size_t i = 0; i < turns->capacity; i++)
    while (turns->slots[i]) {
      struct nm_turn *turn = turns->slots[i], **to = slot_of(&grown, turn->person);
      turns->slots[i] = turn->next;
      turn->next = *to;
      *to = turn;
    }
  free(turns->slots);
  *turns = grown;
}

static struct nm_turn *add(struct nm_turns *turns, uint64_t person, int64_t owner)
{
  if (turns->count >= turns->capacity) grow(turns);
  struct nm_turn *turn = calloc(1, sizeof *turn), **at = slot_of(turns, person);
  nm_require(turn != NULL);
  turn->person = person;
  turn->owner = owner;
  turn->next = *at;
  *at = turn;
  turns->count++;
  return turn;
}

static void drop(struct nm_turns *turns, struct nm_turn *turn)
{
  struct nm_turn **at = slot_of(turns, turn->person);
  while (*at != turn) at = &(*at)->next;
  *at = turn->next;
  turns->count--;
  free(turn);
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* In the order of ids: those that come late are few. */
static void stand_behind(struct nm_turns *turns, struct nm_turn *turn, struct nm_item *item)
{
  struct nm_items *behind = &turn->behind;
  turns->behind++;
  if (!behind->last || behind->last->message->id < item->message->id) {
    nm_items_push(behind, item);
    return;
  }
  struct nm_item **at = &behind->first;
  while ((*at)->message->id < item->message->id) at = &(*at)->next;
  item->next = *at;
  *at = item;
  behind->count++;
}

enum nm_turns_word nm_turns_ask(struct nm_turns *turns, struct nm_item *item, int64_t *due_at_ms)
{
  const struct nm_message *message = item->message;
  struct nm_turn *turn = find(turns, person_of(message));
  if (!turn) {
    add(turns, person_of(message), message->id);
    return NM_TURNS_GO;
  }
  if (!turn->is_waiting && turn->owner != message->id) {
    stand_behind(turns, turn, item);
    return NM_TURNS_STAYS;
  }
  /* The store gives what is due first first, then by id: were the owner still to come, it would
   * have come before this one.  It was stopped meanwhile. */
  if (turn->owner != message->id && message->due_at_ms < turn->due_at_ms) {
    *due_at_ms = turn->due_at_ms;
    return NM_TURNS_LATER;
  }
  turn->owner = message->id;
  turn->is_waiting = false;
  return NM_TURNS_GO;
}

bool nm_turns_has(const struct nm_turns *turns, const struct nm_message *message)
{
  return find(turns, person_of(message)) != NULL;
}

void nm_turns_tried(struct nm_turns *turns, uint64_t person, int64_t message_id, int64_t due_at_ms)
{
  if (find(turns, person)) return;
  struct nm_turn *turn = add(turns, person, message_id);
  turn->is_waiting = true;
  turn->due_at_ms = due_at_ms;
}

static struct nm_items take_behind(struct nm_turns *turns, struct nm_turn *turn)
{
  struct nm_items behind = turn->behind;
  turn->behind = (struct nm_items){ NULL, NULL, 0 };
  turns->behind -= behind.count;
  return behind;
}

struct nm_items nm_turns_defer(struct nm_turns *turns, const struct nm_message *message,
                               int64_t due_at_ms)
{
  struct nm_turn *turn = find(turns, person_of(message));
  if (!turn || turn->owner != message->id) return (struct nm_items){ NULL, NULL, 0 };
  turn->is_waiting = true;
  turn->due_at_ms = due_at_ms;
  return take_behind(turns, turn);
}

struct nm_item *nm_turns_end(struct nm_turns *turns, const struct nm_message *message)
{
  struct nm_turn *turn = find(turns, person_of(message));
  if (!turn || turn->is_waiting || turn->owner != message->id) return NULL;
  struct nm_item *item = nm_items_pop(&turn->behind);
  if (!item) {
    drop(turns, turn);
    return NULL;
  }
  turns->behind--;
  turn->owner = item->message->id;
  return item;
}

/* ---- all of them ----------------------------------------------------------------------------- */

void nm_turns_sift(struct nm_turns *turns, struct nm_items *out,
                   bool (*is_wanted)(void *data, const struct nm_message *message), void *data)
{
  for (size_t i = 0; i < turns->capacity && turns->behind > 0; i++)
    for (struct nm_turn *turn = turns->slots[i]; turn; turn = turn->next) {
      struct nm_items behind = take_behind(turns, turn);
      struct nm_item *item;
      while ((item = nm_items_pop(&behind))) {
        if (is_wanted(data, item->message)) nm_items_push(out, item);
        else stand_behind(turns, turn, item);
      }
    }
}

struct nm_items nm_turns_clear(struct nm_turns *turns)
{
  struct nm_items out = { NULL, NULL, 0 };
  for (size_t i = 0; i < turns->capacity; i++)
    while (turns->slots[i]) {
      struct nm_item *item;
      while ((item = nm_items_pop(&turns->slots[i]->behind))) nm_items_push(&out, item);
      drop(turns, turns->slots[i]);
    }
  free(turns->slots);
  *turns = (struct nm_turns){ NULL, 0, 0, 0 };
  return out;
}
