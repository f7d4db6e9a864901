#include <stdlib.h>

#include "rules/rules.h"

struct nm_generation *nm_generation_create(int64_t tenant_id, struct nm_rules *rules,
                                           struct nm_text source)
{
  struct nm_generation *generation = calloc(1, sizeof *generation);
  char *copy = malloc(source.len + 1);
  if (!generation || !copy) {
    free(copy);
    free(generation);
    return NULL;
  }
  if (source.len > 0) memcpy(copy, source.ptr, source.len);
  copy[source.len] = '\0';
  *generation = (struct nm_generation){
    .tenant_id = tenant_id, .rules = rules, .source = { copy, source.len }, .references = 1,
  };
  return generation;
}

void nm_generation_unref(struct nm_generation *generation)
{
  if (!generation || --generation->references > 0) return;
  nm_rules_destroy(generation->rules);
  free((char *)(uintptr_t)generation->source.ptr);
  free(generation);
}
