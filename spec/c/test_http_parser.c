/* links: http */
/* What the parser takes and refuses, the same at every cut. */
#include <stdlib.h>

#include "base/limits.h"
#include "check.h"
#include "http_transcript.h"

#define HOST "Host: x\r\n"
#define CHUNKED "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_SAID "POST /c 1.1 Host=x Transfer-Encoding=chunked"
#define NEXT "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
#define NEXT_SAID "GET /next 1.1 Host=x\n"

struct example {
  const char *about;
  struct nm_text bytes;
  const char *expected;
};

#define EXAMPLE(about, bytes, expected) { about, { bytes, sizeof(bytes) - 1 }, expected }

static const struct example TAKEN[] = {
  EXAMPLE("one request", "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / 1.1 Host=x\n"),
  EXAMPLE("pipelined requests", NEXT NEXT NEXT, NEXT_SAID NEXT_SAID NEXT_SAID),
  EXAMPLE("half a request", "GET / HTTP/1.1\r\nHos", ""),
  EXAMPLE("empty lines before the request line", "\r\n\r\n" NEXT, NEXT_SAID),
  EXAMPLE("a body of known length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" NEXT,
          "POST / 1.1 Host=x Content-Length=3 <abc>\n" NEXT_SAID),
  EXAMPLE("an empty body of known length",
          "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n" NEXT,
          "POST / 1.1 Host=x Content-Length=0\n" NEXT_SAID),
  EXAMPLE("a chunked body", CHUNKED "3\r\nabc\r\n4;a=\"b\"\r\ndefg\r\n0\r\n\r\n" NEXT,
          CHUNKED_SAID " <abcdefg>\n" NEXT_SAID),
  EXAMPLE("CR and LF as chunk data", CHUNKED "4\r\n\r\n\r\n\r\n00\r\n\r\n",
          CHUNKED_SAID " <\r\n\r\n>\n"),
  EXAMPLE("an empty chunked body", CHUNKED "0\r\n\r\n" NEXT, CHUNKED_SAID "\n" NEXT_SAID),
  EXAMPLE("blanks around a value, empty values",
          "GET / HTTP/1.1\r\nHost:\t x \t\r\nA:\r\nB: \r\n\r\n", "GET / 1.1 Host=x A= B=\n"),
  EXAMPLE("Connection: close", "GET / HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n",
          "GET / 1.1 Host=x Connection=foo, Close close\n"),
  EXAMPLE("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close\n"),
  EXAMPLE("HTTP/1.0 that stays",
          "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
          "GET / 1.0 Connection=keep-alive\nGET / 1.0 close\n"),
  EXAMPLE("an IPv6 Host and a port", "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n",
          "GET / 1.1 Host=[::1]:8443\n"),
  EXAMPLE("bytes above 127 in a value", "GET / HTTP/1.1\r\n" HOST "A: \xc3\xa7\r\n\r\n",
          "GET / 1.1 Host=x A=\xc3\xa7\n"),
};

