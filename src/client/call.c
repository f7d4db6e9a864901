#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "client/internal.h"

enum { DEFAULT_TIMEOUT_MS = 30 * 1000, CONNECT_TIMEOUT_MS = 10 * 1000 };
enum { DEFAULT_RESPONSE_MAX_BYTES = 1024 * 1024 };

/* Answers to what we post are short, and curl takes its buffer anew for each request: one of this
 * size is at hand. */
enum { POST_BUFFER_BYTES = 1024 };

/* curl counts connections by age: one that a balancer is about to cut (60 s is common) is not
 * reused, and none is kept so long that a moved name is never looked up again. */
enum { CONNECTION_IDLE_MAX_S = 50, CONNECTION_AGE_MAX_S = 600 };

/* ---- callbacks of curl ----------------------------------------------------------------------- */

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
  struct call *call = data;
  if (nm_buffer_append(&call->answer, bytes, size * count) == NM_OK) return size * count;
  call->is_too_large = true;
  return 0;
}

/* Seconds, or a date. */
static int64_t read_retry_after(struct nm_text value)
{
  int64_t day_ms = NM_CLIENT_RETRY_AFTER_MAX_MS;
  char date[64];
  bool is_digits = value.len > 0;

  for (size_t i = 0; i < value.len; i++)
    if (value.ptr[i] < '0' || value.ptr[i] > '9') is_digits = false;
  if (is_digits) {
    int64_t seconds;
    if (!nm_text_to_i64(value, &seconds) || seconds > day_ms / 1000) return day_ms;
    return seconds * 1000;
  }
  if (value.len >= sizeof date || value.len == 0) return -1;
  memcpy(date, value.ptr, value.len);
  date[value.len] = 0;
  time_t at = curl_getdate(date, NULL);
  if (at < 0) return -1;
  int64_t now_ms = nm_clock_wall_ms();
  if ((int64_t)at > (now_ms + day_ms) / 1000) return day_ms;
  int64_t wait_ms = (int64_t)at * 1000 - now_ms;
  return wait_ms < 0 ? 0 : wait_ms;
}

static size_t on_head(char *bytes, size_t size, size_t count, void *data)
{
  struct call *call = data;
  struct nm_text line = { bytes, size * count }, name, value;

  call->head_bytes += line.len;
  if (call->head_bytes > NM_CLIENT_HEAD_MAX_BYTES) {
    call->is_too_large = true;
    return 0;
  }
  if (nm_text_starts_with(line, NM_TEXT("HTTP/"))) { /* also after a 100 or 103 */
    call->is_head_whole = false;
    call->retry_after_ms = -1;
  }
  if (call->is_head_whole) return line.len; /* a trailer */
  while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
    line.len--;
  if (line.len == 0) call->is_head_whole = true;
  if (nm_text_cut(line, ':', &name, &value) && nm_text_equal_nocase(name, NM_TEXT("Retry-After")))
    call->retry_after_ms = read_retry_after(nm_text_trim(value));
  return size * count;
}

/* The guard: no socket is made for an address that may not be called. */
static curl_socket_t on_socket_wanted(void *data, curlsocktype purpose,
                                      struct curl_sockaddr *address)
{
  struct call *call = data;
  (void)purpose;
  if (nm_guard_check_address(&call->client->guard, &address->addr, &call->guarded)) {
    call->was_guarded = true;
    return CURL_SOCKET_BAD;
  }
  call->was_opened = true;
  return nm_client_make_socket(call->client, address, call->wants_http2);
}

/* Runs each time that curl is about to send.  A second time means that it found the connection dead
 * and would send again: what the first time did at the peer is unknown, so that is not ours to
 * decide. */
