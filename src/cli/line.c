/* line.c - reading what was typed: the command, its options, its words. */
#include <stdlib.h>

#include "cli/internal.h"

/* Options of every command, without --help and -h; the first ones take a value. */
static const char *const common_names[] = { "config", "url", "token-file", "ca", "json", "help" };
enum { COMMON_VALUED = 4, COMMON_COUNT = sizeof common_names / sizeof *common_names };

/* ---- refusing -------------------------------------------------------------------------------- */

static int refuse_usage(const struct nm_command *command, const char *format, const char *word)
{
  fprintf(stderr, "netmove %s: ", command->name);
  fprintf(stderr, format, word);
  fprintf(stderr, "\nusage: netmove %s%s%s%s; see netmove %s --help\n", command->name,
          command->words[0] ? " " : "", command->words, command->options ? " [options]" : "",
          command->name);
  return NM_CLI_WRONG_USAGE;
}

static bool is_common_without_value(const char *word)
{
  for (size_t i = 0; i < COMMON_VALUED; i++)
    if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, common_names[i]) == 0) return true;
  return false;
}

/* Names the nearest option of the command and of every command; command NULL: none is known yet. */
static int refuse_option(const struct nm_command *command, const char *word)
{
  const char *names[COMMON_COUNT + NM_CLI_OPTIONS_MAX];
  const char *nearest = NULL;
  char said[160];
  size_t count = 0;
  struct nm_text name, value;
  for (; count < COMMON_COUNT; count++) names[count] = common_names[count];
  for (int i = 0; command && command->options && command->options[i].name; i++)
    names[count++] = command->options[i].name;
  nm_text_cut(nm_text_from(word + strspn(word, "-")), '=', &name, &value);
  if (name.len > 1) nearest = nm_nearest(name, names, count);
  if (is_common_without_value(word))
    snprintf(said, sizeof said, "%s needs a value", word);
  else
    snprintf(said, sizeof said, "unknown option %.80s%s%s%s", word,
             nearest ? " (did you mean --" : "", nearest ? nearest : "", nearest ? "?)" : "");
  if (command) return refuse_usage(command, "%s", said);
  fprintf(stderr, "netmove: %s; see netmove --help\n", said);
  return NM_CLI_WRONG_USAGE;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Options that every command takes: true where argv[*at] was one; *at then stands on its last
 * word. */
static bool read_common(struct nm_invocation *invocation, int argc, char **argv, int *at,
                        bool *wants_help)
{
  const char **const values[COMMON_VALUED] = { &invocation->config, &invocation->url,
                                               &invocation->token_file, &invocation->ca };
  const char *word = argv[*at];
  for (size_t i = 0; i < COMMON_VALUED; i++) {
    size_t len = strlen(common_names[i]);
    if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, common_names[i], len) != 0) continue;
    if (word[2 + len] == '=') *values[i] = word + 2 + len + 1;
    else if (word[2 + len] == '\0' && *at + 1 < argc) *values[i] = argv[++*at];
    else continue;
    return true;
  }
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) *wants_help = true;
  else if (strcmp(word, "--json") == 0) invocation->is_json = true;
  else return false;
  return true;
}

static int read_option(struct nm_invocation *invocation, int argc, char **argv, int *at)
{
  const struct nm_command *command = invocation->command;
  struct nm_text name, value;
  bool has_value = nm_text_cut(nm_text_from(argv[*at] + 2), '=', &name, &value);
  for (int i = 0; command->options && command->options[i].name; i++) {
    const struct nm_cli_option *option = &command->options[i];
    if (!nm_text_equal(name, nm_text_from(option->name))) continue;
    if (!option->value && has_value)
      return refuse_usage(command, "--%s takes no value", option->name);
    if (!option->value) invocation->options[i] = "";
    else if (has_value) invocation->options[i] = value.ptr;
    else if (*at + 1 < argc) invocation->options[i] = argv[++*at];
    else return refuse_usage(command, "%s needs a value", argv[*at]);
    return NM_CLI_DONE;
  }
  return refuse_option(command, argv[*at]);
}

/* "FILE" of "TENANT FILE" where the tenant is there. */
static const char *missing_word(const struct nm_invocation *invocation)
{
  const char *missing = invocation->command->words;
  for (int i = 0; i < invocation->word_count; i++)
    if (strchr(missing, ' ')) missing = strchr(missing, ' ') + 1;
  return missing;
}

