#include <stdlib.h>

#include "base/metrics.h"
#include "http/internal.h"

/* Spare requests would hide from the sanitizer who uses one that is gone. */
#if defined(__SANITIZE_ADDRESS__)
enum { SPARE_MAX = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SPARE_MAX = 0 };
#else
enum { SPARE_MAX = 128 };
#endif
#else
enum { SPARE_MAX = 128 };
#endif

static struct nm_http_request *create_whole(const struct nm_http_server *server)
{
  struct nm_http_request *request = calloc(1, sizeof *request);
  if (!request) return NULL;
  request->arena = nm_arena_create(NM_HTTP_REQUEST_ARENA_MAX_BYTES);
  if (!request->arena) {
    free(request);
    return NULL;
  }
  nm_http_parser_init(&request->parser, server->options.limits.head_max_bytes);
  return request;
}

static void destroy_whole(struct nm_http_request *request)
{
  nm_http_parser_deinit(&request->parser);
  nm_arena_destroy(request->arena);
  free(request);
}

/* Keeps the memory of a request for another one; false where there are enough, or it is much. */
static bool spare(struct nm_http_server *server, struct nm_http_request *request)
{
  size_t head_max_bytes = server->options.limits.head_max_bytes;
  struct nm_arena *arena = request->arena;
  if (server->spare_count >= SPARE_MAX || server->is_stopping) return false;
  if (!nm_http_parser_reuse(&request->parser, head_max_bytes)) return false;
  nm_arena_reset(arena);
  memset((char *)request + sizeof request->parser, 0, sizeof *request - sizeof request->parser);
  request->arena = arena;
  request->next = server->spare;
  server->spare = request;
  server->spare_count++;
  return true;
}

void nm_http_requests_forget(struct nm_http_server *server)
{
  struct nm_http_request *next;
  for (struct nm_http_request *request = server->spare; request; request = next) {
    next = request->next;
    destroy_whole(request);
  }
  server->spare = NULL;
  server->spare_count = 0;
}

struct nm_http_request *nm_http_request_create(struct nm_http_connection *connection,
                                               struct nm_http_server *server, const char *peer)
{
  struct nm_http_request *request = server->spare;
  if (request) {
    server->spare = request->next;
    server->spare_count--;
  } else {
    request = create_whole(server);
  }
  if (!request) return NULL;
  request->connection = connection;
  request->server = server;
  memcpy(request->peer, peer, sizeof request->peer);
  request->peer_uid = connection->stream->peer_uid;
  server->requests++;
  return request;
}

void nm_http_request_destroy(struct nm_http_request *request)
{
  struct nm_http_server *server = request->server;
  nm_http_park(request);
  server->bodies_bytes -= request->weight_bytes;
  if (!spare(server, request)) destroy_whole(request);
  nm_http_server_request_gone(server);
}

void nm_http_park(struct nm_http_request *request)
{
  if (request->is_counted) request->server->busy--;
  request->is_counted = false;
}

bool nm_http_request_weigh(struct nm_http_request *request)
{
  struct nm_http_server *server = request->server;
  server->bodies_bytes += request->parser.body.capacity - request->weight_bytes;
  request->weight_bytes = request->parser.body.capacity;
  return server->bodies_bytes <= server->options.limits.bodies_max_bytes;
}

/* ---- the target ------------------------------------------------------------------------------ */

static int hex_value(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* True where each % has two hex digits behind it and none of them makes a NUL. */
static bool has_good_escapes(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] != '%') continue;
    if (text.len - i < 3) return false;
    int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);
    if (high < 0 || low < 0 || high + low == 0) return false;
    i += 2;
  }
  return true;
}

bool nm_http_decode(struct nm_http_request *request, struct nm_text text, bool is_form,
                    struct nm_text *out)
{
  char *bytes = nm_arena_alloc(request->arena, text.len + 1);
  size_t len = 0;
  if (!bytes || !has_good_escapes(text)) return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (c == '%') {
      c = (char)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2]));
      i += 2;
    } else if (c == '+' && is_form) {
      c = ' ';
    }
    bytes[len++] = c;
  }
  *out = (struct nm_text){ bytes, len };
  return true;
}

/* "/path?query", "http://any.host/path?query", or "*" for OPTIONS. */
static bool read_target(struct nm_http_request *request)
{
  struct nm_text target = request->parser.target;
  static const char *const SCHEMES[] = { "http://", "https://" };
  for (unsigned i = 0; i < 2; i++) {
    size_t len = strlen(SCHEMES[i]);
    struct nm_text scheme = { target.ptr, target.len < len ? target.len : len };
    if (!nm_text_equal_nocase(scheme, nm_text_from(SCHEMES[i]))) continue;
    target = (struct nm_text){ target.ptr + len, target.len - len };
    while (target.len > 0 && target.ptr[0] != '/' && target.ptr[0] != '?') {
      target.ptr++;
      target.len--;
    }
    if (target.len == 0) target = NM_TEXT("/");
    break;
  }
  nm_text_cut(target, '?', &request->path, &request->query);
  if (nm_text_equal(target, NM_TEXT("*"))) return request->is_options;
  return request->path.len > 0 && request->path.ptr[0] == '/' &&
         has_good_escapes(request->path) && has_good_escapes(request->query);
}

