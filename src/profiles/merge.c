#include "profiles/profiles.h"

#include "base/limits.h"

/* Joins the patch' table into the profile's by name; null takes away.  With `changes`, what differs
 * afterwards is noted there. */
static int merge_table(json_t *profile, const json_t *patch, const char *key, json_t *changes)
{
  json_t *from = json_object_get(patch, key), *into = json_object_get(profile, key), *value;
  const char *name;
  if (!from) return NM_OK;
  if (!into) {
    into = json_object();
    if (!into || json_object_set_new(profile, key, into)) return NM_ENOMEM;
  }
  if (json_is_null(from)) { /* all of it */
    json_object_foreach(into, name, value)
      if (changes && json_object_set_new(changes, name, json_null())) return NM_ENOMEM;
    return json_object_clear(into) ? NM_ENOMEM : NM_OK;
  }
  json_object_foreach(from, name, value) {
    const json_t *old = json_object_get(into, name);
    bool is_gone = json_is_null(value);
    if (is_gone ? !old : old && json_equal(old, value)) continue;
    if (changes && json_object_set(changes, name, value)) return NM_ENOMEM;
    if (is_gone) json_object_del(into, name);
    else if (json_object_set_new(into, name, json_deep_copy(value))) return NM_ENOMEM;
  }
  return NM_OK;
}

static int merge_devices(json_t *profile, const json_t *patch)
{
  json_t *from = json_object_get(patch, "devices"), *into = json_object_get(profile, "devices"),
         *device, *known;
  size_t i, j;
  if (!from) return NM_OK;
  if (!into) {
    into = json_array();
    if (!into || json_object_set_new(profile, "devices", into)) return NM_ENOMEM;
  }
  if (json_is_null(from)) return json_array_clear(into) ? NM_ENOMEM : NM_OK;
  json_array_foreach(from, i, device) {
    json_array_foreach(into, j, known)
      if (json_equal(json_object_get(known, "token"), json_object_get(device, "token"))) {
        json_array_remove(into, j);
        break;
      }
    if (json_is_null(json_object_get(device, "kind"))) continue;
    if (json_array_append_new(into, json_deep_copy(device))) return NM_ENOMEM;
  }
  return NM_OK;
}

static int merge_text(json_t *profile, const json_t *patch, const char *key)
{
  const json_t *value = json_object_get(patch, key);
  if (!value) return NM_OK;
  if (json_is_null(value)) {
    json_object_del(profile, key);
    return NM_OK;
  }
  return json_object_set_new(profile, key, json_deep_copy(value)) ? NM_ENOMEM : NM_OK;
}

static int check_size(const json_t *profile, struct nm_error *err)
{
  size_t devices = json_array_size(json_object_get(profile, "devices"));
  size_t attributes = json_object_size(json_object_get(profile, "attributes"));
  if (devices > NM_PROFILE_DEVICES_MAX)
    return nm_fail(err, NM_ELIMIT, "the profile would have %zu devices, at most %d are allowed",
                   devices, NM_PROFILE_DEVICES_MAX);
  if (attributes > NM_PROFILE_ATTRIBUTES_MAX)
    return nm_fail(err, NM_ELIMIT, "the profile would have %zu attributes, at most %d are allowed",
                   attributes, NM_PROFILE_ATTRIBUTES_MAX);
  size_t bytes = json_dumpb(profile, NULL, 0, JSON_COMPACT);
  if (bytes > NM_PROFILE_MAX_BYTES)
    return nm_fail(err, NM_ELIMIT, "the profile would have %zu bytes, at most %d are allowed",
                   bytes, NM_PROFILE_MAX_BYTES);
  return NM_OK;
}

int nm_profile_merge(const json_t *old, const json_t *patch, json_t **out, json_t **changes,
                     struct nm_error *err)
{
  json_t *profile = old ? json_deep_copy(old) : json_object();
  json_t *changed = json_object();
  int rc = profile && changed ? NM_OK : NM_ENOMEM;
  if (rc == NM_OK) rc = merge_text(profile, patch, "email");
  if (rc == NM_OK) rc = merge_text(profile, patch, "msisdn");
  if (rc == NM_OK) rc = merge_devices(profile, patch);
  if (rc == NM_OK) rc = merge_table(profile, patch, "attributes", changed);
  if (rc == NM_OK) rc = merge_table(profile, patch, "permissions", NULL);
  if (rc == NM_OK) rc = check_size(profile, err);
  else nm_fail(err, rc, "out of memory");
  if (rc) {
    json_decref(profile);
    json_decref(changed);
    return rc;
  }
  *out = profile;
  *changes = changed;
  return NM_OK;
}
