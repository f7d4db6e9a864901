/* commands.c - the table of commands, their help, and the reading of a command line. */
#include <stdlib.h>

#include "cli/internal.h"

static const struct nm_cli_option serve_options[] = {
  { "listen", "ADDR:PORT", "where Optimove and Netmera's side call (public.listen)" },
  { "admin", "ADDR:PORT", "where /healthz, /readyz and /metrics answer (admin.listen)" },
  { "store", "URL", "sqlite:FILE (store)" },
  { "rules", "DIR", "the folder of rules files (rules)" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option check_options[] = {
  { "trace", NULL, "with the Lua traceback of each mistake" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option explain_options[] = {
  { "tenant", "T", "with --event: whose rules" },
  { "event", "FILE", "an event as JSON, instead of a recorded one" },
  { "recipient", NULL, "with --event: as one recipient of a campaign" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option apply_options[] = {
  { "dry-run", NULL, "only say what would change" },
  { "if-version", "N", "only if the tenant is at this version still (tenant show)" },
  { "force", NULL, "also where somebody else saves at the same moment, or Optimove does not know a channel" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option remove_options[] = {
  { "yes", NULL, "asks nothing" },
  { "force", NULL, "also where Optimove cannot be reached: says which listeners stay behind" },
  { "purge", NULL, "deletes what is kept of it, too" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option connector_apply_options[] = {
  { "take-over", NULL, "also where somebody else's URL is: theirs is taken away" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option connector_rotate_options[] = {
  { "finish", NULL, "only makes the older secret invalid" },
  { "force", NULL, "also while listeners may still carry the older one: what they send is refused" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option list_options[] = {
  { "tenant", "T", "only of this tenant" },
  { "limit", "N", "at most so many (100)" },
  { "before", "ID", "those older than this one" },
  { NULL, NULL, NULL },
};

static const struct nm_cli_option show_rules_options[] = {
  { "generation", "ID", "an older one, by its id or the beginning of its digest" },
  { "cost", NULL, "what each rule takes, instead of the source" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option token_options[] = {
  { "role", "R", "admin, operator or viewer (viewer)" },
  { "tenant", "T", "for this tenant alone; else for all" },
  { "name", "N", "who uses it: that stands in the audit log" },
  { "expires", "TIME", "30m, 12h, 90d; else it is valid until it is revoked" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option publish_options[] = {
  { "dry-run", NULL, "only prove it" },
  { "if-digest", "D", "only if the rules whose digest begins so serve still (rules list)" },
  { "force", NULL, "also where somebody else publishes at the same moment" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option rollback_options[] = {
  { "to", "ID", "this generation, instead of the one before" },
  { NULL, NULL, NULL },
};

static const struct nm_command commands[] = {
  { "serve", "", 0, 0, "runs the daemon",
    "Options win over the settings file.  SIGTERM stops it, SIGHUP looks at rules and settings\n"
    "again, SIGUSR2 hands its sockets and its store to the program that now lies on the disk.\n\n"
    "  netmove serve --config config/netmove.lua\n",
    serve_options, nm_cli_serve },
  { "check", "[FILE or DIR ...]", 0, -1, "proves rules and config without a daemon",
    "Each mistake is one line: file, line or entry, what was found, what was expected and the\n"
    "nearest known word.  Without arguments: rules/ and config/.  Exit 1 where anything is wrong.\n\n"
    "  netmove check rules/acme.lua\n",
    check_options, nm_cli_check },
  { "explain", "[ID]", 0, 1, "what became of an event or a message, or what would",
    "For a recorded event or message: every step, wait and attempt with its reason.  For an event\n"
    "in a file: what today's rules make of it; nothing is sent.\n\n"
    "  netmove explain 1870012345678\n  netmove explain --tenant acme --event event.json\n",
    explain_options, nm_cli_explain },
  { "tenant apply", "FILE ...", 1, -1, "saves tenants from files and brings their listeners about",
    "Says what it changes; secrets are resolved here, in your environment.  Exit 0: all as wanted;\n"
    "1: refused, or saved but not yet as wanted (it goes on by itself).\n\n"
    "  netmove tenant apply config/tenants/acme.lua --dry-run\n",
    apply_options, nm_cli_tenant_apply },
  { "tenant list", "", 0, 0, "the tenants", "", NULL, nm_cli_tenant_list },
  { "tenant show", "T", 1, 1, "one tenant, without its secrets", "", NULL, nm_cli_tenant_show },
  { "tenant remove", "T", 1, 1, "ends a tenant: its listeners at Optimove, what waits, itself",
    "Goes on after a restart until Optimove has forgotten its listeners.  What is kept of it goes by\n"
    "retention, or at once with --purge.  Exit 1 where it is not removed yet.\n\n"
    "  netmove tenant remove acme --yes\n",
    remove_options, nm_cli_tenant_remove },
  { "connector plan", "T", 1, 1, "listeners at Optimove against what is wanted; changes nothing",
    "Missing, stale (an old URL or secret), orphan (ours, but wanted by nobody) and conflict\n"
    "(somebody else's).  Exit 0 if nothing is to do, else 1.\n", NULL, nm_cli_connector_plan },
  { "connector apply", "T", 1, 1, "mends what `connector plan` shows",
    "Exit 0: all as wanted; 1: not yet (it goes on by itself), or a person has to decide.\n",
    connector_apply_options, nm_cli_connector_apply },
  { "connector status", "T", 1, 1, "what the last look at Optimove found, and when the next one is",
    "Exit 0 where all was as wanted, else 1.  Asks nothing of Optimove.\n", NULL,
    nm_cli_connector_status },
  { "connector test", "T", 1, 1, "asks Optimove and our own public URL, and says what is wrong",
    "Reads only; nothing is changed.  Exit 1 where something is wrong.\n", NULL,
    nm_cli_connector_test },
  { "connector rotate", "T", 1, 1, "gives our listeners' URLs a new secret",
    "The one before stays valid until the next rotation, or until --finish.\n\n"
    "  netmove connector rotate acme && netmove connector rotate acme --finish\n",
    connector_rotate_options, nm_cli_connector_rotate },
  { "provider list", "[T]", 0, 1, "providers of all tenants, or of one, with the channels they carry", "", NULL,
    nm_cli_provider_list },
  { "provider test", "T NAME", 2, 2, "logs in and says what is wrong; sends nothing to a person",
    "Exit 1 where something is wrong.\n\n  netmove provider test acme netmera\n", NULL,
    nm_cli_provider_test },
  { "queue shape", "", 0, 0, "what waits, by destination and age in minutes",
    "Messages by tenant and provider, events by tenant; each column counts those younger than its\n"
    "minutes.\n", NULL, nm_cli_queue_shape },
  { "queue drop", "ID ...", 1, -1, "ends held and dead ones: nobody wants them any more",
    "Never what waits or is being sent.  An id that is neither held nor dead is an error, and\n"
    "nothing is changed.\n", NULL, nm_cli_queue_drop },
  { "queue list", "", 0, 0, "what is held or dead, newest first, with its reason", "", list_options,
    nm_cli_queue_list },
  { "queue show", "ID", 1, 1, "one of them, whole", "", NULL, nm_cli_queue_show },
  { "queue retry", "ID ...", 1, -1, "puts held and dead ones back to waiting, due now",
    "An id that is neither held nor dead is an error, and nothing is changed.\n", NULL,
    nm_cli_queue_retry },
  { "run release", "ID", 1, 1, "starts a run that is held, or goes on with one that rests",
    "Rows that its rules held are played again, through the rules that serve now; each is played\n"
    "once, also of a run that is done.  A second run of the same campaign and channel within 12 h,\n"
    "and one above a ceiling, are held until then.\n\n"
    "  netmove run show 1870012345678 && netmove run release 1870012345678\n", NULL,
    nm_cli_run_release },
  { "run pause", "ID", 1, 1, "nothing more of a run is expanded or sent until it is released",
    "What is in flight ends; what waits stays, over restarts too.  `run release` goes on with it.\n",
    NULL, nm_cli_run_pause },
  { "run repin", "ID", 1, 1, "the rest of a run asks the rules that serve now",
    "A run keeps the rules that it began with; from its next page on it then asks the active ones.\n",
    NULL, nm_cli_run_repin },
  { "run list", "", 0, 0, "campaign runs, newest first", "", list_options, nm_cli_run_list },
  { "run show", "ID", 1, 1, "one run: promised, made, sent, stopped, held by reason", "", NULL,
    nm_cli_run_show },
  { "run cancel", "ID", 1, 1, "stops a run: nothing of it is started any more", "", NULL,
    nm_cli_run_cancel },
  { "rules list", "", 0, 0, "generations of every tenant's rules: active, cooling, closed", "", NULL,
    nm_cli_rules_list },
  { "rules show", "T", 1, 1, "the source of the rules that serve a tenant", "", show_rules_options,
    nm_cli_rules_show },
  { "rules publish", "T FILE", 2, 2, "proves a rules file in the daemon, and makes it serve",
    "Writes it to the daemon's rules folder as T.lua; one that does not prove itself is refused with\n"
    "each mistake, and nothing changes.  It serves also where a rollback had pinned another.\n\n"
    "  netmove rules publish acme acme.lua --dry-run\n"
    "  netmove rules publish acme acme.lua --if-digest 9f86d081884c\n",
    publish_options, nm_cli_rules_publish },
  { "rules rollback", "T", 1, 1, "makes the generation before this one serve",
    "It stays until the file's content changes; the file itself is not touched.\n\n"
    "  netmove rules rollback acme\n", rollback_options, nm_cli_rules_rollback },
  { "init", "TENANT", 1, 1, "writes a commented starter rules file with examples",
    "Into the rules folder of the settings; a file that is there already is left as it is.\n",
    NULL, nm_cli_init },
  { "reload", "", 0, 0, "looks at the rules folder now and prints the verdict",
    "Exit 1 where a file was refused; the rules before it serve on.\n", NULL, nm_cli_reload },
  { "status", "", 0, 0, "how the daemon is: waiting, oldest, lanes, runs", "", NULL, nm_cli_status },
  { "token create", "", 0, 0, "makes a token for the admin API and shows it, once",
    "A viewer looks, an operator acts on runs, queue, rules and listeners, an admin changes tenants\n"
    "and tokens.  Only a digest is kept: who loses the token makes another one.\n\n"
    "  netmove token create --role operator --tenant acme --name dashboard --expires 90d\n",
    token_options, nm_cli_token_create },
  { "token list", "", 0, 0, "the tokens of the admin API, without the tokens themselves", "", NULL,
    nm_cli_token_list },
  { "token revoke", "ID or NAME", 1, 1, "makes a token invalid, now and for good", "", NULL,
    nm_cli_token_revoke },
  { "audit list", "", 0, 0, "who changed what, newest first", "", list_options, nm_cli_audit_list },
  { "version", "", 0, 0, "its own version and those of its libraries", "", NULL, nm_cli_version },
  /* words of the contract that later versions bring */
  { "replay", "", 0, -1, "recorded events through a candidate", "", NULL, NULL },
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* ---- help --------------------------------------------------------------------------------------------- */

static bool is_in_group(const struct nm_command *command, const char *group)
{
  size_t len = strlen(group);
  return strncmp(command->name, group, len) == 0 &&
         (command->name[len] == ' ' || command->name[len] == '\0');
}

static void print_rows(FILE *to, const char *group)
{
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (!commands[i].run || (group && !is_in_group(&commands[i], group))) continue;
    char usage[64];
    snprintf(usage, sizeof usage, "netmove %s %s", commands[i].name, commands[i].words);
    fprintf(to, "  %-32s %s\n", usage, commands[i].summary);
  }
}

static void print_general_help(FILE *to)
{
  fputs("netmove connects Optimove with Netmera's channels.\n\n"
        "usage: netmove COMMAND [options]\n\n", to);
  print_rows(to, NULL);
  fputs("\noptions of every command:\n"
        "  --config F   the settings (config/netmove.lua)\n"
        "  --json       data instead of text, where a command prints any\n"
        "  --url U      the daemon's admin listener, instead of the socket; with a token in\n"
        "               NETMOVE_TOKEN or --token-file F; --ca F: who signed its certificate\n"
        "  --help       what the command does\n\n"
        "exit codes: 0 done, 1 the thing asked about is not right, 2 wrong usage, 3 could not\n"
        "(no daemon, no file).  Commands that need the daemon speak to it over the admin socket,\n"
        "or with --url over the network.\n",
        to);
}

static void print_help(FILE *to, const struct nm_command *command)
{
  fprintf(to, "usage: netmove %s%s%s%s\n\n%s\n", command->name, command->words[0] ? " " : "",
          command->words, command->options ? " [options]" : "", command->summary);
  if (command->help[0]) fprintf(to, "\n%s", command->help);
  for (const struct nm_cli_option *o = command->options; o && o->name; o++) {
    char name[40];
    snprintf(name, sizeof name, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(to, "%s  %-20s %s\n", o == command->options ? "\n" : "", name, o->help);
  }
}

/* ---- finding -------------------------------------------------------------------------------------------- */

static const struct nm_command *find_command(const char *name)
{
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

static bool is_group(const char *word)
{
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (is_in_group(&commands[i], word) && strcmp(commands[i].name, word) != 0) return true;
  return false;
}

static int refuse_word(const char *what, const char *word)
{
  const char *names[COMMAND_COUNT * 2];
  char groups[COMMAND_COUNT][32];
  size_t count = 0;
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    snprintf(groups[i], sizeof groups[i], "%.*s", (int)strcspn(commands[i].name, " "),
             commands[i].name);
    names[count++] = commands[i].name;
    names[count++] = groups[i];
  }
  const char *nearest = nm_nearest(nm_text_from(word), names, count);
  fprintf(stderr, "netmove: unknown %s \"%s\"%s%s%s; see netmove --help\n", what, word,
          nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
  return NM_CLI_WRONG_USAGE;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static int refuse_usage(const struct nm_command *command, const char *format, const char *word)
{
  fprintf(stderr, "netmove %s: ", command->name);
  fprintf(stderr, format, word);
  fprintf(stderr, "\nusage: netmove %s %s; see netmove %s --help\n", command->name, command->words,
          command->name);
  return NM_CLI_WRONG_USAGE;
}

/* Options that every command takes: true where argv[*at] was one; *at then stands on its last word. */
static bool read_common(struct nm_invocation *invocation, int argc, char **argv, int *at,
                        bool *wants_help)
{
  const struct {
    const char *name;
    const char **value;
  } valued[] = { { "--config", &invocation->config },
                 { "--url", &invocation->url },
                 { "--token-file", &invocation->token_file },
                 { "--ca", &invocation->ca } };
  const char *word = argv[*at];
  for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
    size_t len = strlen(valued[i].name);
    if (strncmp(word, valued[i].name, len) != 0) continue;
    if (word[len] == '=') *valued[i].value = word + len + 1;
    else if (word[len] == '\0' && *at + 1 < argc) *valued[i].value = argv[++*at];
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
    if (!option->value && has_value) break;
    if (!option->value) invocation->options[i] = "";
    else if (has_value) invocation->options[i] = value.ptr;
    else if (*at + 1 < argc) invocation->options[i] = argv[++*at];
    else return refuse_usage(command, "%s needs a value", argv[*at]);
    return NM_CLI_DONE;
  }
  return refuse_usage(command, "unknown option %s", argv[*at]);
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
    return refuse_usage(command, "%s is missing", command->words);
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
  if (!is_group(first)) {
    invocation->command = find_command(first);
    return invocation->command ? NM_CLI_DONE : refuse_word("command", first);
  }
  while (*at < argc && argv[*at][0] == '-')
    if (!read_common(invocation, argc, argv, at, wants_help)) break;
    else (*at)++;
  if (*at >= argc || *wants_help) {
    fprintf(*wants_help ? stdout : stderr, "usage: netmove %s COMMAND\n\n", first);
    print_rows(*wants_help ? stdout : stderr, first);
    return *wants_help ? -1 : NM_CLI_WRONG_USAGE;
  }
  snprintf(name, sizeof name, "%s %s", first, argv[(*at)++]);
  invocation->command = find_command(name);
  return invocation->command ? NM_CLI_DONE : refuse_word("command", name);
}

static int run_line(struct nm_invocation *invocation, int argc, char **argv)
{
  bool wants_help = false;
  int at = 1;
  while (at < argc && argv[at][0] == '-') {
    if (!read_common(invocation, argc, argv, &at, &wants_help))
      return refuse_word("option", argv[at]);
    at++;
  }
  if (at >= argc) {
    print_general_help(wants_help ? stdout : stderr);
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
    print_help(stdout, invocation->command);
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
