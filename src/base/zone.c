#include "base/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A zone is a list of edges (TZif, RFC 8536) and, behind the last of them, a yearly rule (the POSIX
 * TZ text in the file's footer).  Everything below works in seconds since 1970 UTC. */

enum {
  ZONES_MAX = 1024,            /* tzdata has some 600 names */
  ZONE_FILE_MAX_BYTES = 64 * 1024,
  NAME_MAX_BYTES = 64,
  HEADER_BYTES = 44,
  DAY_S = 24 * 3600,
  OFFSET_MAX_S = 26 * 3600,    /* no clock is further from UTC (RFC 8536, 3.2) */
  EDGES_AHEAD_MAX = 16,
};

enum day_kind { DAY_JULIAN = 0, DAY_ZERO_BASED = 1, DAY_OF_WEEK = 2 };

/* The moment of a yearly change, on the clock that stands before it. */
struct yearly {
  enum day_kind kind;
  int day;                     /* of the year; or of the week, Sunday 0 */
  int week, month;
  int second;
};

struct footer {
  bool is_set, has_dst;
  int std_offset, dst_offset;
  struct yearly start, end;    /* of daylight saving */
};

struct nm_zone {
  struct nm_zone *next;
  char name[NAME_MAX_BYTES + 1];
  int64_t *edges;              /* instants at which the offset changes, ascending */
  int *offsets;                /* from that edge on */
  size_t edge_count;
  int first_offset;            /* before the first edge */
  struct footer footer;
};

static pthread_mutex_t zones_lock = PTHREAD_MUTEX_INITIALIZER;
static struct nm_zone *zones; /* behind zones_lock; its members never change */
static size_t zone_count;

static struct nm_zone utc = { .name = "UTC" };

/* ---- days ------------------------------------------------------------------------------------ */

