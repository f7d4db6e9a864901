/* door.h - room-private: what stands between a caller and a tenant besides the keys, and how long
 * the disk lasts.  Each part knows nothing of HTTP, so that it can be tried alone.  Loop thread
 * only.
 */
#pragma once

#include "base/limits.h"
#include "net/network.h"

/* ---- failed logins --------------------------------------------------------------------------- */

enum { NM_FAILURES_WAYS = 4 };

struct nm_failures_place {
  unsigned char address[16]; /* of IPv6 the /64, which is what one customer gets */
  unsigned count;
  int64_t last_ms;
};

/* How often each address failed lately; who has not been there for longest is forgotten first. */
struct nm_failures {
  struct nm_failures_place places[NM_LOGIN_ADDRESSES_MAX];
  unsigned char hash_key[16];
};

struct nm_failures *nm_failures_create(void); /* gives; NULL without memory */

/* Counts one more; how long its refusal has to wait. */
int64_t nm_failures_count(struct nm_failures *failures, struct nm_text address, int64_t now_ms);

/* ---- a tenant's own rate --------------------------------------------------------------------- */

struct nm_pace {
  int64_t tenant_id;
  double left; /* events; below 0 after a batch that was larger than what was left */
  int64_t at_ms;
};

/* Takes so many events; else how long to wait until they would be taken, at least 1 ms. */
int64_t nm_pace_take(struct nm_pace *pace, double rate_per_s, double burst, size_t events,
                     int64_t now_ms);

/* ---- how long the disk lasts ----------------------------------------------------------------- */

enum { NM_DISK_SAMPLES = 40, NM_DISK_SAMPLE_MS = 15 * 1000, NM_DISK_AGE_MIN_MS = 5 * 1000 };

/* What was left at some moments of the last ten minutes. */
struct nm_disk {
  struct {
    int64_t at_ms, left_bytes;
  } samples[NM_DISK_SAMPLES];
  size_t count, next;
};

/* Notes what is left now; minutes until nothing is left at the rate since the oldest note, or -1
 * where that is not known or nothing is used up. */
int64_t nm_disk_note(struct nm_disk *disk, int64_t now_ms, int64_t left_bytes);
