/* daemon.c - the running daemon: how it is, and a look at its folder now. */
#include "cli/internal.h"

/* What became of the settings; the exit code. */
static int print_settings_verdict(const json_t *settings, bool is_json)
{
  size_t i;
  json_t *one;
  const json_t *problems = json_object_get(settings, "problems");
  int code = json_array_size(problems) > 0 ? NM_CLI_NOT_RIGHT : NM_CLI_DONE;
  if (is_json) return code;
  if (code) printf("settings: refused, those before them hold\n");
  json_array_foreach(problems, i, one) printf("  %s\n", json_string_value(one));
  json_array_foreach(json_object_get(settings, "applied"), i, one)
    printf("settings: %s is changed\n", json_string_value(one));
  json_array_foreach(json_object_get(settings, "restart"), i, one)
    printf("settings: %s changes with the next start\n", json_string_value(one));
  return code;
}

int nm_cli_reload(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  size_t i, j;
  json_t *file, *line;
  int code = nm_cli_ask(invocation, "POST", NM_TEXT("/reload"), NULL, &answer);
  const json_t *rules = json_object_get(answer.body, "rules");
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  if (code == NM_CLI_DONE)
    code = print_settings_verdict(json_object_get(answer.body, "settings"), invocation->is_json);
  json_array_foreach(rules, i, file)
  {
    struct nm_text verdict = nm_json_string(file, "verdict");
    if (nm_text_equal(verdict, NM_TEXT("refused"))) code = NM_CLI_NOT_RIGHT;
    if (invocation->is_json) continue;
    bool is_waiting = nm_text_equal(verdict, NM_TEXT("waits for its tenant"));
    printf("%s: %s %.12s%s\n", nm_json_string(file, "file").ptr, verdict.ptr,
           nm_json_string(file, "digest").ptr,
           is_waiting ? " (netmove tenant apply FILE makes one)" : "");
    json_array_foreach(json_object_get(file, "problems"), j, line)
      printf("  %s\n", json_string_value(line));
  }
  if (!invocation->is_json && rules && json_array_size(rules) == 0)
    printf("there is no rules file\n");
  json_decref(answer.body);
  return code;
}

static const struct nm_cli_column status_facts[] = {
  { "version", "netmove" },
  { "waiting_events", "events waiting" },
  { "delayed_events", "events delayed" },
  { "waiting_messages", "messages waiting" },
  { "paused_messages", "messages paused" },
  { "waiting_updates", "updates waiting" },
  { "unsettled_batches", "batches unsettled" },
  { "oldest_waiting_at_ms", "oldest waits since" },
  { "held", "held" },
  { "dead", "dead" },
  { "open_runs", "runs open" },
  { "database_bytes", "store, bytes" },
  { "store_is_sound", "store is sound" },
};

/* For people: numbers first, then each lane and run at work. */
static void print_status(const json_t *status)
{
  static const struct nm_cli_column lanes[] = {
    { "tenant", "LANE OF" }, { "provider", "PROVIDER" }, { "ready", "READY" },
    { "in_flight", "IN FLIGHT" }, { "sends", "SENDS" }, { "paused_ms", "PAUSED MS" },
    { "unreachable", "UNREACHABLE" }, { "reason", "REASON" },
  };
  static const struct nm_cli_column runs[] = {
    { "id", "RUN" }, { "tenant", "TENANT" }, { "campaign", "CAMPAIGN" }, { "state", "STATE" },
    { "rows_fetched", "PROMISED" }, { "waiting", "WAITING" },
  };
  const json_t *engine = json_object_get(status, "engine");
  const json_t *lane_rows = json_object_get(engine, "lanes");
  const json_t *run_rows = json_object_get(engine, "runs");
  nm_cli_print_facts(status, status_facts, NM_CLI_COUNT(status_facts));
  if (!json_is_true(json_object_get(engine, "is_running")))
    printf("%-20s %s\n", "engine", "is not running");
  if (json_array_size(lane_rows) > 0) {
    putchar('\n');
    nm_cli_print_table(lane_rows, lanes, NM_CLI_COUNT(lanes), "");
  }
  if (json_array_size(run_rows) > 0) {
    putchar('\n');
    nm_cli_print_table(run_rows, runs, NM_CLI_COUNT(runs), "");
  }
}

int nm_cli_status(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", NM_TEXT("/status"), NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE) print_status(answer.body);
  json_decref(answer.body);
  return code;
}
