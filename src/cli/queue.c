/* queue.c - what is held or dead, campaign runs, and the daemon's own state. */
#include "cli/internal.h"

/* "/queue?tenant=acme&limit=10" of the list options. */
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

static int list(struct nm_invocation *invocation, const char *path,
                const struct nm_cli_column *columns, size_t count, const char *when_empty)
{
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", nm_cli_list_path(invocation, path), NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE)
    nm_cli_print_table(json_object_get(answer.body, "items"), columns, count, when_empty);
  json_decref(answer.body);
  return code;
}

static struct nm_text id_path(struct nm_invocation *invocation, const char *before,
                              const char *behind)
{
  struct nm_text id = nm_arena_escape(invocation->arena, nm_text_from(invocation->words[0]));
  return nm_arena_printf(invocation->arena, "%s%.*s%s", before, NM_TEXT_ARG(id), behind);
}

int nm_cli_queue_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "id", "ID" },       { "at", "SINCE" },   { "tenant", "TENANT" }, { "kind", "KIND" },
    { "state", "STATE" }, { "reason", "REASON" },
  };
  return list(invocation, "/queue", columns, sizeof columns / sizeof *columns,
              "nothing is held and nothing is dead");
}

/* As Postfix's qshape: minutes that the oldest of a column waits. */
int nm_cli_queue_shape(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "tenant", "TENANT" }, { "destination", "DESTINATION" }, { "total", "T" }, { "5", "5" },
    { "10", "10" }, { "20", "20" }, { "40", "40" }, { "80", "80" }, { "160", "160" },
    { "320", "320" }, { "640", "640" }, { "1280", "1280" }, { "1280+", "1280+" },
  };
  return list(invocation, "/queue/shape", columns, sizeof columns / sizeof *columns,
              "nothing waits");
}

int nm_cli_queue_show(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", id_path(invocation, "/queue/", ""), NULL, &answer);
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

/* ---- runs ------------------------------------------------------------------------------------------------- */

int nm_cli_run_list(struct nm_invocation *invocation)
{
  static const struct nm_cli_column columns[] = {
    { "id", "ID" },         { "created_at_ms", "SINCE" }, { "tenant", "TENANT" },
    { "campaign", "CAMPAIGN" }, { "channel_id", "CHANNEL" }, { "state", "STATE" },
    { "rows_fetched", "PROMISED" }, { "made", "MADE" },   { "sent", "SENT" },
    { "dead", "DEAD" },     { "stopped", "STOPPED" },     { "held", "HELD" },
  };
  return list(invocation, "/runs", columns, sizeof columns / sizeof *columns, "no runs yet");
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

int nm_cli_run_show(struct nm_invocation *invocation)
{
  static const struct nm_cli_column facts[] = {
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
  static const struct nm_cli_column holds[] = { { "count", "HELD" }, { "reason", "REASON" } };
  static const struct nm_cli_column figures[] = {
    { "template_id", "TEMPLATE" }, { "metric", "FIGURE" }, { "value", "VALUE" },
    { "state", "AT OPTIMOVE" }, { "reason", "REASON" }
  };
  static const struct nm_cli_column sample[] = {
    { "customer", "SAMPLE" }, { "template", "TEMPLATE" }, { "message", "MESSAGE" }, { "hold", "HELD" }
  };
  static const struct nm_cli_column drops[] = { { "count", "DROPPED" }, { "reason", "REASON" } };
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", id_path(invocation, "/runs/", ""), NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) {
    nm_cli_print_json(answer.body);
  } else if (code == NM_CLI_DONE) {
    set_time_left(answer.body);
    nm_cli_print_facts(answer.body, facts, sizeof facts / sizeof *facts);
    if (json_array_size(json_object_get(answer.body, "holds")) > 0) {
      putchar('\n');
      nm_cli_print_table(json_object_get(answer.body, "holds"), holds, 2, "");
    }
    if (json_array_size(json_object_get(answer.body, "figures")) > 0) {
      putchar('\n');
      nm_cli_print_table(json_object_get(answer.body, "figures"), figures, 5, "");
    }
    if (json_array_size(json_object_get(answer.body, "drops")) > 0) {
      putchar('\n');
      nm_cli_print_table(json_object_get(answer.body, "drops"), drops, 2, "");
    }
    if (json_array_size(json_object_get(answer.body, "sample")) > 0) {
      putchar('\n');
      nm_cli_print_table(json_object_get(answer.body, "sample"), sample, 4, "");
    }
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_run_cancel(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  char at[64];
  int code =
      nm_cli_ask(invocation, "POST", id_path(invocation, "/runs/", "/cancel"), NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) {
    nm_cli_print_json(answer.body);
  } else if (code == NM_CLI_DONE) {
    nm_cli_format(at, sizeof at, "fenced_at_ms", json_object_get(answer.body, "fenced_at_ms"));
    printf("cancelled at %s: %" JSON_INTEGER_FORMAT " stopped, %" JSON_INTEGER_FORMAT
           " in flight\n", at, json_integer_value(json_object_get(answer.body, "stopped")),
           json_integer_value(json_object_get(answer.body, "in_flight")));
  }
  json_decref(answer.body);
  return code;
}

/* POSTs to one verb of a run; prints the answer where that is wanted as JSON. */
static int tell_run(struct nm_invocation *invocation, const char *verb,
                    struct nm_cli_answer *answer)
{
  int code = nm_cli_ask(invocation, "POST", id_path(invocation, "/runs/", verb), NULL, answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer->body);
  return code;
}

static json_int_t number_of(const struct nm_cli_answer *answer, const char *key)
{
  return json_integer_value(json_object_get(answer->body, key));
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

/* ---- the daemon ---------------------------------------------------------------------------------------------- */

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
    printf("%s: %s %.12s\n", nm_json_string(file, "file").ptr, verdict.ptr,
           nm_json_string(file, "digest").ptr);
    json_array_foreach(json_object_get(file, "problems"), j, line)
      printf("  %s\n", json_string_value(line));
  }
  if (!invocation->is_json && rules && json_array_size(rules) == 0)
    printf("there is no rules file\n");
  json_decref(answer.body);
  return code;
}

int nm_cli_status(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = nm_cli_ask(invocation, "GET", NM_TEXT("/status"), NULL, &answer);
  if (code == NM_CLI_DONE) nm_cli_print_json(answer.body);
  json_decref(answer.body);
  return code;
}