static int64_t floor_div(int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a civil date; days beyond the month's end run on (H. Hinnant). */
static int64_t days_of(int64_t year, int month, int day)
{
  year -= month <= 2;
  int64_t era = floor_div(year, 400);
  int64_t of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, struct nm_local *out)
{
  days += 719468;
  int64_t era = floor_div(days, 146097);
  int64_t of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  int64_t shifted = (5 * of_year + 2) / 153;
  out->day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  out->month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  out->year = (int)(year + era * 400 + (out->month <= 2));
}

static bool is_leap(int64_t year)
{
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int64_t year, int month)
{
  static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* ---- the yearly rule ------------------------------------------------------------------------- */

static int64_t yearly_days(const struct yearly *rule, int64_t year)
{
  int64_t first = days_of(year, 1, 1);
  if (rule->kind == DAY_ZERO_BASED) return first + rule->day;
  if (rule->kind == DAY_JULIAN) return first + rule->day - 1 + (is_leap(year) && rule->day > 59);
  first = days_of(year, rule->month, 1);
  int64_t weekday = floor_div(first + 4, 7) * -7 + first + 4; /* Sunday 0 */
  int64_t day = first + (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
  while (day >= first + days_in(year, rule->month)) day -= 7; /* week 5 means the last */
  return day;
}

static int64_t yearly_edge(const struct footer *footer, bool to_dst, int64_t year)
{
  const struct yearly *rule = to_dst ? &footer->start : &footer->end;
  int before = to_dst ? footer->std_offset : footer->dst_offset;
  return yearly_days(rule, year) * DAY_S + rule->second - before;
}

static int64_t year_at(int64_t t)
{
  struct nm_local local;
  date_of(floor_div(t, DAY_S), &local);
  return local.year;
}

static int footer_offset(const struct footer *footer, int64_t t)
{
  if (!footer->has_dst) return footer->std_offset;
  int64_t year = year_at(t + footer->std_offset);
  int64_t start = yearly_edge(footer, true, year), end = yearly_edge(footer, false, year);
  bool is_dst = start < end ? t >= start && t < end : t >= start || t < end;
  return is_dst ? footer->dst_offset : footer->std_offset;
}

static bool read_number(const char **at, int max, int *out)
{
  int value = 0;
  const char *begin = *at;
  while (**at >= '0' && **at <= '9' && *at - begin < 4) value = value * 10 + (*(*at)++ - '0');
  *out = value;
  return *at > begin && value <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_clock(const char **at, int *out)
{
  int sign = **at == '-' ? -1 : 1, parts[3] = { 0, 0, 0 };
  if (**at == '-' || **at == '+') (*at)++;
  if (!read_number(at, 167, &parts[0])) return false;
  for (int i = 1; i < 3 && **at == ':'; i++) {
    (*at)++;
    if (!read_number(at, 59, &parts[i])) return false;
  }
  *out = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
  return true;
}

static bool skip_zone_letters(const char **at)
{
  const char *begin = *at;
  if (**at == '<') {
    while (**at && **at != '>') (*at)++;
    return *(*at)++ == '>';
  }
  while ((**at >= 'A' && **at <= 'Z') || (**at >= 'a' && **at <= 'z')) (*at)++;
  return *at - begin >= 3;
}

/* ,Mm.w.d or ,Jn or ,n, then perhaps /time */
static bool read_yearly(const char **at, struct yearly *out)
{
  out->second = 2 * 3600;
  if (*(*at)++ != ',') return false;
  bool good;
  if (**at == 'M') {
    out->kind = DAY_OF_WEEK;
    (*at)++;
    good = read_number(at, 12, &out->month) && out->month >= 1 && *(*at)++ == '.' &&
           read_number(at, 5, &out->week) && out->week >= 1 && *(*at)++ == '.' &&
           read_number(at, 6, &out->day);
  } else if (**at == 'J') {
    out->kind = DAY_JULIAN;
    (*at)++;
    good = read_number(at, 365, &out->day) && out->day >= 1;
  } else {
    out->kind = DAY_ZERO_BASED;
    good = read_number(at, 365, &out->day);
  }
  if (!good || **at != '/') return good;
  (*at)++;
  return read_clock(at, &out->second);
}

static bool read_footer(const char *text, struct footer *out)
{
  const char *at = text;
  int west;
  if (*at == '\0') return true;
  if (!skip_zone_letters(&at) || !read_clock(&at, &west)) return false;
  out->std_offset = -west;
  out->is_set = true;
  if (*at == '\0') return true;

  if (!skip_zone_letters(&at)) return false;
  out->has_dst = true;
  out->dst_offset = out->std_offset + 3600;
  if (*at != ',') {
    if (!read_clock(&at, &west)) return false;
    out->dst_offset = -west;
  }
  return read_yearly(&at, &out->start) && read_yearly(&at, &out->end) && *at == '\0';
}

/* ---- the file -------------------------------------------------------------------------------- */

static uint64_t big_endian(const unsigned char *bytes, int count)
{
  uint64_t value = 0;
  for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
  return value;
}

struct tzif {
  const unsigned char *body;
  size_t times, types, letters, leaps, standards, universals;
};

static bool read_header(const unsigned char *bytes, size_t len, struct tzif *out)
{
  if (len < HEADER_BYTES || memcmp(bytes, "TZif", 4) != 0) return false;
  out->body = bytes + HEADER_BYTES;
  out->universals = big_endian(bytes + 20, 4);
  out->standards = big_endian(bytes + 24, 4);
  out->leaps = big_endian(bytes + 28, 4);
  out->times = big_endian(bytes + 32, 4);
  out->types = big_endian(bytes + 36, 4);
  out->letters = big_endian(bytes + 40, 4);
  size_t max = ZONE_FILE_MAX_BYTES;
  return out->universals <= max && out->standards <= max && out->leaps <= max &&
         out->times <= max && out->types >= 1 && out->types <= 256 && out->letters <= max;
}

static size_t body_bytes(const struct tzif *file, size_t time_bytes)
{
  return file->times * (time_bytes + 1) + file->types * 6 + file->letters +
         file->leaps * (time_bytes + 4) + file->standards + file->universals;
}

static bool read_offset(const unsigned char *type, int *out)
{
  *out = (int)(int32_t)(uint32_t)big_endian(type, 4);
  return *out > -OFFSET_MAX_S && *out < OFFSET_MAX_S;
}

static bool read_edges(const struct tzif *file, struct nm_zone *zone)
{
  const unsigned char *indices = file->body + file->times * 8, *types = indices + file->times;
  if (!read_offset(types, &zone->first_offset)) return false;
  if (file->times == 0) return true;
  zone->edges = calloc(file->times, sizeof *zone->edges);
  zone->offsets = calloc(file->times, sizeof *zone->offsets);
  if (!zone->edges || !zone->offsets) return false;
  for (size_t i = 0; i < file->times; i++) {
    zone->edges[i] = (int64_t)big_endian(file->body + i * 8, 8);
    if (indices[i] >= file->types || !read_offset(types + 6 * indices[i], &zone->offsets[i]))
      return false;
    if (i > 0 && zone->edges[i] <= zone->edges[i - 1]) return false;
  }
  zone->edge_count = file->times;
  return true;
}

/* The first block is for readers with 32-bit times; we read the second and the footer behind it. */
static bool parse_file(const unsigned char *bytes, size_t len, struct nm_zone *zone)
{
  struct tzif file;
  char footer[256];
  if (!read_header(bytes, len, &file) || bytes[4] < '2') return false;
  size_t skip = HEADER_BYTES + body_bytes(&file, 4);
  if (skip > len || !read_header(bytes + skip, len - skip, &file)) return false;
  size_t rest = skip + HEADER_BYTES + body_bytes(&file, 8);
  if (rest >= len || bytes[rest] != '\n' || !read_edges(&file, zone)) return false;
  const unsigned char *begin = bytes + rest + 1, *end = memchr(begin, '\n', len - rest - 1);
  if (!end || (size_t)(end - begin) >= sizeof footer) return false;
  memcpy(footer, begin, (size_t)(end - begin));
  footer[end - begin] = '\0';
  return read_footer(footer, &zone->footer);
}

static void free_zone(struct nm_zone *zone)
{
  if (!zone) return;
  free(zone->edges);
  free(zone->offsets);
  free(zone);
}

static struct nm_zone *load_zone(struct nm_text name)
{
  char path[PATH_MAX];
  const char *folder = getenv("TZDIR");
  unsigned char *bytes = NULL;
  struct nm_zone *zone = NULL;
  bool is_good = false;
  size_t len = 0;
  int n = snprintf(path, sizeof path, "%s/%.*s", folder && *folder ? folder : "/usr/share/zoneinfo",
                   NM_TEXT_ARG(name));
  int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return NULL;

  bytes = malloc(ZONE_FILE_MAX_BYTES);
  zone = calloc(1, sizeof *zone);
  if (!bytes || !zone) goto out;
  while (len < ZONE_FILE_MAX_BYTES) {
    ssize_t got = read(fd, bytes + len, ZONE_FILE_MAX_BYTES - len);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    len += (size_t)got;
  }
  memcpy(zone->name, name.ptr, name.len);
  is_good = parse_file(bytes, len, zone);
out:
  free(bytes);
  close(fd);
  if (is_good) return zone;
  free_zone(zone);
  return NULL;
}

/* Letters, digits and _+- in parts joined by single slashes: no way out of the folder. */
static bool is_zone_name(struct nm_text name)
{
  if (name.len == 0 || name.len > NAME_MAX_BYTES) return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    bool is_part = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '+' || c == '-';
    bool is_joint = c == '/' && i > 0 && i + 1 < name.len && name.ptr[i - 1] != '/';
    if (!is_part && !is_joint) return false;
  }
  return true;
}

int nm_zone_find(const struct nm_zone **out, struct nm_text name)
{
  int rc = NM_OK;
  if (nm_text_equal(name, NM_TEXT("UTC"))) {
    *out = &utc;
    return NM_OK;
  }
  if (!is_zone_name(name)) return NM_EINVAL;

  pthread_mutex_lock(&zones_lock);
  struct nm_zone *zone = zones;
  while (zone && !nm_text_equal(name, nm_text_from(zone->name))) zone = zone->next;
  if (!zone && zone_count >= ZONES_MAX) {
    rc = NM_ELIMIT;
  } else if (!zone) {
    zone = load_zone(name);
    if (zone) {
      zone->next = zones;
      zones = zone;
      zone_count++;
    } else {
      rc = NM_EINVAL;
    }
  }
  pthread_mutex_unlock(&zones_lock);
  if (rc == NM_OK) *out = zone;
  return rc;
}

/* ---- instants and clocks --------------------------------------------------------------------- */

/* How many edges are at or before t. */
static size_t edges_until(const struct nm_zone *zone, int64_t t)
{
  size_t low = 0, high = zone->edge_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (zone->edges[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

static int offset_at(const struct nm_zone *zone, int64_t t)
{
  size_t passed = edges_until(zone, t);
  if (passed == zone->edge_count && zone->footer.is_set) return footer_offset(&zone->footer, t);
  return passed == 0 ? zone->first_offset : zone->offsets[passed - 1];
}

/* The first edge after t; INT64_MAX when there is none. */
static int64_t next_edge(const struct nm_zone *zone, int64_t t)
{
  size_t passed = edges_until(zone, t);
  int64_t best = INT64_MAX;
  if (passed < zone->edge_count) return zone->edges[passed];
  if (!zone->footer.has_dst) return best;
  int64_t year = year_at(t);
  for (int64_t y = year - 1; y <= year + 2; y++) {
    for (int to_dst = 0; to_dst < 2; to_dst++) {
      int64_t edge = yearly_edge(&zone->footer, to_dst, y);
      if (edge > t && edge < best) best = edge;
    }
  }
  return best;
}

void nm_zone_local(const struct nm_zone *zone, int64_t wall_ms, struct nm_local *out)
{
  int64_t t = floor_div(wall_ms, 1000);
  int offset = offset_at(zone, t);
  int64_t shown = t + offset, days = floor_div(shown, DAY_S);
  int second = (int)(shown - days * DAY_S);
  date_of(days, out);
  out->hour = second / 3600;
  out->minute = second / 60 % 60;
  out->second = second % 60;
  out->weekday = (int)(days + 3 - floor_div(days + 3, 7) * 7) + 1;
  out->offset_s = offset;
}

/* Walks the stretches of constant offset from well before the wanted reading: the first that shows
 * it wins, and one that begins behind it means that no clock showed it. */
int64_t nm_zone_instant(const struct nm_zone *zone, int year, int month, int day, int hour,
                        int minute, int second)
{
  int64_t wanted = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
  int64_t begin = wanted - OFFSET_MAX_S;
  for (int i = 0; i < EDGES_AHEAD_MAX; i++) {
    int64_t end = next_edge(zone, begin), t = wanted - offset_at(zone, begin);
    if (t < begin) return begin * 1000;
    if (t < end) return t * 1000;
    begin = end;
  }
  return (wanted - offset_at(zone, wanted)) * 1000;
}

int64_t nm_zone_next_minute(const struct nm_zone *zone, int64_t wall_ms, int minute_of_day)
{
  int64_t begin = floor_div(wall_ms, 1000) + 1, wanted = (int64_t)minute_of_day * 60;
  for (int i = 0; i < EDGES_AHEAD_MAX; i++) {
    int64_t end = next_edge(zone, begin), shown = begin + offset_at(zone, begin);
    int64_t day = floor_div(shown, DAY_S), into = shown - day * DAY_S;
    int64_t t = begin + (wanted >= into ? wanted - into : wanted - into + DAY_S);
    if (t < end) return t * 1000;
    /* A spring edge may skip the minute: then the edge is the moment. */
    int64_t jump = offset_at(zone, end) - offset_at(zone, end - 1);
    if (jump > 0 && t < end + jump) return end * 1000;
    begin = end;
  }
  return (begin + DAY_S) * 1000;
}
