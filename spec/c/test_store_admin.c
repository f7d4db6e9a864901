/* links: store */
/* Tokens, the log of who changed what, saves that hang on a version, and a tenant's end. */
#include "store_kit.h"

static struct nm_store_token_save make_token(struct kit *kit, const char *name, char mark,
                                             int64_t tenant_id)
{
  char *hash = nm_arena_alloc(kit->arena, 32);
  memset(hash, mark, 32);
  struct nm_store_token_save save = { .token = { .tenant_id = tenant_id, .role = 2,
                                                 .created_at_ms = 5, .expires_at_ms = 9,
                                                 .name = nm_text_from(name),
                                                 .hash = { hash, 32 } } };
  return save;
}

static size_t count_tokens(struct kit *kit)
{
  struct nm_store_tokens_load load = { .count = 0 };
  KIT_MUST(kit, NM_STORE_TOKENS_LOAD, &load);
  return load.count;
}

static void a_token_is_kept_with_its_digest_until_it_is_dropped(void **state)
{
  struct kit *kit = *state;
  struct nm_store_token_save first = make_token(kit, "ann", 1, 0);
  struct nm_store_token_save second = make_token(kit, "", 2, 7);
  KIT_MUST(kit, NM_STORE_TOKEN_SAVE, &first);
  KIT_MUST(kit, NM_STORE_TOKEN_SAVE, &second);
  assert_true(nm_text_starts_with(second.token.name, NM_TEXT("token ")));
  struct nm_store_token_save again = make_token(kit, "ann", 3, 0);
  assert_int_equal(kit_ask(kit, NM_STORE_TOKEN_SAVE, &again.request), NM_ECONFLICT);
  struct nm_store_token_used used = { .id = first.token.id, .at_ms = 77 };
  KIT_MUST(kit, NM_STORE_TOKEN_USED, &used);
  kit_reopen(kit);

  struct nm_store_tokens_load load = { .count = 0 };
  KIT_MUST(kit, NM_STORE_TOKENS_LOAD, &load);
  assert_int_equal(load.count, 2);
  assert_true(nm_text_equal(load.tokens[0].name, NM_TEXT("ann")));
  assert_int_equal(load.tokens[0].used_at_ms, 77);
  assert_int_equal(load.tokens[0].hash.len, 32);
  assert_int_equal(load.tokens[0].hash.ptr[31], 1);
  assert_int_equal(load.tokens[1].tenant_id, 7);

  struct nm_store_token_drop drop = { .id = first.token.id, .tenant_id = 7 };
  assert_int_equal(kit_ask(kit, NM_STORE_TOKEN_DROP, &drop.request), NM_ENOTFOUND);
  drop.tenant_id = 0;
  KIT_MUST(kit, NM_STORE_TOKEN_DROP, &drop);
  assert_int_equal(count_tokens(kit), 1);
}

/* ---- the audit log --------------------------------------------------------------------------- */

static int64_t begin_line(struct kit *kit)
{
  struct nm_store_audit line = { .at_ms = nm_clock_wall_ms(), .who = NM_TEXT("ann"),
                                 .route = NM_TEXT("PUT /x"), .thing = NM_TEXT("/x") };
  KIT_MUST(kit, NM_STORE_AUDIT, &line);
  assert_true(line.id > 0);
  return line.id;
}

static json_t *read_lines(struct kit *kit)
{
  json_t *args = json_pack("{s:i}", "limit", 10);
  struct nm_store_query query = { .kind = NM_QUERY_AUDIT, .args = args };
  KIT_MUST(kit, NM_STORE_QUERY, &query);
  json_decref(args);
  return query.answer;
}

static void a_line_ends_with_the_change_or_not_at_all(void **state)
{
  struct kit *kit = *state;
  struct nm_store_token_save save = make_token(kit, "ann", 1, 0);
  struct nm_store_audit_end end = { .id = begin_line(kit), .status = 201,
                                    .became = NM_TEXT("it"), .details = NM_TEXT("{\"a\":1}") };
  save.request.audit = &end;
  KIT_MUST(kit, NM_STORE_TOKEN_SAVE, &save);
  end.id = begin_line(kit);
  save.token.hash.ptr = "another one, of thirty-two bytes";
  assert_int_equal(kit_ask(kit, NM_STORE_TOKEN_SAVE, &save.request), NM_ECONFLICT);

  json_t *lines = read_lines(kit), *failed = json_array_get(lines, 0);
  json_t *done = json_array_get(lines, 1);
  assert_string_equal(json_string_value(json_object_get(failed, "outcome")), "not known");
  assert_string_equal(json_string_value(json_object_get(done, "outcome")), "done");
  assert_string_equal(json_string_value(json_object_get(done, "became")), "it");
  assert_int_equal(json_integer_value(json_object_get(json_object_get(done, "details"), "a")), 1);
  json_decref(lines);
}

