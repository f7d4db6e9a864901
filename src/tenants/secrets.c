/* secrets.c - which keys of a document hold secrets: a fixed list, named in README.md.
 *
 * By the time a document arrives, `secret "env:..."` has become plain text, so the key is what
 * tells. */
#include <stdio.h>
#include <string.h>

#include "tenants/internal.h"

static const char *const names[] = { "restApiKey", "restApiKeys",    "apiKey",    "password",
                                     "appSecret",  "serviceAccount", "key",       "privateKey",
                                     "authToken",  "apiSecret",      "clientSecret",
                                     "adminApiKey", "token" };

bool nm_tenant_is_secret(const char *key)
{
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(key, names[i]) == 0) return true;
  return false;
}

/* Adds a segment; the old length, or -1 where there is no room. */
static long enter(struct nm_tenant_place *place, const char *segment)
{
  size_t len = strlen(segment) + 1, before = place->len;
  if (len > sizeof place->bytes - place->len) return -1;
  memcpy(place->bytes + place->len, segment, len);
  place->len += len;
  return (long)before;
}

typedef int change_secret(void *data, const struct nm_tenant_place *place, json_t *value,
                          json_t **out);

static int change_one(json_t *table, const char *key, json_t *value, struct nm_tenant_place *place,
                      change_secret *change, void *data)
{
  json_t *fresh = NULL;
  int rc = change(data, place, value, &fresh);
  if (rc == NM_OK && fresh && json_object_set_new(table, key, fresh)) rc = NM_ENOMEM;
  return rc;
}

int nm_tenant_each_secret(json_t *tree, struct nm_tenant_place *place, change_secret *change,
                          void *data)
{
  const char *key;
  json_t *value;
  void *next;
  size_t i;
  int rc = NM_OK;

  if (json_is_object(tree))
    json_object_foreach_safe(tree, next, key, value) {
      long before = enter(place, key);
      if (before < 0) return NM_ELIMIT;
      rc = nm_tenant_is_secret(key) ? change_one(tree, key, value, place, change, data)
                                    : nm_tenant_each_secret(value, place, change, data);
      place->len = (size_t)before;
      if (rc) return rc;
    }
  json_array_foreach(tree, i, value) {
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    long before = enter(place, number);
    if (before < 0) return NM_ELIMIT;
    rc = nm_tenant_each_secret(value, place, change, data);
    place->len = (size_t)before;
    if (rc) return rc;
  }
  return rc;
}
