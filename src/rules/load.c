#include <sodium.h>
#include <stdlib.h>

#include "base/limits.h"
#include "rules/internal.h"

void nm_rules_digest(struct nm_text source, char out[NM_RULES_DIGEST_BYTES + 1])
{
  unsigned char hash[crypto_hash_sha256_BYTES];
  const unsigned char *bytes = (const unsigned char *)(source.ptr ? source.ptr : "");
  crypto_hash_sha256(hash, bytes, source.len);
  sodium_bin2hex(out, NM_RULES_DIGEST_BYTES + 1, hash, sizeof hash);
}

static void add_problem(struct nm_problems *problems, struct nm_text file,
                        const struct nm_value *given)
{
  struct nm_text text = nm_value_text(given, "text"), trace = nm_value_text(given, "trace");
  size_t before = problems->count;
  if (text.len > 0) nm_problems_add(problems, "%.*s", NM_TEXT_ARG(text));
  else nm_problems_add(problems, "%.*s: not right, and the reason is lost", NM_TEXT_ARG(file));
  if (trace.len > 0 && before < NM_PROBLEMS_MAX && problems->last)
    problems->last->trace = nm_arena_copy(problems->arena, trace);
}

static void add_problems(struct nm_problems *problems, struct nm_text file,
                         const struct nm_value *found)
{
  for (size_t i = 0; i < found->table.count; i++)
    add_problem(problems, file, &found->table.entries[i].value);
  if (found->table.count == 0)
    nm_problems_add(problems, "%.*s: refused without a reason", NM_TEXT_ARG(file));
}

/* `rules/acme.lua:12: stopped after ...` names the file already. */
static void add_error(struct nm_problems *problems, struct nm_text file, const struct nm_error *err)
{
  if (nm_text_starts_with(nm_text_from(err->text), file))
    nm_problems_add(problems, "%s", err->text);
  else
    nm_problems_add(problems, "%.*s: %s", NM_TEXT_ARG(file), err->text);
}

static int load(struct nm_rules *rules, struct nm_text file, struct nm_text source,
                struct nm_problems *problems)
{
  struct nm_value found;
  struct nm_error err = { 0, "" };
  int rc = nm_script_load(&rules->script, file, source, rules->arena, &found, &err);
  if (rc == NM_EINVAL) {
    add_problems(problems, file, &found);
    return rc;
  }
  if (rc == NM_OK) rc = nm_rules_read_facts(rules, &found, &err);
  if (rc != NM_OK) add_error(problems, file, &err);
  return rc == NM_ELIMIT ? NM_EINVAL : rc;
}

int nm_rules_load(struct nm_rules **out, struct nm_text file, struct nm_text source,
                  struct nm_problems *problems)
{
  int rc = NM_ENOMEM;
  if (source.len > NM_RULES_SOURCE_MAX_BYTES) {
    nm_problems_add(problems, "%.*s: larger than %d bytes", NM_TEXT_ARG(file),
                    NM_RULES_SOURCE_MAX_BYTES);
    return NM_EINVAL;
  }
  struct nm_rules *rules = calloc(1, sizeof *rules);
  if (rules) rules->arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES);
  if (rules && rules->arena) {
    nm_rules_digest(source, rules->facts.digest);
    rc = load(rules, file, source, problems);
  } else {
    nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(file));
  }
  if (rc == NM_OK) *out = rules;
  else nm_rules_destroy(rules);
  return rc;
}

void nm_rules_destroy(struct nm_rules *rules)
{
  if (!rules) return;
  nm_script_destroy(rules->script);
  nm_arena_destroy(rules->arena);
  free(rules);
}

const struct nm_rules_facts *nm_rules_facts(const struct nm_rules *rules)
{
  return &rules->facts;
}
