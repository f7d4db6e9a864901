#include "net/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static const unsigned char V4_INSIDE[12] = { [10] = 0xff, [11] = 0xff };

bool nm_network_read_address(struct nm_text address, unsigned char bytes[16])
{
  char text[INET6_ADDRSTRLEN];
  if (address.len == 0 || address.len >= sizeof text || memchr(address.ptr, '\0', address.len))
    return false;
  snprintf(text, sizeof text, "%.*s", NM_TEXT_ARG(address));
  memcpy(bytes, V4_INSIDE, sizeof V4_INSIDE);
  return inet_pton(AF_INET, text, bytes + sizeof V4_INSIDE) == 1 ||
         inet_pton(AF_INET6, text, bytes) == 1;
}

static bool read_network(struct nm_text text, struct nm_network *out)
{
  struct nm_text host, bits;
  int64_t number = 0;
  bool has_bits = nm_text_cut(text, '/', &host, &bits);
  if (!nm_network_read_address(host, out->bytes)) return false;
  bool is_v6 = memchr(host.ptr, ':', host.len) != NULL;
  int most = is_v6 ? 128 : 32;
  if (has_bits && (!nm_text_to_i64(bits, &number) || number < 0 || number > most)) return false;
  out->bits = (unsigned)((has_bits ? (int)number : most) + (is_v6 ? 0 : 96));
  return true;
}

int nm_networks_init(struct nm_networks *out, const struct nm_text *ranges, size_t count,
                     struct nm_error *err)
{
  struct nm_network *list = calloc(count ? count : 1, sizeof *list);
  if (!list) return nm_fail(err, NM_ENOMEM, "no memory for %zu networks", count);
  for (size_t i = 0; i < count; i++) {
    if (read_network(ranges[i], &list[i])) continue;
    free(list);
    return nm_fail(err, NM_EINVAL, "\"%.*s\" is no network; write it as 10.0.0.0/8 or fd00::/8",
                   NM_TEXT_ARG(ranges[i]));
  }
  *out = (struct nm_networks){ list, count };
  return NM_OK;
}

void nm_networks_deinit(struct nm_networks *networks)
{
  free(networks->list);
  *networks = (struct nm_networks){ NULL, 0 };
}

static bool is_in(const struct nm_network *network, const unsigned char bytes[16])
{
  size_t whole = network->bits / 8;
  unsigned rest = network->bits % 8;
  if (memcmp(network->bytes, bytes, whole) != 0) return false;
  return rest == 0 || ((network->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

bool nm_networks_contain(const struct nm_networks *networks, struct nm_text address)
{
  unsigned char bytes[16];
  if (networks->count == 0 || !nm_network_read_address(address, bytes)) return false;
  for (size_t i = 0; i < networks->count; i++)
    if (is_in(&networks->list[i], bytes)) return true;
  return false;
}

bool nm_network_is_loopback(struct nm_text address)
{
  static const struct nm_network loopback[] = {
    { { [10] = 0xff, [11] = 0xff, [12] = 127 }, 104 },
    { { [15] = 1 }, 128 },
  };
  unsigned char bytes[16];
  return nm_network_read_address(address, bytes) &&
         (is_in(&loopback[0], bytes) || is_in(&loopback[1], bytes));
}
