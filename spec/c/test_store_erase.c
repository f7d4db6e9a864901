/* links: store */
#include "store_kit.h"

enum { OTHER = TENANT + 1 };

static void set_key(struct kit *kit)
{
  unsigned char key[NM_PERSON_KEY_BYTES] = { 7 };
  nm_store_set_person_key(kit->store, key);
}

static struct nm_store_erase erase(struct kit *kit, int64_t tenant_id, const char *ext_id)
{
  struct nm_store_erase erase = { .tenant_id = tenant_id, .ext_id = nm_text_from(ext_id) };
  KIT_MUST(kit, NM_STORE_ERASE, &erase);
  return erase;
}

/* Steps and scrubs until all jobs are done; how many pages held traces. */
static int64_t finish(struct kit *kit)
{
  struct nm_store_erase_step step = { .traces = -1 };
  int64_t traces = -1;
  do {
    KIT_MUST(kit, NM_STORE_ERASE_STEP, &step);
    step.was_scrubbed = false;
    if (!step.needs_scrub) continue;
    struct nm_store_scrub scrub = { .needles = step.needles };
    KIT_MUST(kit, NM_STORE_SCRUB, &scrub);
    step.was_scrubbed = true;
    step.traces = traces = scrub.traces;
  } while (step.is_more);
  return traces;
}

static int save_profile(struct kit *kit, const char *ext_id, const char *body, bool restores)
{
  struct nm_store_profiles_load load = { .tenant_id = TENANT, .count = 1 };
  struct nm_store_profile profile = { .ext_id = nm_text_from(ext_id) };
  load.profiles = &profile;
  KIT_MUST(kit, NM_STORE_PROFILES_LOAD, &load);
  profile.body = nm_text_from(body);
  struct nm_store_profile_save save = { .tenant_id = TENANT, .profile = profile,
                                        .restores = restores };
  return kit_ask(kit, NM_STORE_PROFILE_SAVE, &save.request);
}

static bool is_in_file(struct kit *kit, const char *text)
{
  const char *const ends[] = { "", "-wal" };
  bool is_found = false;
  for (size_t i = 0; i < 2; i++) {
    char path[160];
    snprintf(path, sizeof path, "%s%s", kit->path, ends[i]);
    FILE *file = fopen(path, "rb");
    if (!file) continue;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    if (memmem(bytes, (size_t)size, text, strlen(text))) is_found = true;
    free(bytes);
    fclose(file);
  }
  return is_found;
}

static void an_erased_profile_leaves_no_byte_among_thousands(void **state)
{
  struct kit *kit = *state;
  set_key(kit);
  struct nm_profile_item items[250];
  static char ids[250][32], bodies[250][160];
  for (int round = 0; round < 40; round++) {
    for (int i = 0; i < 250; i++) {
      unsigned number = (unsigned)(round * 250 + i) * 2654435761u % 1000003u; /* in no order */
      snprintf(ids[i], sizeof ids[i], "person-%06u", number);
      snprintf(bodies[i], sizeof bodies[i], "{\"email\":\"mail.%06u@example.test\",\"attributes\":"
               "{\"note\":\"%*s\"}}", number, (int)(number % 60), "x");
      items[i] = (struct nm_profile_item){ .profile = { .ext_id = nm_text_from(ids[i]),
                                                        .body = nm_text_from(bodies[i]) } };
    }
    struct nm_store_profiles_save save = { .tenant_id = TENANT, .items = items, .count = 250 };
    KIT_MUST(kit, NM_STORE_PROFILES_SAVE, &save);
    for (int i = 0; i < 250; i++) assert_int_equal(items[i].rc, NM_OK);
  }
  for (unsigned i = 0; i < 5; i++) {
    char id[32], mail[48];
    unsigned number = (i * 1999u) * 2654435761u % 1000003u;
    snprintf(id, sizeof id, "person-%06u", number);
    snprintf(mail, sizeof mail, "mail.%06u@example.test", number);
    assert_true(erase(kit, TENANT, id).had_profile);
    assert_int_equal(finish(kit), 0);
    assert_false(is_in_file(kit, id));
    assert_false(is_in_file(kit, mail));
  }
}

static void who_was_erased_is_kept_again_only_when_restored(void **state)
{
  struct kit *kit = *state;
  set_key(kit);
  assert_int_equal(save_profile(kit, "ada", "{}", false), NM_OK);
  struct nm_store_erase job = erase(kit, TENANT, "ada");
  assert_true(job.had_profile);
  struct nm_store_erase again = erase(kit, TENANT, "ada");
  assert_true(again.was_open);
  assert_int_equal(again.id, job.id);
  assert_int_equal(save_profile(kit, "ada", "{}", false), NM_EDENIED);
  assert_int_equal(save_profile(kit, "bob", "{}", false), NM_OK);
  finish(kit);
  kit_reopen(kit);
  set_key(kit);
  assert_int_equal(save_profile(kit, "ada", "{}", false), NM_EDENIED);
  assert_int_equal(save_profile(kit, "ada", "{}", true), NM_OK);
  assert_int_equal(save_profile(kit, "ada", "{\"a\":1}", false), NM_OK);
  erase(kit, OTHER, "ada"); /* another tenant's is somebody else */
  assert_int_equal(save_profile(kit, "ada", "{\"a\":2}", false), NM_OK);
}

