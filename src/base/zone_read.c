#include "base/zone.h"

struct reader {
  const char *at, *end;
};

/* A day beyond its month's end would run on into the next. */
static bool is_date(int year, int month, int day)
{
  const struct nm_zone *utc;
  struct nm_local back;
  if (month < 1 || day < 1 || nm_zone_find(&utc, NM_TEXT("UTC")) != NM_OK) return false;
  nm_zone_local(utc, nm_zone_instant(utc, year, month, day, 0, 0, 0), &back);
  return back.month == month && back.day == day;
}

/* Exactly `digits` digits, at most max. */
static bool take_digits(struct reader *in, int digits, int max, int *out)
{
  int value = 0;
  if (in->end - in->at < digits) return false;
  for (int i = 0; i < digits; i++) {
    char c = *in->at++;
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  *out = value;
  return value <= max;
}

static bool take(struct reader *in, char c)
{
  if (in->at == in->end || *in->at != c) return false;
  in->at++;
  return true;
}

/* :SS, then perhaps a fraction, of which milliseconds are kept */
static bool take_seconds(struct reader *in, int *second, int *ms)
{
  if (!take(in, ':')) return true;
  if (!take_digits(in, 2, 59, second)) return false;
  if (!take(in, '.')) return true;
  const char *begin = in->at;
  int scale = 100;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
    *ms += (*in->at++ - '0') * scale;
    scale /= 10;
  }
  return in->at > begin && in->at - begin <= 9;
}

/* Z, +HH, +HHMM or +HH:MM; *has_offset stays false at the end of the text. */
static bool take_offset(struct reader *in, bool *has_offset, int *offset)
{
  int hour, minute = 0;
  if (in->at == in->end) return true;
  *has_offset = true;
  if (take(in, 'Z')) return true;
  int sign = take(in, '-') ? -1 : take(in, '+') ? 1 : 0;
  if (sign == 0 || !take_digits(in, 2, 23, &hour)) return false;
  if ((take(in, ':') || in->at < in->end) && !take_digits(in, 2, 59, &minute)) return false;
  *offset = sign * (hour * 3600 + minute * 60);
  return true;
}

bool nm_zone_read(const struct nm_zone *zone, struct nm_text text, int64_t *out_ms)
{
  int year, month, day, hour = 0, minute = 0, second = 0, ms = 0, offset = 0;
  bool has_offset = false;
  text = nm_text_trim(text);
  if (text.len == 0) return false;
  struct reader in = { text.ptr, text.ptr + text.len };

  if (!take_digits(&in, 4, 9999, &year) || !take(&in, '-') || !take_digits(&in, 2, 12, &month) ||
      !take(&in, '-') || !take_digits(&in, 2, 31, &day))
    return false;
  if (!is_date(year, month, day)) return false;
  if (in.at < in.end) {
    if (!take(&in, 'T') && !take(&in, ' ')) return false;
    if (!take_digits(&in, 2, 23, &hour) || !take(&in, ':') || !take_digits(&in, 2, 59, &minute) ||
        !take_seconds(&in, &second, &ms) || !take_offset(&in, &has_offset, &offset))
      return false;
  }
  if (in.at != in.end) return false;
  if (has_offset && nm_zone_find(&zone, NM_TEXT("UTC")) != NM_OK) return false;
  *out_ms = nm_zone_instant(zone, year, month, day, hour, minute, second) + ms -
            (int64_t)offset * 1000;
  return true;
}
