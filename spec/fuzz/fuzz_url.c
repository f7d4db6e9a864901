/* links: net */
/* fuzz_url.c - libFuzzer on what reads URLs, ranges and addresses: what our reader takes, libcurl
 * reads the same way, and the guard's word about an address depends on nothing but the address.
 *
 * The bytes are taken for a URL, for a range of the settings, and, where there are 4 or 16 of them
 * behind two for a port, for an address.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/guard.h"

enum { BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool has_part(CURLU *parts, CURLUPart part)
{
  char *text = NULL;
  CURLUcode code = curl_url_get(parts, part, &text, 0);
  curl_free(text);
  return code == CURLUE_OK;
}

static bool is_same_host(const char *theirs, const struct nm_guard_url *ours)
{
  char text[300];
  unsigned char a[16], b[16];
  size_t len = strlen(theirs);
  snprintf(text, sizeof text, "%.*s", NM_TEXT_ARG(ours->host));
  if (!ours->is_v6) return strcasecmp(theirs, text) == 0;
  if (len < 2 || theirs[0] != '[' || theirs[len - 1] != ']') return false;
  char bare[64];
  snprintf(bare, sizeof bare, "%.*s", (int)len - 2, theirs + 1);
  return inet_pton(AF_INET6, bare, a) == 1 && inet_pton(AF_INET6, text, b) == 1 &&
         memcmp(a, b, sizeof a) == 0;
}

static void compare_with_curl(const char *cstr, const struct nm_guard_url *ours)
{
  CURLU *parts = curl_url();
  char *scheme = NULL, *host = NULL, *port = NULL;
  nm_require(parts != NULL);
  nm_require(curl_url_set(parts, CURLUPART_URL, cstr, CURLU_DISALLOW_USER) == CURLUE_OK);
  nm_require(curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
  nm_require(strcmp(scheme, ours->is_https ? "https" : "http") == 0);
  nm_require(curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK);
  nm_require(is_same_host(host, ours));
  nm_require(curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
  nm_require(strtol(port, NULL, 10) == ours->port);
  nm_require(!has_part(parts, CURLUPART_USER) && !has_part(parts, CURLUPART_PASSWORD));
  nm_require(!has_part(parts, CURLUPART_FRAGMENT) && !has_part(parts, CURLUPART_ZONEID));
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(parts);
}

static void try_url(struct nm_text text)
{
  struct nm_guard_url url;
  struct nm_error err = { .text = "" };
  int rc = nm_guard_read_url(text, &url, &err);
  int checked = nm_guard_check_url(NULL, text, NULL);
  int judged = nm_guard_check_url(&nm_guard_public, text, NULL);
  nm_require(checked == rc && (rc == NM_OK || judged == rc));
  if (rc != NM_OK) {
    nm_require(rc == NM_EINVAL && err.text[0] != 0);
    return;
  }
  nm_require(url.port >= 1 && url.port <= 65535 && url.host.len >= 1 && url.host.len <= 254);
  char *cstr = strndup(text.ptr, text.len);
  nm_require(cstr != NULL && strlen(cstr) == text.len);
  compare_with_curl(cstr, &url);
  free(cstr);
}

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static union address make_address(const uint8_t *bytes, bool is_v6, uint16_t port)
{
  union address address = { .v6 = { 0 } };
  if (is_v6) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    memcpy(&address.v6.sin6_addr, bytes, 16);
  } else {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    memcpy(&address.v4.sin_addr, bytes, 4);
  }
  return address;
}

/* A v4 address is judged the same inside v6, and nothing but 2000::/3 and those is public. */
static void try_address(const uint8_t *bytes, bool is_v6, uint16_t port)
{
  static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
  static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
  union address address = make_address(bytes, is_v6, port);
  int rc = nm_guard_check_address(&nm_guard_public, &address.any, NULL);
  nm_require(rc == NM_OK || rc == NM_EDENIED);
  if (!is_v6) {
    uint8_t inside[16];
    memcpy(inside, mapped, 12);
    memcpy(inside + 12, bytes, 4);
    address = make_address(inside, true, port);
    nm_require(nm_guard_check_address(&nm_guard_public, &address.any, NULL) == rc);
    memcpy(inside, nat64, 12);
    address = make_address(inside, true, port);
    nm_require(nm_guard_check_address(&nm_guard_public, &address.any, NULL) == rc);
    return;
  }
  bool is_embedding = memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, nat64, 12) == 0;
  nm_require(rc == NM_EDENIED || is_embedding || (bytes[0] & 0xe0) == 0x20);
}

/* A range allows its first address and changes nothing right outside. */
static void try_range(struct nm_text text)
{
  struct nm_guard guard;
  struct nm_text host, prefix;
  char cstr[64];
  uint8_t bytes[16];
  int rc = nm_guard_check_range(text, NULL);
  nm_require(nm_guard_init(&guard, &text, 1, NULL) == rc);
  if (rc != NM_OK) return;
  bool has_prefix = nm_text_cut(nm_text_trim(text), '/', &host, &prefix);
  bool is_v6 = memchr(host.ptr, ':', host.len) != NULL;
  int64_t bits = is_v6 ? 128 : 32;
  snprintf(cstr, sizeof cstr, "%.*s", NM_TEXT_ARG(host));
  nm_require(inet_pton(is_v6 ? AF_INET6 : AF_INET, cstr, bytes) == 1);
  if (has_prefix) nm_require(nm_text_to_i64(prefix, &bits));
  union address address = make_address(bytes, is_v6, 25);
  nm_require(nm_guard_check_address(&guard, &address.any, NULL) == NM_OK);
  if (bits > 0) {
    bytes[(bits - 1) / 8] ^= (uint8_t)(0x80u >> (bits - 1) % 8);
    address = make_address(bytes, is_v6, 80);
    nm_require(nm_guard_check_address(&guard, &address.any, NULL) ==
               nm_guard_check_address(&nm_guard_public, &address.any, NULL));
  }
  nm_guard_deinit(&guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len > BYTES_MAX) return 0;
  try_url((struct nm_text){ (const char *)data, len });
  try_range((struct nm_text){ (const char *)data, len });
  if (len == 6 || len == 18)
    try_address(data + 2, len == 18, (uint16_t)(data[0] << 8 | data[1]));
  return 0;
}
