/* links: engine */
/* The engine on a real store with the loopback adapter: events in, messages out, over restarts.
 *
 * Optimove's address is one where nobody listens; the pages of runs are put into the store as if
 * they had come. */
#include <sched.h>

#include "store_kit.h"

#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "engine/engine.h"
#include "model/control.h"

enum { WAIT_MAX_MS = 60 * 1000, TEMPLATE = 1201, RATE = 2000, FAST = 1000000 };

struct flow {
  struct kit kit;
  struct nm_keyring *keyring;
  struct nm_tenants *tenants;
  struct nm_settings settings;
  struct nm_text allow[1];
  _Atomic(struct nm_engine *) engine;
  int64_t tenant_id, generation_id;
  uint64_t errors;
  int64_t delivered;
};

static const char rules_source[] =
    "return tenant { name = \"acme\", time_zone = \"UTC\",\n"
    "  messages = { welcome = push { title = \"Hi {first_name|friend}\", body = \"x\" },\n"
    "               text = sms { text = \"x\" } },\n"
    "  channels = { [459] = \"push\", [481] = \"sms\" }, templates = { [1201] = \"welcome\", "
    "[1203] = \"text\" },\n"
    "  events = { [11] = send_template, [4] = cancel_campaign,\n"
    "    [13] = for_each_recipient(function(event, ctx)\n"
    "      if event.CustomerID == \"HOLD\" then return hold(\"not this one\") end\n"
    "      return send(\"welcome\", event, ctx) end) },\n"
    "  hooks = { PURCHASE = update_customer { CustomerID = from(\"extId\"), X = \"1\" } },\n"
    "}\n";

/* ---- making a daemon without its doors ------------------------------------------------------- */

static void on_work(void *data, unsigned work)
{
  struct flow *flow = data;
  struct nm_engine *engine = flow->engine;
  if (engine) nm_engine_wake(engine, work);
}

static void open_store(struct flow *flow)
{
  struct nm_error err = { 0 };
  struct nm_store_options options = { .url = nm_text_from(flow->kit.url), .on_work = on_work,
                                      .data = flow };
  if (nm_store_open(&flow->kit.store, &options, &err)) fail_msg("store: %s", err.text);
}

/* Puts the tenant into store and directory, with a status and a rate of its provider. */
static void save_tenant(struct flow *flow, const char *status, int rate)
{
  struct nm_problems problems = { .arena = flow->kit.arena };
  struct nm_tenant *tenant = NULL;
  json_t *document = json_pack(
      "{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:[{s:i,s:s,s:s},{s:i,s:s,s:s}]},s:{s:{s:s,s:i}},s:{s:[s]},"
      "s:[{s:s,s:s,s:s}]}",
      "name", "acme", "appKey", "acme-key", "restApiKey", "k", "optimove", "baseUrl",
      "http://127.0.0.1:1", "apiKey", "k", "status", status, "channels", "id", CHANNEL, "name",
      "Push", "kind", "push", "id", OTHER_CHANNEL, "name", "SMS", "kind", "sms", "providers",
      "loop", "adapter", "loopback", "rate", rate, "channels", "push", "loop", "hooks", "type",
      "OPTIMOVE", "event", "PURCHASE", "status", "ACTIVE");
  assert_non_null(document);
  if (nm_tenant_parse(&tenant, document, "test", false, NULL, &problems))
    fail_msg("%.*s", NM_TEXT_ARG(problems.first->text));
  json_decref(document);
  struct nm_store_tenant_save save = {
    .tenant = { .name = NM_TEXT("acme"), .app_key = NM_TEXT("acme-key"), .sealed = NM_TEXT("{}") }
  };
  if (flow->tenant_id) save.tenant.version = 1;
  if (!flow->tenant_id) {
    KIT_MUST(&flow->kit, NM_STORE_TENANT_SAVE, &save);
    flow->tenant_id = save.tenant.id;
  }
  tenant->id = flow->tenant_id;
  tenant->version = 1;
  assert_int_equal(nm_tenants_put(flow->tenants, tenant), NM_OK);
}

