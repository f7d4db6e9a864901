/* rules.c - generations of a tenant's rules, and the first file of a new one. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/internal.h"
#include "script/file.h"
#include "script/starter.h"

enum { PATH_BYTES = 1024 };

/* "12 us, 340 us": what one event takes; empty where nothing ran yet. */
static void set_cpu(struct nm_invocation *invocation, json_t *row)
{
  const json_t *cost = json_object_get(row, "cost");
  json_int_t calls = json_integer_value(json_object_get(cost, "calls"));
  if (calls == 0) return;
  struct nm_text text =
      nm_arena_printf(invocation->arena, "%lld us, %lld us",
                      (long long)(json_integer_value(json_object_get(cost, "cpu_us")) / calls),
                      (long long)json_integer_value(json_object_get(cost, "cpu_us_max")));
  if (text.ptr) json_object_set_new(row, "cpu", json_stringn(text.ptr, text.len));
}

int nm_cli_rules_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "tenant", "TENANT" },     { "id", "GENERATION" }, { "digest", "DIGEST" },
    { "activated_at", "SERVES SINCE" }, { "state", "STATE" }, { "open_runs", "OPEN RUNS" },
    { "bytes", "BYTES" }, { "cpu", "CPU, MEAN AND MOST" },
  };
  struct nm_cli_answer answer;
  size_t i;
  json_t *row;
  int code = nm_cli_ask(invocation, "GET", NM_TEXT("/rules"), NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) {
    nm_cli_print_json(answer.body);
  } else if (code == NM_CLI_DONE) {
    json_array_foreach(json_object_get(answer.body, "items"), i, row)
    {
      bool is_active = json_is_true(json_object_get(row, "is_active"));
      bool is_pinned = is_active && nm_json_string(row, "pinned_over").len > 0;
      bool is_used = json_integer_value(json_object_get(row, "open_runs")) > 0;
      struct nm_text digest = nm_json_string(row, "digest");
      size_t shown = digest.len < 12 ? digest.len : 12;
      json_object_set_new(row, "digest", json_stringn(digest.ptr, shown));
      bool is_suspended = json_object_get(row, "suspended") != NULL;
      set_cpu(invocation, row);
      json_object_set_new(row, "state", json_string(is_suspended ? "suspended"
                                                    : is_pinned ? "active, pinned"
                                                    : is_active ? "active"
                                                    : is_used   ? "cooling"
                                                                : "closed"));
    }
    nm_cli_print_table(json_object_get(answer.body, "items"), columns,
                       NM_CLI_COUNT(columns), "no rules have been proven yet");
  }
  json_decref(answer.body);
  return code;
}

static json_t *mean_of(const json_t *cost, const char *key)
{
  json_int_t calls = json_integer_value(json_object_get(cost, "calls"));
  return json_integer(calls > 0 ? json_integer_value(json_object_get(cost, key)) / calls : 0);
}

/* What each rule takes of what it may. */
static void print_cost(const json_t *cost)
{
  static const struct nm_cli_column columns[] = {
    { "rule", "RULE" },           { "calls", "EVENTS" },
    { "overruns", "STOPPED" },    { "instructions", "INSTRUCTIONS" },
    { "instructions_max", "MOST" }, { "cpu_us", "US" },
    { "cpu_us_max", "MOST" },     { "bytes_max", "BYTES, MOST" },
  };
  json_t *rows = json_array(), *row;
  size_t i;
  json_array_foreach(json_object_get(cost, "rules"), i, row) json_array_append(rows, row);
  json_t *all = json_copy((json_t *)(uintptr_t)cost);
  if (all && json_array_size(rows) > 0) {
    json_object_del(all, "rules");
    json_object_set_new(all, "rule", json_string("all, with webhooks and explain"));
    json_array_append(rows, all);
  }
  json_decref(all);
  json_array_foreach(rows, i, row)
  {
    json_object_set_new(row, "instructions", mean_of(row, "instructions"));
    json_object_set_new(row, "cpu_us", mean_of(row, "cpu_us"));
  }
  nm_cli_print_table(rows, columns, NM_CLI_COUNT(columns),
                     "these rules had no events since the daemon began");
  json_decref(rows);
}

