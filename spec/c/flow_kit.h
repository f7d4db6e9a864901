/* flow_kit.h - the engine on a real store with the loopback adapter, without the doors.
 *
 * Optimove's address is one where nobody listens; the pages of runs are put into the store as if
 * they had come. */
#pragma once

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

static inline void on_work(void *data, unsigned work)
{
  struct flow *flow = data;
  struct nm_engine *engine = flow->engine;
  if (engine) nm_engine_wake(engine, work);
}

static inline void open_store(struct flow *flow)
{
  struct nm_error err = { 0 };
  struct nm_store_options options = { .url = nm_text_from(flow->kit.url), .on_work = on_work,
                                      .data = flow };
  if (nm_store_open(&flow->kit.store, &options, &err)) fail_msg("store: %s", err.text);
}

/* Puts the tenant into store and directory, with a status and a rate of its provider. */
static inline void save_tenant(struct flow *flow, const char *status, int rate)
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

static inline struct nm_generation *load_generation(struct flow *flow)
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

static inline int setup(void **state)
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

static inline void on_control_done(struct nm_task *task)
{
  (void)task;
  uv_sem_post(&kit_answered);
}

/* Asks the engine and waits; gives the answer. */
static inline json_t *tell(struct flow *flow, enum nm_control_verb verb, json_t *args,
                           void *payload, int *rc)
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

static inline void start(struct flow *flow)
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

static inline void stop(struct flow *flow)
{
  struct nm_engine *engine = flow->engine;
  json_decref(tell(flow, NM_CONTROL_STOP, NULL, NULL, NULL));
  flow->engine = NULL;
  nm_engine_join(engine);
}

static inline int teardown(void **state)
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

static inline int64_t delivered(const struct flow *flow)
{
  return nm_metric_get(NM_METRIC_LOOPBACK_DELIVERED) - flow->delivered;
}

static inline size_t count_runs(struct flow *flow)
{
  json_t *runs = kit_query(&flow->kit, NM_QUERY_RUNS, json_pack("{s:i}", "limit", 10));
  size_t count = json_array_size(runs);
  json_decref(runs);
  return count;
}

static inline json_t *only_run(struct flow *flow)
{
  json_t *runs = kit_query(&flow->kit, NM_QUERY_RUNS, json_pack("{s:i}", "limit", 10));
  if (json_array_size(runs) != 1) fail_msg("%zu runs", json_array_size(runs));
  json_t *run = json_incref(json_array_get(runs, 0));
  json_decref(runs);
  return run;
}

static inline bool is_state(json_t *shown, const char *state)
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

static inline int64_t number_of(json_t *shown, const char *key)
{
  int64_t number = json_integer_value(json_object_get(shown, key));
  json_decref(shown);
  return number;
}

static inline int64_t accept_event(struct flow *flow, int64_t type, const char *campaign,
                                   const char *customer, const char *stamp)
{
  struct nm_store_arrival arrival = kit_event(type, campaign, customer, stamp);
  arrival.event.tenant_id = flow->tenant_id;
  if (type == NM_EVENT_TYPE_SINGLE) arrival.event.template_id = TEMPLATE;
  if (type == NM_EVENT_TYPE_CANCEL) arrival.event.channel_id = 0;
  return kit_accept(&flow->kit, &arrival);
}

/* The state of an event's only message; "" where there is none. */
static inline const char *message_state(struct flow *flow, int64_t event_id)
{
  static char word[32];
  json_t *shown = kit_show(&flow->kit, event_id);
  const char *state = json_string_value(
      json_object_get(json_array_get(json_object_get(shown, "messages"), 0), "state"));
  snprintf(word, sizeof word, "%s", state ? state : "");
  json_decref(shown);
  return word;
}

static inline const char *event_reason(struct flow *flow, int64_t event_id)
{
  static char word[256];
  json_t *shown = kit_show(&flow->kit, event_id);
  const char *reason = json_string_value(json_object_get(shown, "reason"));
  snprintf(word, sizeof word, "%s", reason ? reason : "");
  json_decref(shown);
  return word;
}

#define FLOW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