static struct nm_generation *load_generation(struct flow *flow)
{
  struct nm_problems problems = { .arena = flow->kit.arena };
  struct nm_rules *rules = NULL;
  struct nm_text source = nm_text_from(rules_source);
  if (nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), source, &problems))
    fail_msg("%.*s", NM_TEXT_ARG(problems.first->text));
  struct nm_generation *generation = nm_generation_create(flow->tenant_id, rules, source);
  assert_non_null(generation);
  if (flow->generation_id == 0) {
    struct nm_store_generation_save save = {
      .generation = { .tenant_id = flow->tenant_id, .is_active = true,
                      .digest = nm_text_from(nm_rules_facts(rules)->digest), .source = source }
    };
    KIT_MUST(&flow->kit, NM_STORE_GENERATION_SAVE, &save);
    flow->generation_id = save.generation.id;
  }
  generation->id = flow->generation_id;
  generation->is_active = true;
  return generation;
}

static int setup(void **state)
{
  struct flow *flow = calloc(1, sizeof *flow);
  bool was_made;
  char beside[160];
  struct nm_error err = { 0 };
  assert_non_null(flow);
  kit_name(&flow->kit);
  flow->kit.arena = nm_arena_create(512 * 1024 * 1024);
  open_store(flow);
  snprintf(beside, sizeof beside, "%s/key", flow->kit.folder);
  if (nm_keyring_open(&flow->keyring, NM_TEXT(""), nm_text_from(beside), &was_made, &err))
    fail_msg("%s", err.text);
  flow->tenants = nm_tenants_create(flow->keyring);
  flow->allow[0] = NM_TEXT("127.0.0.0/8");
  flow->settings.outbound_allow = flow->allow;
  flow->settings.outbound_allow_count = 1;
  flow->errors = nm_log_error_count();
  flow->delivered = nm_metric_get(NM_METRIC_LOOPBACK_DELIVERED);
  save_tenant(flow, "ACTIVE", FAST);
  nm_generation_unref(load_generation(flow));
  *state = flow;
  return 0;
}

/* ---- control --------------------------------------------------------------------------------- */

static void on_control_done(struct nm_task *task)
{
  (void)task;
  uv_sem_post(&kit_answered);
}

/* Asks the engine and waits; gives the answer. */
static json_t *tell(struct flow *flow, enum nm_control_verb verb, json_t *args, void *payload,
                    int *rc)
{
  struct nm_control control = { .task = { .done = on_control_done }, .verb = verb, .args = args,
                                .payload = payload };
  assert_int_equal(nm_port_post(nm_engine_port(flow->engine), &control.task), NM_OK);
  uv_sem_wait(&kit_answered);
  if (rc) *rc = control.rc;
  else if (control.rc) fail_msg("control %d: %s", (int)verb, control.error.text);
  json_decref(args);
  return control.answer;
}

static void start(struct flow *flow)
{
  struct nm_engine *engine = NULL;
  struct nm_error err = { 0 };
  const struct nm_engine_env env = { .store = flow->kit.store, .tenants = flow->tenants,
                                     .keyring = flow->keyring, .settings = &flow->settings,
                                     .public_url = NM_TEXT("http://127.0.0.1:2") };
  if (nm_engine_start(&engine, &env, &err)) fail_msg("engine: %s", err.text);
  flow->engine = engine;
  json_decref(tell(flow, NM_CONTROL_SWAP_RULES, NULL, load_generation(flow), NULL));
  json_decref(tell(flow, NM_CONTROL_RULES_ARE_IN, NULL, NULL, NULL));
}

static void stop(struct flow *flow)
{
  struct nm_engine *engine = flow->engine;
  json_decref(tell(flow, NM_CONTROL_STOP, NULL, NULL, NULL));
  flow->engine = NULL;
  nm_engine_join(engine);
}

static int teardown(void **state)
{
  struct flow *flow = *state;
  uint64_t errors = nm_log_error_count() - flow->errors;
  if (flow->engine) stop(flow);
  nm_store_close(flow->kit.store);
  nm_tenants_destroy(flow->tenants);
  nm_keyring_destroy(flow->keyring);
  nm_arena_destroy(flow->kit.arena);
  remove_folder(flow->kit.folder);
  free(flow);
  return errors > 0 ? -1 : 0;
}

/* ---- waiting and looking --------------------------------------------------------------------- */

static int64_t delivered(const struct flow *flow)
{
  return nm_metric_get(NM_METRIC_LOOPBACK_DELIVERED) - flow->delivered;
}

static size_t count_runs(struct flow *flow)
{
  json_t *runs = kit_query(&flow->kit, NM_QUERY_RUNS, json_pack("{s:i}", "limit", 10));
  size_t count = json_array_size(runs);
  json_decref(runs);
  return count;
}

