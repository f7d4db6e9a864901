/* internal.h - between the commands. */
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/problems.h"
#include "cli/cli.h"
#include "json/json.h"

enum { NM_CLI_WORDS_MAX = 256, NM_CLI_OPTIONS_MAX = 12 };

/* What stands on the command line, sorted. */
struct nm_invocation {
  const struct nm_command *command;
  struct nm_arena *arena;
  const char *config;      /* --config, or NULL */
  const char *url;         /* --url: the admin listener, instead of the socket; or NULL */
  const char *token_file;  /* --token-file, or NULL: NETMOVE_TOKEN */
  const char *ca;          /* --ca: who signs its certificate, or NULL: the system's */
  bool is_json;
  const char *words[NM_CLI_WORDS_MAX]; /* arguments that are no options */
  int word_count;
  const char *options[NM_CLI_OPTIONS_MAX]; /* values by place in the command's list; "" for flags */
  int (*serve)(const struct nm_settings *settings);
};

struct nm_cli_option {
  const char *name;   /* "tenant": --tenant */
  const char *value;  /* what its value is called in the usage; NULL = a flag */
  const char *help;
};

struct nm_command {
  const char *name;   /* "queue list" */
  const char *words;  /* "ID ..." in the usage */
  int words_min, words_max; /* max -1 = any */
  const char *summary;
  const char *help;   /* more than the summary; with an example */
  const struct nm_cli_option *options; /* ends with name NULL; NULL = none */
  int (*run)(struct nm_invocation *invocation); /* NULL = a later version brings it */
};

/* ---- the table (commands.c) ------------------------------------------------------------------ */

/* "queue list"; NULL = there is none. */
const struct nm_command *nm_cli_find(const char *name);

/* True for "queue", which commands have as their first word. */
bool nm_cli_is_group(const char *word);

/* Says on stderr that there is none of this name, and which is nearest; NM_CLI_WRONG_USAGE. */
int nm_cli_refuse_command(const char *word);

void nm_cli_print_overview(FILE *to);
void nm_cli_print_group(FILE *to, const char *group);
void nm_cli_print_help(FILE *to, const struct nm_command *command);

/* ---- the commands: each returns its exit code (enum in cli.h) -------------------------------- */

int nm_cli_serve(struct nm_invocation *invocation);
int nm_cli_check(struct nm_invocation *invocation);
int nm_cli_explain(struct nm_invocation *invocation);
int nm_cli_tenant_apply(struct nm_invocation *invocation);
int nm_cli_tenant_list(struct nm_invocation *invocation);
int nm_cli_tenant_show(struct nm_invocation *invocation);
int nm_cli_tenant_remove(struct nm_invocation *invocation);
int nm_cli_connector_plan(struct nm_invocation *invocation);
int nm_cli_connector_apply(struct nm_invocation *invocation);
int nm_cli_connector_status(struct nm_invocation *invocation);
int nm_cli_connector_test(struct nm_invocation *invocation);
int nm_cli_connector_rotate(struct nm_invocation *invocation);
int nm_cli_queue_list(struct nm_invocation *invocation);
int nm_cli_queue_show(struct nm_invocation *invocation);
int nm_cli_queue_drop(struct nm_invocation *invocation);
int nm_cli_queue_shape(struct nm_invocation *invocation);
int nm_cli_queue_retry(struct nm_invocation *invocation);
int nm_cli_run_list(struct nm_invocation *invocation);
int nm_cli_run_show(struct nm_invocation *invocation);
int nm_cli_run_release(struct nm_invocation *invocation);
int nm_cli_run_pause(struct nm_invocation *invocation);
int nm_cli_run_repin(struct nm_invocation *invocation);
int nm_cli_run_cancel(struct nm_invocation *invocation);
int nm_cli_rules_list(struct nm_invocation *invocation);
int nm_cli_rules_show(struct nm_invocation *invocation);
int nm_cli_rules_publish(struct nm_invocation *invocation);
int nm_cli_rules_rollback(struct nm_invocation *invocation);
int nm_cli_init(struct nm_invocation *invocation);
int nm_cli_reload(struct nm_invocation *invocation);
int nm_cli_status(struct nm_invocation *invocation);
int nm_cli_version(struct nm_invocation *invocation);
int nm_cli_token_create(struct nm_invocation *invocation);
int nm_cli_token_list(struct nm_invocation *invocation);
int nm_cli_token_revoke(struct nm_invocation *invocation);
int nm_cli_provider_list(struct nm_invocation *invocation);
int nm_cli_provider_test(struct nm_invocation *invocation);
int nm_cli_audit_list(struct nm_invocation *invocation);

