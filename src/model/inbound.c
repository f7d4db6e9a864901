#include "model/inbound.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/limits.h"

enum { PAIRS_MAX = 1000 };

static const struct nm_text form_type = { "application/x-www-form-urlencoded", 33 };

/* "application/json", "application/cloudevents+json", "text/json". */
static bool is_json_type(struct nm_text type)
{
  static const struct nm_text json = { "json", 4 };
  if (type.len <= json.len) return false;
  struct nm_text end = { type.ptr + type.len - json.len, json.len };
  char before = type.ptr[type.len - json.len - 1];
  return nm_text_equal_nocase(end, json) && (before == '/' || before == '+');
}

/* ---- into the journal ------------------------------------------------------------------------ */

static struct nm_text digest_of(struct nm_arena *arena, const struct nm_inbound *inbound)
{
  const struct nm_text parts[] = { inbound->name, inbound->method, inbound->query, inbound->body };
  unsigned char digest[crypto_hash_sha256_BYTES];
  char hex[sizeof digest * 2 + 1];
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    uint64_t len = parts[i].len; /* so that no two requests can be written the same */
    crypto_hash_sha256_update(&state, (const unsigned char *)&len, sizeof len);
    if (len > 0) crypto_hash_sha256_update(&state, (const unsigned char *)parts[i].ptr, len);
  }
  crypto_hash_sha256_final(&state, digest);
  sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
  return nm_arena_printf(arena, "inbound|%s", hex);
}

static int check_body(const struct nm_inbound *inbound, struct nm_error *err)
{
  json_t *value;
  if (!nm_text_is_utf8(inbound->body))
    return nm_fail(err, NM_EINVAL, "the body is no UTF-8 text");
  if (!nm_text_is_utf8(inbound->query))
    return nm_fail(err, NM_EINVAL, "the query is no UTF-8 text");
  if (!is_json_type(inbound->content_type) || inbound->body.len == 0) return NM_OK;
  int rc = nm_json_parse_any(&value, inbound->body, err);
  if (rc == NM_ENOMEM) return rc;
  if (rc) return NM_EINVAL;
  json_decref(value);
  return NM_OK;
}

static int set(json_t *object, const char *key, struct nm_text text)
{
  return text.len > 0 ? nm_json_set_text(object, key, text) : NM_OK;
}

int nm_inbound_event(struct nm_arena *arena, const struct nm_inbound *inbound,
                     struct nm_event *out, struct nm_text *identity, int64_t *window_ms,
                     struct nm_error *err)
{
  int rc = check_body(inbound, err);
  if (rc) return rc;
  json_t *kept = json_object();
  if (!kept) return nm_fail(err, NM_ENOMEM, "no memory to keep the request");
  rc = set(kept, "method", inbound->method);
  if (!rc) rc = set(kept, "query", inbound->query);
  if (!rc) rc = set(kept, "type", inbound->content_type);
  if (!rc) rc = set(kept, "body", inbound->body);
  if (!rc && inbound->headers && json_object_size(inbound->headers) > 0 &&
      json_object_set(kept, "headers", (json_t *)(uintptr_t)inbound->headers))
    rc = NM_ENOMEM;
  *out = (struct nm_event){ .kind = NM_EVENT_INBOUND, .name = inbound->name };
  if (!rc) out->body = nm_json_text(arena, kept);
  json_decref(kept);
  if (rc == NM_EINVAL) return nm_fail(err, rc, "the request holds what is no UTF-8 text");
  *identity = digest_of(arena, inbound);
  *window_ms = NM_EVENT_DEDUP_WINDOW_MS;
  if (rc || !out->body.ptr || !identity->ptr)
    return nm_fail(err, NM_ENOMEM, "no memory to keep the request");
  return NM_OK;
}

/* ---- for rules ------------------------------------------------------------------------------- */

static int hex_of(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Percent-decodes into `out`, which has room for all of it; a wrong escape stands for itself. */
static size_t decode(struct nm_text text, char *out)
{
  size_t len = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    int high = c == '%' && i + 2 < text.len ? hex_of(text.ptr[i + 1]) : -1;
    int low = high >= 0 ? hex_of(text.ptr[i + 2]) : -1;
    if (low >= 0) {
      c = (char)(high * 16 + low);
      i += 2;
    } else if (c == '+') {
      c = ' ';
    }
    out[len++] = c;
  }
  return len;
}

/* Old systems send Latin-1: what is no UTF-8 is read as that. */
static size_t widen(char *text, size_t len, char *out)
{
  size_t at = 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x80) {
      out[at++] = (char)c;
    } else {
      out[at++] = (char)(0xC0 | c >> 6);
      out[at++] = (char)(0x80 | (c & 0x3F));
    }
  }
  return at;
}

/* `room` holds three times the text: the decoded bytes, and behind them twice as many. */
static struct nm_text decoded(struct nm_text text, char *room)
{
  struct nm_text plain = { room, decode(text, room) };
  if (nm_text_is_utf8(plain)) return plain;
  return (struct nm_text){ room + text.len, widen(room, plain.len, room + text.len) };
}

