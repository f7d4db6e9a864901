/* tls_tickets.c - the keys that session tickets are sealed with: the current and the one before.
 *
 * A ticket outlives one change of keys and no second one, so a stolen key opens no older session.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "net/internal.h"

int nm_tls_tickets_rotate(struct nm_tls_tickets *tickets)
{
  struct nm_tls_ticket_key fresh;
  if (RAND_bytes((unsigned char *)&fresh, sizeof fresh) != 1) return NM_EINTERNAL;
  tickets->keys[1] = tickets->keys[0];
  tickets->keys[0] = fresh;
  if (tickets->count < 2) tickets->count++;
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return NM_OK;
}

static bool set_mac(EVP_MAC_CTX *mac, struct nm_tls_ticket_key *key)
{
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
    OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's answers: -1 failed, 0 a ticket that we do not know (a full handshake follows), 1 done,
 * 2 done and it should be given a new one. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_sealing)
{
  struct nm_tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  struct nm_tls_ticket_key *key = &tickets->keys[0];
  if (is_sealing) {
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    memcpy(name, key->name, sizeof key->name);
    bool is_set =
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) && set_mac(mac, key);
    return is_set ? 1 : -1;
  }
  unsigned at = 0;
  while (at < tickets->count && memcmp(name, tickets->keys[at].name, sizeof key->name) != 0) at++;
  if (at == tickets->count) return 0;
  key = &tickets->keys[at];
  bool is_set =
      EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) && set_mac(mac, key);
  return !is_set ? -1 : at == 0 ? 1 : 2;
}

void nm_tls_tickets_serve(struct nm_tls_tickets *tickets, SSL_CTX *context)
{
  SSL_CTX_set_app_data(context, tickets);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
