/* connector.c - a tenant's connector: plan, apply, status, test, rotate. */
#include <string.h>

#include "cli/internal.h"

/* Asks /connector/T`what`; the answer is the caller's to free in any case. */
static int ask(struct nm_invocation *invocation, const char *method, const char *what,
               struct nm_cli_answer *answer)
{
  struct nm_text path = nm_cli_word_path(invocation, "/connector/", what);
  int code = nm_cli_ask(invocation, method, path, NULL, answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer->body);
  return code;
}

static bool has_todo(const json_t *report)
{
  return json_array_size(json_object_get(report, "todo")) > 0;
}

/* A refused key is answered too: there the error stands beside the rest. */
static bool is_right(const json_t *report)
{
  return !has_todo(report) && !json_object_get(report, "error");
}

static void print_report(const json_t *report)
{
  struct nm_text error = nm_json_string(report, "error");
  if (error.len > 0) printf("  wrong: %.*s\n", NM_TEXT_ARG(error));
  nm_cli_print_lines(report, "done", "done: ");
  nm_cli_print_lines(report, "todo", "to do: ");
  nm_cli_print_lines(report, "warnings", "warning: ");
}

int nm_cli_connector_plan(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = ask(invocation, "GET", "/plan", &answer);
  if (code == NM_CLI_DONE) {
    if (!invocation->is_json && is_right(answer.body)) printf("nothing to do\n");
    if (!invocation->is_json) print_report(answer.body);
    if (!is_right(answer.body)) code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_connector_apply(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  bool takes_over = invocation->options[0] != NULL;
  int code = ask(invocation, "POST", takes_over ? "/apply?take_over=1" : "/apply", &answer);
  if (code == NM_CLI_DONE) {
    struct nm_text status = nm_json_string(answer.body, "status");
    bool is_applied = nm_text_equal(status, NM_TEXT("applied"));
    if (!invocation->is_json) {
      printf("%s: %s\n", invocation->words[0], is_applied ? "all as wanted" : "not yet as wanted");
      print_report(answer.body);
    }
    if (!is_applied) code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}

static void print_catch_up(const json_t *catch_up)
{
  struct nm_text problem = nm_json_string(catch_up, "problem");
  printf("catch-up: %s, %lld campaigns without a notice since the start, %lld may still get one\n",
         nm_json_string(catch_up, "mode").ptr,
         (long long)json_integer_value(json_object_get(catch_up, "missed")),
         (long long)json_integer_value(json_object_get(catch_up, "waiting")));
  if (problem.len > 0) printf("catch-up: %.*s\n", NM_TEXT_ARG(problem));
}

int nm_cli_connector_status(struct nm_invocation *invocation)
{
  static const struct nm_cli_column facts[] = {
    { "connector", "connector" },
    { "settled", "as wanted" },
    { "running", "looking now" },
    { "last_look_at", "last look" },
    { "next_look_at", "next look" },
    { "failures", "failed looks in a row" },
    { "secret_number", "URL secret number" },
    { "secret_number_previous", "still valid too" },
  };
  struct nm_cli_answer answer;
  int code = ask(invocation, "GET", "/status", &answer);
  if (code == NM_CLI_DONE) {
    if (!invocation->is_json) {
      nm_cli_print_facts(answer.body, facts, NM_CLI_COUNT(facts));
      print_catch_up(json_object_get(answer.body, "catch_up"));
      print_report(answer.body);
    }
    if (!json_is_true(json_object_get(answer.body, "settled"))) code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_connector_test(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  int code = ask(invocation, "POST", "/test", &answer);
  if (code == NM_CLI_DONE) {
    if (!invocation->is_json) nm_cli_print_checks(answer.body);
    if (!json_is_true(json_object_get(answer.body, "ok"))) code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}

int nm_cli_connector_rotate(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  bool is_finish = invocation->options[0] != NULL, is_forced = invocation->options[1] != NULL;
  struct nm_text what = nm_arena_printf(invocation->arena, "/rotate?finish=%d&force=%d", is_finish,
                                        is_forced);
  int code = ask(invocation, "POST", what.ptr ? what.ptr : "/rotate", &answer);
  if (code == NM_CLI_DONE) {
    struct nm_text status = nm_json_string(answer.body, "status");
    bool is_applied = nm_text_equal(status, NM_TEXT("applied"));
    if (!invocation->is_json) {
      printf("%s: %s%s\n", invocation->words[0],
             is_finish ? "the older secret is not valid any more"
                       : "the URLs have a new secret; the one before is still valid",
             is_applied ? "" : "; not all listeners carry it yet");
      print_report(answer.body);
    }
    if (!is_applied) code = NM_CLI_NOT_RIGHT;
  }
  json_decref(answer.body);
  return code;
}