static json_t *only_run(struct flow *flow)
{
  json_t *runs = kit_query(&flow->kit, NM_QUERY_RUNS, json_pack("{s:i}", "limit", 10));
  if (json_array_size(runs) != 1) fail_msg("%zu runs", json_array_size(runs));
  json_t *run = json_incref(json_array_get(runs, 0));
  json_decref(runs);
  return run;
}

static bool is_state(json_t *shown, const char *state)
{
  bool is_it = strcmp(json_string_value(json_object_get(shown, "state")), state) == 0;
  json_decref(shown);
  return is_it;
}

#define UNTIL(condition)                                                                           \
  do {                                                                                             \
    int64_t until_ms = nm_clock_mono_ms() + WAIT_MAX_MS;                                           \
    while (!(condition)) {                                                                         \
      if (nm_clock_mono_ms() > until_ms) fail_msg("waited in vain: %s", #condition);               \
      sched_yield();                                                                               \
    }                                                                                              \
  } while (0)

static int64_t number_of(json_t *shown, const char *key)
{
  int64_t number = json_integer_value(json_object_get(shown, key));
  json_decref(shown);
  return number;
}

static int64_t accept_event(struct flow *flow, int64_t type, const char *campaign,
                            const char *customer, const char *stamp)
{
  struct nm_store_arrival arrival = kit_event(type, campaign, customer, stamp);
  arrival.event.tenant_id = flow->tenant_id;
  if (type == NM_EVENT_TYPE_SINGLE) arrival.event.template_id = TEMPLATE;
  if (type == NM_EVENT_TYPE_CANCEL) arrival.event.channel_id = 0;
  return kit_accept(&flow->kit, &arrival);
}

/* The state of an event's only message; "" where there is none. */
static const char *message_state(struct flow *flow, int64_t event_id)
{
  static char word[32];
  json_t *shown = kit_show(&flow->kit, event_id);
  const char *state = json_string_value(
      json_object_get(json_array_get(json_object_get(shown, "messages"), 0), "state"));
  snprintf(word, sizeof word, "%s", state ? state : "");
  json_decref(shown);
  return word;
}

static const char *event_reason(struct flow *flow, int64_t event_id)
{
  static char word[256];
  json_t *shown = kit_show(&flow->kit, event_id);
  const char *reason = json_string_value(json_object_get(shown, "reason"));
  snprintf(word, sizeof word, "%s", reason ? reason : "");
  json_decref(shown);
  return word;
}

/* ---- single messages ------------------------------------------------------------------------- */

static void an_event_11_becomes_one_message_that_is_sent(void **state)
{
  struct flow *flow = *state;
  start(flow);
  int64_t id = accept_event(flow, 11, "7", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  assert_int_equal(delivered(flow), 1);
  kit_assert_state(&flow->kit, id, "planned");
}

static void what_waited_before_the_start_is_sent_after_it(void **state)
{
  struct flow *flow = *state;
  int64_t last = 0;
  char customer[16];
  for (int i = 0; i < 1000; i++) {
    snprintf(customer, sizeof customer, "C%d", i);
    last = accept_event(flow, 11, "7", customer, "");
  }
  start(flow);
  UNTIL(delivered(flow) == 1000);
  UNTIL(strcmp(message_state(flow, last), "sent") == 0);
}

static void
a_template_on_the_wrong_channel_or_without_provider_is_held_with_the_reason(void **state)
{
  struct flow *flow = *state;
  start(flow);
  struct nm_store_arrival arrival = kit_event(11, "7", "42", "");
  arrival.event.tenant_id = flow->tenant_id;
  arrival.event.template_id = 1203;
  arrival.event.channel_id = OTHER_CHANNEL;
  int64_t id = kit_accept(&flow->kit, &arrival);
  UNTIL(is_state(kit_show(&flow->kit, id), "held"));
  assert_string_equal(event_reason(flow, id), "no provider for sms");
}

static void an_inactive_connector_holds_11_and_13_and_obeys_4(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "INACTIVE", FAST);
  start(flow);
  int64_t single = accept_event(flow, 11, "7", "42", "");
  int64_t campaign = accept_event(flow, 13, "7", "", "2026-11-23 10:00:00");
  int64_t cancel = accept_event(flow, 4, "7", "", "2026-11-23 10:05:00");
  UNTIL(is_state(kit_show(&flow->kit, single), "held"));
  UNTIL(is_state(kit_show(&flow->kit, campaign), "held"));
  UNTIL(is_state(kit_show(&flow->kit, cancel), "planned"));
  assert_string_equal(event_reason(flow, campaign), "the connector is INACTIVE");
}

static void a_hook_event_says_what_is_missing(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "INACTIVE", FAST);
  start(flow);
  struct nm_store_arrival arrival = {
    .event = { .tenant_id = flow->tenant_id, .received_at_ms = nm_clock_wall_ms(),
               .kind = NM_EVENT_HOOK, .customer = NM_TEXT("42"), .name = NM_TEXT("REFUND"),
               .body = NM_TEXT("{\"name\":\"REFUND\",\"extId\":\"42\"}") },
    .identity = NM_TEXT("hook|1"), .window_ms = 1000,
  };
  int64_t id = kit_accept(&flow->kit, &arrival);
  UNTIL(is_state(kit_show(&flow->kit, id), "skipped"));
  assert_string_equal(event_reason(flow, id),
                      "the connector is INACTIVE, no hook of the name REFUND, no rule");
}

