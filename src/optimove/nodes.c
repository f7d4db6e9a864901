#include "optimove/nodes.h"

bool nm_nodes_init(struct nm_nodes *nodes, struct nm_arena *arena, size_t max)
{
  *nodes = (struct nm_nodes){ .max = max };
  nodes->items = nm_arena_alloc(arena, max * sizeof *nodes->items);
  return nodes->items != NULL;
}

static struct nm_json_node *add(struct nm_nodes *nodes, enum nm_json_kind kind)
{
  nm_require(nodes->count < nodes->max);
  struct nm_json_node *node = &nodes->items[nodes->count++];
  node->kind = kind;
  return node;
}

size_t nm_nodes_open(struct nm_nodes *nodes, enum nm_json_kind kind)
{
  add(nodes, kind);
  return nodes->count - 1;
}

void nm_nodes_close(struct nm_nodes *nodes, size_t self)
{
  struct nm_json_node *node = &nodes->items[self];
  uint32_t values = 0;
  for (size_t at = self + 1; at < nodes->count; at = nm_nodes_behind(nodes->items, at)) values++;
  node->count = node->kind == NM_JSON_OBJECT ? values / 2 : values;
  node->end = nodes->count;
}

void nm_nodes_text(struct nm_nodes *nodes, struct nm_text text)
{
  add(nodes, NM_JSON_TEXT)->text = text;
}

void nm_nodes_key(struct nm_nodes *nodes, struct nm_text key)
{
  nm_nodes_text(nodes, key);
}

void nm_nodes_member(struct nm_nodes *nodes, struct nm_text key, const struct nm_json_node *from,
                     size_t at)
{
  size_t len = nm_nodes_behind(from, at) - at;
  nm_nodes_key(nodes, key);
  nm_require(len <= nodes->max - nodes->count);
  struct nm_json_node *to = &nodes->items[nodes->count];
  memcpy(to, from + at, len * sizeof *to);
  for (size_t i = 0; i < len; i++)
    if (to[i].kind >= NM_JSON_ARRAY) to[i].end = to[i].end - at + nodes->count;
  nodes->count += len;
}

void nm_nodes_member_text(struct nm_nodes *nodes, struct nm_text key, struct nm_text text)
{
  nm_nodes_key(nodes, key);
  nm_nodes_text(nodes, text);
}

void nm_nodes_member_integer(struct nm_nodes *nodes, struct nm_text key, int64_t integer)
{
  nm_nodes_key(nodes, key);
  add(nodes, NM_JSON_INTEGER)->integer = integer;
}

/* ---- reading --------------------------------------------------------------------------------- */

static size_t count_nodes(const json_t *value)
{
  const char *key;
  json_t *member;
  size_t i, count = 1;
  json_object_foreach((json_t *)(uintptr_t)value, key, member) count += 1 + count_nodes(member);
  json_array_foreach(value, i, member) count += count_nodes(member);
  return count;
}

static struct nm_text copy_text(struct nm_arena *arena, const char *bytes, size_t len)
{
  struct nm_text copy = nm_arena_copy(arena, (struct nm_text){ bytes, len });
  nm_require(copy.ptr != NULL || len == 0);
  return copy;
}

static void add_tree(struct nm_nodes *nodes, const json_t *value, struct nm_arena *arena)
{
  static const enum nm_json_kind kinds[] = {
    [JSON_OBJECT] = NM_JSON_OBJECT, [JSON_ARRAY] = NM_JSON_ARRAY, [JSON_STRING] = NM_JSON_TEXT,
    [JSON_INTEGER] = NM_JSON_INTEGER, [JSON_REAL] = NM_JSON_REAL, [JSON_TRUE] = NM_JSON_TRUE,
    [JSON_FALSE] = NM_JSON_FALSE, [JSON_NULL] = NM_JSON_NULL,
  };
  const char *key;
  json_t *member;
  size_t i, self = nodes->count;
  struct nm_json_node *node = add(nodes, kinds[json_typeof(value)]);
  if (json_is_string(value))
    node->text = copy_text(arena, json_string_value(value), json_string_length(value));
  if (json_is_integer(value)) node->integer = json_integer_value(value);
  if (json_is_real(value)) node->real = json_real_value(value);
  json_object_foreach((json_t *)(uintptr_t)value, key, member)
  {
    nm_nodes_text(nodes, copy_text(arena, key, strlen(key)));
    add_tree(nodes, member, arena);
  }
  json_array_foreach(value, i, member) add_tree(nodes, member, arena);
  if (json_is_object(value) || json_is_array(value)) nm_nodes_close(nodes, self);
}

int nm_nodes_read(struct nm_json_tape *tape, struct nm_text text, struct nm_arena *arena,
                  struct nm_error *err)
{
  struct nm_error why = { 0 };
  struct nm_nodes nodes;
  json_t *tree = NULL;
  if (nm_json_tape_read(tape, text, arena)) return NM_OK;
  int rc = nm_json_parse_any(&tree, text, &why);
  if (rc == NM_ENOMEM) return nm_fail(err, rc, "out of memory");
  if (rc) return nm_fail(err, NM_EINVAL, "is %s", why.text);
  if (!json_is_object(tree)) {
    rc = nm_fail(err, NM_EINVAL, "is no object");
  } else if (!nm_nodes_init(&nodes, arena, count_nodes(tree))) {
    rc = nm_fail(err, NM_ENOMEM, "out of memory");
  } else {
    add_tree(&nodes, tree, arena);
    tape->nodes = nodes.items;
    tape->count = nodes.count;
  }
  json_decref(tree);
  return rc;
}