static void the_log_has_an_age_of_its_own(void **state)
{
  struct kit *kit = *state;
  begin_line(kit);
  struct nm_store_retain retain = { .now_ms = nm_clock_wall_ms() + 100ll * HOUR_MS,
                                    .events_age_ms = 72ll * HOUR_MS, .dead_age_ms = 72ll * HOUR_MS,
                                    .audit_age_ms = 200ll * HOUR_MS, .rows_max = 100 };
  KIT_MUST(kit, NM_STORE_RETAIN, &retain);
  json_t *lines = read_lines(kit);
  assert_int_equal(json_array_size(lines), 1);
  json_decref(lines);
  retain.now_ms += 101ll * HOUR_MS;
  KIT_MUST(kit, NM_STORE_RETAIN, &retain);
  lines = read_lines(kit);
  assert_int_equal(json_array_size(lines), 0);
  json_decref(lines);
}

/* ---- tenants --------------------------------------------------------------------------------- */

static struct nm_store_tenant_save tenant(const char *name)
{
  struct nm_store_tenant_save save = { .tenant = { .name = nm_text_from(name),
                                                   .app_key = nm_text_from(name),
                                                   .sealed = NM_TEXT("{}") } };
  return save;
}

static void a_save_hangs_on_the_version_that_was_read(void **state)
{
  struct kit *kit = *state;
  struct nm_store_tenant_save save = tenant("acme");
  save.if_version = -1;
  KIT_MUST(kit, NM_STORE_TENANT_SAVE, &save);
  assert_int_equal(kit_ask(kit, NM_STORE_TENANT_SAVE, &save.request), NM_ECONFLICT);
  assert_true(save.is_stale);
  save.if_id = save.tenant.id;
  save.if_version = 1;
  KIT_MUST(kit, NM_STORE_TENANT_SAVE, &save);
  assert_int_equal(save.tenant.version, 2);
  assert_int_equal(kit_ask(kit, NM_STORE_TENANT_SAVE, &save.request), NM_ECONFLICT);
  save.if_version = 0;
  KIT_MUST(kit, NM_STORE_TENANT_SAVE, &save);
  assert_int_equal(save.tenant.version, 3);
}

/* How many calls it took. */
static int remove_tenant(struct kit *kit, int64_t id, bool is_purge, size_t rows_max)
{
  struct nm_store_tenant_remove remove = { .tenant_id = id, .is_purge = is_purge,
                                           .rows_max = rows_max };
  int calls = 0;
  do {
    KIT_MUST(kit, NM_STORE_TENANT_REMOVE, &remove);
    if (++calls > 1000) fail_msg("it does not end");
  } while (remove.is_more);
  return calls;
}

static void a_tenant_goes_in_slices_and_others_stay(void **state)
{
  struct kit *kit = *state;
  struct nm_store_tenant_save other = tenant("zebra");
  KIT_MUST(kit, NM_STORE_TENANT_SAVE, &other);
  for (int i = 0; i < 25; i++) {
    char customer[8];
    snprintf(customer, sizeof customer, "u%d", i);
    kit_single(kit, "1", customer, "", 0);
  }
  struct nm_run run = kit_run(kit, "99", "s", 0);
  struct nm_store_page_save page = { .run_id = run.id, .rows = 1, .body = NM_TEXT("[{}]") };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &page);
  struct nm_store_token_save own = make_token(kit, "own", 1, TENANT);
  KIT_MUST(kit, NM_STORE_TOKEN_SAVE, &own);
  struct nm_store_profile_save profile = { .tenant_id = TENANT,
                                           .profile = { .ext_id = NM_TEXT("u1"),
                                                        .body = NM_TEXT("{}") } };
  KIT_MUST(kit, NM_STORE_PROFILE_SAVE, &profile);

  assert_true(remove_tenant(kit, TENANT, false, 10) > 2);
  assert_int_equal(count_tokens(kit), 0);
  struct nm_store_tenants_load load = { .count = 0 };
  KIT_MUST(kit, NM_STORE_TENANTS_LOAD, &load);
  assert_int_equal(load.count, 1);
  struct nm_store_lease lease = { .tenant_id = TENANT, .provider = NM_TEXT("netmera"),
                                  .now_ms = nm_clock_wall_ms() + HOUR_MS, .max = 100 };
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  assert_int_equal(lease.count, 0);
  assert_true(remove_tenant(kit, TENANT, true, 10) > 2); /* what retention would have kept */

  nm_store_close(kit->store);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM messages"), 0);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM events"), 0);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM runs"), 0);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM pages"), 0);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM profiles"), 0);
  kit_open(kit);
}

static void what_waited_of_it_says_why_it_ended(void **state)
{
  struct kit *kit = *state;
  kit_single(kit, "1", "u", "", 0);
  remove_tenant(kit, TENANT, false, 100);
  nm_store_close(kit->store);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM messages WHERE state = 3"
                                       " AND reason = 'the tenant was removed' AND content = ''"),
                   1);
  kit_open(kit);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_token_is_kept_with_its_digest_until_it_is_dropped),
    KIT_TEST(a_line_ends_with_the_change_or_not_at_all),
    KIT_TEST(the_log_has_an_age_of_its_own),
    KIT_TEST(a_save_hangs_on_the_version_that_was_read),
    KIT_TEST(a_tenant_goes_in_slices_and_others_stay),
    KIT_TEST(what_waited_of_it_says_why_it_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