/* The source of the active one, or of the one whose id or digest begins with --generation. */
int nm_cli_rules_show(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text wanted = nm_text_from(invocation->options[0] ? invocation->options[0] : "");
  struct nm_text path = nm_cli_word_path(invocation, "/rules/", "");
  size_t i;
  json_t *item, *found = NULL;
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  json_array_foreach(json_object_get(answer.body, "items"), i, item)
    if (wanted.len == 0 ? json_is_true(json_object_get(item, "is_active"))
                        : nm_text_starts_with(nm_json_string(item, "digest"), wanted) ||
                              nm_text_equal(nm_json_string(item, "id"), wanted))
      found = item;
  if (code == NM_CLI_DONE && !found) {
    fprintf(stderr, "netmove rules show: %s has no such generation; see netmove rules list\n",
            invocation->words[0]);
    code = NM_CLI_NOT_RIGHT;
  } else if (code == NM_CLI_DONE && invocation->is_json) {
    nm_cli_print_json(found);
  } else if (code == NM_CLI_DONE && invocation->options[1]) {
    print_cost(json_object_get(found, "cost"));
  } else if (code == NM_CLI_DONE) {
    struct nm_text source = nm_json_string(found, "source");
    fwrite(source.ptr, 1, source.len, stdout);
  }
  json_decref(answer.body);
  return code;
}

/* ---- publish --------------------------------------------------------------------------------- */

enum { PUBLISH_DRY_RUN = 0, PUBLISH_IF_DIGEST = 1, PUBLISH_FORCE = 2 };

static int read_source(struct nm_invocation *invocation, json_t **body)
{
  const char *file = invocation->words[1];
  struct nm_buffer source;
  struct nm_error error;
  nm_buffer_init(&source, NM_RULES_SOURCE_MAX_BYTES);
  int code = NM_CLI_DONE;
  *body = json_object();
  if (nm_file_read(nm_text_from(file), NM_RULES_SOURCE_MAX_BYTES, &source, NULL, &error)) {
    fprintf(stderr, "netmove rules publish: %s\n", error.text);
    code = NM_CLI_COULD_NOT;
  } else if (nm_json_set_text(*body, "source", nm_buffer_text(&source))) {
    fprintf(stderr, "netmove rules publish: %s is no UTF-8 text\n", file);
    code = NM_CLI_NOT_RIGHT;
  }
  nm_buffer_deinit(&source);
  return code;
}

/* The tag of what serves now, which is what --if-digest says; empty with --force. */
static int find_tag(struct nm_invocation *invocation, struct nm_text path, struct nm_text *tag)
{
  const char *wanted = invocation->options[PUBLISH_IF_DIGEST];
  struct nm_cli_answer answer;
  *tag = NM_TEXT("");
  if (invocation->options[PUBLISH_FORCE] && !wanted) return NM_CLI_DONE;
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  *tag = answer.etag;
  json_decref(answer.body);
  if (code != NM_CLI_DONE || !wanted) return code;
  struct nm_text digest = { tag->ptr ? tag->ptr + 1 : "", tag->len > 1 ? tag->len - 1 : 0 };
  if (wanted[0] && nm_text_starts_with(digest, nm_text_from(wanted))) return NM_CLI_DONE;
  fprintf(stderr,
          "netmove rules publish: %.12s serves, not %s: somebody published meanwhile; see netmove "
          "rules list\n",
          digest.ptr, wanted);
  return NM_CLI_NOT_RIGHT;
}

static void print_published(struct nm_invocation *invocation, const json_t *answer)
{
  const char *tenant = invocation->words[0];
  struct nm_text digest = nm_json_string(answer, "digest"), was = nm_json_string(answer, "was");
  bool is_dry = nm_text_equal(nm_json_string(answer, "status"), NM_TEXT("proven"));
  char instead[64] = "";
  size_t i;
  json_t *line;
  if (nm_text_equal(digest, was)) snprintf(instead, sizeof instead, ", as before");
  else if (!nm_text_equal(was, NM_TEXT("none")))
    snprintf(instead, sizeof instead, " in place of %.12s", was.ptr);
  json_array_foreach(json_object_get(answer, "warnings"), i, line)
    printf("  warning: %s\n", json_string_value(line));
  if (is_dry) printf("%s: proven; generation %.12s would serve%s\n", tenant, digest.ptr, instead);
  else
    printf("%s: generation %.12s serves%s; %s is written\n", tenant, digest.ptr, instead,
           nm_json_string(answer, "file").ptr);
}

