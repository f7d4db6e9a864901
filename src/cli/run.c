/* run.c - campaign runs: looking at them, stopping them, letting them go on. */
#include "cli/internal.h"

int nm_cli_run_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "id", "ID" },         { "created_at_ms", "SINCE" }, { "tenant", "TENANT" },
    { "campaign", "CAMPAIGN" }, { "channel_id", "CHANNEL" }, { "state", "STATE" },
    { "rows_fetched", "PROMISED" }, { "made", "MADE" },   { "sent", "SENT" },
    { "dead", "DEAD" },     { "stopped", "STOPPED" },     { "held", "HELD" },
  };
  return nm_cli_list(invocation, nm_cli_list_path(invocation, "/runs"), columns,
                     NM_CLI_COUNT(columns), "no runs yet");
}

/* left_ms in words. */
static void set_time_left(json_t *run)
{
  const json_t *left = json_object_get(run, "left_ms");
  if (!json_is_integer(left)) return;
  long long seconds = (long long)(json_integer_value(left) / 1000);
  json_t *words = seconds < 60     ? json_sprintf("%lld s", seconds)
                  : seconds < 3600 ? json_sprintf("%lld min", (seconds + 30) / 60)
                                   : json_sprintf("%lld h %lld min", seconds / 3600,
                                                  seconds % 3600 / 60);
  json_object_set_new(run, "left", words);
}

static const struct nm_cli_column run_facts[] = {
  { "id", "run" },
  { "tenant", "tenant" },
  { "campaign", "campaign" },
  { "channel_id", "channel" },
  { "state", "state" },
  { "reason", "reason" },
  { "event_id", "event" },
  { "created_at_ms", "since" },
  { "template_id", "template" },
  { "rows_fetched", "promised by Optimove" },
  { "pages_fetched", "pages" },
  { "is_fetched", "all pages here" },
  { "cursor_page", "page at hand" },
  { "generation_id", "rules" },
  { "repin_generation_id", "repinned to" },
  { "repin_page", "from page" },
  { "is_playing", "held rows are played again" },
  { "made", "messages made" },
  { "repeated", "rows repeated" },
  { "skipped", "rows not messaged" },
  { "held", "rows held" },
  { "sent", "sent" },
  { "rate_per_s", "sent a second now" },
  { "left", "time left" },
  { "dead", "dead" },
  { "expired", "expired" },
  { "stopped", "stopped" },
  { "fenced_at_ms", "fenced at" },
  { "in_flight_at_fence", "in flight at fence" },
};

/* The lists that a run has; those that are empty are left out. */
static const struct {
  const char *key;
  size_t count;
  struct nm_cli_column columns[5];
} run_lists[] = {
  { "holds", 2, { { "count", "HELD" }, { "reason", "REASON" } } },
  { "figures", 5,
    { { "template_id", "TEMPLATE" }, { "metric", "FIGURE" }, { "value", "VALUE" },
      { "state", "AT OPTIMOVE" }, { "reason", "REASON" } } },
  { "drops", 2, { { "count", "DROPPED" }, { "reason", "REASON" } } },
  { "sample", 4,
    { { "customer", "SAMPLE" }, { "template", "TEMPLATE" }, { "message", "MESSAGE" },
      { "hold", "HELD" } } },
};

static void print_run(json_t *run)
{
  set_time_left(run);
  nm_cli_print_facts(run, run_facts, NM_CLI_COUNT(run_facts));
  for (size_t i = 0; i < sizeof run_lists / sizeof *run_lists; i++) {
    const json_t *rows = json_object_get(run, run_lists[i].key);
    if (json_array_size(rows) == 0) continue;
    putchar('\n');
    nm_cli_print_table(rows, run_lists[i].columns, run_lists[i].count, "");
  }
}

int nm_cli_run_show(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text path = nm_cli_word_path(invocation, "/runs/", "");
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE) print_run(answer.body);
  json_decref(answer.body);
  return code;
}

/* POSTs to one verb of a run; prints the answer where that is wanted as JSON. */
static int tell_run(struct nm_invocation *invocation, const char *verb,
                    struct nm_cli_answer *answer)
{
  struct nm_text path = nm_cli_word_path(invocation, "/runs/", verb);
  int code = nm_cli_ask(invocation, "POST", path, NULL, answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer->body);
  return code;
}

static json_int_t number_of(const struct nm_cli_answer *answer, const char *key)
{
  return json_integer_value(json_object_get(answer->body, key));
}

int nm_cli_run_cancel(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  char at[64];
  int code = tell_run(invocation, "/cancel", &answer);
  if (code == NM_CLI_DONE && !invocation->is_json) {
    nm_cli_format(at, sizeof at, "fenced_at_ms", json_object_get(answer.body, "fenced_at_ms"));
    printf("cancelled at %s: %" JSON_INTEGER_FORMAT " stopped, %" JSON_INTEGER_FORMAT
           " in flight\n", at, number_of(&answer, "stopped"), number_of(&answer, "in_flight"));
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_run_release(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = tell_run(invocation, "/release", &answer);
  if (code == NM_CLI_DONE && !invocation->is_json) {
    printf("released");
    if (number_of(&answer, "rows") > 0)
      printf(": %" JSON_INTEGER_FORMAT " held rows are played again", number_of(&answer, "rows"));
    putchar('\n');
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_run_pause(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = tell_run(invocation, "/pause", &answer);
  if (code == NM_CLI_DONE && !invocation->is_json)
    printf("paused; %" JSON_INTEGER_FORMAT " messages were in flight\n",
           number_of(&answer, "in_flight"));
  json_decref(answer.body);
  return code;
}

int nm_cli_run_repin(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = tell_run(invocation, "/repin", &answer);
  if (code == NM_CLI_DONE && !invocation->is_json) {
    struct nm_text generation = nm_json_string(answer.body, "generation");
    if (json_is_true(json_object_get(answer.body, "is_changed")))
      printf("generation %.*s takes over from page %" JSON_INTEGER_FORMAT " on\n",
             NM_TEXT_ARG(generation), number_of(&answer, "page"));
    else printf("it has generation %.*s already\n", NM_TEXT_ARG(generation));
  }
  json_decref(answer.body);
  return code;
}