static void a_job_goes_on_where_the_last_process_left_it(void **state)
{
  struct kit *kit = *state;
  set_key(kit);
  erase(kit, TENANT, "gone-person");
  struct nm_store_erase_step step = { .traces = -1 };
  KIT_MUST(kit, NM_STORE_ERASE_STEP, &step); /* the whole sweep: nothing is there */
  assert_true(step.needs_scrub);
  kit_reopen(kit);
  set_key(kit);
  assert_int_equal(finish(kit), -1); /* who it was is not known any more: not looked */
  struct nm_store_query query = { .kind = NM_QUERY_ERASURES, .args = json_object() };
  KIT_MUST(kit, NM_STORE_QUERY, &query);
  assert_string_equal(json_string_value(json_object_get(json_array_get(query.answer, 0), "state")),
                      "done");
  json_decref(query.answer);
  json_decref((json_t *)(uintptr_t)query.args);
}

static int64_t accept_inbound(struct kit *kit, const char *body)
{
  struct nm_store_arrival arrival = { .event = { .tenant_id = TENANT, .kind = NM_EVENT_INBOUND,
                                                 .received_at_ms = nm_clock_wall_ms(),
                                                 .name = NM_TEXT("shop"),
                                                 .body = nm_text_from(body) } };
  return kit_accept(kit, &arrival);
}

static void a_webhooks_request_goes_with_the_person_it_is_about(void **state)
{
  struct kit *kit = *state;
  set_key(kit);
  int64_t became = accept_inbound(kit, "{\"body\":\"{'who':4711}\"}");
  int64_t held = accept_inbound(kit, "{\"body\":\"{'who':'shopper-4711-x'}\"}");
  int64_t other = accept_inbound(kit, "{\"body\":\"{'who':'somebody'}\"}");
  struct nm_store_arrival made = { .event = { .kind = NM_EVENT_HOOK, .name = NM_TEXT("PURCHASE"),
                                              .received_at_ms = nm_clock_wall_ms(),
                                              .customer = NM_TEXT("shopper-4711-x"),
                                              .body = NM_TEXT("{}") } };
  struct nm_plan plan = { .event_id = became, .tenant_id = TENANT, .state = NM_EVENT_PLANNED,
                          .arrivals = &made, .arrival_count = 1 };
  kit_plan(kit, &plan);
  assert_true(made.id > 0);
  erase(kit, TENANT, "shopper-4711-x");
  finish(kit);
  int64_t erased[] = { became, held, made.id };
  for (size_t i = 0; i < 3; i++) {
    json_t *shown = kit_show(kit, erased[i]);
    json_t *body = json_object_get(shown, "body");
    char *text = json_dumps(body, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_non_null(strstr(text, "erased"));
    free(text);
    json_decref(shown);
  }
  json_t *shown = kit_show(kit, other);
  char *text = json_dumps(json_object_get(shown, "body"), JSON_ENCODE_ANY);
  assert_non_null(strstr(text, "somebody"));
  free(text);
  json_decref(shown);
}

/* Whoever adds a table says here whether erase_sweep.c has to know it. */
static void every_table_is_swept_or_names_nobody(void **state)
{
  static const char *const swept[] = { "events", "messages", "attempts", "pages", "updates",
                                       "batches", "run_holds", "runs", "profiles", "erasures",
                                       "preferences" };
  static const char *const nobody[] = { "tombstones", "tenants", "generations", "listeners",
                                        "templates", "suppressed", "catch_ups", "tokens",
                                        "audit", "facts", "run_keys", "old_accounts",
                                        "caps", "cap_windows", "run_drops" };
  struct kit *kit = *state;
  sqlite3 *handle;
  sqlite3_stmt *stmt;
  assert_int_equal(sqlite3_open(kit->path, &handle), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(handle, "SELECT name FROM sqlite_schema WHERE type = 'table'"
                                      " AND name NOT LIKE 'sqlite_%'", -1, &stmt, NULL), SQLITE_OK);
  while (sqlite3_step(stmt) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(stmt, 0);
    bool is_known = false;
    for (size_t i = 0; i < sizeof swept / sizeof *swept; i++)
      if (strcmp(swept[i], name) == 0) is_known = true;
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++)
      if (strcmp(nobody[i], name) == 0) is_known = true;
    if (!is_known) fail_msg("table %s: does it hold anything about people?", name);
  }
  sqlite3_finalize(stmt);
  sqlite3_close(handle);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(an_erased_profile_leaves_no_byte_among_thousands),
    KIT_TEST(who_was_erased_is_kept_again_only_when_restored),
    KIT_TEST(a_job_goes_on_where_the_last_process_left_it),
    KIT_TEST(a_webhooks_request_goes_with_the_person_it_is_about),
    KIT_TEST(every_table_is_swept_or_names_nobody),
  };
  return cmocka_run_group_tests_name("store erase", tests, NULL, NULL);
}
