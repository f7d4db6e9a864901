#include "http/parser.h"

#include <llhttp.h>
#include <stdlib.h>

#include "base/limits.h"

/* What llhttp reports while it reads one head. */
struct reading {
  struct nm_http_parser *parser;
  bool is_complete;
};

static enum nm_http_step fail(struct nm_http_parser *parser, int status, const char *code,
                              const char *message)
{
  parser->fault = (struct nm_http_fault){ status, code, message };
  return NM_HTTP_STEP_BAD;
}

static enum nm_http_step fail_bad(struct nm_http_parser *parser, const char *message)
{
  return fail(parser, 400, "bad_http", message);
}

void nm_http_parser_init(struct nm_http_parser *parser, size_t head_max_bytes)
{
  memset(parser, 0, offsetof(struct nm_http_parser, few));
  parser->guard.max_bytes = head_max_bytes;
  nm_buffer_init(&parser->head, head_max_bytes);
  nm_buffer_init(&parser->body, 0);
}

void nm_http_parser_deinit(struct nm_http_parser *parser)
{
  nm_buffer_deinit(&parser->head);
  nm_buffer_deinit(&parser->body);
  if (parser->fields != parser->few) free(parser->fields);
}

bool nm_http_parser_reuse(struct nm_http_parser *parser, size_t head_max_bytes)
{
  struct nm_buffer head = parser->head, body = parser->body;
  if (head.capacity > NM_HTTP_REUSED_MAX_BYTES || body.capacity > NM_HTTP_REUSED_MAX_BYTES)
    return false;
  if (parser->fields != parser->few) free(parser->fields);
  nm_http_parser_init(parser, head_max_bytes);
  parser->head.ptr = head.ptr;
  parser->head.capacity = head.capacity;
  parser->body.ptr = body.ptr;
  parser->body.capacity = body.capacity;
  return true;
}

/* A byte of an RFC 9110 token: methods, header names. */
static bool is_token_char(char c)
{
  /* a bit for each byte below 128: letters, digits and !#$%&'*+-.^_`|~ */
  static const uint64_t SETS[2] = { 0x03ff6cfa00000000u, 0x57ffffffc7fffffeu };
  unsigned char byte = (unsigned char)c;
  return byte < 128 && (SETS[byte / 64] >> (byte % 64) & 1);
}

static bool is_token(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (!is_token_char(text.ptr[i])) return false;
  return text.len > 0;
}

const struct nm_http_field *nm_http_parser_field(const struct nm_http_parser *parser,
                                                 struct nm_text name, unsigned *count)
{
  const struct nm_http_field *first = NULL;
  unsigned found = 0;
  for (unsigned i = 0; i < parser->field_count; i++) {
    if (!nm_text_equal_nocase(parser->fields[i].name, name)) continue;
    if (!first) first = &parser->fields[i];
    found++;
  }
  if (count) *count = found;
  return first;
}

/* ---- the head, by llhttp --------------------------------------------------------------------- */

static int on_field(llhttp_t *machine, const char *at, size_t len)
{
  struct nm_http_parser *parser = ((struct reading *)machine->data)->parser;
  if (parser->field_count + 1 >= parser->guard.lines) return -1; /* more headers than lines: no */
  parser->fields[parser->field_count++] = (struct nm_http_field){ { at, len }, { NULL, 0 } };
  return 0;
}

static int on_value(llhttp_t *machine, const char *at, size_t len)
{
  struct nm_http_parser *parser = ((struct reading *)machine->data)->parser;
  if (parser->field_count == 0) return -1;
  parser->fields[parser->field_count - 1].value = nm_text_trim((struct nm_text){ at, len });
  return 0;
}

static int on_head_complete(llhttp_t *machine)
{
  struct reading *reading = machine->data;
  reading->is_complete = true;
  reading->parser->keeps_alive = llhttp_should_keep_alive(machine);
  return HPE_PAUSED; /* the body is not llhttp's */
}

