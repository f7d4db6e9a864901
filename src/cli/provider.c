/* provider.c - providers: which there are, and whether one takes us. */
#include "cli/internal.h"

int nm_cli_provider_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "tenant", "TENANT" },
    { "name", "PROVIDER" },
    { "adapter", "ADAPTER" },
    { "channels", "CHANNELS" },
  };
  struct nm_text path = NM_TEXT("/providers");
  if (invocation->word_count > 0)
    path = nm_cli_word_path(invocation, "/providers?tenant=", "");
  return nm_cli_list(invocation, path, columns, NM_CLI_COUNT(columns),
                     "no providers; a tenant's file names them");
}

int nm_cli_provider_test(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text tenant = nm_arena_escape(invocation->arena, nm_text_from(invocation->words[0]));
  struct nm_text name = nm_arena_escape(invocation->arena, nm_text_from(invocation->words[1]));
  struct nm_text path = nm_arena_printf(invocation->arena, "/providers/%.*s/%.*s/test",
                                        NM_TEXT_ARG(tenant), NM_TEXT_ARG(name));
  int code = nm_cli_ask(invocation, "POST", path, NULL, &answer);
  if (code == NM_CLI_DONE) {
    if (invocation->is_json)
      nm_cli_print_json(answer.body);
    else
      nm_cli_print_checks(answer.body);
    if (!json_is_true(json_object_get(answer.body, "ok")))
      code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}