/* dependencies.md, section 3, and its relatives. */
static const struct example REFUSED[] = {
  EXAMPLE("a header smuggled behind a bare CR (CVE-2023-30589)",
          "POST / HTTP/1.1\r\n" HOST "X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n", "!400"),
  EXAMPLE("CR CR LF", "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n", "!400"),
  EXAMPLE("a head ended by CR LF CR X (CVE-2025-23167)",
          "GET / HTTP/1.1\r\n" HOST "\r\n\rXGET /admin HTTP/1.1\r\n" HOST "\r\n",
          "GET / 1.1 Host=x\n!400"),
  EXAMPLE("a head whose last CR has no LF",
          "GET / HTTP/1.1\r\n" HOST "\rXGET /admin HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a chunked body ended by CR X", CHUNKED "3\r\nabc\r\n0\r\n\rX" NEXT, "!400"),
  EXAMPLE("folding that hides a length (CVE-2024-27982)",
          "POST / HTTP/1.1\r\n" HOST " Content-Length: 2\r\n\r\n", "!400"),
  EXAMPLE("folding by a tab", "GET / HTTP/1.1\r\n" HOST "\tA: b\r\n\r\n", "!400"),
  EXAMPLE("folding of any value", "GET / HTTP/1.1\r\nA: b\r\n c\r\n" HOST "\r\n", "!400"),
  EXAMPLE("folding by a tab of any value", "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a blank before the request line", " GET / HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("HTTP/0.9 with headers (llhttp 877)",
          "GET /x\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", "!400"),
  EXAMPLE("chunked in HTTP/1.0",
          "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("an upgrade", "GET / HTTP/1.1\r\n" HOST
          "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
          "!400"),
  EXAMPLE("an upgrade without Connection", "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n",
          "!400"),
  EXAMPLE("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!400"),
  EXAMPLE("HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", "!400"),
  EXAMPLE("HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", "!400"),
  EXAMPLE("CONNECT", "CONNECT x:443 HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", "!400"),
  EXAMPLE("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "!400"),
  EXAMPLE("two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", "!400"),
  EXAMPLE("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "!400"),
  EXAMPLE("two hosts in one Host", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "!400"),
  EXAMPLE("a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "!400"),
  EXAMPLE("both lengths", "POST / HTTP/1.1\r\n" HOST
          "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("both lengths, the other way", "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("two lengths", "POST / HTTP/1.1\r\n" HOST
          "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "!400"),
  EXAMPLE("two equal lengths", "POST / HTTP/1.1\r\n" HOST
          "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "!400"),
  EXAMPLE("a list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na", "!400"),
  EXAMPLE("+2", "POST / HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\nab", "!400"),
  EXAMPLE("-2", "POST / HTTP/1.1\r\n" HOST "Content-Length: -2\r\n\r\nab", "!400"),
  EXAMPLE("0x2", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x2\r\n\r\nab", "!400"),
  EXAMPLE("no length at all", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nab", "!400"),
  EXAMPLE("a length beyond 64 bits", "POST / HTTP/1.1\r\n" HOST
          "Content-Length: 18446744073709551618\r\n\r\nab", "!400"),
  EXAMPLE("a blank before the colon", "POST / HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\nab",
          "!400"),
  EXAMPLE("a blank in a name", "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n", "!400"),
  EXAMPLE("a blank behind any name", "GET / HTTP/1.1\r\n" HOST "A : c\r\n\r\n", "!400"),
  EXAMPLE("a header without name", "GET / HTTP/1.1\r\n" HOST ": c\r\n\r\n", "!400"),
  EXAMPLE("a header without colon", "GET / HTTP/1.1\r\n" HOST "Abc\r\n\r\n", "!400"),
  EXAMPLE("xchunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", "!400"),
  EXAMPLE("gzip, chunked", "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("chunked, identity", "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("chunked twice", "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a vertical tab before chunked", "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "!400"),
  EXAMPLE("bare LF behind the version", "GET / HTTP/1.1\n" HOST "\r\n", "!400"),
  EXAMPLE("bare LF behind a header", "GET / HTTP/1.1\r\nHost: x\n\r\n", "!400"),
  EXAMPLE("bare LF at the end", "GET / HTTP/1.1\r\n" HOST "\n", "!400"),
  EXAMPLE("a NUL in a value", "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n", "!400"),
  EXAMPLE("a control byte in a value", "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", "!400"),
  EXAMPLE("a control byte in a target", "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a tab in a target", "GET /\ta HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a byte above 127 in a target", "GET /\xc3\xa7 HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a fragment in a target", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("two blanks in a request line", "GET  / HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("a blank behind the version", "GET / HTTP/1.1 \r\n" HOST "\r\n", "!400"),
  EXAMPLE("no method", "/ HTTP/1.1\r\n" HOST "\r\n", "!400"),
  EXAMPLE("another protocol", "SOURCE / ICE/1.0\r\n" HOST "\r\n", "!400"),
  EXAMPLE("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "!400"),
  EXAMPLE("a method nobody knows", "BREW / HTTP/1.1\r\n" HOST "\r\n", "!501"),
  EXAMPLE("a method in small letters", "get / HTTP/1.1\r\n" HOST "\r\n", "!501"),
  EXAMPLE("a chunk with other bytes than CRLF behind", CHUNKED "3\r\nabcXX0\r\n\r\n", "!400"),
  EXAMPLE("a chunk with a byte and LF behind", CHUNKED "3\r\nabcX\n0\r\n\r\n", "!400"),
  EXAMPLE("a chunk with CR and a byte behind", CHUNKED "3\r\nabc\rX0\r\n\r\n", "!400"),
  EXAMPLE("a chunk without CRLF behind", CHUNKED "3\r\nabc0\r\n\r\n", "!400"),
  EXAMPLE("a chunk size ended by CR X", CHUNKED "3\rXabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a chunk size ended by LF", CHUNKED "3\nabc\n0\n\n", "!400"),
  EXAMPLE("a blank behind a chunk size", CHUNKED "3 \r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a chunk size 0x3", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a negative chunk size", CHUNKED "-3\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("no chunk size", CHUNKED "\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a chunk size beyond 64 bits", CHUNKED "10000000000000003\r\nabc\r\n", "!400"),
  EXAMPLE("an extension without size", CHUNKED ";a\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a CR inside an extension", CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a LF inside an extension", CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n", "!400"),
  EXAMPLE("a trailer", CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\n", "!400"),
  EXAMPLE("a body above the limit, by its length", "POST / HTTP/1.1\r\n" HOST
          "Content-Length: 65\r\n\r\n"
          "0123456789012345678901234567890123456789012345678901234567890123456789", "!413"),
  EXAMPLE("a body above the limit, by its chunks", CHUNKED
          "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n"
          "1\r\nX\r\n0\r\n\r\n", "!413"),
};

static void check_every_cut(const struct example *example)
{
  struct nm_buffer said;
  nm_buffer_init(&said, 64 * 1024);
  for (size_t cut = 0; cut <= example->bytes.len; cut++) {
    transcript(&said, example->bytes, &cut, 1);
    struct nm_text expected = nm_text_from(example->expected);
    if (!nm_text_equal(nm_buffer_text(&said), expected)) {
      fail_msg("%s, cut at %zu:\n%.*s\ninstead of\n%s", example->about, cut,
               NM_TEXT_ARG(nm_buffer_text(&said)), example->expected);
    }
  }
  size_t each[512];
  assert_in_range(example->bytes.len, 1, 512);
  for (size_t i = 0; i < example->bytes.len; i++) each[i] = i;
  transcript(&said, example->bytes, each, example->bytes.len);
  assert_int_equal(said.len, strlen(example->expected));
  if (said.len > 0) assert_memory_equal(said.ptr, example->expected, said.len);
  nm_buffer_deinit(&said);
}

static void takes_what_http_says_at_every_cut(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof TAKEN / sizeof *TAKEN; i++) check_every_cut(&TAKEN[i]);
}

static void refuses_what_could_be_read_in_two_ways_at_every_cut(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) check_every_cut(&REFUSED[i]);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void says(struct nm_buffer *said, const struct nm_buffer *bytes, const char *expected)
{
  transcript(said, nm_buffer_text(bytes), NULL, 0);
  assert_true(nm_buffer_append(said, "", 1) == NM_OK);
  assert_string_equal(said->ptr, expected);
}

static void refuses_a_head_or_headers_beyond_the_limits_with_431(void **state)
{
  (void)state;
  struct nm_buffer bytes, said;
  nm_buffer_init(&bytes, 64 * 1024);
  nm_buffer_init(&said, 64 * 1024);
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("GET / HTTP/1.1\r\n" HOST)), NM_OK);
  for (int i = 1; i < NM_HTTP_HEADERS_MAX; i++)
    assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("A:b\r\n")), NM_OK);
  size_t full = bytes.len;
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("\r\n")), NM_OK);
  transcript(&said, nm_buffer_text(&bytes), NULL, 0);
  assert_true(said.len > 0 && said.ptr[0] == 'G');

  bytes.len = full;
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("A:b\r\n\r\n")), NM_OK);
  says(&said, &bytes, "!431");

  nm_buffer_clear(&bytes);
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("GET / HTTP/1.1\r\n" HOST "A: ")), NM_OK);
  while (bytes.len < TRANSCRIPT_HEAD_MAX - 4)
    assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("a")), NM_OK);
  size_t nearly = bytes.len;
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("\r\n\r\n")), NM_OK);
  transcript(&said, nm_buffer_text(&bytes), NULL, 0);
  assert_true(said.len > 0 && said.ptr[0] == 'G');

  bytes.len = nearly;
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("a\r\n\r\n")), NM_OK);
  says(&said, &bytes, "!431");

  /* without any end: refused at the limit, not later */
  nm_buffer_clear(&bytes);
  for (int i = 0; i < TRANSCRIPT_HEAD_MAX + 1; i++)
    assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("a")), NM_OK);
  says(&said, &bytes, "!431");
  nm_buffer_deinit(&bytes);
  nm_buffer_deinit(&said);
}

