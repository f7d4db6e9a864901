/* explain.c - why a message went, waits or failed, step by step. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "cli/internal.h"

static const struct nm_cli_column event_facts[] = {
  { "id", "event" },
  { "tenant", "tenant" },
  { "type", "type" },
  { "name", "name" },
  { "campaign", "campaign" },
  { "channel_id", "channel" },
  { "template_id", "template" },
  { "customer", "customer" },
  { "received_at_ms", "arrived" },
  { "state", "state" },
  { "due_at_ms", "due" },
  { "reason", "reason" },
  { "generation_id", "planned by rules" },
  { "origin_id", "made of webhook" },
};

static const struct nm_cli_column message_facts[] = {
  { "id", "message" },
  { "name", "message name" },
  { "tenant", "tenant" },
  { "event_id", "event" },
  { "run_id", "run" },
  { "channel", "channel" },
  { "customer", "customer" },
  { "provider", "provider" },
  { "created_at_ms", "made" },
  { "state", "state" },
  { "due_at_ms", "due" },
  { "expires_at_ms", "expires" },
  { "attempts", "attempts that count" },
  { "first_attempt_at_ms", "first attempt" },
  { "reason", "last word" },
};

static void print_message(const json_t *message)
{
  static const struct nm_cli_column columns[] = {
    { "at", "AT" }, { "outcome", "OUTCOME" }, { "code", "CODE" }, { "took_ms", "TOOK MS" },
    { "provider", "PROVIDER" }, { "reason", "REASON" },
  };
  nm_cli_print_facts(message, message_facts, NM_CLI_COUNT(message_facts));
  if (json_array_size(json_object_get(message, "attempts_made")) == 0) return;
  putchar('\n');
  nm_cli_print_table(json_object_get(message, "attempts_made"), columns, NM_CLI_COUNT(columns), "");
}

/* Every wait of a message, with its cause. */
static void print_waits(const json_t *waits)
{
  static const struct nm_cli_column columns[] = {
    { "from_ms", "FROM" }, { "until_ms", "UNTIL" }, { "cause", "WAIT" }, { "text", "WHY" },
  };
  if (json_array_size(waits) == 0) return;
  putchar('\n');
  nm_cli_print_table(waits, columns, NM_CLI_COUNT(columns), "");
}

/* "attributes.store of the event, as text" */
static void describe_origin(const json_t *value, char *out, size_t size)
{
  struct nm_text from = nm_json_string(value, "from"), path = nm_json_string(value, "path");
  struct nm_text as = nm_json_string(value, "as"), at = nm_json_string(value, "at");
  const char *comma = as.len > 0 ? ", " : "";
  if (nm_text_equal(from, NM_TEXT("rules")))
    snprintf(out, size, "written in the rules");
  else if (nm_text_equal(from, NM_TEXT("function")))
    snprintf(out, size, "a function%s%.*s", at.len > 0 ? ", " : "", NM_TEXT_ARG(at));
  else if (nm_text_equal(from, NM_TEXT("default")))
    snprintf(out, size, "the default%s%.*s", path.len > 0 ? ", as there is no " : "",
             NM_TEXT_ARG(path));
  else if (nm_text_equal(from, NM_TEXT("nothing")))
    snprintf(out, size, "nothing is there%s%.*s", path.len > 0 ? ": no " : "", NM_TEXT_ARG(path));
  else
    snprintf(out, size, "%.*s of the %.*s%s%.*s", NM_TEXT_ARG(path), NM_TEXT_ARG(from), comma,
             NM_TEXT_ARG(as));
}

