#include "engine/bucket.h"

static const double NS_PER_S = 1e9;

static double depth(const struct nm_bucket *bucket)
{
  double tenth = bucket->per_s / 10;
  return tenth > 1 ? tenth : 1;
}

static void refill(struct nm_bucket *bucket, int64_t now_ns)
{
  if (now_ns <= bucket->at_ns) return;
  bucket->tokens += (double)(now_ns - bucket->at_ns) / NS_PER_S * bucket->per_s;
  if (bucket->tokens > depth(bucket)) bucket->tokens = depth(bucket);
  bucket->at_ns = now_ns;
}

void nm_bucket_set(struct nm_bucket *bucket, double per_s, int64_t now_ns, bool is_new)
{
  if (!is_new) refill(bucket, now_ns);
  bool was_unlimited = bucket->per_s <= 0;
  bucket->per_s = per_s > 0 ? per_s : 0;
  bucket->at_ns = now_ns;
  if (is_new || was_unlimited || bucket->tokens > depth(bucket)) bucket->tokens = depth(bucket);
}

size_t nm_bucket_allows(struct nm_bucket *bucket, int64_t now_ns, size_t wanted)
{
  if (bucket->per_s <= 0) return wanted;
  refill(bucket, now_ns);
  /* What rounding took away from a whole token must not cost another turn of the loop. */
  double whole = bucket->tokens + 1e-6;
  if (whole < 1) return 0;
  return whole < (double)wanted ? (size_t)whole : wanted;
}

void nm_bucket_take(struct nm_bucket *bucket, size_t count)
{
  if (bucket->per_s > 0) bucket->tokens -= (double)count;
}

size_t nm_bucket_depth(const struct nm_bucket *bucket)
{
  return bucket->per_s > 0 ? (size_t)depth(bucket) : SIZE_MAX;
}

int64_t nm_bucket_wait_ms(struct nm_bucket *bucket, int64_t now_ns, size_t count)
{
  if (bucket->per_s <= 0) return 0;
  refill(bucket, now_ns);
  double missing = (double)count - bucket->tokens - 1e-6;
  return missing > 0 ? (int64_t)(missing / bucket->per_s * 1000) + 1 : 0;
}