/* ---- admission ------------------------------------------------------------------------------- */

/* Methods that HTTP knows and none of our routes has: 405.  Any other word is 501. */
static bool read_method(struct nm_http_request *request)
{
  static const struct {
    const char *word;
    unsigned method;
  } METHODS[] = {
    { "GET", NM_HTTP_GET },       { "HEAD", NM_HTTP_HEAD }, { "POST", NM_HTTP_POST },
    { "PUT", NM_HTTP_PUT },       { "PATCH", 0 },           { "TRACE", 0 },
    { "DELETE", NM_HTTP_DELETE }, { "OPTIONS", 0 },
  };
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
    if (!nm_text_equal(request->parser.method, nm_text_from(METHODS[i].word))) continue;
    request->method = METHODS[i].method;
    request->is_options = nm_text_equal(request->parser.method, NM_TEXT("OPTIONS"));
    return true;
  }
  return false;
}

static void set_fault(struct nm_http_request *request, int status, const char *code,
                      const char *message)
{
  request->fault = (struct nm_http_fault){ status, code, message };
}

static bool read_params(struct nm_http_request *request)
{
  for (unsigned i = 0; i < request->match.param_count; i++) {
    struct nm_text *out = &request->params[i];
    if (!nm_http_decode(request, request->match.values[i], false, out)) return false;
    if (memchr(out->ptr, '/', out->len) || !nm_text_is_utf8(*out)) return false;
  }
  return true;
}

/* A body must be of a type the route reads; so must what POST and PUT announce without a body. */
static bool has_good_type(const struct nm_http_request *request)
{
  const char *types = request->match.route->content_types;
  if (!types) return true;
  bool says_type = request->content_type.len > 0 &&
                   (request->method & (NM_HTTP_POST | NM_HTTP_PUT)) != 0;
  if (!says_type && !nm_http_parser_has_body(&request->parser)) return true;
  return nm_http_type_is_one_of(types, request->content_type);
}

/* "the body must be application/json or application/x-ndjson" */
static const char *name_types(struct nm_http_request *request, const char *types)
{
  struct nm_text rest = nm_text_from(types), one, said = NM_TEXT("the body must be");
  const char *between = "";
  while (rest.len > 0 && said.ptr) {
    nm_text_cut(rest, '|', &one, &rest);
    said = nm_arena_printf(request->arena, "%.*s%s %.*s", NM_TEXT_ARG(said), between,
                           NM_TEXT_ARG(one));
    between = " or";
  }
  return said.ptr ? said.ptr : "the body is of another type than this route takes";
}

/* Path 404, method 405, content type 415, size 413. */
static void admit_to_route(struct nm_http_request *request)
{
  nm_http_match(request->server->options.routes, request->path, request->method, &request->match);
  if (request->match.methods == 0) {
    set_fault(request, 404, "not_found", "there is nothing at this path");
    return;
  }
  if (request->is_options) return;
  const struct nm_http_route *route = request->match.route;
  if (!route) {
    set_fault(request, 405, "method_not_allowed", "this path does not take this method");
  } else if (!read_params(request)) {
    set_fault(request, 400, "bad_path", "an escape in the path that does not belong there");
    if (nm_arena_has_refused(request->arena))
      set_fault(request, 503, "overloaded", "no memory for the request, nothing was stored");
  } else if (!has_good_type(request)) {
    set_fault(request, 415, "unsupported_media_type", name_types(request, route->content_types));
  } else if (request->parser.left > route->body_max_bytes) {
    set_fault(request, 413, "body_too_large", "the body is longer than this route takes");
  } else if (route->body_max_bytes > 0 &&
             request->server->busy >= request->server->options.limits.requests_max) {
    set_fault(request, 503, "overloaded", "too many requests at once, nothing was stored");
  }
}

void nm_http_request_admit(struct nm_http_request *request)
{
  struct nm_text rest;
  request->keeps_alive = request->parser.keeps_alive;
  nm_http_caller_find(request);
  if (request->connection->fault.status) {
    (void)!read_method(request); /* HEAD has no body in its answer */
    request->fault = request->connection->fault;
    request->keeps_alive = false;
    return;
  }
  nm_text_cut(nm_http_header(request, "Content-Type"), ';', &request->content_type, &rest);
  request->content_type = nm_text_trim(request->content_type);

  struct nm_text expect = nm_http_header(request, "Expect");
  request->expects_continue = nm_text_equal_nocase(expect, NM_TEXT("100-continue"));
  if (!read_method(request)) {
    set_fault(request, 501, "not_implemented", "no such method");
  } else if (!read_target(request)) {
    set_fault(request, 400, "bad_path", "the request target is not a path, or an escape is wrong");
  } else if (expect.len > 0 && !request->expects_continue) {
    set_fault(request, 417, "expectation_failed", "the only expectation here is 100-continue");
  } else {
    admit_to_route(request);
  }
}

