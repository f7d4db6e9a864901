/* seal.c - secrets at rest.  In a sealed document the value of a secret key is
 * {"sealed":"v1.BASE64"}: nonce and XChaCha20-Poly1305 of the value's JSON, bound to the tenant's
 * name and to its place, so that a secret that is moved, within a document or to another tenant's,
 * cannot be opened. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tenants/keyring.h"

#define VERSION "v1."

enum {
  NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
  TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
  VARIANT = sodium_base64_VARIANT_ORIGINAL,
};

struct sealing {
  const struct nm_keyring *keyring;
  struct nm_text name;
  struct nm_error *err;
};

struct bound {
  unsigned char bytes[sizeof(struct nm_tenant_place) + NM_TENANT_NAME_MAX_BYTES + 32];
  size_t len;
};

/* What a secret is bound to: every part ends in a NUL, which none can hold. */
static int bind_to(struct bound *out, struct nm_text name, const struct nm_tenant_place *place)
{
  static const char prefix[] = "netmove secret 1";
  if (name.len > NM_TENANT_NAME_MAX_BYTES) return NM_ELIMIT;
  memcpy(out->bytes, prefix, sizeof prefix);
  out->len = sizeof prefix;
  memcpy(out->bytes + out->len, name.ptr, name.len);
  out->len += name.len;
  out->bytes[out->len++] = '\0';
  memcpy(out->bytes + out->len, place->bytes, place->len);
  out->len += place->len;
  return NM_OK;
}

/* Seals text into a fresh {"sealed":...}; NULL when out of memory. */
static json_t *seal_text(const struct sealing *with, const struct bound *bound, struct nm_text text)
{
  size_t raw_len = NONCE_BYTES + text.len + TAG_BYTES;
  size_t text_len = sizeof VERSION - 1 + sodium_base64_encoded_len(raw_len, VARIANT);
  unsigned char *raw = malloc(raw_len);
  char *encoded = malloc(text_len);
  json_t *sealed = NULL;
  if (raw && encoded) {
    randombytes_buf(raw, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        raw + NONCE_BYTES, NULL, (const unsigned char *)text.ptr, text.len, bound->bytes,
        bound->len, NULL, raw, with->keyring->seal_key);
    memcpy(encoded, VERSION, sizeof VERSION - 1);
    sodium_bin2base64(encoded + sizeof VERSION - 1, text_len - (sizeof VERSION - 1), raw, raw_len,
                      VARIANT);
    sealed = json_pack("{s:s}", "sealed", encoded);
  }
  free(raw);
  free(encoded);
  return sealed;
}

static int seal_one(void *data, const struct nm_tenant_place *place, json_t *value, json_t **out)
{
  const struct sealing *with = data;
  struct bound bound;
  struct nm_buffer text;
  int rc = bind_to(&bound, with->name, place);
  if (rc) return rc;
  nm_buffer_init(&text, NM_TENANT_DOCUMENT_MAX_BYTES);
  rc = nm_json_write(&text, value);
  if (rc == NM_OK && !(*out = seal_text(with, &bound, nm_buffer_text(&text)))) rc = NM_ENOMEM;
  if (text.ptr) sodium_memzero(text.ptr, text.len);
  nm_buffer_deinit(&text);
  return rc;
}

int nm_keyring_seal(struct nm_keyring *keyring, const struct nm_tenant *tenant,
                    struct nm_arena *arena, struct nm_text *out)
{
  struct sealing with = { keyring, tenant->name, NULL };
  struct nm_tenant_place place = { .len = 0 };
  json_t *document = json_deep_copy(tenant->document);
  if (!document) return NM_ENOMEM;
  int rc = nm_tenant_each_secret(document, &place, seal_one, &with);
  struct nm_text text = { NULL, 0 };
  if (rc == NM_OK) text = nm_json_text(arena, document);
  json_decref(document);
  if (rc == NM_OK && !text.ptr) rc = NM_ENOMEM;
  if (rc == NM_OK) *out = text;
  return rc;
}

/* "providers.netmera.apiKey" of a place. */
static void show_place(const struct nm_tenant_place *place, char *out, size_t size)
{
  size_t len = place->len > 0 ? place->len - 1 : 0;
  if (len >= size) len = size - 1;
  for (size_t i = 0; i < len; i++) out[i] = place->bytes[i] ? place->bytes[i] : '.';
  out[len] = '\0';
}

static int open_raw(const struct sealing *with, const struct bound *bound, const unsigned char *raw,
                    size_t raw_len, json_t **out)
{
  if (raw_len < NONCE_BYTES + TAG_BYTES) return NM_EINVAL;
  unsigned long long len = raw_len - NONCE_BYTES - TAG_BYTES;
  unsigned char *plain = malloc(len + 1);
  if (!plain) return NM_ENOMEM;
  int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &len, NULL, raw + NONCE_BYTES,
                                                      raw_len - NONCE_BYTES, bound->bytes,
                                                      bound->len, raw, with->keyring->seal_key)
               ? NM_EDENIED
               : nm_json_parse_any(out, (struct nm_text){ (char *)plain, (size_t)len }, NULL);
  sodium_memzero(plain, (size_t)len);
  free(plain);
  return rc;
}

static int unseal_one(void *data, const struct nm_tenant_place *place, json_t *value, json_t **out)
{
  const struct sealing *with = data;
  struct bound bound;
  struct nm_text text = nm_json_string(value, "sealed");
  struct nm_text version = NM_TEXT(VERSION);
  int rc = bind_to(&bound, with->name, place);
  if (rc == NM_OK && (json_object_size(value) != 1 || !nm_text_starts_with(text, version)))
    rc = NM_EINVAL;
  unsigned char *raw = rc == NM_OK ? malloc(text.len + 1) : NULL;
  size_t raw_len = 0;
  if (rc == NM_OK && !raw) rc = NM_ENOMEM;
  if (rc == NM_OK && sodium_base642bin(raw, text.len, text.ptr + version.len,
                                       text.len - version.len, NULL, &raw_len, NULL, VARIANT))
    rc = NM_EINVAL;
  if (rc == NM_OK) rc = open_raw(with, &bound, raw, raw_len, out);
  free(raw);
  if (rc == NM_OK) return NM_OK;
  char at[256];
  show_place(place, at, sizeof at);
  if (rc == NM_ENOMEM) return nm_fail(with->err, rc, "out of memory");
  return nm_fail(with->err, rc, "tenant %.*s: the stored secret %s cannot be opened: %s",
                 NM_TEXT_ARG(with->name), at,
                 rc == NM_EDENIED ? "this is another master key, or it was changed or moved"
                                  : "it is damaged");
}

int nm_keyring_unseal(struct nm_keyring *keyring, struct nm_text name, struct nm_text sealed,
                      json_t **out, struct nm_error *err)
{
  struct sealing with = { keyring, name, err };
  struct nm_tenant_place place = { .len = 0 };
  json_t *document = NULL;
  int rc = nm_json_parse(&document, sealed, err);
  if (rc) return rc;
  rc = nm_tenant_each_secret(document, &place, unseal_one, &with);
  if (rc) {
    json_decref(document);
    return rc;
  }
  *out = document;
  return NM_OK;
}