static void a_message_whose_time_is_over_is_not_sent(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  message.expires_at_ms = nm_clock_wall_ms() - 1;
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "expired") == 0);
  assert_int_equal(delivered(flow), 0);
}

static void a_message_of_a_provider_that_is_gone_is_held(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("gone");
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "held") == 0);
}

static void quiet_hours_give_a_leased_message_back_until_they_end(void **state)
{
  struct flow *flow = *state;
  struct nm_local local;
  const struct nm_zone *zone;
  assert_int_equal(nm_zone_find(&zone, NM_TEXT("UTC")), NM_OK);
  nm_zone_local(zone, nm_clock_wall_ms(), &local);
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  /* an hour before to an hour after now, whatever the hour is */
  message.quiet = (struct nm_quiet){ (local.hour + 23) % 24 * 60, (local.hour + 2) % 24 * 60 };
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(number_of(kit_show(&flow->kit, message.id), "due_at") >
        nm_clock_wall_ms() + 30 * 60 * 1000);
  assert_int_equal(delivered(flow), 0);
}

/* ---- cancels --------------------------------------------------------------------------------- */

static void a_4_that_waits_is_planned_before_its_13_and_wins(void **state)
{
  struct flow *flow = *state;
  accept_event(flow, 13, "7", "", "2026-11-23 10:00:00");
  accept_event(flow, 4, "7", "", "2026-11-23 10:05:00");
  start(flow);
  UNTIL(count_runs(flow) == 1);
  assert_true(is_state(only_run(flow), "cancelled"));
  assert_int_equal(number_of(only_run(flow), "rows_fetched"), 0);
}

static void a_4_that_waits_at_the_start_stops_what_waits_to_be_sent(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", "2026-11-23 10:00:00"),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  accept_event(flow, 4, "7", "", "");
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "stopped") == 0);
  assert_int_equal(delivered(flow), 0);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void save_page(struct flow *flow, int64_t run_id, int64_t number, struct nm_text body,
                      int64_t rows)
{
  struct nm_store_page_save save = {
    .run_id = run_id, .number = number, .rows = rows, .body = body
  };
  KIT_MUST(&flow->kit, NM_STORE_PAGE_SAVE, &save);
}

/* A page of customers from..to-1, each with the template, as Optimove sends it. */
static void save_customers(struct flow *flow, int64_t run_id, int64_t number, int from, int to)
{
  struct nm_buffer body;
  nm_buffer_init(&body, 16 * 1024 * 1024);
  assert_int_equal(nm_buffer_appendf(&body, "["), NM_OK);
  for (int i = from; i < to; i++)
    assert_int_equal(
        nm_buffer_appendf(&body, "%s{\"CustomerID\":\"C%d\",\"TemplateID\":%d,\"ActionID\":5}",
                          i > from ? "," : "", i, TEMPLATE),
        NM_OK);
  assert_int_equal(nm_buffer_appendf(&body, "]"), NM_OK);
  save_page(flow, run_id, number, nm_buffer_text(&body), to - from);
  nm_buffer_deinit(&body);
}