void nm_http_request_dispatch(struct nm_http_request *request)
{
  struct nm_text extra = { NULL, 0 };
  struct nm_http_pieces pieces = request->pieces;
  if (pieces.on_piece) { /* the next one */
    request->pieces = (struct nm_http_pieces){ NULL, NULL, NULL };
    pieces.on_piece(request, pieces.data);
    return;
  }
  nm_metric_add(NM_METRIC_REQUESTS, 1);
  if (request->fault.status == 405 || (request->is_options && !request->fault.status)) {
    char allow[NM_HTTP_ALLOW_MAX_BYTES];
    nm_http_allow_text(allow, request->match.methods);
    extra = nm_arena_printf(request->arena, "Allow: %s\r\n", allow);
  } else if (request->fault.status == 503) {
    extra = NM_TEXT("Retry-After: 1\r\n");
  }
  if (request->fault.status) {
    nm_http_refuse_fault(request, &request->fault, NULL, extra);
  } else if (request->is_options) {
    nm_http_respond(request, 204, NULL, NM_TEXT(""), extra);
  } else {
    if (request->match.route->body_max_bytes > 0) {
      request->is_counted = true;
      request->server->busy++;
    }
    request->match.route->handler(request, request->server->options.data);
  }
}

/* ---- bodies in pieces ------------------------------------------------------------------------ */

void nm_http_request_lose(struct nm_http_request *request)
{
  struct nm_http_pieces pieces = request->pieces;
  request->pieces = (struct nm_http_pieces){ NULL, NULL, NULL };
  if (pieces.on_lost) pieces.on_lost(pieces.data);
}

bool nm_http_more(struct nm_http_request *request, const struct nm_http_pieces *pieces)
{
  if (!request->connection) return false;
  nm_require(!request->is_body_done && (request->match.route->methods & NM_HTTP_STREAMED));
  request->pieces = *pieces;
  nm_buffer_clear(&request->parser.body);
  nm_http_connection_more(request->connection);
  return true;
}

bool nm_http_is_last(const struct nm_http_request *request)
{
  return request->is_body_done || nm_http_parser_has_body(&request->parser) == false;
}

/* ---- what handlers ask ----------------------------------------------------------------------- */

enum nm_http_method nm_http_method(const struct nm_http_request *request)
{
  return (enum nm_http_method)request->method;
}

struct nm_text nm_http_path(const struct nm_http_request *request)
{
  return request->path;
}

struct nm_text nm_http_body(const struct nm_http_request *request)
{
  return nm_buffer_text(&request->parser.body);
}

struct nm_text nm_http_content_type(const struct nm_http_request *request)
{
  return request->content_type;
}

struct nm_text nm_http_param(const struct nm_http_request *request, const char *name)
{
  for (unsigned i = 0; i < request->match.param_count; i++)
    if (nm_text_equal(nm_http_match_name(request->match.names[i]), nm_text_from(name)))
      return request->params[i];
  return NM_TEXT("");
}

struct nm_text nm_http_query(struct nm_http_request *request, const char *name)
{
  struct nm_text rest = request->query, pair, key, value, decoded;
  while (rest.len > 0) {
    nm_text_cut(rest, '&', &pair, &rest);
    nm_text_cut(pair, '=', &key, &value);
    if (!nm_http_decode(request, key, true, &decoded)) continue;
    if (!nm_text_equal(decoded, nm_text_from(name))) continue;
    if (nm_http_decode(request, value, true, &decoded)) return decoded;
  }
  return NM_TEXT("");
}

struct nm_text nm_http_header(const struct nm_http_request *request, const char *name)
{
  const struct nm_http_field *field =
      nm_http_parser_field(&request->parser, nm_text_from(name), NULL);
  return field ? field->value : NM_TEXT("");
}

struct nm_text nm_http_query_string(const struct nm_http_request *request)
{
  return request->query;
}

bool nm_http_header_at(const struct nm_http_request *request, unsigned place,
                       struct nm_text *name, struct nm_text *value)
{
  if (place >= request->parser.field_count) return false;
  *name = request->parser.fields[place].name;
  *value = request->parser.fields[place].value;
  return true;
}

struct nm_arena *nm_http_arena(struct nm_http_request *request)
{
  return request->arena;
}

struct nm_text nm_http_peer(const struct nm_http_request *request)
{
  return nm_text_from(request->peer);
}

int64_t nm_http_peer_uid(const struct nm_http_request *request)
{
  return request->peer_uid;
}

const struct nm_http_route *nm_http_route(const struct nm_http_request *request)
{
  return request->match.route;
}

void nm_http_set_own(struct nm_http_request *request, void *own)
{
  request->own = own;
}

void *nm_http_own(const struct nm_http_request *request)
{
  return request->own;
}

void nm_http_on_answer(struct nm_http_request *request,
                       void (*on_answer)(struct nm_http_request *request, int status))
{
  request->on_answer = on_answer;
}
