/* bucket.h - a rate in messages per second, kept by the monotonic clock.  Pure.
 *
 * Holds at most a tenth of a second (one message at least): a lane that was idle bursts no more
 * than that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nm_bucket {
  double per_s; /* 0 = unlimited */
  double tokens;
  int64_t at_ns;
};

/* Starts full, or keeps what it holds when only the rate changes (`is_new` false). */
void nm_bucket_set(struct nm_bucket *bucket, double per_s, int64_t now_ns, bool is_new);

/* How many of `wanted` may go now. */
size_t nm_bucket_allows(struct nm_bucket *bucket, int64_t now_ns, size_t wanted);

void nm_bucket_take(struct nm_bucket *bucket, size_t count);

/* The most that it ever allows at once. */
size_t nm_bucket_depth(const struct nm_bucket *bucket);

/* Milliseconds until `count` (no more than its depth) may go; 0 = now. */
int64_t nm_bucket_wait_ms(struct nm_bucket *bucket, int64_t now_ns, size_t count);
