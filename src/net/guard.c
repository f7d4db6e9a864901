#include "net/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct nm_guard_range {
  int family;
  unsigned char bytes[16];
  unsigned bits;
};

const struct nm_guard nm_guard_public;

/* ---- what is special ------------------------------------------------------------------------- */

/* RFC 6890 and its successors, as in IANA's registries. */
static const struct nm_guard_range special_v4[] = {
  { AF_INET, { 0 }, 8 },             /* this network, unspecified */
  { AF_INET, { 10 }, 8 },            /* private */
  { AF_INET, { 100, 64 }, 10 },      /* carrier NAT */
  { AF_INET, { 127 }, 8 },           /* loopback */
  { AF_INET, { 169, 254 }, 16 },     /* link-local: cloud metadata lives here */
  { AF_INET, { 172, 16 }, 12 },      /* private */
  { AF_INET, { 192, 0, 0 }, 24 },    /* protocol assignments */
  { AF_INET, { 192, 0, 2 }, 24 },    /* documentation */
  { AF_INET, { 192, 88, 99 }, 24 },  /* 6to4 relays, of old */
  { AF_INET, { 192, 168 }, 16 },     /* private */
  { AF_INET, { 198, 18 }, 15 },      /* benchmarks */
  { AF_INET, { 198, 51, 100 }, 24 }, /* documentation */
  { AF_INET, { 203, 0, 113 }, 24 },  /* documentation */
  { AF_INET, { 224 }, 4 },           /* multicast */
  { AF_INET, { 240 }, 4 },           /* reserved, broadcast */
};

/* All of v6 that is routed on the public internet, RFC 4291; ::, ::1, ::1.2.3.4, 100::/64, unique
 * local, link-local, site-local and multicast are outside. */
static const struct nm_guard_range public_v6 = { AF_INET6, { 0x20 }, 3 };

