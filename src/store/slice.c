/* Messages of a slice of a run: those that are alike go in together, several in one statement,
 * which opens the table and its indexes once and is told once what they share. */
#include "store/internal.h"

#include "base/clock.h"

enum { TOGETHER = 16, SHARED = 9, OWN = 12 };

/* What a waiting message of a run shares with its neighbours, then its own. */
#define ROW                                                                                        \
  "(?1, 0, ?2, ?3, 0, 1, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ROWS_4 ROW ", " ROW ", " ROW ", " ROW
static const char insert_together[] =
    "INSERT INTO messages (tenant_id, event_id, run_id, generation_id, state, priority, channel,"
    " channel_id, campaign, stamp, reason, triggered_at, attempts, first_attempt_at, stamp_ms,"
    " ended_at, id, template_id, customer, address, name, provider, content, created_at, due_at,"
    " expires_at, quiet_from, quiet_to) VALUES " ROWS_4 ", " ROWS_4 ", " ROWS_4 ", " ROWS_4;

static bool are_alike(const struct nm_message *a, const struct nm_message *b)
{
  return b->state == NM_MESSAGE_WAITING && a->tenant_id == b->tenant_id &&
         a->generation_id == b->generation_id && a->channel == b->channel &&
         a->channel_id == b->channel_id && a->triggered_at_ms == b->triggered_at_ms &&
         b->event_id == 0 && b->attempts == 0 && nm_text_equal(a->campaign, b->campaign) &&
         nm_text_equal(a->stamp, b->stamp) && nm_text_equal(a->reason, b->reason);
}

static bool may_go_together(const struct nm_writer *writer, const struct nm_message *messages,
                            size_t count)
{
  if (count < TOGETHER || writer->has_suppressed) return false;
  for (size_t i = 0; i < TOGETHER; i++)
    if (!are_alike(&messages[0], &messages[i])) return false;
  return true;
}

static int add_together(struct nm_writer *writer, struct nm_message *messages)
{
  const struct nm_message *first = &messages[0];
  int64_t now_ms = nm_clock_wall_ms();
  struct nm_value values[SHARED + TOGETHER * OWN] = {
    NM_I(first->tenant_id), NM_I(first->run_id), NM_I(first->generation_id), NM_I(first->channel),
    NM_I(first->channel_id), NM_T(first->campaign), NM_T(first->stamp), NM_T(first->reason),
    NM_I(first->triggered_at_ms),
  };
  struct nm_value *to = values + SHARED;
  for (size_t i = 0; i < TOGETHER; i++, to += OWN) {
    struct nm_message *message = &messages[i];
    nm_writer_begin_message(writer, message, now_ms);
    const struct nm_value own[OWN] = {
      NM_I(message->id), NM_I(message->template_id), NM_T(message->customer),
      NM_T(message->address), NM_T(message->name), NM_T(message->provider), NM_T(message->content),
      NM_I(message->created_at_ms), NM_I(message->due_at_ms), NM_I(message->expires_at_ms),
      NM_I(message->quiet.from_minute), NM_I(message->quiet.to_minute),
    };
    memcpy(to, own, sizeof own);
  }
  return nm_db_run_values(&writer->db, insert_together, values, SHARED + TOGETHER * OWN);
}

/* Their ids follow each other, so that those that go out together can be finished together. */
int nm_writer_add_slice(struct nm_writer *writer, struct nm_store_expand *expand, int64_t *open,
                        int64_t *stopped)
{
  struct nm_message *messages = expand->messages;
  int rc = NM_OK;
  for (size_t i = 0; i < expand->message_count; i++) {
    messages[i].run_id = expand->run_id;
    messages[i].priority = NM_PRIORITY_RUN; /* what waits of a run is found by it */
  }
  for (size_t i = 0, n; rc == 0 && i < expand->message_count; i += n) {
    bool is_together = may_go_together(writer, &messages[i], expand->message_count - i);
    n = is_together ? TOGETHER : 1;
    if (messages[i].state == NM_MESSAGE_CAPPED) continue;
    rc = is_together ? add_together(writer, &messages[i])
                     : nm_writer_add_message(writer, &messages[i], 0);
    writer->is_dense = true;
    if (messages[i].state == NM_MESSAGE_WAITING) *open += (int64_t)n;
    else ++*stopped;
  }
  writer->is_dense = false;
  return rc;
}
