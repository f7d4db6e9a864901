/* check.c - what may be set on a profile. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/problems.h"
#include "profiles/profiles.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { EMAIL_MAX_BYTES = 254, MSISDN_MIN_DIGITS = 5, MSISDN_MAX_DIGITS = 15 };

static const char *const keys[] = { "email", "msisdn", "devices", "attributes", "permissions" };
static const char *const device_keys[] = { "kind", "token" };
static const char *const device_kinds[] = { "android", "ios", "web", "huawei" };
static const char *const permission_keys[] = { "push", "sms", "email" };

struct checking {
  struct nm_arena *arena;
  const char **field;
  struct nm_error *err;
};

NM_PRINTF(3, 4)
static int refuse(const struct checking *in, const char *field, const char *format, ...)
{
  va_list args;
  char why[160];
  va_start(args, format);
  vsnprintf(why, sizeof why, format, args);
  va_end(args);
  *in->field = field;
  return nm_fail(in->err, NM_EINVAL, "%s %s", field, why);
}

/* "devices[2].token"; key "" for the whole device. */
static const char *device_path(const struct checking *in, size_t index, const char *key)
{
  struct nm_text out = nm_arena_printf(in->arena, "devices[%zu]%s%s", index, *key ? "." : "", key);
  return out.ptr ? out.ptr : "devices";
}

static int check_keys(const struct checking *in, const char *where, const json_t *table,
                      const char *const *known, size_t count)
{
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)table, key, value) {
    bool is_known = false;
    for (size_t i = 0; i < count && !is_known; i++) is_known = strcmp(key, known[i]) == 0;
    if (is_known) continue;
    struct nm_text name = nm_arena_printf(in->arena, "%s%.64s", where, key);
    const char *nearest = nm_nearest(nm_text_from(key), known, count);
    const char *field = name.ptr ? name.ptr : "a key";
    return nearest ? refuse(in, field, "is no key of a profile (did you mean \"%s\"?)", nearest)
                   : refuse(in, field, "is no key of a profile");
  }
  return NM_OK;
}

/* ---- addresses: loosely, the provider has the last word -------------------------------------- */

static bool is_email(struct nm_text text)
{
  const char *at = text.len > 0 ? memchr(text.ptr, '@', text.len) : NULL;
  if (!at || at == text.ptr || at == text.ptr + text.len - 1 || text.len > EMAIL_MAX_BYTES)
    return false;
  if (memchr(at + 1, '@', (size_t)(text.ptr + text.len - at - 1))) return false;
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || strchr(",;<>\"()", text.ptr[i]))
      return false;
  return true;
}

static int check_email(const struct checking *in, json_t *patch)
{
  json_t *value = json_object_get(patch, "email");
  if (!value || json_is_null(value)) return NM_OK;
  if (!json_is_string(value)) return refuse(in, "email", "should be text");
  struct nm_text text = nm_text_trim(nm_json_string(patch, "email"));
  if (!is_email(text)) return refuse(in, "email", "is no address such as ada@example.com");
  if (text.len == json_string_length(value)) return NM_OK;
  return json_string_setn(value, nm_arena_copy(in->arena, text).ptr, text.len) ? NM_ENOMEM : NM_OK;
}

/* "+90 (532) 123-45 67" and "00905321234567" are +905321234567. */
static int check_msisdn(const struct checking *in, json_t *patch)
{
  json_t *value = json_object_get(patch, "msisdn");
  char number[MSISDN_MAX_DIGITS + 8];
  size_t len = 0;
  if (!value || json_is_null(value)) return NM_OK;
  if (!json_is_string(value))
    return refuse(in, "msisdn", "should be text (with its country code: \"+90...\")");
  struct nm_text text = nm_json_string(patch, "msisdn");
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (c != '\0' && strchr(" \t-().", c)) continue;
    bool is_ok = (c >= '0' && c <= '9') || (c == '+' && len == 0);
    if (!is_ok || len + 1 >= sizeof number)
      return refuse(in, "msisdn", "is no number such as +905321234567");
    number[len++] = c;
  }
  bool has_zeros = len > 2 && number[0] == '0' && number[1] == '0';
  if (has_zeros) {
    number[1] = '+';
    memmove(number, number + 1, --len);
  }
  size_t digits = len > 0 && number[0] == '+' ? len - 1 : len;
  if (digits < MSISDN_MIN_DIGITS || digits > MSISDN_MAX_DIGITS)
    return refuse(in, "msisdn", "should have %d to %d digits", MSISDN_MIN_DIGITS,
                  MSISDN_MAX_DIGITS);
  return json_string_setn(value, number, len) ? NM_ENOMEM : NM_OK;
}

