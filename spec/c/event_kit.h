/* event_kit.h - events read from text as the front door reads them. */
#pragma once

#include "model/event.h"
#include "arena_kit.h"

static struct nm_error err;
static const char *field;

static inline struct nm_event read_hinted(const char *body, int64_t hint)
{
  struct nm_event event;
  int rc = nm_event_read_campaign(arena, nm_text_from(body), hint, &event, &field, &err);
  if (rc != NM_OK) fail_msg("%s: %s", body, err.text);
  return event;
}

static inline struct nm_event read_event(const char *body)
{
  return read_hinted(body, 0);
}

static inline void assert_refused(const char *body, const char *expected_field)
{
  struct nm_event event = { .id = 77 };
  int rc = nm_event_read_campaign(arena, nm_text_from(body), 0, &event, &field, &err);
  if (rc != NM_EINVAL) fail_msg("%s: got %d", body, rc);
  assert_int_equal(event.id, 77); /* out-parameters are as they were */
  if (!expected_field) {
    assert_null(field);
    return;
  }
  if (!field || strcmp(field, expected_field) != 0)
    fail_msg("%s: field %s, expected %s (%s)", body, field ? field : "(none)", expected_field,
             err.text);
  assert_non_null(strstr(err.text, expected_field));
}

static inline int try_hook(const char *text, struct nm_event *event)
{
  json_t *value = NULL;
  assert_int_equal(nm_json_parse_any(&value, nm_text_from(text), &err), NM_OK);
  int rc = nm_event_read_hook(arena, value, event, &field, &err);
  json_decref(value);
  return rc;
}

static inline struct nm_event read_hook(const char *text)
{
  struct nm_event event;
  if (try_hook(text, &event) != NM_OK) fail_msg("%s: %s", text, err.text);
  return event;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_begin, arena_end)
