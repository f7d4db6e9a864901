#include <stdio.h>
#include <sys/un.h>
#include <uv.h>

#include "config/internal.h"

enum { HOST_MAX_BYTES = 64 };

/* Cuts the host out of an address; false where it is none. */
static bool cut_host(struct nm_text address, char host[HOST_MAX_BYTES], bool *is_v6)
{
  struct nm_text name, port = address;
  int64_t number;
  *is_v6 = address.len > 0 && address.ptr[0] == '[';
  if (*is_v6) {
    struct nm_text rest = { address.ptr + 1, address.len - 1 };
    if (!nm_text_cut(rest, ']', &name, &port) || port.len < 2 || port.ptr[0] != ':') return false;
    port = (struct nm_text){ port.ptr + 1, port.len - 1 };
  } else if (!nm_text_cut(address, ':', &name, &port)) {
    return false;
  }
  if (name.len >= HOST_MAX_BYTES || port.len > 5 || memchr(name.ptr, '\0', name.len)) return false;
  snprintf(host, HOST_MAX_BYTES, "%.*s", NM_TEXT_ARG(name));
  return nm_text_to_i64(port, &number) && number >= 0 && number <= 65535;
}

/* The bytes of the address in network order; their count, or 0. */
static size_t read_host(struct nm_text address, unsigned char bytes[16])
{
  char host[HOST_MAX_BYTES];
  bool is_v6;
  if (!cut_host(address, host, &is_v6)) return 0;
  if (!is_v6 && strcmp(host, "localhost") == 0) {
    memcpy(bytes, "\x7f\0\0\1", 4);
    return 4;
  }
  if (uv_inet_pton(is_v6 ? AF_INET6 : AF_INET, host, bytes) != 0) return 0;
  return is_v6 ? 16 : 4;
}

bool nm_config_is_address(struct nm_text address)
{
  unsigned char bytes[16];
  return read_host(address, bytes) > 0;
}

bool nm_config_is_loopback(struct nm_text address)
{
  static const unsigned char one[16] = { [15] = 1 };
  unsigned char bytes[16];
  size_t len = read_host(address, bytes);
  return len == 4 ? bytes[0] == 127 : len == 16 && memcmp(bytes, one, 16) == 0;
}

bool nm_config_is_wildcard(struct nm_text address)
{
  static const unsigned char none[16];
  unsigned char bytes[16];
  size_t len = read_host(address, bytes);
  return len > 0 && memcmp(bytes, none, len) == 0;
}

bool nm_config_is_network(struct nm_text network)
{
  struct nm_text host, bits;
  char name[HOST_MAX_BYTES];
  unsigned char bytes[16];
  int64_t number = 0;
  bool has_bits = nm_text_cut(network, '/', &host, &bits);
  if (host.len >= sizeof name || memchr(host.ptr ? host.ptr : "", '\0', host.len)) return false;
  snprintf(name, sizeof name, "%.*s", NM_TEXT_ARG(host));
  bool is_v6 = strchr(name, ':') != NULL;
  if (uv_inet_pton(is_v6 ? AF_INET6 : AF_INET, name, bytes) != 0) return false;
  return !has_bits ||
         (nm_text_to_i64(bits, &number) && number >= 0 && number <= (is_v6 ? 128 : 32));
}

void nm_config_check_store(struct nm_text store, const char *where, struct nm_problems *problems)
{
  if (nm_text_starts_with(store, NM_TEXT("postgresql:")) ||
      nm_text_starts_with(store, NM_TEXT("postgres:")))
    nm_problems_add(problems, "%s: a postgresql: store is not built yet; use \"sqlite:PATH\"",
                    where);
  else if (!nm_text_starts_with(store, NM_TEXT("sqlite:")) || store.len == strlen("sqlite:"))
    nm_problems_add(
        problems, "%s: found \"%.*s\"; expected \"sqlite:PATH\", such as \"sqlite:var/netmove.db\"",
        where, NM_TEXT_ARG(store));
}

bool nm_settings_has_tls(const struct nm_settings *settings)
{
  return settings->tls_certificate.len > 0 && settings->tls_key.len > 0;
}

bool nm_settings_has_admin_tls(const struct nm_settings *settings)
{
  return settings->admin_tls_certificate.len > 0 && settings->admin_tls_key.len > 0;
}

struct nm_tls_options nm_settings_admin_tls(const struct nm_settings *settings)
{
  return (struct nm_tls_options){ .certificate = settings->admin_tls_certificate,
                                  .key = settings->admin_tls_key };
}