/* Reads the request line: method, one space, target, one space, version.  Nothing looser. */
static enum nm_http_step read_request_line(struct nm_http_parser *parser)
{
  struct nm_text line = nm_buffer_text(&parser->head), rest, version;
  while (line.ptr[0] == '\r' || line.ptr[0] == '\n') {
    line.ptr++;
    line.len--;
  }
  nm_text_cut(line, '\r', &line, &rest);
  if (!nm_text_cut(line, ' ', &parser->method, &rest) || !is_token(parser->method))
    return fail_bad(parser, "no HTTP request line");
  nm_text_cut(rest, ' ', &parser->target, &version);

  parser->is_1_0 = nm_text_equal(version, NM_TEXT("HTTP/1.0"));
  if (!parser->is_1_0 && !nm_text_equal(version, NM_TEXT("HTTP/1.1")))
    return fail_bad(parser, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  for (size_t i = 0; i < parser->target.len; i++) {
    char c = parser->target.ptr[i];
    if (c <= ' ' || c > '~' || c == '#')
      return fail_bad(parser, "the request target has a byte that must be escaped");
  }
  return parser->target.len > 0 ? NM_HTTP_STEP_MORE : fail_bad(parser, "no request target");
}

/* Lets llhttp read the whole head; it must end exactly where the guard saw its end. */
static enum nm_http_step read_fields(struct nm_http_parser *parser)
{
  static const llhttp_settings_t SETTINGS = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head_complete,
  };
  llhttp_t machine;
  struct reading reading = { .parser = parser };
  struct nm_text head = nm_buffer_text(&parser->head);

  parser->fields = parser->few;
  if (parser->guard.lines > NM_HTTP_FIELDS_FEW)
    parser->fields = calloc(parser->guard.lines, sizeof *parser->fields);
  if (!parser->fields) return fail(parser, 503, "overloaded", "no memory; try again later");
  llhttp_init(&machine, HTTP_REQUEST, &SETTINGS);
  machine.data = &reading;
  llhttp_errno_t rc = llhttp_execute(&machine, head.ptr, head.len);
  if (rc == HPE_INVALID_METHOD) /* a good request line otherwise, so it names a method */
    return fail(parser, 501, "not_implemented", "no such method");
  if (rc != HPE_PAUSED || !reading.is_complete ||
      llhttp_get_error_pos(&machine) != head.ptr + head.len)
    return fail_bad(parser, "the request's head is not HTTP/1.1");
  if (machine.upgrade || nm_text_equal(parser->method, NM_TEXT("CONNECT")))
    return fail_bad(parser, "no tunnel and no other protocol here");
  return NM_HTTP_STEP_MORE;
}

/* ---- our own checks -------------------------------------------------------------------------- */

static bool is_host(struct nm_text host)
{
  for (size_t i = 0; i < host.len; i++) {
    char c = host.ptr[i];
    if (!is_token_char(c) && c != ':' && c != '[' && c != ']') return false;
  }
  return true;
}

static enum nm_http_step check_framing(struct nm_http_parser *parser)
{
  unsigned lengths, codings;
  const struct nm_http_field *length =
      nm_http_parser_field(parser, NM_TEXT("Content-Length"), &lengths);
  const struct nm_http_field *coding =
      nm_http_parser_field(parser, NM_TEXT("Transfer-Encoding"), &codings);
  if (lengths + codings > 1) return fail_bad(parser, "the length of the body is given twice");

  if (coding) {
    if (parser->is_1_0) return fail_bad(parser, "HTTP/1.0 has no Transfer-Encoding");
    if (!nm_text_equal_nocase(coding->value, NM_TEXT("chunked")))
      return fail_bad(parser, "the only Transfer-Encoding here is chunked");
    parser->is_chunked = true;
  } else if (length) {
    int64_t value;
    if (length->value.len == 0 || length->value.ptr[0] == '-' ||
        !nm_text_to_i64(length->value, &value))
      return fail_bad(parser, "Content-Length is not a number");
    parser->left = (uint64_t)value;
  }
  return NM_HTTP_STEP_MORE;
}

static enum nm_http_step check_head(struct nm_http_parser *parser)
{
  for (unsigned i = 0; i < parser->field_count; i++)
    if (!is_token(parser->fields[i].name))
      return fail_bad(parser, "a header's name has a byte that does not belong there");

