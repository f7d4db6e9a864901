/* print.c - data as people read it. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "cli/internal.h"

enum { CELL_MAX_BYTES = 160, COLUMNS_MAX = 16 };

void nm_cli_print_json(const json_t *value)
{
  json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
  fputc('\n', stdout);
}

static bool ends_with(const char *key, const char *end)
{
  size_t len = strlen(key), end_len = strlen(end);
  return len > end_len && strcmp(key + len - end_len, end) == 0;
}

/* at, due_at, fenced_at_ms: milliseconds since 1970, 0 = never; took_ms is none. */
static bool is_time(const char *key, const json_t *value)
{
  if (!json_is_integer(value)) return false;
  return strcmp(key, "at") == 0 || strcmp(key, "from_ms") == 0 || strcmp(key, "until_ms") == 0 ||
         ends_with(key, "_at") || ends_with(key, "_at_ms");
}

static void format_time(char *out, size_t size, int64_t ms)
{
  time_t seconds = (time_t)(ms / 1000);
  struct tm local;
  char stamp[32];
  localtime_r(&seconds, &local);
  strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
  snprintf(out, size, "%s.%03d", stamp, (int)(ms % 1000));
}

/* ["netmera","loopback"] as "netmera, loopback"; anything else as JSON. */
static void format_rest(char *out, size_t size, const json_t *value)
{
  size_t i, at = 0;
  json_t *item;
  out[0] = '\0';
  json_array_foreach(value, i, item)
  {
    if (!json_is_string(item)) break;
    int n = snprintf(out + at, size - at, "%s%s", i > 0 ? ", " : "", json_string_value(item));
    if (n < 0 || (size_t)n >= size - at) return;
    at += (size_t)n;
  }
  if (json_is_array(value) && i == json_array_size(value)) return;
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  snprintf(out, size, "%s", text ? text : "?");
  free(text);
}

/* Of a whole campaign there is no template: its rows name theirs. */
static bool is_nothing(const char *key, const json_t *value)
{
  if (!value || json_is_null(value)) return true;
  bool counts_from_one = is_time(key, value) || strcmp(key, "template_id") == 0;
  return counts_from_one && json_is_integer(value) && json_integer_value(value) == 0;
}

void nm_cli_format(char *out, size_t size, const char *key, const json_t *value)
{
  if (is_nothing(key, value))
    snprintf(out, size, "-");
  else if (is_time(key, value))
    format_time(out, size, json_integer_value(value));
  else if (json_is_string(value))
    snprintf(out, size, "%s", json_string_length(value) > 0 ? json_string_value(value) : "-");
  else if (json_is_boolean(value))
    snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
  else
    format_rest(out, size, value);
}

/* Control characters would let a value draw on the terminal. */
static void clean(char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7F) *text = ' ';
}

/* How many columns UTF-8 text takes, near enough. */
static int width_of(const char *text)
{
  int width = 0;
  for (; *text; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
  return width;
}

static void cell(char *out, const json_t *row, const struct nm_cli_column *column)
{
  nm_cli_format(out, CELL_MAX_BYTES, column->key, json_object_get(row, column->key));
  clean(out);
}

void nm_cli_print_table(const json_t *rows, const struct nm_cli_column *columns, size_t count,
                        const char *when_empty)
{
  int widths[COLUMNS_MAX];
  char text[CELL_MAX_BYTES];
  size_t i;
  json_t *row;

  if (json_array_size(rows) == 0) {
    printf("%s\n", when_empty);
    return;
  }
  for (size_t c = 0; c < count; c++) {
    widths[c] = width_of(columns[c].title);
    json_array_foreach(rows, i, row)
    {
      cell(text, row, &columns[c]);
      if (width_of(text) > widths[c]) widths[c] = width_of(text);
    }
  }
  for (size_t c = 0; c < count; c++)
    printf("%-*s%s", c + 1 < count ? widths[c] : 0, columns[c].title, c + 1 < count ? "  " : "\n");
  json_array_foreach(rows, i, row)
  {
    for (size_t c = 0; c < count; c++) {
      cell(text, row, &columns[c]);
      int pad = c + 1 < count ? widths[c] - width_of(text) + 2 : 0;
      printf("%s%*s", text, pad, "");
    }
    putchar('\n');
  }
}

void nm_cli_print_facts(const json_t *object, const struct nm_cli_column *facts, size_t count)
{
  char text[4096];
  for (size_t i = 0; i < count; i++) {
    const json_t *value = json_object_get(object, facts[i].key);
    if (!value || json_is_null(value)) continue;
    nm_cli_format(text, sizeof text, facts[i].key, value);
    if (strcmp(text, "-") == 0) continue;
    clean(text);
    printf("%-20s %s\n", facts[i].title, text);
  }
}

void nm_cli_print_checks(const json_t *report)
{
  size_t i;
  json_t *check;
  json_array_foreach(json_object_get(report, "checks"), i, check)
    printf("%-8s %s: %s\n", nm_json_string(check, "result").ptr, nm_json_string(check, "what").ptr,
           nm_json_string(check, "text").ptr);
}

void nm_cli_print_problems(FILE *to, const struct nm_problems *problems, bool with_trace)
{
  for (const struct nm_problem *p = problems->first; p; p = p->next) {
    fprintf(to, "%.*s\n", NM_TEXT_ARG(p->text));
    if (with_trace && p->trace.len > 0) fprintf(to, "%.*s\n", NM_TEXT_ARG(p->trace));
  }
  if (problems->count > NM_PROBLEMS_MAX)
    fprintf(to, "... and %zu more\n", problems->count - NM_PROBLEMS_MAX);
}

void nm_cli_print_lines(const json_t *report, const char *key, const char *prefix)
{
  size_t i;
  json_t *line;
  json_array_foreach(json_object_get(report, key), i, line)
    printf("  %s%s\n", prefix, json_string_value(line));
}