struct nm_tls_options nm_settings_tls(const struct nm_settings *settings)
{
  enum nm_tls_client client = settings->tls_client_ca.len == 0 ? NM_TLS_CLIENT_NONE
                              : nm_text_equal(settings->tls_client, NM_TEXT("optional"))
                                  ? NM_TLS_CLIENT_OPTIONAL
                                  : NM_TLS_CLIENT_REQUIRED;
  return (struct nm_tls_options){ .certificate = settings->tls_certificate,
                                  .key = settings->tls_key,
                                  .client_ca = settings->tls_client_ca,
                                  .client = client };
}

void nm_settings_check_files(const struct nm_settings *settings, const char *where,
                             struct nm_problems *problems)
{
  struct nm_tls_options options = nm_settings_tls(settings);
  struct nm_error error = { 0 };
  if (nm_settings_has_tls(settings) && nm_tls_check(&options, &error))
    nm_problems_add(problems, "%s: public.tls: %s", where, error.text);
  options = nm_settings_admin_tls(settings);
  if (nm_settings_has_admin_tls(settings) && nm_tls_check(&options, &error))
    nm_problems_add(problems, "%s: admin.tls: %s", where, error.text);
}

/* Which keys need each other. */
static void check_tls(const struct nm_settings *settings, const char *where,
                      struct nm_problems *problems)
{
  size_t certificate = settings->tls_certificate.len, key = settings->tls_key.len;
  size_t ca = settings->tls_client_ca.len;
  if (certificate > 0 && key == 0)
    nm_problems_add(problems, "%s: public.tls.key: missing; the file with the certificate's key",
                    where);
  if (certificate == 0 && (key > 0 || ca > 0 || settings->tls_client.len > 0))
    nm_problems_add(problems, "%s: public.tls.certificate: missing; a PEM file", where);
  if (certificate > 0 && ca == 0 && settings->tls_client.len > 0)
    nm_problems_add(problems,
                    "%s: public.tls.client_ca: missing; a PEM file of those who sign callers' "
                    "certificates",
                    where);
}

static void check_admin(const struct nm_settings *settings, const char *where,
                        struct nm_problems *problems)
{
  struct nm_text admin = settings->admin_listen;
  size_t certificate = settings->admin_tls_certificate.len, key = settings->admin_tls_key.len;
  if (certificate > 0 && key == 0)
    nm_problems_add(problems, "%s: admin.tls.key: missing; the file with the certificate's key",
                    where);
  if (certificate == 0 && key > 0)
    nm_problems_add(problems, "%s: admin.tls.certificate: missing; a PEM file", where);
  if (admin.len > 0 && nm_config_is_address(admin) && !nm_config_is_loopback(admin) &&
      !nm_settings_has_admin_tls(settings))
    nm_problems_add(problems,
                    "%s: admin.listen: plain HTTP on %.*s would show tokens; name a certificate in "
                    "admin.tls, or listen on 127.0.0.1",
                    where, NM_TEXT_ARG(admin));
}

void nm_config_check(const struct nm_settings *settings, const char *where,
                     struct nm_problems *problems)
{
  struct nm_text listen = settings->public_listen;
  bool has_tls = nm_settings_has_tls(settings);
  check_tls(settings, where, problems);
  if (nm_config_is_address(listen) && !nm_config_is_loopback(listen)) {
    if (!has_tls && settings->behind_count == 0)
      nm_problems_add(
          problems,
          "%s: public.listen: plain HTTP on %.*s, where others can read along; name a certificate "
          "in public.tls, or the proxy that ends TLS in public.behind, or listen on 127.0.0.1",
          where, NM_TEXT_ARG(listen));
    else if (nm_config_is_wildcard(listen) && !settings->is_public_url_given)
      nm_problems_add(problems,
                      "%s: public.url: missing; with public.listen = \"%.*s\" nobody can know the "
                      "address that Optimove calls",
                      where, NM_TEXT_ARG(listen));
  }
  check_admin(settings, where, problems);
  if (settings->admin_socket.len >= sizeof((struct sockaddr_un *)0)->sun_path)
    nm_problems_add(problems,
                    "%s: admin.socket: longer than %zu bytes, which is all that sockets can have",
                    where, sizeof((struct sockaddr_un *)0)->sun_path - 1);
}

int nm_config_complete(struct nm_settings *settings)
{
  if (settings->is_public_url_given) return NM_OK;
  settings->public_url =
    nm_arena_printf(settings->arena, "%s://%.*s", nm_settings_has_tls(settings) ? "https" : "http",
                    NM_TEXT_ARG(settings->public_listen));
  return settings->public_url.ptr ? NM_OK : NM_ENOMEM;
}
