#include "engine/rows.h"

static bool is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct nm_rows *rows)
{
  while (rows->at < rows->body.len && is_blank(rows->body.ptr[rows->at])) rows->at++;
}

int nm_rows_open(struct nm_rows *rows, struct nm_text body)
{
  *rows = (struct nm_rows){ .body = body };
  skip_blanks(rows);
  if (rows->at >= body.len || body.ptr[rows->at] != '[') return NM_EINVAL;
  rows->at++;
  return NM_OK;
}

/* Moves behind the text that begins at `at`. */
static void skip_string(struct nm_rows *rows)
{
  const struct nm_text body = rows->body;
  for (rows->at++; rows->at < body.len && body.ptr[rows->at] != '"'; rows->at++)
    if (body.ptr[rows->at] == '\\') rows->at++;
  rows->at++;
}

/* Moves behind one value: to the comma or bracket that follows it. */
static void skip_value(struct nm_rows *rows)
{
  size_t depth = 0;
  while (rows->at < rows->body.len) {
    char c = rows->body.ptr[rows->at];
    if (depth == 0 && (c == ',' || c == ']')) return;
    if (c == '"') {
      skip_string(rows);
      continue;
    }
    if (c == '{' || c == '[') depth++;
    if ((c == '}' || c == ']') && depth > 0) depth--;
    rows->at++;
  }
}

bool nm_rows_next(struct nm_rows *rows, struct nm_text *row)
{
  skip_blanks(rows);
  if (rows->at < rows->body.len && rows->body.ptr[rows->at] == ',') rows->at++;
  skip_blanks(rows);
  if (rows->at >= rows->body.len || rows->body.ptr[rows->at] == ']') return false;
  size_t begin = rows->at;
  skip_value(rows);
  if (rows->at > rows->body.len || rows->at == begin) return false;
  size_t end = rows->at;
  while (end > begin && is_blank(rows->body.ptr[end - 1])) end--;
  *row = (struct nm_text){ rows->body.ptr + begin, end - begin };
  rows->number++;
  return true;
}

bool nm_rows_skip_to(struct nm_rows *rows, int64_t number)
{
  struct nm_text row;
  while (rows->number < number)
    if (!nm_rows_next(rows, &row)) return false;
  return true;
}