static int read_rest(struct nm_invocation *invocation, int argc, char **argv, int at,
                     bool *wants_help)
{
  const struct nm_command *command = invocation->command;
  bool only_words = false;
  for (; at < argc; at++) {
    if (!only_words && strcmp(argv[at], "--") == 0) {
      only_words = true;
    } else if (!only_words && argv[at][0] == '-' && argv[at][1] != '\0') {
      if (read_common(invocation, argc, argv, &at, wants_help)) continue;
      int rc = read_option(invocation, argc, argv, &at);
      if (rc) return rc;
    } else if (invocation->word_count == NM_CLI_WORDS_MAX) {
      return refuse_usage(command, "too many arguments at %s", argv[at]);
    } else {
      invocation->words[invocation->word_count++] = argv[at];
    }
  }
  if (*wants_help || !command->run) return NM_CLI_DONE;
  if (invocation->word_count < command->words_min)
    return refuse_usage(command, "%s is missing", missing_word(invocation));
  if (command->words_max >= 0 && invocation->word_count > command->words_max)
    return refuse_usage(command, "unexpected argument %s",
                        invocation->words[command->words_max]);
  return NM_CLI_DONE;
}

/* Finds "queue list" or "serve" from argv[at] on; moves *at behind it. */
static int read_command(struct nm_invocation *invocation, int argc, char **argv, int *at,
                        bool *wants_help)
{
  char name[64];
  const char *first = argv[(*at)++];
  if (!nm_cli_is_group(first)) {
    invocation->command = nm_cli_find(first);
    return invocation->command ? NM_CLI_DONE : nm_cli_refuse_command(first);
  }
  while (*at < argc && argv[*at][0] == '-')
    if (!read_common(invocation, argc, argv, at, wants_help)) break;
    else (*at)++;
  if (*at >= argc || *wants_help) {
    nm_cli_print_group(*wants_help ? stdout : stderr, first);
    return *wants_help ? -1 : NM_CLI_WRONG_USAGE;
  }
  if (argv[*at][0] == '-') {
    fprintf(stderr, "netmove %s: %s comes behind the command: netmove %s COMMAND %s\n", first,
            argv[*at], first, argv[*at]);
    return NM_CLI_WRONG_USAGE;
  }
  snprintf(name, sizeof name, "%s %s", first, argv[(*at)++]);
  invocation->command = nm_cli_find(name);
  return invocation->command ? NM_CLI_DONE : nm_cli_refuse_command(name);
}

static int run_line(struct nm_invocation *invocation, int argc, char **argv)
{
  bool wants_help = false;
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "--version") == 0) return nm_cli_version(invocation);
    if (!read_common(invocation, argc, argv, &at, &wants_help))
      return refuse_option(NULL, argv[at]);
  }
  if (at < argc && strcmp(argv[at], "help") == 0) { /* "netmove help serve", as others have it */
    wants_help = true;
    at++;
  }
  if (at >= argc) {
    nm_cli_print_overview(wants_help ? stdout : stderr);
    return wants_help ? NM_CLI_DONE : NM_CLI_WRONG_USAGE;
  }
  int rc = read_command(invocation, argc, argv, &at, &wants_help);
  if (rc) return rc < 0 ? NM_CLI_DONE : rc;
  rc = read_rest(invocation, argc, argv, at, &wants_help);
  if (rc) return rc;
  if (!invocation->command->run) {
    fprintf(stderr, "netmove %s: not built yet; a later version brings it\n",
            invocation->command->name);
    return NM_CLI_COULD_NOT;
  }
  if (wants_help) {
    nm_cli_print_help(stdout, invocation->command);
    return NM_CLI_DONE;
  }
  return invocation->command->run(invocation);
}

int nm_cli_main(int argc, char **argv, int (*serve)(const struct nm_settings *settings))
{
  struct nm_invocation invocation = { .serve = serve,
                                      .arena = nm_arena_create(64 * 1024 * 1024) };
  nm_require(invocation.arena != NULL);
  int rc = run_line(&invocation, argc, argv);
  nm_arena_destroy(invocation.arena);
  return rc;
}