/* The settings that --config names (default config/netmove.lua where it exists).  NULL after saying
 * on stderr what is wrong with them. */
struct nm_settings *nm_cli_settings(struct nm_invocation *invocation);
const char *nm_cli_settings_path(const struct nm_invocation *invocation); /* "" = there is none */

/* An answer of the daemon. */
struct nm_cli_answer {
  int status;
  struct nm_text etag; /* empty where there was none */
  json_t *body; /* owned; NULL where it was none */
};

/* Asks the daemon over its admin socket: method, path under /api/v1, body or NULL.  NM_CLI_DONE
 * with a 2xx, else the exit code after saying on stderr what went wrong (404, 400, 409: NOT_RIGHT).
 * The answer's body is the caller's to free in any case. */
int nm_cli_ask(struct nm_invocation *invocation, const char *method, struct nm_text path,
               const json_t *body, struct nm_cli_answer *answer);

/* The same, if it is still as it was: If-Match. */
int nm_cli_ask_if(struct nm_invocation *invocation, const char *method, struct nm_text path,
                  const json_t *body, struct nm_text if_match, struct nm_cli_answer *answer);

/* GET, where a 404 is no failure: then answer->status says so. */
int nm_cli_look(struct nm_invocation *invocation, struct nm_text path,
                struct nm_cli_answer *answer);

/* True where a person says so on the terminal, or said --yes; else it says why not on stderr. */
bool nm_cli_confirm(const struct nm_invocation *invocation, bool is_said, const char *question);

/* Prints JSON, indented, for --json. */
void nm_cli_print_json(const json_t *value);

/* A table of an array's objects: columns are keys; missing values are "-". */
struct nm_cli_column {
  const char *key, *title;
};
#define NM_CLI_COUNT(columns) (sizeof(columns) / sizeof *(columns))

void nm_cli_print_table(const json_t *rows, const struct nm_cli_column *columns, size_t count,
                        const char *when_empty);

/* "/queue?tenant=acme&limit=10": for commands whose options begin with --tenant, --limit, --before;
 * in the arena. */
struct nm_text nm_cli_list_path(struct nm_invocation *invocation, const char *path);

/* GETs {items} and prints them as a table, or with --json as they came; the exit code. */
int nm_cli_list(struct nm_invocation *invocation, struct nm_text path,
                const struct nm_cli_column *columns, size_t count, const char *when_empty);

/* The first word of the command between two pieces of a path: "/runs/7/cancel"; in the arena. */
struct nm_text nm_cli_word_path(struct nm_invocation *invocation, const char *before,
                                const char *behind);

/* "label   value" lines of one object, for the keys that it has. */
void nm_cli_print_facts(const json_t *object, const struct nm_cli_column *facts, size_t count);

/* A value as people read it: keys that end in _ms and _at are times, true is "yes".  In a buffer of
 * the caller. */
void nm_cli_format(char *out, size_t size, const char *key, const json_t *value);

/* The texts of a list, one line each, indented. */
void nm_cli_print_lines(const json_t *report, const char *key, const char *prefix);

/* "fine  key: ..." lines of {checks:[{what, result, text}]}. */
void nm_cli_print_checks(const json_t *report);

/* Prints problems, one line each, on `to`; with --trace their traces too. */
void nm_cli_print_problems(FILE *to, const struct nm_problems *problems, bool with_trace);
