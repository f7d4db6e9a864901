/* token.c - tokens of the admin API, and the log of who changed what. */
#include <stdlib.h>

#include "cli/internal.h"

/* "90d" in seconds; 0 where it is none. */
static int64_t read_life(const char *text)
{
  static const struct {
    char unit;
    int64_t seconds;
  } units[] = {
    { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 24 * 3600 }, { 'w', 7 * 24 * 3600 }
  };
  size_t len = strlen(text);
  int64_t number = 0;
  if (len < 2 || !nm_text_to_i64((struct nm_text){ text, len - 1 }, &number))
    return 0;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (units[i].unit == text[len - 1] && number > 0 && number <= 100000)
      return number * units[i].seconds;
  return 0;
}

int nm_cli_token_create(struct nm_invocation *invocation)
{
  static const char *const keys[] = { "role", "tenant", "name" };
  static const struct nm_cli_column facts[] = {
    { "id", "token" },
    { "name", "name" },
    { "role", "role" },
    { "tenant", "tenant" },
    { "expires_at_ms", "valid until" },
  };
  struct nm_cli_answer answer;
  json_t *body = json_object();
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (invocation->options[i])
      json_object_set_new(body, keys[i], json_string(invocation->options[i]));
  if (invocation->options[3]) {
    int64_t life_s = read_life(invocation->options[3]);
    if (life_s == 0) {
      fprintf(stderr, "netmove token create: --expires %s: expected a time such as 12h or 90d\n",
              invocation->options[3]);
      json_decref(body);
      return NM_CLI_WRONG_USAGE;
    }
    json_object_set_new(body, "expires_in_s", json_integer(life_s));
  }
  int code = nm_cli_ask(invocation, "POST", NM_TEXT("/tokens"), body, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) {
    nm_cli_print_json(answer.body);
  } else if (code == NM_CLI_DONE) {
    nm_cli_print_facts(answer.body, facts, NM_CLI_COUNT(facts));
    printf("\n%s\n\nIt is shown this once.  Use it as NETMOVE_TOKEN, or in a file with "
           "--token-file.\n",
           nm_json_string(answer.body, "token").ptr);
  }
  json_decref(answer.body);
  json_decref(body);
  return code;
}

int nm_cli_token_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "id", "ID" },           { "name", "NAME" },           { "role", "ROLE" },
    { "tenant", "TENANT" },   { "created_at_ms", "SINCE" }, { "expires_at_ms", "UNTIL" },
    { "used_at_ms", "USED" }, { "is_expired", "EXPIRED" },
  };
  return nm_cli_list(invocation, NM_TEXT("/tokens"), columns, NM_CLI_COUNT(columns),
                     "no tokens; `netmove token create` makes one");
}

/* The id of a token by its name; the word itself where it is an id. */
static int find_id(struct nm_invocation *invocation, struct nm_text *id)
{
  struct nm_cli_answer answer;
  struct nm_text word = nm_text_from(invocation->words[0]);
  int64_t number;
  size_t i;
  json_t *item;
  *id = word;
  if (nm_text_to_i64(word, &number))
    return NM_CLI_DONE;
  int code = nm_cli_ask(invocation, "GET", NM_TEXT("/tokens"), NULL, &answer);
  id->len = 0;
  json_array_foreach(json_object_get(answer.body, "items"), i, item)
    if (nm_text_equal(nm_json_string(item, "name"), word))
      *id = nm_arena_copy(invocation->arena, nm_json_string(item, "id"));
  json_decref(answer.body);
  if (code == NM_CLI_DONE && id->len == 0) {
    fprintf(stderr,
            "netmove token revoke: there is no token of the name \"%s\"; see netmove token list\n",
            invocation->words[0]);
    code = NM_CLI_NOT_RIGHT;
  }
  return code;
}

int nm_cli_token_revoke(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text id;
  int code = find_id(invocation, &id);
  if (code != NM_CLI_DONE)
    return code;
  struct nm_text path = nm_arena_printf(invocation->arena, "/tokens/%.*s",
                                        NM_TEXT_ARG(nm_arena_escape(invocation->arena, id)));
  code = nm_cli_ask(invocation, "DELETE", path, NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json)
    nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE)
    printf("revoked\n");
  json_decref(answer.body);
  return code;
}

int nm_cli_audit_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "at", "AT" },    { "who", "WHO" },         { "tenant", "TENANT" }, { "route", "WHAT" },
    { "thing", "OF" }, { "outcome", "OUTCOME" }, { "status", "STATUS" }, { "details", "DETAILS" },
  };
  return nm_cli_list(invocation, nm_cli_list_path(invocation, "/audit"), columns,
                     NM_CLI_COUNT(columns), "nothing was changed yet");
}
