#include "store/fresh.h"

#include <stdlib.h>

#include "base/limits.h"

/* One malloc each: the struct with its texts behind it. */
struct nm_fresh_item {
  struct nm_fresh_item *next;
  size_t size; /* of the bytes */
  union {
    struct nm_event event;
    struct nm_message message;
  } row;
  char bytes[];
};

enum {
  RANKS = 3,
  LANES_MAX = 64,
  EVENT_TEXTS = 6,
  MESSAGE_TEXTS = 8,
  AHEAD_MAX = 128,
  AHEAD_MAX_BYTES = 512 * 1024, /* left free by everything else */
  TENANT_SLOTS = 1024,
};

struct nm_fresh {
  struct nm_fresh_queue events[RANKS];
  int64_t taken_id;           /* of rank 1: up to here nobody waits any more */
  int64_t last[TENANT_SLOTS]; /* of a tenant, by its hash: its last one that stands among the others */
  bool is_last_unknown;       /* whoever came before the next one may still wait */
  struct nm_fresh_lane lanes[LANES_MAX];
  size_t lane_count;
  int64_t last_number;
  size_t bytes; /* of all items */
};

/* ---- items ----------------------------------------------------------------------------------- */

static void list_event_texts(struct nm_event *event, struct nm_text *texts[EVENT_TEXTS])
{
  texts[0] = &event->campaign;
  texts[1] = &event->customer;
  texts[2] = &event->stamp;
  texts[3] = &event->name;
  texts[4] = &event->foreign_id;
  texts[5] = &event->body;
}

static void list_message_texts(struct nm_message *message, struct nm_text *texts[MESSAGE_TEXTS])
{
  texts[0] = &message->campaign;
  texts[1] = &message->customer;
  texts[2] = &message->address;
  texts[3] = &message->name;
  texts[4] = &message->provider;
  texts[5] = &message->content;
  texts[6] = &message->stamp;
  texts[7] = &message->reason;
}

/* Puts the texts one behind the other, each with a NUL, and lets them point there. */
static void pack(struct nm_text **texts, size_t count, char *bytes)
{
  for (size_t i = 0; i < count; i++) {
    if (texts[i]->len > 0) memcpy(bytes, texts[i]->ptr, texts[i]->len);
    bytes[texts[i]->len] = '\0';
    texts[i]->ptr = bytes;
    bytes += texts[i]->len + 1;
  }
}

static size_t measure(struct nm_text **texts, size_t count)
{
  size_t size = count;
  for (size_t i = 0; i < count; i++) size += texts[i]->len;
  return size;
}

/* NULL without memory, or where there is enough of it in use. */
static struct nm_fresh_item *create_item(struct nm_fresh *fresh, size_t size, bool is_ahead)
{
  size_t whole = sizeof(struct nm_fresh_item) + size;
  size_t max = NM_STORE_FRESH_MAX_BYTES - (is_ahead ? 0 : AHEAD_MAX_BYTES);
  if (fresh->bytes + whole > max) return NULL;
  struct nm_fresh_item *item = malloc(whole);
  if (!item) return NULL;
  item->next = NULL;
  item->size = size;
  fresh->bytes += whole;
  return item;
}

static void push(struct nm_fresh_queue *queue, struct nm_fresh_item *item)
{
  if (!item) {
    queue->is_whole = false; /* this one and those to come are found in the table */
    return;
  }
  if (queue->last) queue->last->next = item;
  else queue->first = item;
  queue->last = item;
  queue->count++;
}

static void drop_first(struct nm_fresh *fresh, struct nm_fresh_queue *queue)
{
  struct nm_fresh_item *item = queue->first;
  queue->first = item->next;
  if (!queue->first) queue->last = NULL;
  queue->count--;
  fresh->bytes -= sizeof *item + item->size;
  free(item);
}

static void clear(struct nm_fresh *fresh, struct nm_fresh_queue *queue, bool is_whole)
{
  while (queue->first) drop_first(fresh, queue);
  queue->is_whole = is_whole;
}

