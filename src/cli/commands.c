/* commands.c - the table of commands, and their help. */
#include <stdlib.h>

#include "cli/internal.h"

/* ---- options of single commands -------------------------------------------------------------- */

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
  { "tenant", "TENANT", "with --event: whose rules" },
  { "event", "FILE", "an event as JSON, instead of a recorded one; - is stdin" },
  { "recipient", NULL, "with --event: as one recipient of a campaign" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option list_options[] = {
  { "tenant", "TENANT", "only of this tenant" },
  { "limit", "N", "at most so many (100)" },
  { "before", "ID", "those older than this one" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option apply_options[] = {
  { "dry-run", NULL, "only say what would change" },
  { "if-version", "N", "only if the tenant is at this version still (tenant show)" },
  { "force", NULL, "also over another's save, and with channels unknown to Optimove" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option remove_options[] = {
  { "yes", NULL, "asks nothing" },
  { "force", NULL, "also without Optimove: says which listeners stay behind" },
  { "purge", NULL, "deletes what is kept of it, too" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option connector_apply_options[] = {
  { "take-over", NULL, "also where somebody else's URL is: theirs is taken away" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option connector_rotate_options[] = {
  { "finish", NULL, "only makes the older secret invalid" },
  { "force", NULL, "also while listeners carry the older one: their calls fail" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option show_rules_options[] = {
  { "generation", "ID", "an older one, by its id or the beginning of its digest" },
  { "cost", NULL, "what each rule takes, instead of the source" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option publish_options[] = {
  { "dry-run", NULL, "only prove it" },
  { "if-digest", "D", "only if the rules whose digest begins so serve still" },
  { "force", NULL, "also where somebody else publishes at the same moment" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option rollback_options[] = {
  { "to", "ID", "this generation, instead of the one before" },
  { NULL, NULL, NULL },
};
static const struct nm_cli_option token_options[] = {
  { "role", "ROLE", "admin, operator or viewer (viewer)" },
  { "tenant", "TENANT", "for this tenant alone; else for all" },
  { "name", "NAME", "who uses it: that stands in the audit log" },
  { "expires", "TIME", "30m, 12h, 90d; else it is valid until it is revoked" },
  { NULL, NULL, NULL },
};

/* ---- the table ------------------------------------------------------------------------------- */

/* What the general help writes above the command that comes first. */
static const struct {
  const char *first, *title;
} chapters[] = {
  { "init", "rules" },
  { "serve", "the daemon" },
  { "tenant apply", "tenants" },
  { "explain", "what became of it" },
  { "token create", "access" },
};

static const struct nm_command commands[] = {
  { "init", "TENANT", 1, 1, "writes a commented starter rules file with examples",
    "Into the rules folder of the settings; a file that is there already is left as it is.\n",
    NULL, nm_cli_init },
  { "check", "[FILE or DIR ...]", 0, -1, "proves rules and config without a daemon",
    "Each mistake is one line: file, line or entry, what was found, what was expected and the\n"
    "nearest known word.  Without arguments: rules/ and config/.  Exit 1 where anything is\n"
    "wrong.\n\n"
    "  netmove check rules/acme.lua\n",
    check_options, nm_cli_check },
  { "rules list", "", 0, 0, "generations of every tenant's rules, and their cost",
    "Of a tenant's generations one is active, those that an open run still uses are cooling, the\n"
    "others closed.  Rules that overran again and again are suspended.\n",
    NULL, nm_cli_rules_list },
  { "rules show", "TENANT", 1, 1, "the source of the rules that serve a tenant", "",
    show_rules_options, nm_cli_rules_show },
  { "rules publish", "TENANT FILE", 2, 2, "proves a file in the daemon, and makes it serve",
    "Writes it to the daemon's rules folder as TENANT.lua; one that does not prove itself is\n"
    "refused with each mistake, and nothing changes.  It serves also where a rollback had pinned\n"
    "another.\n\n"
    "  netmove rules publish acme acme.lua --dry-run\n"
    "  netmove rules publish acme acme.lua --if-digest 9f86d081884c\n",
    publish_options, nm_cli_rules_publish },
  { "rules rollback", "TENANT", 1, 1, "makes the generation before this one serve",
    "It stays until the file's content changes; the file itself is not touched.\n\n"
    "  netmove rules rollback acme\n",
    rollback_options, nm_cli_rules_rollback },
  { "reload", "", 0, 0, "looks at the rules folder now and prints the verdict",
    "And at settings and certificates: what can change in a running daemon does, the rest is\n"
    "named.  Exit 1 where a file was refused; what was there before serves on.\n",
    NULL, nm_cli_reload },

  { "serve", "", 0, 0, "runs the daemon",
    "Options win over the settings file.  SIGTERM stops it, SIGHUP looks at rules and settings\n"
    "again, SIGUSR2 hands its sockets and its store to the program that now lies on the disk.\n\n"
    "  netmove serve --config config/netmove.lua\n",
    serve_options, nm_cli_serve },
  { "status", "", 0, 0, "how the daemon is: waiting, oldest, lanes, runs", "", NULL,
    nm_cli_status },
  { "version", "", 0, 0, "its own version and those of its libraries", "", NULL, nm_cli_version },

  { "tenant apply", "FILE ...", 1, -1, "saves tenants from files, with their listeners",
    "Says what it changes; secrets are resolved here, in your environment.  Exit 0: all as\n"
    "wanted; 1: refused, or saved but not yet as wanted (it goes on by itself).\n\n"
    "  netmove tenant apply config/tenants/acme.lua --dry-run\n",
    apply_options, nm_cli_tenant_apply },
  { "tenant list", "", 0, 0, "the tenants", "", NULL, nm_cli_tenant_list },
  { "tenant show", "TENANT", 1, 1, "one tenant, without its secrets", "", NULL,
    nm_cli_tenant_show },
  { "tenant remove", "TENANT", 1, 1, "ends a tenant, its listeners and what waits",
    "Goes on after a restart until Optimove has forgotten its listeners.  What is kept of it goes\n"
    "by retention, or at once with --purge.  Exit 1 where it is not removed yet.\n\n"
    "  netmove tenant remove acme --yes\n",
    remove_options, nm_cli_tenant_remove },
  { "connector plan", "TENANT", 1, 1, "listeners at Optimove against what is wanted",
    "Missing, stale (an old URL or secret), orphan (ours, but wanted by nobody) and conflict\n"
    "(somebody else's).  Changes nothing.  Exit 0 if nothing is to do, else 1.\n",
    NULL, nm_cli_connector_plan },
  { "connector apply", "TENANT", 1, 1, "mends what `connector plan` shows",
    "Exit 0: all as wanted; 1: not yet (it goes on by itself), or a person has to decide.\n",
    connector_apply_options, nm_cli_connector_apply },
  { "connector status", "TENANT", 1, 1, "what the last look at Optimove found",
    "And when the next one is.  Asks nothing of Optimove.  Exit 0 where all was as wanted,\n"
    "else 1.\n",
    NULL, nm_cli_connector_status },
  { "connector test", "TENANT", 1, 1, "what is wrong with Optimove or our own URL",
    "Asks both, with the tenant's own settings.  Reads only; nothing is changed.  Exit 1 where\n"
    "something is wrong.\n",
    NULL, nm_cli_connector_test },
  { "connector rotate", "TENANT", 1, 1, "gives our listeners' URLs a new secret",
    "The one before stays valid until the next rotation, or until --finish.\n\n"
    "  netmove connector rotate acme && netmove connector rotate acme --finish\n",
    connector_rotate_options, nm_cli_connector_rotate },
  { "provider list", "[TENANT]", 0, 1, "providers, with the channels they carry",
    "Of all tenants, or of one.\n", NULL, nm_cli_provider_list },
  { "provider test", "TENANT NAME", 2, 2, "logs in and says what is wrong",
    "Sends nothing to a person.  Exit 1 where something is wrong.\n\n"
    "  netmove provider test acme netmera\n",
    NULL, nm_cli_provider_test },

  { "explain", "[ID]", 0, 1, "what became of an event or a message, or what would",
    "For a recorded event or message: every step, wait and attempt with its reason.  For an event\n"
    "in a file: what today's rules make of it; nothing is sent.\n\n"
    "  netmove explain 1870012345678\n  netmove explain --tenant acme --event event.json\n",
    explain_options, nm_cli_explain },
  { "queue list", "", 0, 0, "what is held or dead, newest first, with its reason", "",
    list_options, nm_cli_queue_list },
  { "queue show", "ID", 1, 1, "one of them, whole", "", NULL, nm_cli_queue_show },
  { "queue retry", "ID ...", 1, -1, "puts held and dead ones back to waiting, due now",
    "An id that is neither held nor dead is an error, and nothing is changed.\n", NULL,
    nm_cli_queue_retry },
  { "queue drop", "ID ...", 1, -1, "ends held and dead ones: nobody wants them any more",
    "Never what waits or is being sent.  An id that is neither held nor dead is an error, and\n"
    "nothing is changed.\n",
    NULL, nm_cli_queue_drop },
  { "queue shape", "", 0, 0, "what waits, by destination and age in minutes",
    "Messages by tenant and provider, events by tenant; each column counts those younger than its\n"
    "minutes.\n",
    NULL, nm_cli_queue_shape },
  { "run list", "", 0, 0, "campaign runs, newest first", "", list_options, nm_cli_run_list },
  { "run show", "ID", 1, 1, "one run: promised, made, sent, stopped, held",
    "With the reasons of what is held, how fast it goes and what is left.\n", NULL,
    nm_cli_run_show },
  { "run pause", "ID", 1, 1, "stops a run until it is released",
    "Nothing more of it is expanded or sent.  What is in flight ends; what waits stays, over\n"
    "restarts too.\n",
    NULL, nm_cli_run_pause },
  { "run release", "ID", 1, 1, "starts a held run, or goes on with a paused one",
    "Rows that its rules held are played again, through the rules that serve now; each is\n"
    "played once, also of a run that is done.  A second run of the same campaign and channel\n"
    "within 12 h, and one above a ceiling, are held until then.\n\n"
    "  netmove run show 1870012345678 && netmove run release 1870012345678\n",
    NULL, nm_cli_run_release },
  { "run repin", "ID", 1, 1, "the rest of a run asks the rules that serve now",
    "A run keeps the rules that it began with; from its next page on it then asks the active\n"
    "ones.\n",
    NULL, nm_cli_run_repin },
  { "run cancel", "ID", 1, 1, "stops a run for good: nothing of it is started", "", NULL,
    nm_cli_run_cancel },

  { "token create", "", 0, 0, "makes a token for the admin API and shows it, once",
    "A viewer looks, an operator acts on runs, queue, rules and listeners, an admin changes\n"
    "tenants and tokens.  Only a digest is kept: who loses the token makes another one.\n\n"
    "  netmove token create --role operator --tenant acme --name dashboard --expires 90d\n",
    token_options, nm_cli_token_create },
  { "token list", "", 0, 0, "the tokens of the admin API, by name", "", NULL, nm_cli_token_list },
  { "token revoke", "ID or NAME", 1, 1, "makes a token invalid, now and for good", "", NULL,
    nm_cli_token_revoke },
  { "audit list", "", 0, 0, "who changed what, newest first", "", list_options,
    nm_cli_audit_list },
  /* words of the contract that later versions bring */
  { "replay", "", 0, -1, "recorded events through a candidate", "", NULL, NULL },
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* ---- finding --------------------------------------------------------------------------------- */

static bool is_in_group(const struct nm_command *command, const char *group)
{
  size_t len = strlen(group);
  return strncmp(command->name, group, len) == 0 &&
         (command->name[len] == ' ' || command->name[len] == '\0');
}

const struct nm_command *nm_cli_find(const char *name)
{
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

bool nm_cli_is_group(const char *word)
{
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (is_in_group(&commands[i], word) && strcmp(commands[i].name, word) != 0) return true;
  return false;
}

int nm_cli_refuse_command(const char *word)
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
  fprintf(stderr, "netmove: unknown command \"%s\"%s%s%s; see netmove --help\n", word,
          nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
  return NM_CLI_WRONG_USAGE;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_row(FILE *to, const struct nm_command *command)
{
  char usage[64];
  snprintf(usage, sizeof usage, "%s %s", command->name, command->words);
  fprintf(to, "  %-26s %s\n", usage, command->summary);
}

void nm_cli_print_group(FILE *to, const char *group)
{
  fprintf(to, "usage: netmove %s COMMAND\n\n", group);
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (commands[i].run && is_in_group(&commands[i], group)) print_row(to, &commands[i]);
  fprintf(to, "\nnetmove %s COMMAND --help tells more.\n", group);
}

void nm_cli_print_overview(FILE *to)
{
  fputs("netmove connects Optimove with Netmera's channels.\n\n"
        "usage: netmove COMMAND [options]\n", to);
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    for (size_t c = 0; c < sizeof chapters / sizeof *chapters; c++)
      if (strcmp(chapters[c].first, commands[i].name) == 0)
        fprintf(to, "\n%s\n", chapters[c].title);
    if (commands[i].run) print_row(to, &commands[i]);
  }
  fputs("\noptions of every command\n"
        "  --config F   the settings (config/netmove.lua)\n"
        "  --json       data instead of text, where a command prints any\n"
        "  --url U      the daemon's admin listener, instead of the socket; with a token in\n"
        "               NETMOVE_TOKEN or --token-file F; --ca F: who signed its certificate\n"
        "  --help       what the command does, with its own options\n\n"
        "exit codes: 0 done, 1 the thing asked about is not right, 2 wrong usage, 3 could not\n"
        "(no daemon, no file).  Commands that need the daemon speak to it over the admin socket,\n"
        "or with --url over the network.\n",
        to);
}

void nm_cli_print_help(FILE *to, const struct nm_command *command)
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
