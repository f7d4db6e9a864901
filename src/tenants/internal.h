/* internal.h - what the files of tenants/ share. */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "tenants/tenants.h"

/* The counted box around what others see.  `tenant` stands first, so a pointer to one is a pointer
 * to the other. */
struct nm_tenant_box {
  struct nm_tenant tenant;
  atomic_int references;
  struct nm_arena *arena; /* every text and array of the tenant */
  json_t *document;       /* tenant.document */
  json_t *settings;       /* an array that keeps each provider's settings alive */
};

/* ---- read.c: reading tables with closed key sets, complaining by the line -------------------- */

struct nm_tenant_reader {
  struct nm_problems *problems;
  struct nm_arena *arena;
  const char *where;     /* begins every line */
  bool may_lack_secrets;
};

NM_PRINTF(3, 4)
void nm_tenant_complain(struct nm_tenant_reader *reader, const char *path, const char *format, ...);

/* "optimove.channels[2]": a path for people, in the problems' arena. */
NM_PRINTF(2, 3)
const char *nm_tenant_path(struct nm_tenant_reader *reader, const char *format, ...);

/* Complains of every key that is not known. */
void nm_tenant_check_keys(struct nm_tenant_reader *reader, const char *path, const json_t *table,
                          const char *const *known, size_t count);

/* A table with names as keys, or a list; complains and gives NULL where it is something else.  An
 * empty Lua table is both. */
const json_t *nm_tenant_table(struct nm_tenant_reader *reader, const char *path,
                              const json_t *value);
const json_t *nm_tenant_list(struct nm_tenant_reader *reader, const char *path, const json_t *value,
                             size_t max);

/* The text at a key, copied; empty after a complaint or, where it is not required, when missing.
 * *is_open says that it is a secret which is not resolved here: nothing more can be said of it. */
struct nm_text nm_tenant_text(struct nm_tenant_reader *reader, const char *path,
                              const json_t *table, const char *key, bool is_required,
                              bool *is_open);

/* The same of a value found already, which is not nothing; `at` names it. */
struct nm_text nm_tenant_text_of(struct nm_tenant_reader *reader, const char *at,
                                 const json_t *value, bool *is_open);

/* A number above 0 and at most max; false after a complaint. */
bool nm_tenant_number(struct nm_tenant_reader *reader, const char *at, const json_t *value,
                      double max, double *out);

/* The place of the word at a key among the known ones; the first, 0, when missing or wrong. */
size_t nm_tenant_word(struct nm_tenant_reader *reader, const char *path, const json_t *table,
                      const char *key, const char *const *words, size_t count);

/* "a number", "a table", ... */
const char *nm_tenant_kind(const json_t *value);

/* ---- parse_door.c: who may call, and how fast ------------------------------------------------ */

/* restApiKey or restApiKeys, allow, inbound. */
void nm_tenant_read_door(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                         const json_t *document);

/* ---- parse_guard.c: ceilings ----------------------------------------------------------------- */

void nm_tenant_read_guard(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                          const json_t *document);

/* ---- parse_providers.c ----------------------------------------------------------------------- */

void nm_tenant_read_providers(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                              const json_t *document,
                              int (*check_provider)(struct nm_text adapter, const json_t *settings,
                                                    struct nm_error *err));
/* optimove.realtime, as one more provider; after those of the list. */
void nm_tenant_read_realtime(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                             const json_t *document);
void nm_tenant_read_chains(struct nm_tenant_reader *reader, struct nm_tenant_box *box,
                           const json_t *document);

/* ---- secrets.c: which keys hold secrets ------------------------------------------------------ */

bool nm_tenant_is_secret(const char *key);

/* The way to a value: one segment a key or list index, each closed by a NUL. */
struct nm_tenant_place {
  char bytes[1024];
  size_t len;
};

/* Calls `change` for the value of every secret key in the tree, at any depth; what it gives in
 * *out (when not NULL) takes the value's place.  Ends at the first code that is not 0. */
NM_MUST_CHECK int nm_tenant_each_secret(json_t *tree, struct nm_tenant_place *place,
                                        int (*change)(void *data,
                                                      const struct nm_tenant_place *place,
                                                      json_t *value, json_t **out),
                                        void *data);