static bool is_exhausted(const struct nm_fresh_queue *queue)
{
  return !queue->is_whole && !queue->first;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct nm_fresh *nm_fresh_create(void)
{
  struct nm_fresh *fresh = calloc(1, sizeof *fresh); /* nothing is whole: the tables are asked first */
  if (fresh) fresh->is_last_unknown = true;
  return fresh;
}

void nm_fresh_destroy(struct nm_fresh *fresh)
{
  if (fresh) nm_fresh_forget(fresh);
  free(fresh);
}

void nm_fresh_forget(struct nm_fresh *fresh)
{
  if (!fresh) return;
  for (int rank = 0; rank < RANKS; rank++) clear(fresh, &fresh->events[rank], false);
  fresh->taken_id = 0;
  fresh->is_last_unknown = true;
  while (fresh->lane_count > 0) nm_fresh_forget_lane(fresh, &fresh->lanes[0]);
}

void nm_fresh_note_verb(struct nm_fresh *fresh, enum nm_store_verb verb)
{
  switch (verb) {
  case NM_STORE_ACCEPT:
  case NM_STORE_TAKE:
  case NM_STORE_PLAN:
  case NM_STORE_LEASE:
  case NM_STORE_FINISH:
  case NM_STORE_PAGE_SAVE:
  case NM_STORE_EXPAND:
  case NM_STORE_BATCH_TAKE:
  case NM_STORE_BATCH_FINISH: return;
  default: nm_fresh_forget(fresh);
  }
}

/* ---- events ---------------------------------------------------------------------------------- */

static struct nm_fresh_item *create_event(struct nm_fresh *fresh, const struct nm_event *event,
                                          int64_t id, bool is_ahead)
{
  struct nm_text *texts[EVENT_TEXTS];
  struct nm_event copy = *event;
  copy.id = id;
  list_event_texts(&copy, texts);
  struct nm_fresh_item *item = create_item(fresh, measure(texts, EVENT_TEXTS), is_ahead);
  if (!item) return NULL;
  pack(texts, EVENT_TEXTS, item->bytes);
  item->row.event = copy;
  return item;
}

/* Where others wait, one whose tenant has nobody among them goes ahead; a tenant's own stay in
 * order. */
static bool goes_ahead(struct nm_fresh *fresh, const struct nm_event *event, int64_t id)
{
  const struct nm_fresh_queue *others = &fresh->events[NM_FRESH_OTHERS];
  struct nm_fresh_queue *ahead = &fresh->events[NM_FRESH_AHEAD];
  int64_t *last = &fresh->last[((uint64_t)event->tenant_id * 0x9E3779B97F4A7C15u) >> 54];
  bool is_one_waiting = others->first != NULL || !others->is_whole;
  if (fresh->is_last_unknown)
    for (size_t i = 0; i < TENANT_SLOTS; i++) fresh->last[i] = id - 1;
  fresh->is_last_unknown = false;
  if (is_one_waiting && *last <= fresh->taken_id && ahead->count < AHEAD_MAX) {
    struct nm_fresh_item *item = create_event(fresh, event, id, true);
    if (item) push(ahead, item);
    if (item) return true;
  }
  *last = id;
  return false;
}

void nm_fresh_add_event(struct nm_fresh *fresh, const struct nm_event *event, int64_t id, int rank)
{
  if (!fresh || (rank == NM_FRESH_OTHERS && goes_ahead(fresh, event, id))) return;
  if (fresh->events[rank].is_whole) push(&fresh->events[rank], create_event(fresh, event, id, false));
}

bool nm_fresh_count_events(const struct nm_fresh *fresh, size_t *count)
{
  *count = 0;
  if (!fresh) return false;
  for (int rank = 0; rank < RANKS; rank++) {
    if (rank != NM_FRESH_AHEAD && is_exhausted(&fresh->events[rank])) return false;
    *count += fresh->events[rank].count;
  }
  return true;
}

int nm_fresh_take_event(struct nm_fresh *fresh, int rank, struct nm_arena *arena,
                        struct nm_event *out)
{
  struct nm_text *texts[EVENT_TEXTS];
  struct nm_fresh_item *item = fresh ? fresh->events[rank].first : NULL;
  if (!item) return 0;
  char *bytes = nm_arena_alloc(arena, item->size);
  if (!bytes) return NM_ENOMEM;
  *out = item->row.event;
  list_event_texts(out, texts);
  pack(texts, EVENT_TEXTS, bytes);
  drop_first(fresh, &fresh->events[rank]);
  if (rank == NM_FRESH_OTHERS) nm_fresh_event_taken(fresh, out->id);
  return 1;
}

void nm_fresh_event_taken(struct nm_fresh *fresh, int64_t id)
{
  if (fresh && id > fresh->taken_id) fresh->taken_id = id;
}

void nm_fresh_events_asked(struct nm_fresh *fresh, bool is_all)
{
  if (!fresh) return;
  clear(fresh, &fresh->events[NM_FRESH_CANCELS], is_all);
  clear(fresh, &fresh->events[NM_FRESH_OTHERS], is_all);
  if (!is_all) return;
  clear(fresh, &fresh->events[NM_FRESH_AHEAD], false); /* the table had them too */
  memset(fresh->last, 0, sizeof fresh->last);
  fresh->is_last_unknown = false;
}

/* ---- messages -------------------------------------------------------------------------------- */

struct nm_fresh_lane *nm_fresh_find_lane(struct nm_fresh *fresh, int64_t tenant_id,
                                         struct nm_text provider)
{
  for (size_t i = 0; fresh && i < fresh->lane_count; i++) {
    struct nm_fresh_lane *lane = &fresh->lanes[i];
    struct nm_text name = { lane->provider, lane->provider_len };
    if (lane->tenant_id == tenant_id && nm_text_equal(name, provider)) return lane;
  }
  return NULL;
}

struct nm_fresh_lane *nm_fresh_lane_numbered(struct nm_fresh *fresh, int64_t number)
{
  for (size_t i = 0; fresh && number > 0 && i < fresh->lane_count; i++)
    if (fresh->lanes[i].number == number) return &fresh->lanes[i];
  return NULL;
}

void nm_fresh_forget_lane(struct nm_fresh *fresh, struct nm_fresh_lane *lane)
{
  for (int priority = 0; priority < 2; priority++) clear(fresh, &lane->queues[priority], false);
  free(lane->provider);
  *lane = fresh->lanes[--fresh->lane_count];
}

void nm_fresh_lane_waits(struct nm_fresh *fresh, struct nm_fresh_lane *lane, int64_t due_at_ms)
{
  if (due_at_ms == 0) nm_fresh_forget_lane(fresh, lane);
  else if (lane->next_due_ms == 0 || due_at_ms < lane->next_due_ms) lane->next_due_ms = due_at_ms;
}

void nm_fresh_add_message(struct nm_fresh *fresh, const struct nm_message *message, int64_t now_ms)
{
  struct nm_text *texts[MESSAGE_TEXTS];
  struct nm_fresh_lane *lane = nm_fresh_find_lane(fresh, message->tenant_id, message->provider);
  if (!lane || message->state != NM_MESSAGE_WAITING) return;
  if (message->due_at_ms > now_ms) {
    nm_fresh_lane_waits(fresh, lane, message->due_at_ms);
    return;
  }
  struct nm_fresh_queue *queue = &lane->queues[message->priority == NM_PRIORITY_SINGLE ? 0 : 1];
  if (!queue->is_whole) return;
  struct nm_message copy = *message;
  list_message_texts(&copy, texts);
  struct nm_fresh_item *item = create_item(fresh, measure(texts, MESSAGE_TEXTS), false);
  if (item) {
    pack(texts, MESSAGE_TEXTS, item->bytes);
    item->row.message = copy;
  }
  push(queue, item);
}

bool nm_fresh_count_messages(const struct nm_fresh_lane *lane, int64_t now_ms, size_t *count)
{
  *count = 0;
  if (!lane || (lane->next_due_ms > 0 && lane->next_due_ms <= now_ms)) return false;
  for (int priority = 0; priority < 2; priority++) {
    if (is_exhausted(&lane->queues[priority])) return false;
    *count += lane->queues[priority].count;
  }
  return true;
}

int nm_fresh_take_message(struct nm_fresh *fresh, struct nm_fresh_lane *lane, int priority,
                          struct nm_arena *arena, struct nm_message *out)
{
  struct nm_text *texts[MESSAGE_TEXTS];
  struct nm_fresh_queue *queue = &lane->queues[priority == NM_PRIORITY_SINGLE ? 0 : 1];
  struct nm_fresh_item *item = queue->first;
  if (!item) return 0;
  *out = item->row.message;
  if (!arena) return 1;
  char *bytes = nm_arena_alloc(arena, item->size);
  if (!bytes) return NM_ENOMEM;
  list_message_texts(out, texts);
  pack(texts, MESSAGE_TEXTS, bytes);
  drop_first(fresh, queue);
  return 1;
}

struct nm_fresh_lane *nm_fresh_lane_asked(struct nm_fresh *fresh, int64_t tenant_id,
                                          struct nm_text provider, int64_t next_due_ms)
{
  struct nm_fresh_lane *lane = nm_fresh_find_lane(fresh, tenant_id, provider);
  if (!lane) {
    if (!fresh || fresh->lane_count == LANES_MAX) return NULL;
    char *name = malloc(provider.len + 1);
    if (!name) return NULL;
    if (provider.len > 0) memcpy(name, provider.ptr, provider.len);
    lane = &fresh->lanes[fresh->lane_count++];
    *lane = (struct nm_fresh_lane){ .tenant_id = tenant_id, .number = ++fresh->last_number,
                                    .provider = name, .provider_len = provider.len };
  }
  for (int priority = 0; priority < 2; priority++) clear(fresh, &lane->queues[priority], true);
  lane->next_due_ms = next_due_ms;
  return lane;
}