static void refuses_chunk_extensions_and_zeros_without_end(void **state)
{
  (void)state;
  struct nm_buffer bytes, said;
  nm_buffer_init(&bytes, 64 * 1024);
  nm_buffer_init(&said, 64 * 1024);
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT(CHUNKED)), NM_OK);
  for (int i = 0; i < 1 + NM_HTTP_CHUNK_EXTENSIONS_MAX_BYTES / 64; i++) {
    /* each below the limit, all of them above */
    assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("1;")), NM_OK);
    for (int k = 0; k < 64; k++)
      assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("e")), NM_OK);
    assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT("\r\nX\r\n")), NM_OK);
  }
  says(&said, &bytes, "!400");

  nm_buffer_clear(&bytes);
  assert_int_equal(nm_buffer_append_text(&bytes, NM_TEXT(CHUNKED "0000000000000003")), NM_OK);
  says(&said, &bytes, "!400");
  nm_buffer_deinit(&bytes);
  nm_buffer_deinit(&said);
}

static void grows_the_body_with_what_arrives(void **state)
{
  (void)state;
  struct nm_http_parser parser;
  struct nm_text head = NM_TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n");
  size_t used;
  nm_http_parser_init(&parser, TRANSCRIPT_HEAD_MAX);
  assert_int_equal(nm_http_parser_feed(&parser, head, &used), NM_HTTP_STEP_HEAD);
  nm_http_parser_take_body(&parser, 8 * 1024 * 1024, false);
  assert_int_equal(nm_http_parser_feed(&parser, NM_TEXT("abc"), &used), NM_HTTP_STEP_MORE);
  assert_in_range(parser.body.capacity, 3, 1024);
  nm_http_parser_deinit(&parser);
}