  unsigned hosts;
  const struct nm_http_field *host = nm_http_parser_field(parser, NM_TEXT("Host"), &hosts);
  if (hosts > 1 || (hosts == 0 && !parser->is_1_0))
    return fail_bad(parser, "there must be one Host header");
  if (host && !is_host(host->value)) return fail_bad(parser, "the Host header names no host");
  if (nm_http_parser_field(parser, NM_TEXT("Upgrade"), NULL))
    return fail_bad(parser, "no tunnel and no other protocol here");
  return check_framing(parser);
}

static enum nm_http_step feed_head(struct nm_http_parser *parser, struct nm_text bytes,
                                   size_t *used)
{
  enum nm_http_guard_verdict verdict =
      nm_http_guard_scan(&parser->guard, bytes.ptr, bytes.len, used);
  if (verdict == NM_HTTP_GUARD_BAD)
    return fail_bad(parser, "a CR, LF, NUL or folded line where none may be");
  if (verdict == NM_HTTP_GUARD_TOO_LARGE)
    return fail(parser, 431, "head_too_large", "the request's head or its number of headers");
  if (nm_buffer_append(&parser->head, bytes.ptr, *used))
    return fail(parser, 503, "overloaded", "no memory; try again later");
  if (verdict == NM_HTTP_GUARD_MORE) return NM_HTTP_STEP_MORE;

  enum nm_http_step step = read_request_line(parser);
  if (step == NM_HTTP_STEP_MORE) step = read_fields(parser);
  if (step == NM_HTTP_STEP_MORE) step = check_head(parser);
  if (step == NM_HTTP_STEP_BAD) return step;
  parser->is_head_done = true;
  return NM_HTTP_STEP_HEAD;
}

/* ---- the body -------------------------------------------------------------------------------- */

void nm_http_parser_take_body(struct nm_http_parser *parser, size_t max_bytes, bool drops)
{
  parser->body.max_bytes = max_bytes;
  parser->drops_body = drops;
}

bool nm_http_parser_has_body(const struct nm_http_parser *parser)
{
  return parser->is_chunked || parser->left > 0;
}

static enum nm_http_step take_body(struct nm_http_parser *parser, struct nm_text piece)
{
  parser->body_seen += piece.len;
  if (parser->body_seen > parser->body.max_bytes)
    return fail(parser, 413, "body_too_large", "the body is longer than this route takes");
  if (!parser->drops_body && nm_buffer_append(&parser->body, piece.ptr, piece.len))
    return fail(parser, 503, "overloaded", "no memory; try again later");
  return NM_HTTP_STEP_MORE;
}

static enum nm_http_step feed_chunks(struct nm_http_parser *parser, struct nm_text bytes,
                                     size_t *used)
{
  for (*used = 0; *used < bytes.len;) {
    struct nm_text rest = { bytes.ptr + *used, bytes.len - *used }, piece;
    size_t step_used;
    enum nm_http_chunked_verdict verdict =
        nm_http_chunked_feed(&parser->chunked, rest, &step_used, &piece);
    *used += step_used;
    if (verdict == NM_HTTP_CHUNKED_BAD)
      return fail_bad(parser, "the body is not chunked as HTTP says, or has trailers");
    if (verdict == NM_HTTP_CHUNKED_END) return NM_HTTP_STEP_DONE;
    if (verdict == NM_HTTP_CHUNKED_DATA && take_body(parser, piece) == NM_HTTP_STEP_BAD)
      return NM_HTTP_STEP_BAD;
  }
  return NM_HTTP_STEP_MORE;
}

enum nm_http_step nm_http_parser_feed(struct nm_http_parser *parser, struct nm_text bytes,
                                      size_t *used)
{
  *used = 0;
  if (parser->fault.status) return NM_HTTP_STEP_BAD;
  if (!parser->is_head_done) return feed_head(parser, bytes, used);
  if (parser->is_chunked) return feed_chunks(parser, bytes, used);

  struct nm_text piece = { bytes.ptr, bytes.len };
  if (piece.len > parser->left) piece.len = (size_t)parser->left;
  *used = piece.len;
  parser->left -= piece.len;
  if (piece.len > 0 && take_body(parser, piece) == NM_HTTP_STEP_BAD) return NM_HTTP_STEP_BAD;
  return parser->left > 0 ? NM_HTTP_STEP_MORE : NM_HTTP_STEP_DONE;
}
