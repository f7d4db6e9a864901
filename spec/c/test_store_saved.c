/* links: store */
#include "store_kit.h"

static int save_tenant(struct kit *kit, const char *name, const char *app_key,
                       struct nm_store_tenant_save *save)
{
  *save = (struct nm_store_tenant_save){ .tenant = { .name = nm_text_from(name),
                                                     .app_key = nm_text_from(app_key),
                                                     .sealed = NM_TEXT("{\"a\":1}") } };
  return kit_ask(kit, NM_STORE_TENANT_SAVE, &save->request);
}

static void a_tenant_is_saved_by_name(void **state)
{
  struct kit *kit = *state;
  struct nm_store_tenant_save first, again, other;
  assert_int_equal(save_tenant(kit, "acme", "key-1", &first), NM_OK);
  assert_true(first.is_new);
  assert_int_equal(first.tenant.version, 1);
  assert_int_equal(save_tenant(kit, "acme", "key-2", &again), NM_OK);
  assert_false(again.is_new);
  assert_int_equal(again.tenant.id, first.tenant.id);
  assert_int_equal(again.tenant.version, 2);
  assert_int_equal(save_tenant(kit, "other", "key-2", &other), NM_ECONFLICT);
  assert_int_equal(save_tenant(kit, "other", "key-1", &other), NM_OK);
  assert_int_equal(save_tenant(kit, "", "key-9", &other), NM_EINVAL);
  kit_reopen(kit);
  struct nm_store_tenants_load load = { .count = 0 };
  KIT_MUST(kit, NM_STORE_TENANTS_LOAD, &load);
  assert_int_equal(load.count, 2);
  assert_true(nm_text_equal(load.tenants[0].name, NM_TEXT("acme")));
  assert_true(nm_text_equal(load.tenants[0].app_key, NM_TEXT("key-2")));
  assert_true(nm_text_equal(load.tenants[0].sealed, NM_TEXT("{\"a\":1}")));
}

static int64_t save_generation(struct kit *kit, const char *digest)
{
  struct nm_store_generation_save save = { .generation = { .tenant_id = TENANT,
                                                           .digest = nm_text_from(digest),
                                                           .source = nm_text_from(digest) } };
  KIT_MUST(kit, NM_STORE_GENERATION_SAVE, &save);
  return save.generation.id;
}

static struct nm_store_generations_load load_generations(struct kit *kit)
{
  struct nm_store_generations_load load = { .count = 0 };
  KIT_MUST(kit, NM_STORE_GENERATIONS_LOAD, &load);
  return load;
}

static void the_last_saved_generation_is_the_active_one(void **state)
{
  struct kit *kit = *state;
  int64_t a = save_generation(kit, "aa");
  int64_t b = save_generation(kit, "bb");
  struct nm_store_generations_load load = load_generations(kit);
  assert_int_equal(load.count, 1);
  assert_int_equal(load.generations[0].id, b);
  assert_true(load.generations[0].is_active);
  assert_int_equal(save_generation(kit, "aa"), a); /* back to the first */
  load = load_generations(kit);
  assert_int_equal(load.count, 1);
  assert_int_equal(load.generations[0].id, a);
  assert_true(nm_text_equal(load.generations[0].source, NM_TEXT("aa")));
}

/* Saves so many, each with a digest of its own; gives the last one's id. */
static int64_t save_many(struct kit *kit, const char *prefix, int count)
{
  char digest[32];
  int64_t id = 0;
  for (int i = 0; i < count; i++) {
    snprintf(digest, sizeof digest, "%s%d", prefix, i);
    id = save_generation(kit, digest);
  }
  return id;
}