/* A run that was planned before the start. */
static int64_t make_run(struct flow *flow)
{
  struct nm_run run = { .channel_id = CHANNEL,
                        .campaign = NM_TEXT("7"),
                        .generation_id = flow->generation_id,
                        .triggered_at_ms = nm_clock_wall_ms() };
  struct nm_plan plan = { .event_id = accept_event(flow, 13, "7", "", ""),
                          .tenant_id = flow->tenant_id,
                          .state = NM_EVENT_PLANNED,
                          .run = &run };
  kit_plan(&flow->kit, &plan);
  return run.id;
}

static void a_run_sends_each_once_and_leaves_marks_for_those_held(void **state)
{
  struct flow *flow = *state;
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 700);
  save_page(
      flow, id, 1,
      NM_TEXT("[{\"CustomerID\":\"C1\",\"TemplateID\":1201},{\"CustomerID\":\"HOLD\","
              "\"TemplateID\":1201},"
              "{\"CustomerID\":\"X\",\"TemplateID\":1201,\"ActionID\":1},{\"TemplateID\":1201},"
              "{\"CustomerID\":\"C1\",\"TemplateID\":1202}]"),
      5);
  save_page(flow, id, 2, NM_TEXT(""), 0);
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 701);
  assert_int_equal(kit_number(&flow->kit, id, "sent"), 701);
  assert_int_equal(kit_number(&flow->kit, id, "repeated"), 1);
  assert_int_equal(kit_number(&flow->kit, id, "skipped"), 1);
  assert_int_equal(kit_number(&flow->kit, id, "held"), 2);
}

static void a_run_without_recipients_is_done_at_once(void **state)
{
  struct flow *flow = *state;
  int64_t id = make_run(flow);
  save_page(flow, id, 0, NM_TEXT(""), 0);
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 0);
}

static void a_run_goes_on_at_its_cursor_and_repeats_nobody(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "ACTIVE", RATE); /* slow enough to be stopped on the way, more than once */
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 3000);
  save_customers(flow, id, 1, 3000, 7000);
  save_customers(flow, id, 2, 0, 1500); /* for the second time, and known from another life */
  save_customers(flow, id, 3, 7000, 9000);
  save_page(flow, id, 4, NM_TEXT(""), 0);
  int64_t before = 0;
  for (int restarts = 0; restarts < 4; restarts++) {
    start(flow);
    UNTIL(delivered(flow) > before + 700);
    stop(flow);
    before = delivered(flow);
    assert_true(before < 9000);
    nm_store_close(flow->kit.store);
    open_store(flow);
  }
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 9000);
  assert_int_equal(kit_number(&flow->kit, id, "sent"), 9000);
  assert_int_equal(kit_number(&flow->kit, id, "repeated"), 1500);
}

static void a_run_cancelled_by_hand_sends_nothing_after_the_answer(void **state)
{
  struct flow *flow = *state;
  char text[32];
  save_tenant(flow, "ACTIVE", RATE);
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 9000);
  save_page(flow, id, 1, NM_TEXT(""), 0);
  start(flow);
  UNTIL(delivered(flow) > 300);
  snprintf(text, sizeof text, "%lld", (long long)id);
  json_t *answer = tell(flow, NM_CONTROL_RUN_CANCEL, json_pack("{s:s}", "run", text), NULL, NULL);
  int64_t in_flight = json_integer_value(json_object_get(answer, "in_flight"));
  assert_true(json_integer_value(json_object_get(answer, "fenced_at")) > 0);
  json_decref(answer);
  /* Everything has its end; what is counted adds up to what was made. */
  UNTIL(kit_number(&flow->kit, id, "sent") + kit_number(&flow->kit, id, "stopped") ==
        kit_number(&flow->kit, id, "made"));
  assert_int_equal(kit_number(&flow->kit, id, "sent"), delivered(flow));
  assert_true(kit_number(&flow->kit, id, "sent") < 9000);
  assert_true(in_flight >= 0);
  kit_assert_state(&flow->kit, id, "cancelled");
}

static void a_single_message_overtakes_a_campaign(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "ACTIVE", 500);
  int64_t run_id = make_run(flow);
  save_customers(flow, run_id, 0, 0, 5000); /* ten seconds of work */
  save_page(flow, run_id, 1, NM_TEXT(""), 0);
  start(flow);
  UNTIL(delivered(flow) > 400); /* by now the lane holds as much as it wants to */
  int64_t id = accept_event(flow, 11, "8", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  assert_true(delivered(flow) < 4000); /* in turn it would have come behind all that is made
                                        * ahead */
}

