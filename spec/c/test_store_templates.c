/* links: store */
#include "store_kit.h"

static struct nm_store_templates_load load_templates(struct kit *kit, int64_t tenant_id)
{
  struct nm_store_templates_load load = { .tenant_id = tenant_id };
  KIT_MUST(kit, NM_STORE_TEMPLATES_LOAD, &load);
  return load;
}

static void save_templates(struct kit *kit, const struct nm_store_template *templates, size_t count)
{
  struct nm_store_templates_save save = { .tenant_id = TENANT, .templates = templates,
                                          .count = count };
  KIT_MUST(kit, NM_STORE_TEMPLATES_SAVE, &save);
}

static void templates_are_kept_by_channel_and_number_and_forgotten_when_gone(void **state)
{
  struct kit *kit = *state;
  const struct nm_store_template first[] = {
    { 481, 7, NM_TEXT("shipped"), NM_TEMPLATE_ADDING },
    { 459, 8, NM_TEXT("cart"), NM_TEMPLATE_ADDING },
    { 459, 7, NM_TEXT("welcome"), NM_TEMPLATE_ADDING },
  };
  save_templates(kit, first, 3);
  const struct nm_store_template then[] = {
    { 459, 7, NM_TEXT("hello"), NM_TEMPLATE_ADDED },
    { 481, 7, NM_TEXT(""), NM_TEMPLATE_GONE },
    { 500, 1, NM_TEXT(""), NM_TEMPLATE_GONE }, /* never was there */
  };
  save_templates(kit, then, 3);
  struct nm_store_templates_load load = load_templates(kit, TENANT);
  assert_int_equal(load.count, 2);
  assert_int_equal(load.templates[0].template_id, 7);
  assert_true(nm_text_equal(load.templates[0].name, NM_TEXT("hello")));
  assert_int_equal(load.templates[0].state, NM_TEMPLATE_ADDED);
  assert_int_equal(load.templates[1].channel_id, 459);
  assert_int_equal(load.templates[1].state, NM_TEMPLATE_ADDING);
  assert_int_equal(load_templates(kit, TENANT + 1).count, 0);
}

static struct nm_store_templates_load load_left(struct kit *kit, int64_t account_id)
{
  struct nm_store_templates_load load = { .tenant_id = TENANT, .account_id = account_id };
  KIT_MUST(kit, NM_STORE_TEMPLATES_LOAD, &load);
  return load;
}

static void save_left(struct kit *kit, int64_t account_id, const struct nm_store_template *templates,
                      size_t count)
{
  struct nm_store_templates_save save = { .tenant_id = TENANT, .account_id = account_id,
                                          .templates = templates, .count = count };
  KIT_MUST(kit, NM_STORE_TEMPLATES_SAVE, &save);
}

static void templates_of_an_account_that_was_left_are_kept_apart(void **state)
{
  struct kit *kit = *state;
  const struct nm_store_template here[] = { { 459, 7, NM_TEXT("new"), NM_TEMPLATE_ADDED } };
  const struct nm_store_template there[] = { { 459, 7, NM_TEXT("old"), NM_TEMPLATE_ADDED },
                                             { 459, 8, NM_TEXT("old too"), NM_TEMPLATE_ADDED } };
  const struct nm_store_template gone[] = { { 459, 7, NM_TEXT(""), NM_TEMPLATE_GONE } };
  save_templates(kit, here, 1);
  save_left(kit, 900, there, 2);
  save_left(kit, 901, there, 2);
  save_left(kit, 900, gone, 1);
  assert_int_equal(load_left(kit, 900).count, 1);
  assert_int_equal(load_left(kit, 901).count, 2);

  struct nm_store_account_forget forget = { .tenant_id = TENANT, .account_id = 900 };
  KIT_MUST(kit, NM_STORE_ACCOUNT_FORGET, &forget);
  assert_int_equal(load_left(kit, 900).count, 0);
  assert_int_equal(load_templates(kit, TENANT).count, 1);

  forget = (struct nm_store_account_forget){ .tenant_id = TENANT, .account_id = 901,
                                             .keeps_templates = true };
  KIT_MUST(kit, NM_STORE_ACCOUNT_FORGET, &forget);
  assert_int_equal(load_left(kit, 901).count, 0);
  struct nm_store_templates_load load = load_templates(kit, TENANT);
  assert_int_equal(load.count, 2);
  assert_true(nm_text_equal(load.templates[0].name, NM_TEXT("new")));
  assert_int_equal(load.templates[0].state, NM_TEMPLATE_ADDED);
  assert_int_equal(load.templates[1].template_id, 8);
  assert_int_equal(load.templates[1].state, NM_TEMPLATE_ADDING); /* it has to be looked at */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(templates_are_kept_by_channel_and_number_and_forgotten_when_gone),
    KIT_TEST(templates_of_an_account_that_was_left_are_kept_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