static void a_generation_that_an_open_run_uses_is_kept(void **state)
{
  struct kit *kit = *state;
  int64_t a = save_generation(kit, "aa");
  struct nm_run run = { .channel_id = CHANNEL, .campaign = NM_TEXT("99"), .generation_id = a };
  struct nm_plan plan = { .event_id = kit_event_id(kit, 13, "99", "", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .run = &run };
  kit_plan(kit, &plan);
  int64_t d = save_many(kit, "d", NM_STORE_GENERATIONS_MAX + 2);
  struct nm_store_generations_load load = load_generations(kit);
  assert_int_equal(load.count, 2);
  assert_int_equal(load.generations[0].id, a);
  assert_false(load.generations[0].is_active);
  struct nm_store_expand end = { .run_id = run.id, .is_end = true };
  KIT_MUST(kit, NM_STORE_EXPAND, &end);
  int64_t e = save_generation(kit, "ee");
  load = load_generations(kit);
  assert_int_equal(load.count, 1);
  assert_int_equal(load.generations[0].id, e);
  load = (struct nm_store_generations_load){ .tenant_id = TENANT };
  KIT_MUST(kit, NM_STORE_GENERATIONS_LOAD, &load);
  assert_int_equal(load.count, NM_STORE_GENERATIONS_MAX); /* the latest activated first */
  assert_int_equal(load.generations[0].id, e);
  assert_int_equal(load.generations[1].id, d);
  assert_int_not_equal(save_generation(kit, "aa"), a); /* the first one was dropped */
}

static int save_profile(struct kit *kit, const char *ext_id, const char *body, int64_t *version,
                        struct nm_store_arrival *arrival)
{
  struct nm_store_profile_save save = { .tenant_id = TENANT,
                                        .profile = { .ext_id = nm_text_from(ext_id),
                                                     .body = nm_text_from(body),
                                                     .version = *version },
                                        .arrival = arrival };
  int rc = kit_ask(kit, NM_STORE_PROFILE_SAVE, &save.request);
  *version = save.profile.version;
  return rc;
}

static void a_profile_is_saved_only_over_the_version_that_was_read(void **state)
{
  struct kit *kit = *state;
  int64_t version = 0, stale = 0;
  assert_int_equal(save_profile(kit, "u1", "{\"a\":1}", &version, NULL), NM_OK);
  assert_true(version > 0);
  assert_int_equal(save_profile(kit, "u1", "{\"a\":2}", &stale, NULL), NM_ECONFLICT);
  assert_int_equal(stale, 0);
  int64_t first = version;
  assert_int_equal(save_profile(kit, "u1", "{\"a\":3}", &version, NULL), NM_OK);
  assert_true(version > first);

  struct nm_store_profile profiles[2] = { { .ext_id = NM_TEXT("u1") },
                                          { .ext_id = NM_TEXT("u2") } };
  struct nm_store_profiles_load load = { .tenant_id = TENANT, .profiles = profiles, .count = 2 };
  KIT_MUST(kit, NM_STORE_PROFILES_LOAD, &load);
  assert_true(nm_text_equal(profiles[0].body, NM_TEXT("{\"a\":3}")));
  assert_int_equal(profiles[0].version, version);
  assert_int_equal(profiles[1].version, 0);
  assert_int_equal(profiles[1].body.len, 0);

  assert_int_equal(save_profile(kit, "u1", "", &version, NULL), NM_OK); /* deleted */
  assert_int_equal(version, 0);
  KIT_MUST(kit, NM_STORE_PROFILES_LOAD, &load);
  assert_int_equal(profiles[0].version, 0);
}

static void a_profile_and_its_event_come_together_or_not_at_all(void **state)
{
  struct kit *kit = *state;
  int64_t version = 0;
  struct nm_store_arrival arrival = kit_event(0, "", "u1", "change");
  arrival.event.kind = NM_EVENT_HOOK;
  assert_int_equal(save_profile(kit, "u1", "{\"a\":1}", &version, &arrival), NM_OK);
  assert_true(arrival.id > 0);
  assert_int_equal(kit_take(kit, 5, NULL), 1);
  int64_t stale = 0;
  struct nm_store_arrival lost = kit_event(0, "", "u1", "lost");
  assert_int_equal(save_profile(kit, "u1", "{\"a\":2}", &stale, &lost), NM_ECONFLICT);
  assert_int_equal(kit_take(kit, 5, NULL), 0);
}

static void listeners_are_kept_until_they_are_gone(void **state)
{
  struct kit *kit = *state;
  struct nm_store_listener_save save = { .listener = { .tenant_id = TENANT, .event_type = 11,
                                                       .channel_id = CHANNEL,
                                                       .url = NM_TEXT("https://x/optimove"),
                                                       .secret_number = 2 } };
  KIT_MUST(kit, NM_STORE_LISTENER_SAVE, &save);
  int64_t id = save.listener.id;
  assert_true(id > 0);
  save.listener.state = NM_LISTENER_REGISTERED;
  KIT_MUST(kit, NM_STORE_LISTENER_SAVE, &save);
  assert_int_equal(save.listener.id, id);
  struct nm_store_listeners_load load = { .tenant_id = TENANT };
  KIT_MUST(kit, NM_STORE_LISTENERS_LOAD, &load);
  assert_int_equal(load.count, 1);
  assert_int_equal(load.listeners[0].state, NM_LISTENER_REGISTERED);
  assert_int_equal(load.listeners[0].secret_number, 2);
  assert_true(nm_text_equal(load.listeners[0].url, NM_TEXT("https://x/optimove")));
  save.listener.state = NM_LISTENER_GONE;
  KIT_MUST(kit, NM_STORE_LISTENER_SAVE, &save);
  KIT_MUST(kit, NM_STORE_LISTENERS_LOAD, &load);
  assert_int_equal(load.count, 0);
  save.listener.tenant_id = TENANT + 1;
  assert_int_equal(kit_ask(kit, NM_STORE_LISTENER_SAVE, &save.request), NM_ENOTFOUND);
}

/* ---- retention ------------------------------------------------------------------------------- */

/* Everything a minute older than that many hours from now. */
static int retain_after(struct kit *kit, int hours, size_t rows_max)
{
  struct nm_store_retain retain = { .now_ms = nm_clock_wall_ms() + (int64_t)hours * HOUR_MS + 60000,
                                    .events_age_ms = 72ll * HOUR_MS,
                                    .dead_age_ms = 240ll * HOUR_MS,
                                    .rows_max = rows_max };
  int calls = 0;
  do {
    KIT_MUST(kit, NM_STORE_RETAIN, &retain);
    if (++calls > 100) fail_msg("retention does not end");
  } while (retain.is_more);
  return calls;
}

static bool is_there(struct kit *kit, int64_t id)
{
  json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
  struct nm_store_query query = { .kind = NM_QUERY_SHOW, .args = args };
  int rc = kit_ask(kit, NM_STORE_QUERY, &query.request);
  json_decref(args);
  json_decref(query.answer);
  return rc == NM_OK;
}

static void what_is_over_goes_at_its_age_and_what_waits_stays(void **state)
{
  struct kit *kit = *state;
  struct nm_message sent = kit_single(kit, "1", "sent", "", 0);
  struct nm_message dead = kit_single(kit, "1", "dead", "", 0);
  kit_lease(kit, 5);
  kit_finish(kit, &sent, NM_MESSAGE_SENT);
  kit_finish(kit, &dead, NM_MESSAGE_DEAD);
  struct nm_message waiting = kit_single(kit, "1", "waits", "", 0);
  struct nm_run run = kit_run(kit, "99", "s", 0);
  struct nm_store_page_save page = { .run_id = run.id, .rows = 1, .body = NM_TEXT("[{}]") };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &page);
  struct nm_run open = kit_run(kit, "98", "s", 0);
  struct nm_store_expand end = { .run_id = run.id, .is_end = true };
  KIT_MUST(kit, NM_STORE_EXPAND, &end);

  retain_after(kit, 71, 100);
  assert_true(is_there(kit, sent.id));
  retain_after(kit, 72, 100);
  assert_false(is_there(kit, sent.id));
  assert_false(is_there(kit, sent.event_id));
  assert_true(is_there(kit, dead.id));
  assert_true(is_there(kit, waiting.id));
  assert_true(is_there(kit, run.id));
  retain_after(kit, 240, 100);
  assert_false(is_there(kit, dead.id));
  assert_true(is_there(kit, waiting.id));
  retain_after(kit, 240, 100); /* a run goes once its pages are gone */
  assert_false(is_there(kit, run.id));
  assert_true(is_there(kit, open.id));
  struct nm_store_page_load load = { .run_id = run.id };
  assert_int_equal(kit_ask(kit, NM_STORE_PAGE_LOAD, &load.request), NM_ENOTFOUND);
}

