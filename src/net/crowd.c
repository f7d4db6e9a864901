#include "net/crowd.h"

#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct nm_crowd_place {
  struct nm_crowd_place *next;
  unsigned bucket;
  int connections;
  unsigned char address[16];
};

/* The key is a secret: who can choose addresses cannot choose that they meet in one bucket. */
struct nm_crowd {
  unsigned char key[crypto_shorthash_KEYBYTES];
  struct nm_crowd_place *buckets[BUCKETS];
};

int nm_crowd_create(struct nm_crowd **out)
{
  struct nm_crowd *crowd = calloc(1, sizeof *crowd);
  if (!crowd) return NM_ENOMEM;
  randombytes_buf(crowd->key, sizeof crowd->key);
  *out = crowd;
  return NM_OK;
}

void nm_crowd_destroy(struct nm_crowd *crowd)
{
  free(crowd);
}

static void read_address(const struct sockaddr *address, unsigned char bytes[16])
{
  memset(bytes, 0, 16);
  if (address->sa_family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    memcpy(bytes, v6->s6_addr, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
  } else if (address->sa_family == AF_INET) {
    bytes[10] = bytes[11] = 0xff;
    memcpy(bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
  }
}

struct nm_crowd_place *nm_crowd_enter(struct nm_crowd *crowd, const struct sockaddr *address,
                                      int most)
{
  unsigned char bytes[16], hash[crypto_shorthash_BYTES];
  read_address(address, bytes);
  crypto_shorthash(hash, bytes, sizeof bytes, crowd->key);
  unsigned bucket = (hash[0] | (unsigned)hash[1] << 8) % BUCKETS;

  struct nm_crowd_place *place = crowd->buckets[bucket];
  while (place && memcmp(place->address, bytes, sizeof bytes) != 0) place = place->next;
  if (!place) {
    place = calloc(1, sizeof *place);
    if (!place) return NULL;
    place->bucket = bucket;
    memcpy(place->address, bytes, sizeof bytes);
    place->next = crowd->buckets[bucket];
    crowd->buckets[bucket] = place;
  }
  if (place->connections >= most) return NULL;
  place->connections++;
  return place;
}

void nm_crowd_leave(struct nm_crowd *crowd, struct nm_crowd_place *place)
{
  if (--place->connections > 0) return;
  struct nm_crowd_place **at = &crowd->buckets[place->bucket];
  while (*at != place) at = &(*at)->next;
  *at = place->next;
  free(place);
}
