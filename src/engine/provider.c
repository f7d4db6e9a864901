/* provider.c - provider test: asks a provider whether it takes us, sends nothing to a person. */
#include <stdlib.h>

#include "adapters/adapter.h"
#include "engine/book.h"

struct testing {
  struct nm_engine *engine;
  struct nm_control *control;
  struct nm_tenant *tenant; /* whose settings are asked with */
  json_t *checks;
  const char *what; /* the adapter's name */
  bool is_wrong;
};

static void say(struct testing *testing, const char *what, const char *result, const char *text)
{
  if (strcmp(result, "wrong") == 0) testing->is_wrong = true;
  json_array_append_new(testing->checks, json_pack("{s:s,s:s,s:s}", "what", what, "result", result,
                                                   "text", text));
}

static void end(struct testing *testing)
{
  struct nm_engine *engine = testing->engine;
  nm_control_answer(testing->control, NM_OK,
                    json_pack("{s:b,s:o}", "ok", !testing->is_wrong, "checks", testing->checks));
  nm_tenant_unref(testing->tenant);
  free(testing);
  engine->reconciles--;
  nm_engine_check_stop(engine);
}

static void on_tested(void *data, const char *result, const char *text)
{
  struct testing *testing = data;
  say(testing, testing->what, result, text);
  end(testing);
}

static bool is_in_a_chain(const struct nm_tenant *tenant, struct nm_text name)
{
  for (int kind = 0; kind < NM_CHANNEL_COUNT; kind++)
    for (size_t i = 0; i < tenant->chain_counts[kind]; i++)
      if (nm_text_equal(tenant->chains[kind][i], name)) return true;
  return false;
}

static void start(struct testing *testing, const struct nm_tenant_provider *provider)
{
  const struct nm_adapter *adapter = nm_adapter_find(provider->adapter);
  struct nm_provider_test test = { .done = on_tested, .data = testing };
  if (!is_in_a_chain(testing->tenant, provider->name))
    say(testing, "channels", "warning",
        "no channel of the tenant names it: nothing goes out by it");
  testing->what = adapter ? adapter->name : "adapter";
  if (!adapter) {
    on_tested(testing, "wrong", "its adapter is not built");
  } else if (!adapter->test) {
    on_tested(testing, "fine", "there is nothing to log in to");
  } else if (adapter->test(&testing->engine->adapter_env, provider->settings, &test)) {
    on_tested(testing, "wrong", "it could not be asked (out of memory)");
  }
}

void nm_provider_control(struct nm_book *book, struct nm_control *control)
{
  struct nm_text name = nm_json_string(control->args, "provider");
  const struct nm_tenant_provider *provider = nm_tenant_find_provider(book->tenant, name);
  if (!provider) {
    nm_fail(&control->error, NM_ENOTFOUND, "tenant %.*s has no provider \"%.*s\"",
            NM_TEXT_ARG(book->tenant->name), NM_TEXT_ARG(name));
    nm_control_answer(control, NM_ENOTFOUND, NULL);
    return;
  }
  struct testing *testing = calloc(1, sizeof *testing);
  nm_require(testing != NULL);
  *testing = (struct testing){ .engine = book->engine, .control = control,
                               .tenant = nm_tenant_ref(book->tenant), .checks = json_array() };
  book->engine->reconciles++;
  start(testing, provider);
}
