/* door.c - how often an address failed, how fast a tenant may be, how long the disk lasts. */
#include "api/door.h"

#include <limits.h>
#include <sodium.h>
#include <string.h>

/* ---- failed logins --------------------------------------------------------------------------- */

static void key_of(struct nm_text address, unsigned char key[16])
{
  static const unsigned char v4[12] = { [10] = 0xff, [11] = 0xff };
  memset(key, 0, 16);
  if (nm_network_read_address(address, key) && memcmp(key, v4, sizeof v4) != 0)
    memset(key + 8, 0, 8);
}

/* Nothing is written to the places: untouched, their pages are not there. */
struct nm_failures *nm_failures_create(void)
{
  struct nm_failures *failures = calloc(1, sizeof *failures);
  if (failures) randombytes_buf(failures->hash_key, sizeof failures->hash_key);
  return failures;
}

/* The place of the address, or the one that is given up for it. */
static struct nm_failures_place *place_of(struct nm_failures *failures,
                                          const unsigned char key[16])
{
  unsigned char hash[crypto_shorthash_BYTES];
  uint64_t number;
  crypto_shorthash(hash, key, 16, failures->hash_key);
  memcpy(&number, hash, sizeof number);
  struct nm_failures_place *set =
      &failures->places[number % (NM_LOGIN_ADDRESSES_MAX / NM_FAILURES_WAYS) * NM_FAILURES_WAYS];
  struct nm_failures_place *oldest = set;
  for (int i = 0; i < NM_FAILURES_WAYS; i++) {
    if (set[i].count > 0 && memcmp(set[i].address, key, 16) == 0) return &set[i];
    if (set[i].count == 0 || (oldest->count > 0 && set[i].last_ms < oldest->last_ms))
      oldest = &set[i];
  }
  memcpy(oldest->address, key, 16);
  oldest->count = 0;
  return oldest;
}

int64_t nm_failures_count(struct nm_failures *failures, struct nm_text address, int64_t now_ms)
{
  unsigned char key[16];
  int64_t delay_ms = NM_LOGIN_DELAY_FIRST_MS;
  key_of(address, key);
  struct nm_failures_place *place = place_of(failures, key);
  if (now_ms - place->last_ms >= NM_LOGIN_FORGET_MS) place->count = 0;
  place->last_ms = now_ms;
  if (place->count < UINT_MAX) place->count++;
  if (place->count <= NM_LOGIN_PROMPT_REFUSALS_MAX) return 0;
  for (unsigned i = NM_LOGIN_PROMPT_REFUSALS_MAX + 1; i < place->count; i++) {
    delay_ms *= 2;
    if (delay_ms >= NM_LOGIN_DELAY_MAX_MS) return NM_LOGIN_DELAY_MAX_MS;
  }
  return delay_ms;
}

/* ---- a tenant's own rate --------------------------------------------------------------------- */

int64_t nm_pace_take(struct nm_pace *pace, double rate_per_s, double burst, size_t events,
                     int64_t now_ms)
{
  double needed = (double)events < burst ? (double)events : burst;
  if (pace->at_ms == 0) pace->left = burst;
  else pace->left += rate_per_s * (double)(now_ms - pace->at_ms) / 1000;
  if (pace->left > burst) pace->left = burst;
  pace->at_ms = now_ms;
  if (pace->left >= needed) {
    pace->left -= (double)events;
    return 0;
  }
  return (int64_t)((needed - pace->left) / rate_per_s * 1000) + 1;
}

/* ---- how long the disk lasts ----------------------------------------------------------------- */

int64_t nm_disk_note(struct nm_disk *disk, int64_t now_ms, int64_t left_bytes)
{
  size_t newest = (disk->next + NM_DISK_SAMPLES - 1) % NM_DISK_SAMPLES;
  if (disk->count == 0 || now_ms - disk->samples[newest].at_ms >= NM_DISK_SAMPLE_MS) {
    disk->samples[disk->next].at_ms = now_ms;
    disk->samples[disk->next].left_bytes = left_bytes;
    disk->next = (disk->next + 1) % NM_DISK_SAMPLES;
    if (disk->count < NM_DISK_SAMPLES) disk->count++;
  }
  for (size_t i = disk->count; i > 0; i--) { /* the oldest of the last ten minutes */
    size_t at = (disk->next + NM_DISK_SAMPLES - i) % NM_DISK_SAMPLES;
    int64_t age_ms = now_ms - disk->samples[at].at_ms;
    if (age_ms > (int64_t)NM_DISK_SAMPLES * NM_DISK_SAMPLE_MS) continue;
    double used = (double)(disk->samples[at].left_bytes - left_bytes);
    if (age_ms < NM_DISK_AGE_MIN_MS || used <= 0) return -1;
    return (int64_t)((double)left_bytes / used * (double)age_ms / 60000);
  }
  return -1;
}
