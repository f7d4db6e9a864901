#include "cli/internal.h"

int nm_cli_serve(struct nm_invocation *invocation)
{
  struct nm_problems problems = { .arena = invocation->arena };
  struct nm_settings *settings = nm_cli_settings(invocation);
  if (!settings) return NM_CLI_COULD_NOT;
  int rc = NM_OK;
  for (int i = 0; invocation->command->options[i].name; i++)
    if (invocation->options[i])
      rc |= nm_settings_override(settings, invocation->command->options[i].name,
                                 nm_text_from(invocation->options[i]), &problems);
  if (rc) {
    nm_cli_print_problems(stderr, &problems, false);
    nm_settings_destroy(settings);
    return NM_CLI_WRONG_USAGE;
  }
  int code = invocation->serve(settings);
  nm_settings_destroy(settings);
  return code;
}
