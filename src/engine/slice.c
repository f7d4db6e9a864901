/* slice.c - what becomes of a row. */
#include "engine/slice.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "engine/shape.h"

/* ---- marks ----------------------------------------------------------------------------------- */

/* Takes no memory that it needs: a row that is held must never be lost for want of it. */
static void hold_row(struct nm_slice *slice, struct nm_slice_row *row, struct nm_text reason)
{
  size_t at = 0;
  while (at < slice->mark_count && !nm_text_equal(slice->marks[at].reason, reason)) at++;
  if (at == slice->mark_count && at >= NM_SLICE_REASONS_MAX) {
    reason = NM_TEXT("held for other reasons");
    at = NM_SLICE_REASONS_MAX;
  }
  struct nm_hold_mark *mark = &slice->marks[at];
  if (at >= slice->mark_count) {
    mark->reason = nm_arena_copy(nm_slice_arena(slice), reason);
    if (!mark->reason.ptr) mark->reason = NM_TEXT("held");
    slice->mark_count++;
  }
  mark->count++;
  row->mark = at + 1;
}

void nm_slice_end_marks(struct nm_slice *slice)
{
  enum { NUMBER_MAX_BYTES = sizeof ",9223372036854775807", MARK_MAX_BYTES = sizeof "]" };
  if (slice->mark_count == 0) return;
  struct nm_buffer rows; /* not of the arena, which may be full */
  nm_buffer_init(&rows, slice->row_count * NUMBER_MAX_BYTES + slice->mark_count * MARK_MAX_BYTES);
  nm_require(nm_buffer_reserve(&rows, rows.max_bytes) == NM_OK);
  for (size_t i = 0; i < slice->mark_count; i++) {
    size_t begin = rows.len;
    for (size_t at = 0; at < slice->row_count; at++)
      if (slice->rows[at].mark == i + 1)
        nm_require(nm_buffer_appendf(&rows, "%c%lld", rows.len == begin ? '[' : ',',
                                     (long long)slice->rows[at].number) == NM_OK);
    nm_require(nm_buffer_append(&rows, "]", 1) == NM_OK);
    slice->marks[i].rows = (struct nm_text){ rows.ptr + begin, rows.len - begin };
  }
  slice->mark_rows = rows.ptr;
}

/* ---- one row --------------------------------------------------------------------------------- */

static struct nm_message *next_message(struct nm_slice *slice)
{
  struct nm_store_expand *expand = &slice->expand->u.expand;
  if (expand->message_count == slice->message_capacity) {
    size_t capacity = slice->message_capacity ? slice->message_capacity * 2 : 64;
    struct nm_message *messages =
        nm_arena_alloc(nm_slice_arena(slice), capacity * sizeof *messages);
    if (!messages) return NULL;
    if (expand->message_count > 0)
      memcpy(messages, expand->messages, expand->message_count * sizeof *messages);
    expand->messages = messages;
    slice->message_capacity = capacity;
  }
  return &expand->messages[expand->message_count];
}

static struct nm_shape shape_of(const struct nm_slice *slice,
                                const struct nm_slice_row *row, int64_t now_ms,
                                const json_t *profile)
{
  const struct nm_running *run = slice->run;
  return (struct nm_shape){
    .book = run->book, .arena = nm_slice_arena(slice), .now_ms = now_ms,
    .zone = nm_rules_facts(slice->generation->rules)->zone,
    .generation_id = slice->generation->id,
    .run_id = run->row.id, .triggered_at_ms = run->row.triggered_at_ms,
    .due_at_ms = row->recipient.due_at_ms, .stamp = run->row.stamp, .run_quiet = run->row.quiet,
    .profile = profile,
  };
}

/* What becomes of a row that is no message. */
struct verdict {
  struct nm_text held;
  bool is_made;
};

static void take_send(struct nm_slice *slice, const struct nm_shape *shape,
                      const struct nm_effect *effect, struct verdict *verdict)
{
  struct nm_message *message = next_message(slice);
  struct nm_text reason = NM_TEXT("out of memory");
  enum nm_shaped shaped =
      message ? nm_shape_message(shape, effect, message, &reason) : NM_SHAPED_HELD;
  if (shaped == NM_SHAPED_MESSAGE) {
    /* What belongs to the run is the run's, whatever the rules say: the fence must find it. */
    message->campaign = slice->run->row.campaign;
    message->channel_id = slice->run->row.channel_id;
    slice->expand->u.expand.message_count++;
    verdict->is_made = true;
  } else if (shaped == NM_SHAPED_HELD) {
    verdict->held = reason;
  }
}

static void take_effects(struct nm_slice *slice, struct nm_slice_row *row,
                         const struct nm_effects *effects, const struct nm_shape *shape)
{
  struct verdict verdict = { NM_TEXT(""), false };
  for (size_t i = 0; i < effects->count; i++) {
    const struct nm_effect *effect = &effects->items[i];
    if (effect->kind == NM_EFFECT_SEND) take_send(slice, shape, effect, &verdict);
    else if (effect->kind == NM_EFFECT_HOLD) verdict.held = effect->reason;
    else if (effect->kind != NM_EFFECT_DROP)
      verdict.held = nm_arena_printf(nm_slice_arena(slice),
                                     "%s is not possible for a recipient of a run",
                                     nm_effect_name(effect->kind));
  }
  if (effects->count == 0) verdict.held = NM_TEXT("the rules say nothing about this recipient");
  if (verdict.is_made) return;
  if (verdict.held.len > 0) hold_row(slice, row, verdict.held);
  else slice->expand->u.expand.skipped++;
}

static json_t *profile_of(const struct nm_slice *slice, size_t at)
{
  const struct nm_store_profile *profile = &slice->profiles->u.profiles.profiles[at];
  json_t *parsed = NULL;
  if (profile->body.len == 0 || nm_json_parse(&parsed, profile->body, NULL)) return NULL;
  return parsed;
}

void nm_slice_run_rules(struct nm_slice *slice, size_t at)
{
  struct nm_slice_row *row = &slice->rows[at];
  struct nm_error error = { 0 };
  struct nm_effects effects = { 0 };
  int64_t now_ms = nm_clock_wall_ms();
  struct nm_rules_moment moment = { .now_ms = now_ms, .is_recipient = true };

  if (row->trouble.len > 0) {
    hold_row(slice, row, row->trouble);
    return;
  }
  json_t *profile = profile_of(slice, at);
  int rc = nm_rules_serve_row(slice->generation->rules, row->recipient.event, profile, &moment,
                              nm_slice_arena(slice), &effects, &error);
  if (rc == NM_ELIMIT) slice->overruns++;
  if (rc) {
    hold_row(slice, row, nm_text_from(error.text[0] ? error.text : nm_code_name(rc)));
  } else {
    struct nm_shape shape = shape_of(slice, row, now_ms, profile);
    take_effects(slice, row, &effects, &shape);
  }
  json_decref(profile);
}
