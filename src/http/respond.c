#include <stdio.h>

#include "http/internal.h"
#include "json/json.h"

enum {
  TYPE_MAX_BYTES = 128,
  HEAD_MAX_BYTES = 512, /* ours, without the extra headers */
};

/* Two years, as Mozilla has it. */
static const char HSTS[] = "Strict-Transport-Security: max-age=63072000\r\n";

static const char *reason(int status)
{
  static const struct {
    int status;
    const char *reason;
  } REASONS[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 422, "Unprocessable Content" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
  };
  for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++)
    if (REASONS[i].status == status) return REASONS[i].reason;
  return "";
}

/* Extra headers are whole lines; anything else would put the body into the head. */
static bool are_lines(struct nm_text headers)
{
  if (headers.len == 0) return true;
  if (headers.len < 4 || headers.ptr[headers.len - 1] != '\n') return false;
  for (size_t i = 0; i < headers.len; i++) {
    bool is_cr = headers.ptr[i] == '\r', is_lf = headers.ptr[i] == '\n';
    if (is_cr && (i == 0 || i + 1 == headers.len || headers.ptr[i + 1] != '\n')) return false;
    if (is_lf && (i == 0 || headers.ptr[i - 1] != '\r')) return false;
    if (is_cr && i + 2 < headers.len && headers.ptr[i + 2] == '\r') return false;
  }
  return true;
}

static size_t put(char *out, size_t at, struct nm_text text)
{
  memcpy(out + at, text.ptr, text.len);
  return at + text.len;
}

/* Our part of the head; returns its length.  No printf: each answer would pay a microsecond. */
static size_t write_head(char out[HEAD_MAX_BYTES], struct nm_http_request *request, int status,
                         const char *content_type, size_t body_len, bool is_last)
{
  size_t at = put(out, 0, NM_TEXT("HTTP/1.1 "));
  at += nm_text_put_i64(out + at, status);
  at = put(out, at, NM_TEXT(" "));
  at = put(out, at, nm_text_from(reason(status)));
  at = put(out, at, NM_TEXT("\r\nDate: "));
  at = put(out, at, nm_text_from(nm_http_date(request->server)));
  at = put(out, at, NM_TEXT("\r\n"));
  if (content_type && body_len > 0) {
    at = put(out, at, NM_TEXT("Content-Type: "));
    at = put(out, at, nm_text_from(content_type));
    at = put(out, at, NM_TEXT("\r\n"));
  }
  if (status != 204 && status != 304) {
    at = put(out, at, NM_TEXT("Content-Length: "));
    at += nm_text_put_i64(out + at, (int64_t)body_len);
    at = put(out, at, NM_TEXT("\r\n"));
  }
  if (is_last) at = put(out, at, NM_TEXT("Connection: close\r\n"));
  else if (request->parser.is_1_0) at = put(out, at, NM_TEXT("Connection: keep-alive\r\n"));
  if (request->connection->stream->cover == NM_STREAM_TLS) at = put(out, at, nm_text_from(HSTS));
  nm_require(at < HEAD_MAX_BYTES);
  return at;
}

static bool is_good_type(const char *content_type)
{
  return strlen(content_type) <= TYPE_MAX_BYTES && !strpbrk(content_type, "\r\n");
}

void nm_http_respond(struct nm_http_request *request, int status, const char *content_type,
                     struct nm_text body, struct nm_text extra_headers)
{
  struct nm_http_connection *connection = request->connection;
  if (request->on_answer) request->on_answer(request, status);
  if (!connection) {
    nm_http_request_destroy(request);
    return;
  }
  if (!nm_expect(status >= 200 && status <= 599)) status = 500;
  if (!nm_expect(are_lines(extra_headers))) extra_headers = NM_TEXT("");
  if (content_type && !nm_expect(is_good_type(content_type))) content_type = NULL;
  if (status == 204 || status == 304) body = NM_TEXT("");

  /* The rest of a body that was answered before its end is thrown away, and the connection with
   * it. */
  bool has_rest = request->match.route && (request->match.route->methods & NM_HTTP_STREAMED) &&
                  nm_http_parser_has_body(&request->parser) && !request->is_body_done;
  bool is_last = !request->keeps_alive || request->server->is_stopping || has_rest;
  char head[HEAD_MAX_BYTES];
  size_t head_len = write_head(head, request, status, content_type, body.len, is_last);
  if (request->method == NM_HTTP_HEAD) body = NM_TEXT("");
  struct nm_text parts[] = { { head, head_len }, extra_headers, NM_TEXT("\r\n"), body };
  nm_http_connection_answer(connection, parts, 4, is_last);
  nm_http_request_destroy(request);
}

/* {"error":{"code","message","field"}}, without field where there is none; ptr NULL: no memory. */
static struct nm_text error_body(struct nm_http_request *request, const char *code,
                                 const char *message, const char *field)
{
  struct nm_text out = { NULL, 0 };
  json_t *root = json_object(), *error = json_object();
  int rc = root && error ? nm_json_set_text(error, "code", nm_text_from(code)) : NM_ENOMEM;
  if (!rc) rc = nm_json_set_text(error, "message", nm_text_from(message));
  if (!rc && field) rc = nm_json_set_text(error, "field", nm_text_from(field));
  if (!rc && json_object_set(root, "error", error) == 0) out = nm_json_text(request->arena, root);
  json_decref(error);
  json_decref(root);
  return out;
}

void nm_http_refuse_fault(struct nm_http_request *request, const struct nm_http_fault *fault,
                          const char *field, struct nm_text extra_headers)
{
  struct nm_text body = error_body(request, fault->code, fault->message, field);
  if (!body.ptr) body = NM_TEXT("{\"error\":{\"code\":\"refused\",\"message\":\"\"}}");
  nm_http_respond(request, fault->status, "application/json", body, extra_headers);
}

void nm_http_refuse(struct nm_http_request *request, int status, const char *code,
                    const char *message, const char *field, int retry_after_s)
{
  struct nm_http_fault fault = { status, code, message };
  char line[48];
  int len = 0;
  if (retry_after_s > 0)
    len = snprintf(line, sizeof line, "Retry-After: %d\r\n", retry_after_s);
  nm_http_refuse_fault(request, &fault, field, (struct nm_text){ line, (size_t)len });
}