/* ---- control --------------------------------------------------------------------------------- */

static void explain_says_what_the_rules_make_of_an_event(void **state)
{
  struct flow *flow = *state;
  start(flow);
  json_t *args = json_pack("{s:s,s:{s:i,s:s,s:i,s:i,s:s,s:{s:s}}}", "tenant", "acme", "event",
                           "EventTypeID", 11, "CampaignID", "7", "ChannelID", CHANNEL, "TemplateID",
                           TEMPLATE, "CustomerID", "42", "attributes", "first_name", "Ada");
  json_t *answer = tell(flow, NM_CONTROL_EXPLAIN, args, NULL, NULL);
  json_t *effect = json_array_get(json_object_get(answer, "effects"), 0);
  assert_string_equal(json_string_value(json_object_get(effect, "effect")), "send");
  assert_string_equal(
      json_string_value(json_object_get(json_object_get(effect, "content"), "title")), "Hi Ada");
  assert_string_equal(json_string_value(json_object_get(answer, "provider")), "loop");
  assert_string_equal(json_string_value(json_object_get(answer, "state")), "planned");
  assert_int_equal(json_string_length(json_object_get(answer, "rules")), NM_RULES_DIGEST_BYTES);
  json_decref(answer);
  assert_int_equal(delivered(flow), 0); /* it only says */
}

static void a_saved_tenant_is_answered_though_optimove_does_not_answer(void **state)
{
  struct flow *flow = *state;
  start(flow);
  json_t *answer =
      tell(flow, NM_CONTROL_TENANT_SAVED, json_pack("{s:s}", "tenant", "acme"), NULL, NULL);
  assert_true(json_is_false(json_object_get(answer, "settled")));
  assert_true(json_array_size(json_object_get(answer, "todo")) > 0);
  assert_true(json_array_size(json_object_get(answer, "warnings")) > 0);
  json_decref(answer);
  int rc = NM_OK;
  json_decref(
      tell(flow, NM_CONTROL_TENANT_SAVED, json_pack("{s:s}", "tenant", "nobody"), NULL, &rc));
  assert_int_equal(rc, NM_ENOTFOUND);
}

static void status_names_lanes_and_rules(void **state)
{
  struct flow *flow = *state;
  start(flow);
  int64_t id = accept_event(flow, 11, "7", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  json_t *answer = tell(flow, NM_CONTROL_STATUS, NULL, NULL, NULL);
  json_t *lane = json_array_get(json_object_get(answer, "lanes"), 0);
  assert_string_equal(json_string_value(json_object_get(lane, "provider")), "loop");
  assert_int_equal(json_array_size(json_object_get(answer, "generations")), 1);
  json_decref(answer);
}

#define FLOW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  (void)kit_setup; /* the kit's own tests are elsewhere */
  (void)kit_teardown;
  const struct CMUnitTest tests[] = {
    FLOW_TEST(an_event_11_becomes_one_message_that_is_sent),
    FLOW_TEST(what_waited_before_the_start_is_sent_after_it),
    FLOW_TEST(a_template_on_the_wrong_channel_or_without_provider_is_held_with_the_reason),
    FLOW_TEST(an_inactive_connector_holds_11_and_13_and_obeys_4),
    FLOW_TEST(a_hook_event_says_what_is_missing),
    FLOW_TEST(a_message_whose_time_is_over_is_not_sent),
    FLOW_TEST(a_message_of_a_provider_that_is_gone_is_held),
    FLOW_TEST(quiet_hours_give_a_leased_message_back_until_they_end),
    FLOW_TEST(a_4_that_waits_is_planned_before_its_13_and_wins),
    FLOW_TEST(a_4_that_waits_at_the_start_stops_what_waits_to_be_sent),
    FLOW_TEST(a_run_sends_each_once_and_leaves_marks_for_those_held),
    FLOW_TEST(a_run_without_recipients_is_done_at_once),
    FLOW_TEST(a_run_goes_on_at_its_cursor_and_repeats_nobody),
    FLOW_TEST(a_run_cancelled_by_hand_sends_nothing_after_the_answer),
    FLOW_TEST(a_single_message_overtakes_a_campaign),
    FLOW_TEST(explain_says_what_the_rules_make_of_an_event),
    FLOW_TEST(a_saved_tenant_is_answered_though_optimove_does_not_answer),
    FLOW_TEST(status_names_lanes_and_rules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
