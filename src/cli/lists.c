/* lists.c - what every list takes, and paths with the word that was typed. */
#include "cli/internal.h"

struct nm_text nm_cli_list_path(struct nm_invocation *invocation, const char *path)
{
  static const char *const names[] = { "tenant", "limit", "before" };
  struct nm_text out = nm_text_from(path);
  char mark = '?';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!invocation->options[i]) continue;
    struct nm_text value = nm_arena_escape(invocation->arena, nm_text_from(invocation->options[i]));
    out = nm_arena_printf(invocation->arena, "%.*s%c%s=%.*s", NM_TEXT_ARG(out), mark, names[i],
                          NM_TEXT_ARG(value));
    mark = '&';
  }
  return out;
}

int nm_cli_list(struct nm_invocation *invocation, struct nm_text path,
                const struct nm_cli_column *columns, size_t count, const char *when_empty)
{
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE)
    nm_cli_print_table(json_object_get(answer.body, "items"), columns, count, when_empty);
  json_decref(answer.body);
  return code;
}

struct nm_text nm_cli_word_path(struct nm_invocation *invocation, const char *before,
                                const char *behind)
{
  struct nm_text word = nm_arena_escape(invocation->arena, nm_text_from(invocation->words[0]));
  return nm_arena_printf(invocation->arena, "%s%.*s%s", before, NM_TEXT_ARG(word), behind);
}
