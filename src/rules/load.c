#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rules/internal.h"

enum { SLOW_NS = 3 * 1000 * 1000 }; /* of CPU, to prove a file */

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
  /* A library's mistake is one, however many files use it. */
  for (const struct nm_problem *p = problems->first; p; p = p->next)
    if (nm_text_equal(p->text, text)) return;
  if (text.len > 0) nm_problems_add(problems, "%.*s", NM_TEXT_ARG(text));
  else nm_problems_add(problems, "%.*s: not right, and the reason is lost", NM_TEXT_ARG(file));
  if (trace.len > 0) nm_problems_add_trace(problems, trace);
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
                const struct nm_script_libraries *libraries, struct nm_problems *problems)
{
  struct nm_value found;
  struct nm_error err = { 0, "" };
  int rc = nm_script_prove_open(&err);
  int64_t began_ns = nm_clock_thread_cpu_ns();
  if (rc == NM_OK) rc = nm_script_prove(file, source, libraries, rules->arena, &found, &err);
  if (rc == NM_EINVAL) {
    add_problems(problems, file, &found);
    return rc;
  }
  if (rc == NM_OK) rc = nm_rules_read_facts(rules, &found, &err);
  rules->is_slow = nm_clock_thread_cpu_ns() - began_ns > SLOW_NS;
  if (rc != NM_OK) add_error(problems, file, &err);
  return rc == NM_ELIMIT ? NM_EINVAL : rc;
}

static bool is_too_large(struct nm_text file, struct nm_text source, struct nm_problems *problems)
{
  if (source.len <= NM_RULES_SOURCE_MAX_BYTES) return false;
  nm_problems_add(problems, "%.*s: larger than %d bytes", NM_TEXT_ARG(file),
                  NM_RULES_SOURCE_MAX_BYTES);
  return true;
}

static struct nm_rules *create(struct nm_text file, struct nm_problems *problems)
{
  struct nm_rules *rules = calloc(1, sizeof *rules);
  if (rules) rules->arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES);
  if (rules && rules->arena) return rules;
  nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(file));
  nm_rules_destroy(rules);
  return NULL;
}

/* A thousand tenants are proven at once and few of them have events at any time: the state that
 * serves them is opened when the first one comes.  A file that takes its time is opened here: an
 * event should not wait for it. */
static int keep(struct nm_rules *rules, struct nm_text file, struct nm_text source,
                struct nm_problems *problems)
{
  rules->file = nm_arena_copy(rules->arena, file);
  rules->source = nm_arena_copy(rules->arena, source);
  struct nm_error err = { 0, "" };
  bool is_whole = nm_rules_make_entries(rules) == NM_OK && !nm_arena_has_refused(rules->arena);
  if (is_whole) {
    int rc = rules->is_slow ? nm_rules_open_state(rules, &err) : NM_OK;
    if (rc != NM_OK) add_error(problems, file, &err);
    return rc;
  }
  nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(file));
  return NM_ENOMEM;
}

int nm_rules_load(struct nm_rules **out, struct nm_text file, struct nm_text source,
                  struct nm_problems *problems)
{
  struct nm_rules_bundle bundle;
  struct nm_script_libraries libraries;
  bool is_bundle = nm_rules_bundle_read(source, &bundle);
  struct nm_text main = is_bundle ? bundle.main : source;
  if (is_bundle) libraries = nm_rules_bundle_libraries(&bundle);
  if (is_too_large(file, main, problems)) return NM_EINVAL;
  struct nm_rules *rules = create(file, problems);
  if (!rules) return NM_ENOMEM;
  nm_rules_digest(source, rules->facts.digest);
  int rc = load(rules, file, main, is_bundle ? &libraries : NULL, problems);
  if (rc == NM_OK) rc = keep(rules, file, source, problems);
  if (rc == NM_OK) *out = rules;
  else nm_rules_destroy(rules);
  return rc;
}

int nm_rules_load_file(struct nm_rules **out, struct nm_text file, struct nm_text source,
                       struct nm_rules_libraries *libraries, struct nm_problems *problems)
{
  struct nm_rules_bundle bundle;
  struct nm_rules_beside beside = { libraries, file };
  struct nm_script_libraries host = nm_rules_beside_libraries(&beside);
  if (is_too_large(file, source, problems)) return NM_EINVAL;
  if (nm_rules_bundle_read(source, &bundle)) {
    nm_problems_add(problems, "%.*s:1: this is a bundle, as `netmove rules show` prints it: save "
                    "each of its parts as its own file", NM_TEXT_ARG(file));
    return NM_EINVAL;
  }
  struct nm_rules *rules = create(file, problems);
  if (!rules) return NM_ENOMEM;
  libraries->bytes = source.len;
  int rc = load(rules, file, source, &host, problems);
  if (rc == NM_OK && (rc = nm_rules_bundle_make(libraries, file, source)) != NM_OK)
    nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(file));
  if (rc == NM_OK) rc = keep(rules, file, libraries->bundle, problems);
  if (rc == NM_OK) {
    nm_rules_digest(libraries->bundle, rules->facts.digest);
    *out = rules;
  } else {
    nm_rules_destroy(rules);
  }
  return rc;
}

/* "rules/lib/texts.lua" is looked at through a tenant that does nothing but use it. */
int nm_rules_check_library(struct nm_text file, struct nm_problems *problems)
{
  struct nm_rules_libraries libraries = { .arena = problems->arena };
  struct nm_rules_beside beside = { &libraries, { NULL, 0 } };
  struct nm_script_libraries host = nm_rules_beside_libraries(&beside);
  size_t len = file.len, name = file.len;
  host.is_alone = true;
  while (name > 0 && file.ptr[name - 1] != '/') name--;
  if (name < 4 || len - name < 5) return NM_EINVAL; /* not "lib/x.lua" */
  size_t folder = name - 4;
  struct nm_text source =
      nm_arena_printf(problems->arena, "use(\"%.*s\") return tenant { name = \"library\" }",
                      (int)(len - name - 4), file.ptr + name);
  struct nm_text stand_in = nm_arena_printf(problems->arena, "%.*s%.*s", (int)folder, file.ptr,
                                            (int)(len - name), file.ptr + name);
  beside.file = stand_in;
  struct nm_rules *rules = source.ptr && stand_in.ptr ? create(file, problems) : NULL;
  if (!rules) return NM_ENOMEM;
  int rc = load(rules, stand_in, source, &host, problems);
  nm_rules_destroy(rules);
  return rc;
}

void nm_rules_destroy(struct nm_rules *rules)
{
  if (!rules) return;
  nm_rules_close_state(rules);
  nm_arena_destroy(rules->arena);
  free(rules);
}

const struct nm_rules_facts *nm_rules_facts(const struct nm_rules *rules)
{
  return &rules->facts;
}