static int on_sending(void *data, char *to, char *from, int to_port, int from_port)
{
  struct call *call = data;
  (void)to, (void)from, (void)to_port, (void)from_port;
  return call->requests++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* curl wants "Name;" for a header without a value: "Name:" takes a header away. */
static int add_header(struct call *call, struct nm_text line)
{
  struct nm_text name, value;
  char *text = malloc(line.len + 1);
  if (!text) return NM_ENOMEM;
  memcpy(text, line.ptr, line.len);
  text[line.len] = 0;
  nm_text_cut(line, ':', &name, &value);
  if (nm_text_is_empty(nm_text_trim(value))) {
    text[name.len] = ';';
    text[name.len + 1] = 0;
  }
  struct curl_slist *longer = curl_slist_append(call->headers, text);
  free(text);
  if (!longer) return NM_ENOMEM;
  call->headers = longer;
  return NM_OK;
}

static bool is_header(struct nm_text line)
{
  struct nm_text name, value;
  if (!nm_text_cut(line, ':', &name, &value) || name.len == 0) return false;
  for (size_t i = 0; i < line.len; i++) {
    unsigned char c = (unsigned char)line.ptr[i];
    if ((c < 0x20 && c != '\t') || c == 0x7F) return false;
    if (i < name.len && (c <= 0x20 || c >= 0x7F || c == ';')) return false;
  }
  return true;
}

/* An option that is not taken for want of memory would make another request of it. */
#define SET(call, option, value)                                                                   \
  do {                                                                                             \
    if (curl_easy_setopt((call)->easy, option, value) == CURLE_OUT_OF_MEMORY)                      \
      (call)->is_short = true;                                                                     \
  } while (0)

static int set_headers(struct call *call, const struct nm_client_call *wanted, struct nm_error *err)
{
  bool has_type = false, has_agent = false;
  for (size_t i = 0; i < wanted->header_count; i++) {
    struct nm_text line = wanted->headers[i], name, value;
    if (!is_header(line)) /* its value may be a secret: only its number is said */
      return nm_fail(err, NM_EINVAL, "header %zu is not \"Name: value\" on one line", i + 1);
    nm_text_cut(line, ':', &name, &value);
    has_type = has_type || nm_text_equal_nocase(name, NM_TEXT("Content-Type"));
    has_agent = has_agent || nm_text_equal_nocase(name, NM_TEXT("User-Agent"));
    if (add_header(call, line)) return nm_fail(err, NM_ENOMEM, "no memory for headers");
  }
  /* curl's own additions to a POST: a question before the body, a form's type.  Our name as an
   * option would be printed twice for each request. */
  const char *more[] = { "Expect:", has_type ? NULL : "Content-Type:",
                         has_agent ? NULL : "User-Agent: netmove/" NM_VERSION };
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    struct curl_slist *longer = more[i] ? curl_slist_append(call->headers, more[i]) : call->headers;
    if (!longer) return nm_fail(err, NM_ENOMEM, "no memory for headers");
    call->headers = longer;
  }
  return curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) ? NM_ENOMEM : NM_OK;
}

static int set_method(struct call *call, const struct nm_client_call *wanted, struct nm_error *err)
{
  static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
  const char *method = NULL;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (wanted->method && strcmp(methods[i], wanted->method) == 0) method = methods[i];
  if (!method) return nm_fail(err, NM_EINVAL, "the method is none that we send");

  bool has_body = method[0] == 'P';
  if (!has_body) {
    SET(call, CURLOPT_HTTPGET, 1L);
    if (method[0] == 'H') SET(call, CURLOPT_NOBODY, 1L);
    if (method[0] == 'D') SET(call, CURLOPT_CUSTOMREQUEST, method);
    return NM_OK;
  }
  SET(call, CURLOPT_POST, 1L);
  SET(call, CURLOPT_BUFFERSIZE, (long)POST_BUFFER_BYTES);
  SET(call, CURLOPT_CUSTOMREQUEST, strcmp(method, "POST") == 0 ? NULL : method);
  return NM_OK;
}

