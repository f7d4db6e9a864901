/* queue.c - what is held or dead, and what waits. */
#include "cli/internal.h"

int nm_cli_queue_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "id", "ID" },       { "at", "SINCE" },   { "tenant", "TENANT" }, { "kind", "KIND" },
    { "state", "STATE" }, { "reason", "REASON" },
  };
  return nm_cli_list(invocation, nm_cli_list_path(invocation, "/queue"), columns,
                     NM_CLI_COUNT(columns), "nothing is held and nothing is dead");
}

/* As Postfix's qshape: minutes that the oldest of a column waits. */
int nm_cli_queue_shape(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "tenant", "TENANT" }, { "destination", "DESTINATION" }, { "total", "T" }, { "5", "5" },
    { "10", "10" }, { "20", "20" }, { "40", "40" }, { "80", "80" }, { "160", "160" },
    { "320", "320" }, { "640", "640" }, { "1280", "1280" }, { "1280+", "1280+" },
  };
  return nm_cli_list(invocation, NM_TEXT("/queue/shape"), columns, NM_CLI_COUNT(columns),
                     "nothing waits");
}

int nm_cli_queue_show(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text path = nm_cli_word_path(invocation, "/queue/", "");
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  if (code == NM_CLI_DONE) nm_cli_print_json(answer.body);
  json_decref(answer.body);
  return code;
}

static int put_right(struct nm_invocation *invocation, const char *path, const char *key,
                     const char *said)
{
  struct nm_cli_answer answer;
  json_t *ids = json_array();
  for (int i = 0; i < invocation->word_count; i++)
    json_array_append_new(ids, json_string(invocation->words[i]));
  json_t *body = json_pack("{s:o}", "ids", ids);
  int code = nm_cli_ask(invocation, "POST", nm_text_from(path), body, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE)
    printf("%" JSON_INTEGER_FORMAT " %s\n", json_integer_value(json_object_get(answer.body, key)),
           said);
  json_decref(answer.body);
  json_decref(body);
  return code;
}

int nm_cli_queue_retry(struct nm_invocation *invocation)
{
  return put_right(invocation, "/queue/retry", "retried", "put back to waiting, due now");
}

int nm_cli_queue_drop(struct nm_invocation *invocation)
{
  return put_right(invocation, "/queue/drop", "dropped", "dropped");
}