/* "a=1&b=two+words" as an object; the first of a name counts. */
static int read_pairs(struct nm_text rest, json_t *out)
{
  struct nm_text pair, key, value;
  char *room = malloc(2 * (3 * rest.len + 1));
  int rc = room ? NM_OK : NM_ENOMEM;
  for (int i = 0; i < PAIRS_MAX && rest.len > 0 && rc == NM_OK; i++) {
    nm_text_cut(rest, '&', &pair, &rest);
    if (pair.len == 0) continue;
    if (!nm_text_cut(pair, '=', &key, &value)) {
      key = pair;
      value = NM_TEXT("");
    }
    key = decoded(key, room);
    if (key.len == 0 || memchr(key.ptr, '\0', key.len)) continue;
    struct nm_text name = key;
    value = decoded(value, room + 3 * pair.len + 1);
    if (json_object_getn(out, name.ptr, name.len)) continue;
    json_t *text = json_stringn(value.ptr, value.len);
    if (!text || json_object_setn_new(out, name.ptr, name.len, text)) rc = NM_ENOMEM;
  }
  free(room);
  return rc;
}

/* The bodies that have a shape. */
static int set_shapes(json_t *table, struct nm_text type, struct nm_text body)
{
  json_t *form = json_object(), *value = NULL;
  if (!form || json_object_set_new(table, "form", form)) return NM_ENOMEM;
  if (body.len == 0) return NM_OK;
  if (nm_text_equal_nocase(type, form_type)) return read_pairs(body, form);
  if (type.len > 0 && !is_json_type(type)) return NM_OK;
  int rc = nm_json_parse_any(&value, body, NULL);
  if (rc) return rc == NM_ENOMEM ? rc : NM_OK;
  if (!json_is_object(value) && !json_is_array(value)) {
    json_decref(value);
    return NM_OK;
  }
  return json_object_set_new(table, "json", value) ? NM_ENOMEM : NM_OK;
}

/* As an example gives it, for whoever tries things: { inbound = "survey", json = { ... } }. */
static int for_rules_as_written(json_t *kept, json_t *query, json_t *table, json_t **out,
                                struct nm_error *err)
{
  json_t *name = json_object_get(kept, "inbound");
  bool is_set = json_is_string(name) && !json_object_update(table, kept) &&
                !json_object_set(table, "name", name) && !json_object_del(table, "inbound") &&
                !json_object_set_new(table, "type", json_string("INBOUND"));
  json_decref(query);
  json_decref(kept);
  if (is_set) {
    *out = table;
    return NM_OK;
  }
  json_decref(table);
  return nm_fail(err, NM_EINVAL, "inbound should be the name of an inbound");
}

int nm_inbound_for_rules(const struct nm_event *event, json_t **out, struct nm_error *err)
{
  json_t *kept = NULL, *query = json_object(), *table = json_object();
  int rc = query && table ? nm_json_parse(&kept, event->body, err) : NM_ENOMEM;
  if (rc == NM_OK && json_object_get(kept, "inbound"))
    return for_rules_as_written(kept, query, table, out, err);
  if (rc == NM_OK && json_object_set(table, "query", query)) rc = NM_ENOMEM;
  if (rc == NM_OK) rc = nm_json_set_text(table, "type", NM_TEXT("INBOUND"));
  if (rc == NM_OK) rc = nm_json_set_text(table, "name", event->name);
  if (rc == NM_OK) rc = nm_json_set_text(table, "method", nm_json_string(kept, "method"));
  if (rc == NM_OK) rc = nm_json_set_text(table, "text", nm_json_string(kept, "body"));
  if (rc == NM_OK) rc = read_pairs(nm_json_string(kept, "query"), query);
  if (rc == NM_OK)
    rc = set_shapes(table, nm_json_string(kept, "type"), nm_json_string(kept, "body"));
  json_t *headers = json_object_get(kept, "headers");
  if (rc == NM_OK && json_is_object(headers) && json_object_set(table, "headers", headers))
    rc = NM_ENOMEM;
  json_decref(query);
  json_decref(kept);
  if (rc != NM_OK) {
    json_decref(table);
    return nm_fail(err, rc, "the request cannot be shown to rules: %s", nm_code_name(rc));
  }
  *out = table;
  return NM_OK;
}

/* ---- what rules made of it ------------------------------------------------------------------- */

static bool is_hook(const json_t *made)
{
  static const char *const ids[] = { "EventTypeID", "CampaignID", "CustomerID" };
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)made, key, value)
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
      if (nm_text_equal_nocase(nm_text_from(key), nm_text_from(ids[i]))) return false;
  return true;
}

int nm_inbound_read(struct nm_arena *arena, struct nm_text made, struct nm_event *out,
                    struct nm_error *err)
{
  const char *field = NULL;
  json_t *value = NULL;
  if (made.len > NM_HTTP_EVENT_BODY_MAX_BYTES)
    return nm_fail(err, NM_EINVAL, "has %zu bytes, at most %d are allowed", made.len,
                   NM_HTTP_EVENT_BODY_MAX_BYTES);
  int rc = nm_json_parse(&value, made, err);
  if (rc == NM_OK && is_hook(value)) rc = nm_event_read_hook(arena, value, out, &field, err);
  else if (rc == NM_OK) rc = nm_event_read_campaign(arena, made, 0, out, &field, err);
  json_decref(value);
  return rc;
}
