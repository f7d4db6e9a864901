/* tenant.c - tenants as code, and the connector behind them. */
#include "cli/internal.h"
#include "script/data.h"

enum { APPLY_DRY_RUN = 0, APPLY_IF_VERSION = 1, APPLY_FORCE = 2 };
enum { REMOVE_YES = 0, REMOVE_FORCE = 1, REMOVE_PURGE = 2 };

static void print_report(const char *file, const json_t *report)
{
  const json_t *changes = json_object_get(report, "changes");
  struct nm_text status = nm_json_string(report, "status");
  bool is_dry = nm_text_equal(status, NM_TEXT("dry_run"));
  bool is_new = json_is_true(json_object_get(report, "is_new"));
  printf("%s: %s %s: %s\n", file, is_new ? "new tenant" : "tenant",
         nm_json_string(report, "tenant").ptr, is_dry ? "would change as follows" : status.ptr);
  if (json_is_array(changes) && json_array_size(changes) == 0)
    printf("  nothing changes\n");
  nm_cli_print_lines(report, "changes", "");
  nm_cli_print_lines(report, "done", "done: ");
  nm_cli_print_lines(report, "todo", "to do: ");
  nm_cli_print_lines(report, "warnings", "warning: ");
}

/* The tag of the version that is there now, or the one of --if-version; empty: there is none, or
 * --force. */
static int find_tag(struct nm_invocation *invocation, struct nm_text path, struct nm_text *tag)
{
  const char *wanted = invocation->options[APPLY_IF_VERSION];
  struct nm_cli_answer answer;
  int64_t version = 0, asked = 0;
  *tag = NM_TEXT("");
  if (invocation->options[APPLY_FORCE] && !wanted)
    return NM_CLI_DONE;
  if (wanted && (!nm_text_to_i64(nm_text_from(wanted), &asked) || asked < 1)) {
    fprintf(stderr, "netmove tenant apply: --if-version %s: expected a number from 1\n", wanted);
    return NM_CLI_WRONG_USAGE;
  }
  int code = nm_cli_look(invocation, path, &answer);
  if (answer.status == 200) {
    *tag = answer.etag;
    (void)nm_json_i64(answer.body, "version", &version);
  }
  json_decref(answer.body);
  if (code != NM_CLI_DONE)
    return code;
  if (!wanted || version == asked)
    return NM_CLI_DONE;
  fprintf(
      stderr,
      "netmove tenant apply: the tenant is at version %lld, not %lld: somebody saved it meanwhile; "
      "see netmove tenant show\n",
      (long long)version, (long long)asked);
  return NM_CLI_NOT_RIGHT;
}

/* Sends one file's tenant; NM_CLI_DONE where all is as wanted. */
static int apply_file(struct nm_invocation *invocation, const char *file, bool is_dry,
                      json_t *reports)
{
  struct nm_problems problems = { .arena = invocation->arena };
  struct nm_cli_answer answer;
  json_t *document = NULL;
  int rc = nm_data_load(&document, nm_text_from(file), NM_SECRETS_RESOLVE, &problems);
  if (rc) {
    nm_cli_print_problems(stderr, &problems, false);
    return rc == NM_EIO ? NM_CLI_COULD_NOT : NM_CLI_NOT_RIGHT;
  }
  struct nm_text name = nm_json_string(document, "name");
  if (name.len == 0) {
    fprintf(stderr, "%s: name: missing; a tenant needs a name\n", file);
    json_decref(document);
    return NM_CLI_NOT_RIGHT;
  }
  struct nm_text tag, path = nm_arena_printf(invocation->arena, "/tenants/%.*s",
                                             NM_TEXT_ARG(nm_arena_escape(invocation->arena, name)));
  int code = find_tag(invocation, path, &tag);
  if (code != NM_CLI_DONE) {
    json_decref(document);
    return code;
  }
  path =
      nm_arena_printf(invocation->arena, "%.*s%s%s", NM_TEXT_ARG(path), is_dry ? "?dry_run=1" : "?",
                      invocation->options[APPLY_FORCE] ? "&force=1" : "");
  code = nm_cli_ask_if(invocation, "PUT", path, document, tag, &answer);
  size_t i;
  json_t *line;
  json_array_foreach(json_object_get(answer.body, "problems"), i, line)
      fprintf(stderr, "%s: %s\n", file, json_string_value(line));
  if (code == NM_CLI_DONE) {
    if (!invocation->is_json)
      print_report(file, answer.body);
    struct nm_text status = nm_json_string(answer.body, "status");
    bool is_right = is_dry || nm_text_equal(status, NM_TEXT("applied"));
    json_array_append(reports, answer.body);
    if (!is_right)
      code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  json_decref(document);
  return code;
}

int nm_cli_tenant_apply(struct nm_invocation *invocation)
{
  bool is_dry = invocation->options[APPLY_DRY_RUN] != NULL;
  json_t *reports = json_array();
  int worst = NM_CLI_DONE;
  for (int i = 0; i < invocation->word_count; i++) {
    int code = apply_file(invocation, invocation->words[i], is_dry, reports);
    if (code > worst)
      worst = code;
  }
  if (invocation->is_json)
    nm_cli_print_json(reports);
  json_decref(reports);
  return worst;
}

int nm_cli_tenant_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "name", "TENANT" },       { "app_key", "APP KEY" },     { "connector", "CONNECTOR" },
    { "channels", "CHANNELS" }, { "providers", "PROVIDERS" }, { "version", "VERSION" },
  };
  return nm_cli_list(invocation, NM_TEXT("/tenants"), columns, NM_CLI_COUNT(columns),
                     "no tenants yet; `netmove tenant apply FILE` makes one");
}

int nm_cli_tenant_show(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text path = nm_cli_word_path(invocation, "/tenants/", "");
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  if (code == NM_CLI_DONE)
    nm_cli_print_json(answer.body);
  json_decref(answer.body);
  return code;
}

/* ---- remove ---------------------------------------------------------------------------------- */

int nm_cli_tenant_remove(struct nm_invocation *invocation)
{
  const char *const *options = invocation->options;
  struct nm_cli_answer answer;
  struct nm_text question = nm_arena_printf(
      invocation->arena,
      "Remove tenant %s?  Its listeners at Optimove are taken away, what waits is stopped%s.",
      invocation->words[0], options[REMOVE_PURGE] ? ", and all that is kept of it is deleted" : "");
  if (!nm_cli_confirm(invocation, options[REMOVE_YES] != NULL, question.ptr))
    return NM_CLI_NOT_RIGHT;
  char how[32];
  snprintf(how, sizeof how, "?force=%d&purge=%d", options[REMOVE_FORCE] != NULL,
           options[REMOVE_PURGE] != NULL);
  struct nm_text path = nm_cli_word_path(invocation, "/tenants/", how);
  int code = nm_cli_ask(invocation, "DELETE", path, NULL, &answer);
  if (code == NM_CLI_DONE) {
    bool is_removed = nm_text_equal(nm_json_string(answer.body, "status"), NM_TEXT("removed"));
    if (invocation->is_json) {
      nm_cli_print_json(answer.body);
    } else {
      printf("%s: %s\n", invocation->words[0],
             is_removed
                 ? "removed"
                 : "nobody gets in any more and nothing goes out; it is removed when Optimove has "
                   "forgotten its listeners, or with --force");
      nm_cli_print_lines(answer.body, "done", "done: ");
      nm_cli_print_lines(answer.body, "todo",
                         is_removed ? "stays behind at Optimove: " : "to do: ");
      nm_cli_print_lines(answer.body, "warnings", "warning: ");
    }
    if (!is_removed)
      code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}