static void print_values(const json_t *values)
{
  size_t i;
  json_t *value;
  char origin[512];
  json_array_foreach(values, i, value)
  {
    const json_t *shown = json_object_get(value, "value");
    const char *name = nm_json_string(value, "name").ptr;
    char *text = shown ? json_dumps(shown, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    describe_origin(value, origin, sizeof origin);
    printf("          %-24s %-32s %s\n", name ? name : "?",
           text ? text : "", origin);
    free(text);
  }
}

/* Who takes the message, of the providers of its channel. */
static void print_chain(const json_t *message)
{
  size_t i;
  json_t *link;
  const char *name = nm_json_string(message, "message").ptr;
  struct nm_text by = nm_json_string(message, "provider");
  bool has_chain = json_array_size(json_object_get(message, "chain")) > 0;
  printf("  message %s by", name ? name : "?");
  if (!has_chain) printf(" %.*s", NM_TEXT_ARG(by));
  json_array_foreach(json_object_get(message, "chain"), i, link)
  {
    struct nm_text trouble = nm_json_string(link, "trouble");
    const char *provider = nm_json_string(link, "provider").ptr;
    printf("%s %s%s%s%.*s%s", i > 0 ? "," : "", provider ? provider : "?",
           json_is_true(json_object_get(link, "is_chosen")) ? " (chosen" : "",
           trouble.len > 0 ? json_is_true(json_object_get(link, "is_chosen")) ? "; " : " (" : "",
           NM_TEXT_ARG(trouble),
           trouble.len > 0 || json_is_true(json_object_get(link, "is_chosen")) ? ")" : "");
  }
  putchar('\n');
}

/* What rules make of an event: which step answered, then its effects. */
static void print_made(const json_t *made)
{
  size_t i;
  json_t *step, *effect, *message;
  struct nm_text digest = nm_json_string(made, "rules");
  printf("what the rules of now make of it (%.12s)\n", digest.len > 0 ? digest.ptr : "none");
  struct nm_text error = nm_json_string(made, "error");
  if (error.len > 0) printf("  failed: %.*s\n", NM_TEXT_ARG(error));
  json_array_foreach(json_object_get(made, "trace"), i, step)
  {
    const char *name = nm_json_string(step, "step").ptr;
    const json_t *share = json_object_get(step, "share");
    struct nm_text at = nm_json_string(step, "at");
    printf("  step %zu  %-24s %s", i + 1, name ? name : "?",
           json_is_true(json_object_get(step, "answered")) ? "answered" : "passed it on");
    if (json_is_integer(share)) printf(", share %" JSON_INTEGER_FORMAT, json_integer_value(share));
    if (at.len > 0) printf(" (%.*s)", NM_TEXT_ARG(at));
    putchar('\n');
    print_values(json_object_get(step, "values"));
  }
  json_array_foreach(json_object_get(made, "effects"), i, effect)
  {
    char *text = json_dumps(effect, JSON_COMPACT);
    printf("  effect  %s\n", text ? text : "?");
    free(text);
  }
  json_array_foreach(json_object_get(made, "messages"), i, message) print_chain(message);
  struct nm_text state = nm_json_string(made, "state"), reason = nm_json_string(made, "reason");
  if (state.len > 0)
    printf("  so it %s %.*s%s%.*s\n", nm_text_equal(state, NM_TEXT("held")) ? "is" : "would be",
           NM_TEXT_ARG(state), reason.len > 0 ? ": " : "", NM_TEXT_ARG(reason));
}

/* The events that a webhook's request was made into. */
static void print_became(const json_t *became)
{
  static const struct nm_cli_column columns[] = {
    { "id", "BECAME EVENT" }, { "event_kind", "KIND" }, { "type", "TYPE" }, { "name", "NAME" },
    { "customer", "CUSTOMER" }, { "state", "STATE" }, { "reason", "REASON" },
  };
  if (json_array_size(became) == 0) return;
  putchar('\n');
  nm_cli_print_table(became, columns, NM_CLI_COUNT(columns), "");
}

static void print_all(const json_t *answer)
{
  size_t i;
  json_t *message;
  const json_t *event = json_object_get(answer, "event");
  const json_t *own = json_object_get(answer, "message");
  if (own) print_message(own);
  if (own) print_waits(json_object_get(answer, "waits"));
  if (own && event) putchar('\n');
  if (event) nm_cli_print_facts(event, event_facts, NM_CLI_COUNT(event_facts));
  json_array_foreach(json_object_get(answer, "messages"), i, message)
  {
    putchar('\n');
    print_message(message);
  }
  print_became(json_object_get(answer, "became"));
  const json_t *now = json_object_get(answer, "now");
  if (now) putchar('\n');
  if (now) print_made(now);
}

static int explain_id(struct nm_invocation *invocation)
{
  struct nm_cli_answer answer;
  struct nm_text path = nm_cli_word_path(invocation, "/explain/", "");
  int code = nm_cli_ask(invocation, "GET", path, NULL, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE) print_all(answer.body);
  json_decref(answer.body);
  return code;
}

static int read_event(struct nm_invocation *invocation, const char *path, json_t **out)
{
  struct nm_error error;
  char *bytes = nm_arena_alloc(invocation->arena, NM_HTTP_EVENT_BODY_MAX_BYTES + 1);
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!file || !bytes) {
    fprintf(stderr, "netmove explain: %s: %s\n", path, strerror(errno));
    return NM_CLI_COULD_NOT;
  }
  size_t len = fread(bytes, 1, NM_HTTP_EVENT_BODY_MAX_BYTES + 1, file);
  if (file != stdin) fclose(file);
  if (len > NM_HTTP_EVENT_BODY_MAX_BYTES) {
    fprintf(stderr, "netmove explain: %s is larger than an event may be (%d bytes)\n", path,
            NM_HTTP_EVENT_BODY_MAX_BYTES);
    return NM_CLI_NOT_RIGHT;
  }
  if (!nm_json_parse(out, (struct nm_text){ bytes, len }, &error)) return NM_CLI_DONE;
  fprintf(stderr, "netmove explain: %s: %s\n", path, error.text);
  return NM_CLI_NOT_RIGHT;
}

int nm_cli_explain(struct nm_invocation *invocation)
{
  const char *tenant = invocation->options[0], *file = invocation->options[1];
  struct nm_cli_answer answer;
  json_t *event = NULL;

  if (invocation->word_count == 1 && !tenant && !file) return explain_id(invocation);
  if (invocation->word_count > 0 || !tenant || !file) {
    fprintf(stderr, "netmove explain: give either an ID, or --tenant TENANT and --event FILE; see "
                    "netmove explain --help\n");
    return NM_CLI_WRONG_USAGE;
  }
  int code = read_event(invocation, file, &event);
  if (code) return code;
  json_t *body = json_pack("{s:s,s:o,s:b}", "tenant", tenant, "event", event, "recipient",
                           invocation->options[2] != NULL);
  code = nm_cli_ask(invocation, "POST", NM_TEXT("/explain"), body, &answer);
  if (code == NM_CLI_DONE && invocation->is_json) nm_cli_print_json(answer.body);
  else if (code == NM_CLI_DONE) print_made(answer.body);
  json_decref(answer.body);
  json_decref(body);
  return code;
}
