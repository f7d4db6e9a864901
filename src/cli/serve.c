#include "cli/internal.h"

/* Whose daemon this process is; set as long as it runs. */
static const struct nm_invocation *serving;

static int apply_options(const struct nm_invocation *invocation, struct nm_settings *settings,
                         struct nm_problems *problems)
{
  int rc = NM_OK;
  for (int i = 0; invocation->command->options[i].name && rc != NM_ENOMEM; i++) {
    if (!invocation->options[i]) continue;
    int of_this = nm_settings_override(settings, invocation->command->options[i].name,
                                       nm_text_from(invocation->options[i]), problems);
    if (of_this) rc = of_this;
  }
  return rc;
}

int nm_cli_settings_again(struct nm_settings **out, struct nm_problems *problems)
{
  struct nm_settings *settings = NULL;
  if (!serving) return NM_ECLOSED;
  int rc = nm_settings_load(&settings, nm_text_from(nm_cli_settings_path(serving)), problems);
  if (!rc) rc = apply_options(serving, settings, problems);
  if (!rc) *out = settings;
  else nm_settings_destroy(settings);
  return rc;
}

/* Nothing is made or opened before all settings are right. */
int nm_cli_serve(struct nm_invocation *invocation)
{
  struct nm_problems problems = { .arena = invocation->arena };
  struct nm_settings *settings = nm_cli_settings(invocation);
  if (!settings) return NM_CLI_COULD_NOT;
  int rc = apply_options(invocation, settings, &problems);
  if (rc) {
    nm_cli_print_problems(stderr, &problems, false);
    nm_settings_destroy(settings);
    return rc == NM_ENOMEM ? NM_CLI_COULD_NOT : NM_CLI_WRONG_USAGE;
  }
  serving = invocation;
  int code = invocation->serve(settings);
  serving = NULL;
  nm_settings_destroy(settings);
  return code;
}