static void a_call_of_retention_is_bounded(void **state)
{
  struct kit *kit = *state;
  int64_t last = 0;
  for (int i = 0; i < 50; i++) {
    char customer[8];
    snprintf(customer, sizeof customer, "u%d", i);
    struct nm_plan plan = { .event_id = kit_event_id(kit, 11, "1", customer, ""),
                            .tenant_id = TENANT, .state = NM_EVENT_DROPPED };
    kit_plan(kit, &plan);
    last = plan.event_id;
  }
  assert_true(retain_after(kit, 72, 10) >= 5);
  assert_false(is_there(kit, last));
}

static void a_short_age_does_not_forget_identities(void **state)
{
  struct kit *kit = *state;
  int64_t id = kit_event_id(kit, 11, "1", "u", "s");
  struct nm_plan plan = { .event_id = id, .tenant_id = TENANT, .state = NM_EVENT_DROPPED };
  kit_plan(kit, &plan);
  struct nm_store_retain retain = { .now_ms = nm_clock_wall_ms() + HOUR_MS, .rows_max = 100 };
  KIT_MUST(kit, NM_STORE_RETAIN, &retain);
  kit_reopen(kit);
  struct nm_store_arrival again = kit_event(11, "1", "u", "s");
  assert_int_equal(kit_accept(kit, &again), id);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_tenant_is_saved_by_name),
    KIT_TEST(the_last_saved_generation_is_the_active_one),
    KIT_TEST(a_generation_that_an_open_run_uses_is_kept),
    KIT_TEST(a_profile_is_saved_only_over_the_version_that_was_read),
    KIT_TEST(a_profile_and_its_event_come_together_or_not_at_all),
    KIT_TEST(listeners_are_kept_until_they_are_gone),
    KIT_TEST(what_is_over_goes_at_its_age_and_what_waits_stays),
    KIT_TEST(a_call_of_retention_is_bounded),
    KIT_TEST(a_short_age_does_not_forget_identities),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