/* ---- devices, attributes, permissions -------------------------------------------------------- */

static bool has_control(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return true;
  return false;
}

static int check_device(const struct checking *in, size_t index, const json_t *device)
{
  const char *at = device_path(in, index, "");
  if (!json_is_object(device)) return refuse(in, at, "should be an object with kind and token");
  int rc = check_keys(in, "devices.", device, device_keys, COUNT(device_keys));
  if (rc) return rc;
  struct nm_text token = nm_json_string(device, "token");
  if (token.len == 0 || token.len > NM_PROFILE_TOKEN_MAX_BYTES || has_control(token))
    return refuse(in, device_path(in, index, "token"), "should be text of 1 to %d bytes",
                  NM_PROFILE_TOKEN_MAX_BYTES);
  const json_t *kind = json_object_get(device, "kind");
  const char *kind_at = device_path(in, index, "kind");
  if (json_is_null(kind)) return NM_OK;
  struct nm_text word = nm_json_string(device, "kind");
  for (size_t i = 0; i < COUNT(device_kinds); i++)
    if (nm_text_equal(word, nm_text_from(device_kinds[i]))) return NM_OK;
  const char *nearest = nm_nearest(word, device_kinds, COUNT(device_kinds));
  if (nearest && word.len > 0)
    return refuse(in, kind_at, "should be android, ios, web or huawei (did you mean \"%s\"?)",
                  nearest);
  return refuse(in, kind_at, "should be android, ios, web or huawei");
}

static int check_devices(const struct checking *in, const json_t *patch)
{
  const json_t *list = json_object_get(patch, "devices"), *device;
  size_t i;
  if (!list || json_is_null(list)) return NM_OK;
  if (!json_is_array(list)) return refuse(in, "devices", "should be an array");
  if (json_array_size(list) > NM_PROFILE_DEVICES_MAX)
    return refuse(in, "devices", "may hold %d at most", NM_PROFILE_DEVICES_MAX);
  json_array_foreach(list, i, device) {
    int rc = check_device(in, i, device);
    if (rc) return rc;
  }
  return NM_OK;
}

static int check_attributes(const struct checking *in, const json_t *patch)
{
  json_t *table = json_object_get(patch, "attributes"), *value;
  const char *name;
  if (!table || json_is_null(table)) return NM_OK;
  if (!json_is_object(table)) return refuse(in, "attributes", "should be an object");
  json_object_foreach(table, name, value) {
    size_t len = strlen(name);
    if (len == 0 || len > NM_EVENT_ID_TEXT_MAX_BYTES || has_control(nm_text_from(name)))
      return refuse(in, "attributes",
                    "holds a name that is empty, longer than %d bytes or has a control character",
                    NM_EVENT_ID_TEXT_MAX_BYTES);
  }
  return NM_OK;
}

static int check_permissions(const struct checking *in, const json_t *patch)
{
  json_t *table = json_object_get(patch, "permissions"), *value;
  const char *name;
  if (!table || json_is_null(table)) return NM_OK;
  if (!json_is_object(table)) return refuse(in, "permissions", "should be an object");
  int rc = check_keys(in, "permissions.", table, permission_keys, COUNT(permission_keys));
  if (rc) return rc;
  json_object_foreach(table, name, value)
    if (!json_is_boolean(value) && !json_is_null(value))
      return refuse(in, "permissions", "should hold nothing but true and false: see %s", name);
  return NM_OK;
}

int nm_profile_check(json_t *patch, struct nm_arena *arena, const char **field,
                     struct nm_error *err)
{
  const char *unnamed;
  struct checking in = { arena, field ? field : &unnamed, err };
  *in.field = NULL;
  if (!json_is_object(patch)) return nm_fail(err, NM_EINVAL, "a profile should be one JSON object");
  int rc = check_keys(&in, "", patch, keys, COUNT(keys));
  if (rc == NM_OK) rc = check_email(&in, patch);
  if (rc == NM_OK) rc = check_msisdn(&in, patch);
  if (rc == NM_OK) rc = check_devices(&in, patch);
  if (rc == NM_OK) rc = check_attributes(&in, patch);
  if (rc == NM_OK) rc = check_permissions(&in, patch);
  if (rc == NM_ENOMEM) return nm_fail(err, rc, "out of memory");
  return rc;
}
