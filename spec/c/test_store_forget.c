/* links: store, wraps: malloc calloc realloc */
/* Erasing somebody while memory is short: it is refused, or all of it is done. */
#include "store_kit.h"
#include "want_of_memory.h"

static pthread_t testing;

static bool is_tests_own(void)
{
  return pthread_equal(pthread_self(), testing);
}

static int ask_short(struct kit *kit, enum nm_store_verb verb, struct nm_store_request *request,
                     long after, bool *has_failed)
{
  memory_fail(MEMORY_OURS | MEMORY_JANSSONS, after, false);
  int rc = kit_ask(kit, verb, request);
  if (memory_mend()) *has_failed = true;
  return rc;
}

/* Somebody with a profile, a row of a page and a mention in somebody else's event. */
static void live(struct kit *kit, const char *who, const char *mail, const char *campaign)
{
  char body[200], page[200], said[200];
  struct nm_store_profile profile = { .ext_id = nm_text_from(who) };
  snprintf(body, sizeof body, "{\"email\":\"%s\",\"devices\":[{\"kind\":\"ios\",\"token\":"
           "\"token-of-%s\"}]}", mail, who);
  profile.body = nm_text_from(body);
  struct nm_store_profile_save save = { .tenant_id = TENANT, .profile = profile };
  KIT_MUST(kit, NM_STORE_PROFILE_SAVE, &save);

  snprintf(said, sizeof said, "{\"errors\":[{\"customerId\":\"%s\",\"error\":\"no %s\"}]}", who, mail);
  struct nm_store_arrival word = { .event = { .tenant_id = TENANT, .kind = NM_EVENT_CALLBACK,
                                              .received_at_ms = nm_clock_wall_ms(),
                                              .body = nm_text_from(said) } };
  kit_accept(kit, &word);

  snprintf(page, sizeof page, "[{\"CustomerID\":\"somebody\"},{\"CustomerID\":\"%s\",\"e\":\"%s\"}]",
           who, mail);
  struct nm_run run = kit_run(kit, campaign, "", 0);
  struct nm_store_page_save saved = { .run_id = run.id, .rows = 2, .body = nm_text_from(page) };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &saved);
}

/* True where a piece of it met want of memory. */
static bool forget(struct kit *kit, const char *who, long after)
{
  struct nm_store_erase erase = { .tenant_id = TENANT, .ext_id = nm_text_from(who) };
  struct nm_store_erase_step step = { .traces = -1 };
  bool has_failed = false, is_short = true;
  if (ask_short(kit, NM_STORE_ERASE, &erase.request, after, &has_failed))
    KIT_MUST(kit, NM_STORE_ERASE, &erase);
  do {
    int rc = is_short ? ask_short(kit, NM_STORE_ERASE_STEP, &step.request, after, &has_failed)
                      : kit_ask(kit, NM_STORE_ERASE_STEP, &step.request);
    if (rc) assert_true(is_short && rc == NM_ENOMEM);
    if (rc) step.is_more = true;
    is_short = false;
    if (rc) continue;
    step.was_scrubbed = false;
    if (!step.needs_scrub) continue;
    struct nm_store_scrub scrub = { .needles = step.needles };
    KIT_MUST(kit, NM_STORE_SCRUB, &scrub);
    step.was_scrubbed = true;
    step.traces = scrub.traces;
    assert_int_equal(step.traces, 0);
  } while (step.is_more);
  return has_failed;
}

static int64_t count_rows(struct kit *kit, const char *table, const char *column, const char *text)
{
  char sql[160];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE instr(%s, '%s') > 0", table, column, text);
  return kit_sql_number(kit, sql);
}

static void nothing_stays_of_who_is_erased_while_memory_is_short(void **state)
{
  bool has_failed = true;
  (void)state;
  for (long after = 0; has_failed; after++) {
    void *own = NULL; /* a store with nobody else in it: each round asks for as much */
    assert_int_equal(kit_setup(&own), 0);
    struct kit *kit = own;
    char who[32], mail[48], campaign[32];
    snprintf(campaign, sizeof campaign, "campaign-%ld", after);
    snprintf(who, sizeof who, "person-%04ld", after);
    snprintf(mail, sizeof mail, "mail.%04ld@example.test", after);
    assert_true(after < 500);
    live(kit, who, mail, campaign);
    has_failed = forget(kit, who, after);
    assert_int_equal(count_rows(kit, "events", "body", who), 0);
    assert_int_equal(count_rows(kit, "events", "body", mail), 0);
    struct nm_store_query query = { .kind = NM_QUERY_RUNS, .args = json_object() };
    KIT_MUST(kit, NM_STORE_QUERY, &query);
    int64_t run_id = 0;
    assert_true(nm_json_i64(json_array_get(query.answer, 0), "id", &run_id));
    json_decref(query.answer);
    json_decref((json_t *)(uintptr_t)query.args);
    struct nm_store_page_load page = { .run_id = run_id };
    KIT_MUST(kit, NM_STORE_PAGE_LOAD, &page);
    if (memmem(page.body.ptr, page.body.len, who, strlen(who)))
      fail_msg("%s stands in a page: %.*s", who, NM_TEXT_ARG(page.body));
    kit_teardown(&own);
  }
}

/* More of them than a pass had places for. */
static void all_addresses_of_many_people_are_looked_for(void **state)
{
  struct kit *kit = *state;
  static char body[NM_PROFILE_DEVICES_MAX * 80], said[128];
  for (int person = 0; person < 16; person++) {
    char who[32];
    size_t len = (size_t)snprintf(body, sizeof body, "{\"devices\":[");
    snprintf(who, sizeof who, "owner-%02d", person);
    for (int i = 0; i < NM_PROFILE_DEVICES_MAX; i++)
      len += (size_t)snprintf(body + len, sizeof body - len, "%s{\"kind\":\"ios\",\"token\":"
                              "\"token-%02d-%02d\"}", i ? "," : "", person, i);
    snprintf(body + len, sizeof body - len, "]}");
    struct nm_store_profile_save save = { .tenant_id = TENANT,
                                          .profile = { .ext_id = nm_text_from(who),
                                                       .body = nm_text_from(body) } };
    KIT_MUST(kit, NM_STORE_PROFILE_SAVE, &save);
    snprintf(said, sizeof said, "{\"error\":\"token-%02d-%02d is stale\"}", person,
             NM_PROFILE_DEVICES_MAX - 1);
    struct nm_store_arrival word = { .event = { .tenant_id = TENANT, .kind = NM_EVENT_CALLBACK,
                                                .received_at_ms = nm_clock_wall_ms(),
                                                .body = nm_text_from(said) } };
    kit_accept(kit, &word);
  }
  for (int person = 0; person < 16; person++) {
    char who[32];
    snprintf(who, sizeof who, "owner-%02d", person);
    struct nm_store_erase erase = { .tenant_id = TENANT, .ext_id = nm_text_from(who) };
    KIT_MUST(kit, NM_STORE_ERASE, &erase);
  }
  forget(kit, "nobody-at-all", 1 << 20);
  assert_int_equal(count_rows(kit, "events", "body", "token-"), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_stays_of_who_is_erased_while_memory_is_short),
    KIT_TEST(all_addresses_of_many_people_are_looked_for),
  };
  testing = pthread_self();
  wrap_jansson();
  return cmocka_run_group_tests_name("store forget", tests, NULL, NULL);
}
