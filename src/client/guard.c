#include "client/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

struct nm_guard_range {
  int family;
  unsigned char bytes[16];
  unsigned bits;
};

/* RFC 6890 and its successors; 192.88.99.0/24 (6to4 relays) leads back to v6 and is left out as
 * dead. */
static const struct nm_guard_range special_v4[] = {
  { AF_INET, { 0 }, 8 },             /* this network */
  { AF_INET, { 10 }, 8 },            /* private */
  { AF_INET, { 100, 64 }, 10 },      /* carrier NAT */
  { AF_INET, { 127 }, 8 },           /* loopback */
  { AF_INET, { 169, 254 }, 16 },     /* link-local: cloud metadata lives here */
  { AF_INET, { 172, 16 }, 12 },      /* private */
  { AF_INET, { 192, 0, 0 }, 24 },    /* protocol assignments */
  { AF_INET, { 192, 0, 2 }, 24 },    /* documentation */
  { AF_INET, { 192, 168 }, 16 },     /* private */
  { AF_INET, { 198, 18 }, 15 },      /* benchmarks */
  { AF_INET, { 198, 51, 100 }, 24 }, /* documentation */
  { AF_INET, { 203, 0, 113 }, 24 },  /* documentation */
  { AF_INET, { 224 }, 4 },           /* multicast */
  { AF_INET, { 240 }, 4 },           /* reserved, broadcast */
};

static const struct nm_guard_range special_v6[] = {
  { AF_INET6, { 0 }, 128 },                                  /* :: */
  { AF_INET6, { [15] = 1 }, 128 },                           /* ::1 */
  { AF_INET6, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 },  /* local NAT64 */
  { AF_INET6, { 0x01, 0x00 }, 64 },                          /* discard */
  { AF_INET6, { 0x20, 0x01 }, 32 },                          /* Teredo */
  { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8 }, 32 },              /* documentation */
  { AF_INET6, { 0xfc }, 7 },                                 /* private */
  { AF_INET6, { 0xfe, 0x80 }, 10 },                          /* link-local */
  { AF_INET6, { 0xfe, 0xc0 }, 10 },                          /* site-local, of old */
  { AF_INET6, { 0xff }, 8 },                                 /* multicast */
};

/* v6 ranges whose addresses stand for a v4 address, which begins at byte `at`. */
static const struct {
  struct nm_guard_range range;
  size_t at;
} embedding[] = {
  { { AF_INET6, { [10] = 0xff, [11] = 0xff }, 96 }, 12 },  /* ::ffff:1.2.3.4 */
  { { AF_INET6, { 0 }, 96 }, 12 },                         /* ::1.2.3.4, of old */
  { { AF_INET6, { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12 },    /* NAT64 */
  { { AF_INET6, { 0x20, 0x02 }, 16 }, 2 },                 /* 6to4 */
};

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

static bool allows_v4(const struct nm_guard *guard, const unsigned char *bytes)
{
  return is_in_any(guard->allow, guard->allow_count, AF_INET, bytes) ||
         !is_in_any(special_v4, sizeof special_v4 / sizeof *special_v4, AF_INET, bytes);
}

static bool allows_v6(const struct nm_guard *guard, const unsigned char *bytes)
{
  if (is_in_any(guard->allow, guard->allow_count, AF_INET6, bytes)) return true;
  if (is_in_any(special_v6, sizeof special_v6 / sizeof *special_v6, AF_INET6, bytes)) return false;
  for (size_t i = 0; i < sizeof embedding / sizeof *embedding; i++)
    if (is_in(&embedding[i].range, AF_INET6, bytes))
      return allows_v4(guard, bytes + embedding[i].at);
  return true;
}

bool nm_guard_allows(const struct nm_guard *guard, const struct sockaddr *address)
{
  unsigned char bytes[16];
  if (address->sa_family == AF_INET) {
    memcpy(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    return allows_v4(guard, bytes);
  }
  if (address->sa_family == AF_INET6) {
    memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    return allows_v6(guard, bytes);
  }
  return false;
}

static bool read_range(struct nm_text text, struct nm_guard_range *out)
{
  struct nm_text address, prefix;
  char cstr[INET6_ADDRSTRLEN];
  int64_t bits;
  bool has_prefix = nm_text_cut(nm_text_trim(text), '/', &address, &prefix);

  if (address.len == 0 || address.len >= sizeof cstr) return false;
  memcpy(cstr, address.ptr, address.len);
  cstr[address.len] = 0;
  *out = (struct nm_guard_range){ .family = memchr(cstr, ':', address.len) ? AF_INET6 : AF_INET };
  if (inet_pton(out->family, cstr, out->bytes) != 1) return false;
  out->bits = out->family == AF_INET ? 32 : 128;
  if (!has_prefix) return true;
  if (!nm_text_to_i64(prefix, &bits) || bits < 0 || bits > out->bits) return false;
  out->bits = (unsigned)bits;
  return true;
}

int nm_guard_init(struct nm_guard *guard, const struct nm_text *allow, size_t count,
                  struct nm_error *err)
{
  struct nm_guard_range *ranges = calloc(count + 1, sizeof *ranges);
  if (!ranges) return nm_fail(err, NM_ENOMEM, "no memory for the allowed ranges");
  for (size_t i = 0; i < count; i++) {
    if (read_range(allow[i], &ranges[i])) continue;
    free(ranges);
    return nm_fail(err, NM_EINVAL,
                   "\"%.*s\" is no address range; write it as 10.0.0.0/8 or fd00::/8",
                   NM_TEXT_ARG(allow[i]));
  }
  *guard = (struct nm_guard){ ranges, count };
  return NM_OK;
}

void nm_guard_deinit(struct nm_guard *guard)
{
  free(guard->allow);
  *guard = (struct nm_guard){ NULL, 0 };
}