/* In memory, so that curl sends it with the head in one packet. */
static int set_body(struct call *call, struct nm_text body, struct nm_error *err)
{
  call->body = malloc(body.len + 1);
  if (!call->body) return nm_fail(err, NM_ENOMEM, "no memory for a body of %zu bytes", body.len);
  if (body.len > 0) memcpy(call->body, body.ptr, body.len);
  call->body[body.len] = 0;
  SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
  SET(call, CURLOPT_POSTFIELDS, call->body);
  return NM_OK;
}

/* With a folder of certificates libcurl reads its whole file again for every connection, and the
 * loop stands still meanwhile; it would also trust the folder beside a file of our own. */
static void set_trust(struct call *call)
{
  const char *file = call->client->ca_file;
  if (file) SET(call, CURLOPT_CAINFO, file);
  if (file || nm_client_has_trust_file)
    SET(call, CURLOPT_CAPATH, NULL);
  SET(call, CURLOPT_SSL_VERIFYPEER, 1L);
  SET(call, CURLOPT_SSL_VERIFYHOST, 2L);
  SET(call, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_limits(struct call *call)
{
  long connect_ms =
      call->timeout_ms < CONNECT_TIMEOUT_MS ? (long)call->timeout_ms : CONNECT_TIMEOUT_MS;
  SET(call, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
  SET(call, CURLOPT_NOSIGNAL, 1L);
  /* Without it a call that ends while its name is being resolved waits for the resolver's thread.
   */
  SET(call, CURLOPT_QUICK_EXIT, 1L);
  SET(call, CURLOPT_PROTOCOLS_STR, "http,https");
  SET(call, CURLOPT_FOLLOWLOCATION, 0L);
  SET(call, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  SET(call, CURLOPT_PROXY, "");
  SET(call, CURLOPT_NOPROXY, "*"); /* else the environment is asked for it each time */
  SET(call, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  set_trust(call);
  SET(call, CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_MAX_S);
  SET(call, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_AGE_MAX_S);
  SET(call, CURLOPT_TCP_NODELAY, 1L);
}

static void set_callbacks(struct call *call)
{
  SET(call, CURLOPT_PRIVATE, call);
  SET(call, CURLOPT_ERRORBUFFER, call->why);
  SET(call, CURLOPT_WRITEFUNCTION, on_body);
  SET(call, CURLOPT_WRITEDATA, call);
  SET(call, CURLOPT_HEADERFUNCTION, on_head);
  SET(call, CURLOPT_HEADERDATA, call);
  SET(call, CURLOPT_OPENSOCKETFUNCTION, on_socket_wanted);
  SET(call, CURLOPT_OPENSOCKETDATA, call);
  SET(call, CURLOPT_CLOSESOCKETFUNCTION, nm_client_close_socket);
  SET(call, CURLOPT_CLOSESOCKETDATA, call->client);
  SET(call, CURLOPT_PREREQFUNCTION, on_sending);
  SET(call, CURLOPT_PREREQDATA, call);
}

static int set_url(struct call *call, struct nm_text url, struct nm_error *err)
{
  if (url.len > NM_CLIENT_URL_MAX_BYTES)
    return nm_fail(err, NM_ELIMIT, "the URL is longer than %d bytes", NM_CLIENT_URL_MAX_BYTES);
  if (nm_guard_check_url(&call->client->guard, url, &call->guarded)) {
    call->is_refused = true;
    return NM_OK;
  }
  char *copy = strndup(url.ptr, url.len); /* the check let no NUL pass */
  call->url = curl_url();
  if (!copy || !call->url) {
    free(copy);
    return nm_fail(err, NM_ENOMEM, "no memory for the URL");
  }
  /* Read once and not for each request; what curl cannot read it says when it tries. */
  CURLcode code = curl_url_set(call->url, CURLUPART_URL, copy, CURLU_DISALLOW_USER)
                      ? curl_easy_setopt(call->easy, CURLOPT_URL, copy)
                      : curl_easy_setopt(call->easy, CURLOPT_CURLU, call->url);
  free(copy);
  return code ? nm_fail(err, NM_ENOMEM, "no memory for the URL") : NM_OK;
}

/* What a handle is set up for, in bytes that two requests have in common only where they are alike
 * but for their bodies.  Empty for those without a body: their URLs mostly differ. */
static void write_shape(struct nm_buffer *out, const struct nm_client_call *wanted)
{
  nm_buffer_clear(out);
  if (!wanted->method || wanted->method[0] != 'P') return;
  int rc = nm_buffer_append_text(out, nm_text_from(wanted->method));
  if (!rc) rc = nm_buffer_append(out, &wanted->timeout_ms, sizeof wanted->timeout_ms);
  if (!rc) rc = nm_buffer_append(out, &wanted->wants_http2, sizeof wanted->wants_http2);
  if (!rc) rc = nm_buffer_append(out, &wanted->url.len, sizeof wanted->url.len);
  if (!rc) rc = nm_buffer_append_text(out, wanted->url);
  for (size_t i = 0; rc == NM_OK && i < wanted->header_count; i++) {
    rc = nm_buffer_append(out, &wanted->headers[i].len, sizeof wanted->headers[i].len);
    if (!rc) rc = nm_buffer_append_text(out, wanted->headers[i]);
  }
  if (rc) nm_buffer_clear(out);
}

static void forget_shape(struct call *call)
{
  curl_easy_reset(call->easy);
  curl_slist_free_all(call->headers);
  curl_url_cleanup(call->url);
  call->headers = NULL;
  call->url = NULL;
  nm_buffer_clear(&call->shape);
  call->is_short = false;
}

static int set_up(struct call *call, const struct nm_client_call *wanted, struct nm_error *err)
{
  int rc = set_url(call, wanted->url, err);
  if (rc == NM_OK) rc = set_method(call, wanted, err);
  if (rc == NM_OK) rc = set_headers(call, wanted, err);
  if (rc != NM_OK) return rc;
  set_limits(call);
  set_callbacks(call);
  /* curl 7.88 has known faults in its HTTP/2 (uploads that spin, GOAWAY taken for a cut answer), so
   * only who needs it asks for it. */
  SET(call, CURLOPT_HTTP_VERSION,
      wanted->wants_http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
  if (wanted->wants_http2) SET(call, CURLOPT_PIPEWAIT, 1L);
  return call->is_short ? nm_fail(err, NM_ENOMEM, "no memory for a request") : NM_OK;
}

int nm_call_prepare(struct call *call, const struct nm_client_call *wanted, struct nm_error *err)
{
  struct nm_buffer *shape = &call->client->shape, before = call->shape;
  size_t max_bytes = wanted->response_max_bytes;
  int rc = NM_OK;
  call->done = wanted->done;
  call->data = wanted->data;
  call->timeout_ms = wanted->timeout_ms > 0 ? wanted->timeout_ms : DEFAULT_TIMEOUT_MS;
  call->wants_http2 = wanted->wants_http2;
  call->retry_after_ms = -1;
  nm_buffer_init(&call->answer, max_bytes > 0 ? max_bytes : DEFAULT_RESPONSE_MAX_BYTES);

  write_shape(shape, wanted);
  if (shape->len == 0 || !nm_text_equal(nm_buffer_text(shape), nm_buffer_text(&before))) {
    if (before.len > 0) forget_shape(call);
    rc = set_up(call, wanted, err);
    call->shape = *shape;
    *shape = before;
  }
  if (rc == NM_OK && wanted->method[0] == 'P') rc = set_body(call, wanted->body, err);
  return rc;
}

void nm_call_clear(struct call *call, bool is_well)
{
  if (!is_well || call->shape.len == 0) forget_shape(call);
  free(call->body);
  nm_buffer_deinit(&call->answer);
  call->body = NULL;
  call->head_bytes = 0;
  call->requests = 0;
  call->is_refused = call->was_guarded = call->was_opened = false;
  call->is_head_whole = call->is_too_large = false;
  call->why[0] = 0;
}

void nm_call_deinit(struct call *call)
{
  curl_slist_free_all(call->headers);
  curl_url_cleanup(call->url);
  nm_buffer_deinit(&call->shape);
}

/* ---- how it ended ---------------------------------------------------------------------------- */

static const char *connect_word(struct call *call)
{
  long number = 0;
  curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
  switch (number) {
  case ECONNREFUSED: return "connection refused";
  case ENETUNREACH: return "network unreachable";
  case EHOSTUNREACH: return "host unreachable";
  case ETIMEDOUT: return "connect timed out";
  default: return "could not connect";
  }
}

static const char *unsent_word(struct call *call, CURLcode code)
{
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST: return "the host's name cannot be resolved";
  case CURLE_COULDNT_CONNECT: return connect_word(call);
  case CURLE_OPERATION_TIMEDOUT: return "connect timed out";
  case CURLE_ABORTED_BY_CALLBACK: return "stopped before it was sent";
  default: break;
  }
  snprintf(call->reason, sizeof call->reason, "no connection: %s",
           call->why[0] ? call->why : curl_easy_strerror(code));
  return call->reason;
}

static const char *lost_word(struct call *call, CURLcode code)
{
  /* curl has several codes for a callback that takes no more. */
  if (call->head_bytes > NM_CLIENT_HEAD_MAX_BYTES) return "the answer's head is too large";
  if (call->is_too_large) {
    snprintf(call->reason, sizeof call->reason, "the answer is larger than %zu bytes",
             call->answer.max_bytes);
    return call->reason;
  }
  switch (code) {
  case CURLE_OK:
  case CURLE_PARTIAL_FILE: return "the answer was cut off";
  case CURLE_RECV_ERROR:
    if (strstr(call->why, "chunked")) break; /* so it calls chunks that are none, too */
    return "the connection closed before the answer came";
  case CURLE_OUT_OF_MEMORY: /* or 100 KiB without a line's end */
    return call->is_head_whole ? "memory is used up" : "a line of the answer's head is too long";
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_SEND_FAIL_REWIND: return "the connection closed before the answer came";
  case CURLE_ABORTED_BY_CALLBACK:
    return call->requests > 1 ? "the connection closed before the answer came"
                              : "stopped while waiting for the answer";
  case CURLE_OPERATION_TIMEDOUT:
    snprintf(call->reason, sizeof call->reason, "no answer within %lld ms",
             (long long)call->timeout_ms);
    return call->reason;
  default: break;
  }
  snprintf(call->reason, sizeof call->reason, "the answer was lost: %s",
           call->why[0] ? call->why : curl_easy_strerror(code));
  return call->reason;
}

void nm_call_describe(struct call *call, CURLcode code, struct nm_client_answer *out)
{
  long status = 0;
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  bool is_head_whole = call->is_head_whole && status >= 200;

  *out = (struct nm_client_answer){ .retry_after_ms = call->retry_after_ms, .reason = "" };
  if (is_head_whole) out->status = (int)status;
  if (call->is_refused || (call->was_guarded && !call->was_opened && call->requests == 0)) {
    out->end = NM_CLIENT_REFUSED;
    out->reason = call->guarded.text;
  } else if (code == CURLE_OK && is_head_whole) {
    out->end = NM_CLIENT_ANSWERED;
    out->body = nm_buffer_text(&call->answer);
  } else if (call->requests > 0) {
    out->end = NM_CLIENT_UNKNOWN;
    out->reason = lost_word(call, code);
  } else {
    out->end = NM_CLIENT_UNREACHABLE;
    out->reason = unsent_word(call, code);
  }
}