int nm_cli_rules_publish(struct nm_invocation *invocation)
{
  struct nm_text path = nm_cli_word_path(invocation, "/rules/", ""), tag;
  struct nm_cli_answer answer = { .status = 0 };
  json_t *body, *line;
  size_t i;
  int code = read_source(invocation, &body);
  if (code == NM_CLI_DONE) code = find_tag(invocation, path, &tag);
  if (code == NM_CLI_DONE) {
    path = nm_arena_printf(invocation->arena, "%.*s%s", NM_TEXT_ARG(path),
                           invocation->options[PUBLISH_DRY_RUN] ? "?dry_run=1" : "");
    code = nm_cli_ask_if(invocation, "PUT", path, body, tag, &answer);
  }
  bool is_answered = code == NM_CLI_DONE;
  bool is_refused = nm_text_equal(nm_json_string(answer.body, "status"), NM_TEXT("refused"));
  json_array_foreach(json_object_get(answer.body, "problems"), i, line)
    if (!invocation->is_json) fprintf(stderr, "%s\n", json_string_value(line));
  if (is_refused) code = NM_CLI_NOT_RIGHT;
  if (is_answered && invocation->is_json) nm_cli_print_json(answer.body);
  else if (is_refused) fprintf(stderr, "netmove rules publish: refused; nothing is changed\n");
  else if (is_answered) print_published(invocation, answer.body);
  json_decref(answer.body);
  json_decref(body);
  return code;
}

int nm_cli_rules_rollback(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  const char *to = invocation->options[0];
  struct nm_text id = nm_arena_escape(invocation->arena, nm_text_from(to));
  struct nm_text path = nm_cli_word_path(invocation, "/rules/", "/rollback");
  if (to)
    path = nm_arena_printf(invocation->arena, "%.*s?generation=%.*s", NM_TEXT_ARG(path),
                           NM_TEXT_ARG(id));
  int code = nm_cli_ask(invocation, "POST", path, NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json)
    nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE)
    printf("%s: generation %.12s serves again, in place of %.12s; it stays until the file "
           "changes\n", invocation->words[0], nm_json_string(answer.body, "digest").ptr,
           nm_json_string(answer.body, "was").ptr);
  json_decref(answer.body);
  return code;
}

/* ---- init ------------------------------------------------------------------------------------ */

static bool is_plain_name(struct nm_text name)
{
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '-';
    if (!is_fine) return false;
  }
  return name.len > 0;
}

/* Writes rules/TENANT.lua; a file that is there already is left alone. */
int nm_cli_init(struct nm_invocation *invocation)
{
  struct nm_text tenant = nm_text_from(invocation->words[0]);
  struct nm_text text;
  struct nm_error error;
  char path[PATH_BYTES];
  if (!is_plain_name(tenant)) {
    fprintf(stderr, "netmove init: a tenant's name is letters, digits, - and _\n");
    return NM_CLI_WRONG_USAGE;
  }
  struct nm_settings *settings = nm_cli_settings(invocation);
  if (!settings) return NM_CLI_COULD_NOT;
  int len = snprintf(path, sizeof path, "%.*s/%.*s.lua", NM_TEXT_ARG(settings->rules),
                     NM_TEXT_ARG(tenant));
  nm_settings_destroy(settings);
  if (len >= (int)sizeof path) return NM_CLI_WRONG_USAGE;
  if (nm_script_starter(tenant, invocation->arena, &text, &error)) {
    fprintf(stderr, "netmove init: %s\n", error.text);
    return NM_CLI_COULD_NOT;
  }
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) {
    int cause = errno;
    fprintf(stderr, "netmove init: %s: %s\n", path,
            cause == EEXIST   ? "is there already; it is left as it is"
            : cause == ENOENT ? "there is no such folder; make it, or name settings with --config"
                              : strerror(cause));
    return cause == EEXIST ? NM_CLI_NOT_RIGHT : NM_CLI_COULD_NOT;
  }
  ssize_t written = write(fd, text.ptr, text.len);
  if (close(fd) || written != (ssize_t)text.len) {
    fprintf(stderr, "netmove init: %s could not be written: %s\n", path, strerror(errno));
    return NM_CLI_COULD_NOT;
  }
  printf("wrote %s\nnext: edit it, netmove check %s, and a tenant of that name: see "
         "config/tenants/acme.lua\n", path, path);
  return NM_CLI_DONE;
}
