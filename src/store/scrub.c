#include "store/scrub.h"

#include <stdio.h>
#include <string.h>

static bool is_word_char(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (unsigned char)c >= 0x80;
}

static bool holds(struct nm_text text, struct nm_text needle)
{
  if (!text.ptr)
    return false;
  const char *from = text.ptr, *end = text.ptr + text.len;
  while ((size_t)(end - from) >= needle.len) {
    const char *at = memmem(from, (size_t)(end - from), needle.ptr, needle.len);
    if (!at)
      return false;
    const char *behind = at + needle.len;
    bool is_begun = at == text.ptr || !is_word_char(at[-1]) || !is_word_char(needle.ptr[0]);
    bool is_ended =
        behind == end || !is_word_char(*behind) || !is_word_char(needle.ptr[needle.len - 1]);
    if (is_begun && is_ended)
      return true;
    from = at + 1;
  }
  return false;
}

bool nm_needles_are_in(const struct nm_needles *needles, int64_t tenant_id, struct nm_text text)
{
  for (size_t i = 0; i < needles->count; i++)
    if (needles->items[i].tenant_id == tenant_id &&
        needles->items[i].text.len >= NM_NEEDLE_MIN_BYTES && holds(text, needles->items[i].text))
      return true;
  return false;
}

static bool is_id_key(const char *key)
{
  static const char *const keys[] = { "customerid", "customer",   "customer_id",
                                      "extid",      "ext_id",     "userid",
                                      "user_id",    "externalid", "external_id" };
  for (size_t i = 0; key && i < sizeof keys / sizeof *keys; i++)
    if (nm_text_equal_nocase(nm_text_from(key), nm_text_from(keys[i])))
      return true;
  return false;
}

static bool names_person(const struct nm_needles *needles, int64_t tenant_id, const char *key,
                         const json_t *value)
{
  char digits[24];
  struct nm_text text = { NULL, 0 };
  if (json_is_string(value))
    text = nm_json_string_of(value);
  else if (json_is_integer(value) && is_id_key(key))
    text = (struct nm_text){ digits, (size_t)snprintf(digits, sizeof digits, "%lld",
                                                      (long long)json_integer_value(value)) };
  for (size_t i = 0; text.ptr && i < needles->count; i++) {
    const struct nm_needle *needle = &needles->items[i];
    if (needle->tenant_id != tenant_id)
      continue;
    if (is_id_key(key) && nm_text_equal(text, needle->text))
      return true;
    if (!needle->is_id && needle->text.len >= NM_NEEDLE_MIN_BYTES && holds(text, needle->text))
      return true;
  }
  return false;
}

int nm_needles_scrub(const struct nm_needles *needles, int64_t tenant_id, json_t *document,
                     bool *is_changed)
{
  int rc = NM_OK;
  const char *key;
  json_t *value;
  size_t i;
  void *next;
  json_object_foreach_safe(document, next, key, value)
  {
    if (!names_person(needles, tenant_id, key, value))
      rc = nm_needles_scrub(needles, tenant_id, value, is_changed);
    else if (json_object_set_new(document, key, json_string("erased")))
      rc = NM_ENOMEM;
    else
      *is_changed = true;
    if (rc)
      return rc;
  }
  json_array_foreach(document, i, value)
  {
    if (!names_person(needles, tenant_id, NULL, value))
      rc = nm_needles_scrub(needles, tenant_id, value, is_changed);
    else if (json_array_set_new(document, i, json_string("erased")))
      rc = NM_ENOMEM;
    else
      *is_changed = true;
    if (rc)
      return rc;
  }
  return NM_OK;
}

json_t *nm_needles_for_file(const struct nm_needles *needles)
{
  json_t *list = json_array();
  for (size_t i = 0; list && i < needles->count; i++) {
    struct nm_text text = needles->items[i].text;
    if (text.len < NM_NEEDLE_MIN_BYTES ||
        json_array_append_new(list, json_stringn(text.ptr, text.len)) == 0)
      continue;
    json_decref(list);
    return NULL;
  }
  return list;
}
