/* Which events are the same one (semantics.md, Identity). */
#include <inttypes.h>
#include <sodium.h>

#include "base/limits.h"
#include "model/event.h"

static void put_number(struct nm_text *line, int64_t number)
{
  char *out = (char *)(uintptr_t)line->ptr;
  if (line->len > 0) out[line->len++] = '|';
  line->len += nm_text_put_i64(out + line->len, number);
}

/* Lengths stand before texts, so that no two events can write the same line, not even by intent. */
static void put_counted(struct nm_text *line, struct nm_text text)
{
  char *out = (char *)(uintptr_t)line->ptr;
  put_number(line, (int64_t)text.len);
  out[line->len++] = ':';
  if (text.len > 0) memcpy(out + line->len, text.ptr, text.len);
  line->len += text.len;
}

/* "13|7:summer1|459|19:2030-01-01 10:00:00"; an 11 has the template and the customer, too. */
static struct nm_text keyed_identity(struct nm_arena *arena, const struct nm_event *event)
{
  size_t texts = event->campaign.len + event->customer.len + event->stamp.len;
  bool is_single = event->type == NM_EVENT_TYPE_SINGLE;
  struct nm_text line = { nm_arena_alloc(arena, texts + 6 * (NM_TEXT_I64_MAX_BYTES + 2)), 0 };
  if (!line.ptr) return line;
  put_number(&line, event->type);
  put_counted(&line, event->campaign);
  put_number(&line, event->channel_id);
  if (is_single) put_number(&line, event->template_id);
  if (is_single) put_counted(&line, event->customer);
  put_counted(&line, event->stamp);
  return line;
}

static struct nm_text digest_identity(struct nm_arena *arena, const struct nm_event *event)
{
  unsigned char digest[crypto_hash_sha256_BYTES];
  char hex[sizeof digest * 2 + 1];
  crypto_hash_sha256(digest, (const unsigned char *)(event->body.ptr ? event->body.ptr : ""),
                     event->body.len);
  sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
  return nm_arena_printf(arena, "%" PRId64 "|%s", event->type, hex);
}

struct nm_text nm_event_identity(struct nm_arena *arena, const struct nm_event *event,
                                 int64_t *window_ms)
{
  *window_ms = NM_EVENT_DEDUP_WINDOW_MS;
  if (event->kind == NM_EVENT_HOOK && event->foreign_id.len > 0)
    return nm_arena_printf(arena, "hook|%.*s", NM_TEXT_ARG(event->foreign_id));
  if (event->kind != NM_EVENT_CAMPAIGN) {
    *window_ms = 0;
    return NM_TEXT("");
  }
  if (event->type == NM_EVENT_TYPE_CAMPAIGN || event->type == NM_EVENT_TYPE_CANCEL)
    return keyed_identity(arena, event);
  if (event->type != NM_EVENT_TYPE_SINGLE) return digest_identity(arena, event);
  if (event->stamp.len == 0) *window_ms = NM_EVENT_SINGLE_DEDUP_WINDOW_MS;
  return keyed_identity(arena, event);
}
