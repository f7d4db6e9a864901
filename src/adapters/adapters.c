#include "base/problems.h"
#include "adapters/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct nm_adapter *const built[] = { &nm_adapter_netmera, &nm_adapter_loopback,
                                                  &nm_adapter_realtime };

static const char *const known[] = { "netmera", "fcm", "apns", "huawei", "webpush", "smtp", "smpp",
                                     "http", "loopback" };

/* The same for every provider; tenants checks them. */
static const char *const common_keys[] = { "rate", "url", "unknown", "order", "retry",
                                           "concurrency", "ahead", "batch" };

enum { OWN_KEYS_MAX = 32 };

const struct nm_adapter *nm_adapter_find(struct nm_text name)
{
  for (size_t i = 0; i < COUNT(built); i++)
    if (nm_text_equal(name, nm_text_from(built[i]->name))) return built[i];
  return NULL;
}

bool nm_adapter_is_known(struct nm_text name)
{
  for (size_t i = 0; i < COUNT(known); i++)
    if (nm_text_equal(name, nm_text_from(known[i]))) return true;
  return false;
}

int nm_adapter_check_keys(const json_t *settings, const char *const *own, size_t count,
                          struct nm_error *err)
{
  const char *words[OWN_KEYS_MAX + COUNT(common_keys)];
  const char *key;
  json_t *value;

  nm_require(count <= OWN_KEYS_MAX);
  for (size_t i = 0; i < count; i++) words[i] = own[i];
  for (size_t i = 0; i < COUNT(common_keys); i++) words[count + i] = common_keys[i];
  json_object_foreach((json_t *)settings, key, value) {
    size_t i = 0;
    while (i < count + COUNT(common_keys) && strcmp(words[i], key) != 0) i++;
    if (i < count + COUNT(common_keys)) continue;
    const char *nearest = nm_nearest(nm_text_from(key), words, count + COUNT(common_keys));
    if (nearest)
      return nm_fail(err, NM_EINVAL, "unknown key \"%.64s\" (did you mean \"%s\"?)", key, nearest);
    return nm_fail(err, NM_EINVAL, "unknown key \"%.64s\"", key);
  }
  return NM_OK;
}

int nm_adapter_check_url(const char *key, struct nm_text text, struct nm_error *err)
{
  struct nm_text rest = { NULL, 0 };
  if (nm_text_starts_with(text, NM_TEXT("https://")))
    rest = (struct nm_text){ text.ptr + 8, text.len - 8 };
  else if (nm_text_starts_with(text, NM_TEXT("http://")))
    rest = (struct nm_text){ text.ptr + 7, text.len - 7 };
  if (rest.len == 0 || rest.ptr[0] == '/')
    return nm_fail(err, NM_EINVAL, "%s: expected an address such as https://restapi.example.com",
                   key);
  for (size_t i = 0; i < rest.len; i++)
    if ((unsigned char)rest.ptr[i] <= 0x20 || rest.ptr[i] == 0x7F ||
        strchr("?#@\"<>\\", rest.ptr[i]))
      return nm_fail(err, NM_EINVAL, "%s: no user, query, fragment or blank belongs into it", key);
  return NM_OK;
}

struct nm_text nm_adapter_recipient(const struct nm_message *message)
{
  return message->address.len > 0 ? message->address : message->customer;
}