/* ---- random cuts, fixed seed ----------------------------------------------------------------- */

static uint64_t random_state;

static size_t random_below(size_t limit)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (size_t)(random_state % limit);
}

/* Requests and faults in any order, sometimes with one byte changed. */
static void make_bytes(struct nm_buffer *bytes)
{
  static const char ODD[] = "\r\n \t:;0\0aX";
  nm_buffer_clear(bytes);
  size_t taken = sizeof TAKEN / sizeof *TAKEN, refused = sizeof REFUSED / sizeof *REFUSED;
  for (size_t count = 1 + random_below(5); count > 0; count--) {
    size_t which = random_below(taken * 4 + refused);
    const struct example *one =
        which < taken * 4 ? &TAKEN[which % taken] : &REFUSED[which - taken * 4];
    assert_int_equal(nm_buffer_append_text(bytes, one->bytes), NM_OK);
  }
  if (random_below(2)) bytes->ptr[random_below(bytes->len)] = ODD[random_below(sizeof ODD)];
}

static void finds_the_same_messages_however_bytes_are_cut(void **state)
{
  (void)state;
  struct nm_buffer bytes, whole, said;
  nm_buffer_init(&bytes, 64 * 1024);
  nm_buffer_init(&whole, 64 * 1024);
  nm_buffer_init(&said, 64 * 1024);
  random_state = 0x6e65746d6f7665;
  for (int i = 0; i < 10000; i++) {
    size_t cuts[16], count = 1 + random_below(16);
    make_bytes(&bytes);
    for (size_t k = 0; k < count; k++) {
      cuts[k] = random_below(bytes.len + 1);
      for (size_t j = k; j > 0 && cuts[j] < cuts[j - 1]; j--) {
        size_t swap = cuts[j];
        cuts[j] = cuts[j - 1];
        cuts[j - 1] = swap;
      }
    }
    transcript(&whole, nm_buffer_text(&bytes), NULL, 0);
    transcript(&said, nm_buffer_text(&bytes), cuts, count);
    if (!nm_text_equal(nm_buffer_text(&whole), nm_buffer_text(&said))) {
      fail_msg("iteration %d, bytes:\n%.*s\nuncut:\n%.*s\ncut:\n%.*s", i,
               NM_TEXT_ARG(nm_buffer_text(&bytes)), NM_TEXT_ARG(nm_buffer_text(&whole)),
               NM_TEXT_ARG(nm_buffer_text(&said)));
    }
  }
  nm_buffer_deinit(&bytes);
  nm_buffer_deinit(&whole);
  nm_buffer_deinit(&said);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_what_http_says_at_every_cut),
    cmocka_unit_test(refuses_what_could_be_read_in_two_ways_at_every_cut),
    cmocka_unit_test(refuses_a_head_or_headers_beyond_the_limits_with_431),
    cmocka_unit_test(refuses_chunk_extensions_and_zeros_without_end),
    cmocka_unit_test(grows_the_body_with_what_arrives),
    cmocka_unit_test(finds_the_same_messages_however_bytes_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