/* Exceptions inside it. */
static const struct nm_guard_range special_v6[] = {
  { AF_INET6, { 0x20, 0x01 }, 23 },             /* protocols: Teredo, benchmarks, ORCHID, AMT */
  { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
  { AF_INET6, { 0x20, 0x02 }, 16 },             /* 6to4, of old: leads to any v4 address */
  { AF_INET6, { 0x3f, 0xff }, 20 },             /* documentation */
};

/* v6 ranges whose last four bytes are the v4 address that is really called.  64:ff9b:1::/48 is for
 * private use, with places of its own for the v4 address, and so is outside like all the rest. */
static const struct nm_guard_range embedding_v4[] = {
  { AF_INET6, { [10] = 0xff, [11] = 0xff }, 96 }, /* ::ffff:1.2.3.4 */
  { AF_INET6, { 0x00, 0x64, 0xff, 0x9b }, 96 },   /* NAT64 */
};

/* Ports of protocols that could be spoken to by what stands in an HTTP request, or harmed by it:
 * those that browsers refuse (Fetch, "bad ports"), and databases, queues and remote desktops.
 * Ascending.  Any other is fine: gateways do live on 81, 8443 and 9588. */
static const unsigned short foreign_ports[] = {
  1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,   25,    37,    42,
  43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,  109,  110,   111,   113,
  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,  389,  427,  445,   465,   512,
  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,  556,  563,  587,   601,   636,
  873,  989,  990,  993,  995,  1433, 1521, 1719, 1720, 1723, 1883, 2049, 2775,  3306,  3389,
  3659, 4045, 4190, 5060, 5061, 5432, 5672, 5900, 6000, 6379, 6566, 6665, 6666,  6667,  6668,
  6669, 6679, 6697, 10080, 11211, 27017,
};

static bool is_foreign_port(int port)
{
  for (size_t i = 0; i < COUNT(foreign_ports); i++)
    if (foreign_ports[i] == port) return true;
  return false;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_in(const struct nm_guard_range *range, int family, const unsigned char *bytes)
{
  size_t whole = range->bits / 8;
  unsigned rest = range->bits % 8;
  if (range->family != family || memcmp(range->bytes, bytes, whole) != 0) return false;
  return rest == 0 || ((range->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_in_any(const struct nm_guard_range *ranges, size_t count, int family,
                      const unsigned char *bytes)
{
  for (size_t i = 0; i < count; i++)
    if (is_in(&ranges[i], family, bytes)) return true;
  return false;
}

enum standing {
  SPECIAL = 0, /* not to be called */
  PUBLIC = 1,
  ALLOWED = 2, /* the settings name it */
};

static enum standing standing_of(const struct nm_guard *guard, int family,
                                 const unsigned char *bytes)
{
  if (is_in_any(guard->allow, guard->allow_count, family, bytes)) return ALLOWED;
  if (family == AF_INET)
    return is_in_any(special_v4, COUNT(special_v4), AF_INET, bytes) ? SPECIAL : PUBLIC;
  if (is_in_any(embedding_v4, COUNT(embedding_v4), AF_INET6, bytes))
    return standing_of(guard, AF_INET, bytes + 12);
  return is_in(&public_v6, AF_INET6, bytes) &&
                 !is_in_any(special_v6, COUNT(special_v6), AF_INET6, bytes)
             ? PUBLIC
             : SPECIAL;
}

static int check_bytes(const struct nm_guard *guard, int family, const unsigned char *bytes,
                       int port, struct nm_error *err)
{
  char text[INET6_ADDRSTRLEN] = "?";
  enum standing standing = standing_of(guard, family, bytes);
  if (standing == ALLOWED) return NM_OK;
  if (standing == PUBLIC && !is_foreign_port(port)) return NM_OK;
  inet_ntop(family, bytes, text, sizeof text);
  if (standing == SPECIAL)
    return nm_fail(err, NM_EDENIED,
                   "address %s is private or special; outbound.allow in the settings would have to "
                   "name it",
                   text);
  return nm_fail(err, NM_EDENIED,
                 "port %d belongs to another protocol than HTTP; outbound.allow in the settings "
                 "would have to name %s",
                 port, text);
}

int nm_guard_check_address(const struct nm_guard *guard, const struct sockaddr *address,
                           struct nm_error *err)
{
  unsigned char bytes[16];
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    memcpy(bytes, &v4->sin_addr, 4);
    return check_bytes(guard, AF_INET, bytes, ntohs(v4->sin_port), err);
  }
  if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    memcpy(bytes, &v6->sin6_addr, 16);
    return check_bytes(guard, AF_INET6, bytes, ntohs(v6->sin6_port), err);
  }
  return nm_fail(err, NM_EDENIED, "addresses of family %d are not called", address->sa_family);
}

/* ---- ranges of the settings ------------------------------------------------------------------ */

static bool read_address(struct nm_text text, int family, unsigned char bytes[16])
{
  char cstr[INET6_ADDRSTRLEN];
  if (text.len == 0 || text.len >= sizeof cstr || memchr(text.ptr, '\0', text.len)) return false;
  memcpy(cstr, text.ptr, text.len);
  cstr[text.len] = '\0';
  return inet_pton(family, cstr, bytes) == 1;
}

/* Plain digits without a zero in front; -1 for anything else. */
static int read_number(struct nm_text text, int most)
{
  int64_t number;
  if (text.len == 0 || text.len > 5 || text.ptr[0] == '-') return -1;
  if (text.ptr[0] == '0' && text.len > 1) return -1;
  return nm_text_to_i64(text, &number) && number <= most ? (int)number : -1;
}

static bool has_bits_behind(const struct nm_guard_range *range, unsigned all)
{
  for (unsigned bit = range->bits; bit < all; bit++)
    if (range->bytes[bit / 8] & (0x80u >> bit % 8)) return true;
  return false;
}

static int read_range(struct nm_text text, struct nm_guard_range *out, struct nm_error *err)
{
  struct nm_text address, prefix;
  text = nm_text_trim(text);
  bool has_prefix = nm_text_cut(text, '/', &address, &prefix);
  bool is_v6 = address.len > 0 && memchr(address.ptr, ':', address.len);
  int family = is_v6 ? AF_INET6 : AF_INET, all = is_v6 ? 128 : 32;
  int bits = has_prefix ? read_number(prefix, all) : all;

  *out = (struct nm_guard_range){ .family = family, .bits = (unsigned)bits };
  if (bits < 0 || !read_address(address, family, out->bytes))
    return nm_fail(err, NM_EINVAL,
                   "\"%.*s\" is no address range; write it as 10.0.0.0/8 or fd00::/8",
                   NM_TEXT_ARG(text));
  if (has_bits_behind(out, (unsigned)all))
    return nm_fail(err, NM_EINVAL,
                   "\"%.*s\" has bits behind its first %d; write the first address of the range, "
                   "or the address alone",
                   NM_TEXT_ARG(text), bits);
  if (is_v6 && bits >= 96 && is_in(&embedding_v4[0], AF_INET6, out->bytes))
    return nm_fail(err, NM_EINVAL, "\"%.*s\" is a range of v4 addresses; write it as 10.0.0.0/8",
                   NM_TEXT_ARG(text));
  return NM_OK;
}

int nm_guard_check_range(struct nm_text range, struct nm_error *err)
{
  struct nm_guard_range read;
  return read_range(range, &read, err);
}

int nm_guard_init(struct nm_guard *guard, const struct nm_text *allow, size_t count,
                  struct nm_error *err)
{
  struct nm_guard_range *ranges = calloc(count + 1, sizeof *ranges);
  if (!ranges) return nm_fail(err, NM_ENOMEM, "no memory for the allowed ranges");
  for (size_t i = 0; i < count; i++) {
    int rc = read_range(allow[i], &ranges[i], err);
    if (rc == NM_OK) continue;
    free(ranges);
    return rc;
  }
  *guard = (struct nm_guard){ ranges, count };
  return NM_OK;
}

void nm_guard_deinit(struct nm_guard *guard)
{
  free(guard->allow);
  *guard = (struct nm_guard){ NULL, 0 };
}

/* ---- URLs ------------------------------------------------------------------------------------ */

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63, PORT_MAX = 65535 };

static const char *check_bytes_of_url(struct nm_text url)
{
  for (size_t i = 0; i < url.len; i++) {
    unsigned char c = (unsigned char)url.ptr[i];
    if (c <= 0x20 || c == 0x7F) return "the URL has a blank or a control character";
    if (c >= 0x80)
      return "the URL has letters beyond ASCII: a name is written as xn--..., all else as %XX";
    if (c == '\\') return "the URL has a backslash";
    if (c == '#') return "the URL has a fragment (#...)";
  }
  return NULL;
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_label_char(char c)
{
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* "127", "0177", "0x7f", "0x": what inet_aton() would read as a number. */
static bool is_numeric(struct nm_text label)
{
  bool has_x = label.len >= 2 && label.ptr[0] == '0' && (label.ptr[1] | 0x20) == 'x';
  for (size_t i = has_x ? 2 : 0; i < label.len; i++)
    if (has_x ? !is_hex(label.ptr[i]) : !is_digit(label.ptr[i])) return false;
  return true;
}

static const char *read_name(struct nm_guard_url *url)
{
  unsigned char bytes[16];
  struct nm_text rest = url->host, label = { NULL, 0 }, next;
  if (rest.len == 0) return "the URL names no host";
  if (rest.ptr[rest.len - 1] == '.') rest.len--; /* the root's dot */
  if (rest.len > NAME_MAX_BYTES) return "the URL's host is longer than 253 bytes";
  for (bool goes_on = true; goes_on; rest = next) {
    goes_on = nm_text_cut(rest, '.', &label, &next);
    if (label.len == 0) return "the URL's host has a dot too many";
    if (label.len > LABEL_MAX_BYTES)
      return "the URL's host has a part that is longer than 63 bytes";
    for (size_t i = 0; i < label.len; i++)
      if (!is_label_char(label.ptr[i]))
        return "the URL's host has a character that names do not have";
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
      return "the URL's host has a part with a hyphen at its edge";
  }
  if (!is_numeric(label)) return NULL;
  url->is_literal = true;
  return read_address(url->host, AF_INET, bytes)
             ? NULL
             : "the URL's host ends in a number and is no address such as 192.0.2.1";
}

/* "[2001:db8::1]", with all that stands behind in *rest. */
static const char *read_v6(struct nm_guard_url *url, struct nm_text authority, struct nm_text *rest)
{
  unsigned char bytes[16];
  const char *end = memchr(authority.ptr, ']', authority.len);
  if (!end) return "the URL has a [ without a ]";
  url->is_v6 = url->is_literal = true;
  url->host = (struct nm_text){ authority.ptr + 1, (size_t)(end - authority.ptr) - 1 };
  *rest = (struct nm_text){ end + 1, authority.len - url->host.len - 2 };
  if (url->host.len > 0 && memchr(url->host.ptr, '%', url->host.len))
    return "the URL's address has a zone (%...)";
  if (!read_address(url->host, AF_INET6, bytes))
    return "what stands in brackets in the URL is no v6 address";
  return rest->len == 0 || rest->ptr[0] == ':' ? NULL : "the URL has something behind its ]";
}

static const char *read_authority(struct nm_guard_url *url, struct nm_text authority)
{
  struct nm_text port = { NULL, 0 };
  const char *wrong;
  if (authority.len > 0 && memchr(authority.ptr, '@', authority.len))
    return "the URL has a user in it (...@)";
  if (authority.len > 0 && authority.ptr[0] == '[') {
    wrong = read_v6(url, authority, &port);
  } else {
    const char *colon = authority.len > 0 ? memchr(authority.ptr, ':', authority.len) : NULL;
    url->host = authority;
    if (colon) {
      url->host.len = (size_t)(colon - authority.ptr);
      port = (struct nm_text){ colon, authority.len - url->host.len };
    }
    wrong = read_name(url);
  }
  if (wrong || port.len == 0) return wrong;
  url->port = read_number((struct nm_text){ port.ptr + 1, port.len - 1 }, PORT_MAX);
  return url->port > 0 ? NULL : "the URL's port is no number from 1 to 65535";
}

int nm_guard_read_url(struct nm_text url, struct nm_guard_url *out, struct nm_error *err)
{
  struct nm_text http = NM_TEXT("http://"), https = NM_TEXT("https://");
  struct nm_guard_url read = { .port = 80 };
  size_t scheme = 0;
  const char *wrong = check_bytes_of_url(url);

  if (url.len >= http.len && nm_text_equal_nocase((struct nm_text){ url.ptr, http.len }, http)) {
    scheme = http.len;
  } else if (url.len >= https.len &&
             nm_text_equal_nocase((struct nm_text){ url.ptr, https.len }, https)) {
    scheme = https.len;
    read.is_https = true;
    read.port = 443;
  } else if (!wrong) {
    wrong = "the URL begins with neither http:// nor https://";
  }
  if (wrong) return nm_fail(err, NM_EINVAL, "%s", wrong);

  size_t at = scheme;
  while (at < url.len && url.ptr[at] != '/' && url.ptr[at] != '?') at++;
  read.path = (struct nm_text){ url.ptr + at, url.len - at };
  wrong = read_authority(&read, (struct nm_text){ url.ptr + scheme, at - scheme });
  if (wrong) return nm_fail(err, NM_EINVAL, "%s", wrong);
  *out = read;
  return NM_OK;
}

int nm_guard_check_url(const struct nm_guard *guard, struct nm_text url, struct nm_error *err)
{
  unsigned char bytes[16];
  struct nm_guard_url read;
  int rc = nm_guard_read_url(url, &read, err);
  if (rc != NM_OK || !guard) return rc;
  if (read.is_literal) {
    int family = read.is_v6 ? AF_INET6 : AF_INET;
    nm_require(read_address(read.host, family, bytes));
    return check_bytes(guard, family, bytes, read.port, err);
  }
  if (guard->allow_count == 0 && is_foreign_port(read.port))
    return nm_fail(err, NM_EDENIED, "port %d belongs to another protocol than HTTP", read.port);
  return NM_OK;
}
