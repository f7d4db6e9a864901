/* changes.c - what differs between two documents, in lines for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/internal.h"

enum { PATH_MAX_BYTES = 512, VALUE_MAX_BYTES = 200, CHANGES_MAX = 500 };

struct path {
  char text[PATH_MAX_BYTES];
  size_t len;
};

struct change_list {
  json_t *lines;
  bool has_failed;
};

static void compare(struct change_list *list, struct path *path, bool is_secret, const json_t *old,
                    const json_t *fresh);

/* Adds ".key" (or "key" at the top); cut where it gets too long. */
static size_t enter(struct path *path, const char *key)
{
  size_t before = path->len, len = strlen(key);
  if (path->len > 0 && path->len + 1 < sizeof path->text) path->text[path->len++] = '.';
  if (len > sizeof path->text - 1 - path->len) len = sizeof path->text - 1 - path->len;
  memcpy(path->text + path->len, key, len);
  path->len += len;
  path->text[path->len] = '\0';
  return before;
}

static void leave(struct path *path, size_t before)
{
  path->len = before;
  path->text[before] = '\0';
}

static void add_line(struct change_list *list, struct nm_text text)
{
  if (json_array_size(list->lines) >= CHANGES_MAX) return;
  if (!text.ptr || json_array_append_new(list->lines, json_stringn(text.ptr, text.len)))
    list->has_failed = true;
}

static void write_line(struct change_list *list, const struct path *path, bool is_secret,
                       const json_t *old, const json_t *fresh)
{
  struct nm_arena *arena = nm_arena_create(64 * 1024);
  const char *at = path->len > 0 ? path->text : "tenant";
  struct nm_text line = { NULL, 0 };
  if (!arena) {
    list->has_failed = true;
    return;
  }
  if (is_secret) {
    line = nm_arena_printf(arena, "%s: (%s)", at, !old ? "new" : !fresh ? "removed" : "changed");
  } else {
    struct nm_text was = old ? nm_json_text(arena, old) : NM_TEXT("");
    struct nm_text is = fresh ? nm_json_text(arena, fresh) : NM_TEXT("");
    if (was.len > VALUE_MAX_BYTES) was = NM_TEXT("...");
    if (is.len > VALUE_MAX_BYTES) is = NM_TEXT("...");
    if (!old) line = nm_arena_printf(arena, "%s: %.*s (new)", at, NM_TEXT_ARG(is));
    else if (!fresh) line = nm_arena_printf(arena, "%s: %.*s (removed)", at, NM_TEXT_ARG(was));
    else line = nm_arena_printf(arena, "%s: %.*s -> %.*s", at, NM_TEXT_ARG(was), NM_TEXT_ARG(is));
  }
  add_line(list, line);
  nm_arena_destroy(arena);
}

static int by_name(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every key of either table, sorted, each once. */
static const char **keys_of(const json_t *a, const json_t *b, size_t *count)
{
  size_t n = json_object_size(a) + json_object_size(b), kept = 0;
  const char **keys = calloc(n + 1, sizeof *keys), *key;
  json_t *value;
  if (!keys) return NULL;
  n = 0;
  json_object_foreach((json_t *)a, key, value) keys[n++] = key;
  json_object_foreach((json_t *)b, key, value)
    if (!json_object_get(a, key)) keys[n++] = key;
  qsort(keys, n, sizeof *keys, by_name);
  for (size_t i = 0; i < n; i++)
    if (kept == 0 || strcmp(keys[kept - 1], keys[i]) != 0) keys[kept++] = keys[i];
  *count = kept;
  return keys;
}

static void compare_tables(struct change_list *list, struct path *path, const json_t *old,
                           const json_t *fresh)
{
  size_t count = 0;
  const char **keys = keys_of(old, fresh, &count);
  if (!keys) list->has_failed = true;
  for (size_t i = 0; i < count; i++) {
    size_t before = enter(path, keys[i]);
    compare(list, path, nm_tenant_is_secret(keys[i]), json_object_get(old, keys[i]),
            json_object_get(fresh, keys[i]));
    leave(path, before);
  }
  free(keys);
}

/* Entries of our lists have names of their own: two lists are compared by them, not by place. */
static json_t *name_of(const json_t *entry)
{
  static const char *const naming[] = { "event", "id", "realFieldName" };
  for (size_t i = 0; i < sizeof naming / sizeof *naming; i++) {
    json_t *name = json_object_get(entry, naming[i]);
    if (json_is_string(name) || json_is_integer(name)) return name;
  }
  return NULL;
}

/* {name: entry} of a list, or NULL where an entry has none. */
static json_t *by_names(const json_t *list)
{
  json_t *table = json_object(), *entry;
  size_t i;
  json_array_foreach(list, i, entry) {
    json_t *name = name_of(entry);
    char number[24];
    if (json_is_integer(name))
      snprintf(number, sizeof number, "%lld", (long long)json_integer_value(name));
    const char *key = json_is_integer(name) ? number : json_string_value(name);
    if (!key || json_object_get(table, key) || json_object_set(table, key, entry)) {
      json_decref(table);
      return NULL;
    }
  }
  return table;
}

static void compare_lists(struct change_list *list, struct path *path, const json_t *old,
                          const json_t *fresh)
{
  json_t *a = by_names(old), *b = by_names(fresh);
  if (a && b) compare_tables(list, path, a, b);
  else if (!json_equal(old, fresh)) write_line(list, path, false, old, fresh);
  json_decref(a);
  json_decref(b);
}

static bool is_container(const json_t *value)
{
  return (json_is_object(value) && json_object_size(value) > 0) ||
         (json_is_array(value) && json_array_size(value) > 0);
}

static void compare(struct change_list *list, struct path *path, bool is_secret, const json_t *old,
                    const json_t *fresh)
{
  const json_t *empty = NULL;
  json_t *none = NULL;
  if (old == fresh || (old && fresh && json_equal(old, fresh))) return;
  if (!is_secret && (!old || !fresh) && is_container(old ? old : fresh)) {
    none = json_is_object(old ? old : fresh) ? json_object() : json_array();
    empty = none;
  }
  const json_t *a = old ? old : empty, *b = fresh ? fresh : empty;
  if (!is_secret && json_is_object(a) && json_is_object(b)) compare_tables(list, path, a, b);
  else if (!is_secret && json_is_array(a) && json_is_array(b) &&
           name_of(json_array_get(json_array_size(a) ? a : b, 0)))
    compare_lists(list, path, a, b);
  else write_line(list, path, is_secret, old, fresh);
  json_decref(none);
}

json_t *nm_tenant_changes(const struct nm_tenant *old, const struct nm_tenant *fresh)
{
  struct change_list list = { json_array(), false };
  struct path path = { .len = 0 };
  json_t *none = old ? NULL : json_object();
  if (!list.lines || (!old && !none)) {
    json_decref(none);
    json_decref(list.lines);
    return NULL;
  }
  compare_tables(&list, &path, old ? old->document : none, fresh->document);
  json_decref(none);
  if (!list.has_failed) return list.lines;
  json_decref(list.lines);
  return NULL;
}
