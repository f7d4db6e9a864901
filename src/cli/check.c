/* check.c - proves files without a daemon, a store or settings. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "adapters/adapter.h"
#include "base/limits.h"
#include "cli/internal.h"
#include "rules/rules.h"
#include "script/data.h"
#include "tenants/tenants.h"

enum { FILES_MAX = 10000, FILE_MAX_BYTES = 1024 * 1024 };

struct findings {
  struct nm_invocation *invocation;
  struct nm_problems problems;
  json_t *files, *warnings;
  int count, wrong, missing;
};

enum kind { KIND_RULES = 0, KIND_TENANT = 1, KIND_SETTINGS = 2, KIND_LIBRARY = 3 };

static const char *const kind_names[] = { "rules", "tenant", "settings", "library" };

/* ---- one file -------------------------------------------------------------------------------- */

static int read_file(struct nm_arena *arena, const char *path, struct nm_text *out)
{
  FILE *file = fopen(path, "rb");
  if (!file) return -errno;
  char *bytes = nm_arena_alloc(arena, FILE_MAX_BYTES + 1);
  size_t len = bytes ? fread(bytes, 1, FILE_MAX_BYTES, file) : 0;
  bool is_bad = !bytes || ferror(file);
  fclose(file);
  *out = (struct nm_text){ bytes, len };
  return is_bad ? -EIO : 0;
}

static bool contains(struct nm_text text, const char *word)
{
  return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

/* Rules say `return tenant {`; of the two tables, only a tenant has an appKey. */
static enum kind kind_of(const char *path, struct nm_text source)
{
  const char *name = strrchr(path, '/');
  name = name ? name + 1 : path;
  if (name - path >= 4 && strncmp(name - 4, "lib/", 4) == 0) return KIND_LIBRARY;
  if (contains(source, "return tenant") || strstr(path, "rules/")) return KIND_RULES;
  if (strcmp(name, "netmove.lua") == 0) return KIND_SETTINGS;
  return contains(source, "appKey") || strstr(path, "tenants/") ? KIND_TENANT : KIND_SETTINGS;
}

static int check_provider(struct nm_text adapter, const json_t *settings, struct nm_error *err)
{
  const struct nm_adapter *found = nm_adapter_find(adapter);
  return found ? found->check(settings, err) : NM_OK; /* the parser has said so */
}

static int check_rules(struct findings *findings, const char *path, struct nm_text source)
{
  struct nm_rules *rules = NULL;
  struct nm_rules_libraries libraries = { .arena = findings->invocation->arena };
  int rc =
      nm_rules_load_file(&rules, nm_text_from(path), source, &libraries, &findings->problems);
  if (rc) return rc;
  const struct nm_rules_facts *facts = nm_rules_facts(rules);
  for (size_t i = 0; i < facts->warning_count; i++) {
    struct nm_text line = facts->warnings[i];
    json_array_append_new(findings->warnings, json_stringn(line.ptr, line.len));
    if (!findings->invocation->is_json) fprintf(stderr, "%.*s (a warning)\n", NM_TEXT_ARG(line));
  }
  nm_rules_destroy(rules);
  return NM_OK;
}

static void check_tenant(const char *path, struct nm_problems *problems)
{
  json_t *document = NULL;
  struct nm_tenant *tenant = NULL;
  if (nm_data_load(&document, nm_text_from(path), NM_SECRETS_KEEP, problems)) return;
  if (!nm_tenant_parse(&tenant, document, path, true, check_provider, problems))
    nm_tenant_unref(tenant);
  json_decref(document);
}

static void check_settings(const char *path, struct nm_problems *problems)
{
  struct nm_settings *settings = NULL;
  if (nm_settings_load(&settings, nm_text_from(path), problems)) return;
  nm_settings_check_files(settings, path, problems);
  nm_settings_destroy(settings);
}

static void check_file(struct findings *findings, const char *path)
{
  struct nm_text source;
  struct nm_problems *problems = &findings->problems;
  size_t before = problems->count;
  int rc = read_file(findings->invocation->arena, path, &source);
  if (rc) {
    nm_problems_add(problems, "%s: %s", path, strerror(-rc));
    findings->missing++;
    return;
  }
  enum kind kind = kind_of(path, source);
  if (kind == KIND_RULES) rc = check_rules(findings, path, source);
  else if (kind == KIND_LIBRARY) rc = nm_rules_check_library(nm_text_from(path), problems);
  else if (kind == KIND_TENANT) check_tenant(path, problems);
  else check_settings(path, problems);
  bool is_fine = !rc && problems->count == before;
  findings->count++;
  findings->wrong += !is_fine;
  json_array_append_new(findings->files, json_pack("{s:s,s:s,s:b}", "file", path, "kind",
                                                   kind_names[kind], "ok", is_fine));
}

/* ---- folders --------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool ends_with_lua(const char *name)
{
  size_t len = strlen(name);
  return len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

static void check_path(struct findings *findings, const char *path, bool is_named);

static void check_folder(struct findings *findings, const char *path)
{
  const char **names = calloc(FILES_MAX, sizeof *names);
  DIR *folder = opendir(path);
  int count = 0;
  if (!folder || !names) {
    nm_problems_add(&findings->problems, "%s: %s", path, strerror(errno));
    findings->missing++;
  }
  for (struct dirent *entry; folder && (entry = readdir(folder)) && count < FILES_MAX;)
    if (entry->d_name[0] != '.')
      names[count++] =
          nm_arena_printf(findings->invocation->arena, "%s/%s", path, entry->d_name).ptr;
  if (folder) closedir(folder);
  if (count > 0) qsort(names, (size_t)count, sizeof *names, compare_names);
  for (int i = 0; i < count; i++) check_path(findings, names[i], false);
  free(names);
}

/* Of a folder only Lua files and further folders count; what was named is looked at in any case. */
static void check_path(struct findings *findings, const char *path, bool is_named)
{
  struct stat info;
  if (stat(path, &info)) {
    nm_problems_add(&findings->problems, "%s: %s", path, strerror(errno));
    findings->missing++;
  } else if (S_ISDIR(info.st_mode)) {
    check_folder(findings, path);
  } else if (is_named || ends_with_lua(path)) {
    check_file(findings, path);
  }
}

/* "rules/" as a person types it, without its slash. */
static const char *without_slash(struct nm_arena *arena, const char *path)
{
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/') len--;
  return nm_arena_copy(arena, (struct nm_text){ path, len }).ptr;
}

/* A library is known by its folder: "texts.lua" said inside of it is "../lib/texts.lua". */
static const char *from_within(struct nm_arena *arena, const char *path)
{
  char real[PATH_MAX];
  const char *name = strchr(path, '/') || !realpath(path, real) ? NULL : strrchr(real, '/');
  if (!name || name - real < 4 || strncmp(name - 4, "/lib", 4) != 0)
    return without_slash(arena, path);
  struct nm_text longer = nm_arena_printf(arena, "../lib/%s", path);
  return longer.ptr ? longer.ptr : path;
}

/* Whoever names a folder in which there is nothing has probably named the wrong one. */
static void check_named(struct findings *findings, const char *path)
{
  int before = findings->count + findings->missing;
  check_path(findings, path, true);
  if (findings->count + findings->missing > before) return;
  nm_problems_add(&findings->problems, "%s: nothing to check: of a folder only .lua files count",
                  path);
  findings->missing++;
}

int nm_cli_check(struct nm_invocation *invocation)
{
  struct findings findings = { .invocation = invocation,
                               .problems = { .arena = invocation->arena },
                               .files = json_array(), .warnings = json_array() };
  bool with_trace = invocation->options[0] != NULL;

  if (invocation->word_count == 0) {
    check_named(&findings, "rules");
    check_named(&findings, "config");
  }
  for (int i = 0; i < invocation->word_count; i++)
    check_named(&findings, from_within(invocation->arena, invocation->words[i]));

  if (invocation->is_json) {
    json_t *lines = json_array();
    for (const struct nm_problem *p = findings.problems.first; p; p = p->next)
      json_array_append_new(lines, json_stringn(p->text.ptr, p->text.len));
    json_t *all = json_pack("{s:O,s:o,s:O}", "files", findings.files, "problems", lines, "warnings",
                            findings.warnings);
    nm_cli_print_json(all);
    json_decref(all);
  } else {
    nm_cli_print_problems(stderr, &findings.problems, with_trace);
    if (findings.missing > 0 && invocation->word_count == 0)
      fprintf(stderr, "netmove check: without arguments it looks at rules/ and config/ of this "
                      "folder; name the files or folders\n");
    printf("%d file%s checked, %d wrong\n", findings.count, findings.count == 1 ? "" : "s",
           findings.wrong);
  }
  json_decref(findings.files);
  json_decref(findings.warnings);
  if (findings.missing > 0) return NM_CLI_COULD_NOT;
  return findings.wrong > 0 ? NM_CLI_NOT_RIGHT : NM_CLI_DONE;
}
