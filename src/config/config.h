/* config.h - the daemon's settings, read once into one frozen struct. */
#pragma once

#include "base/problems.h"
#include "net/tls.h"

struct nm_settings {
  struct nm_arena *arena;        /* everything below lives in it */
  struct nm_text public_listen;  /* "127.0.0.1:8080" where nothing else is said */
  struct nm_text public_url;     /* what Optimove calls, no slash at its end; else
                                  * http://<listen> */
  bool is_public_url_given;
  struct nm_text admin_listen;   /* "127.0.0.1:9090"; empty = none */
  struct nm_text admin_socket;   /* "var/netmove.sock" */
  struct nm_text admin_tls_certificate, admin_tls_key; /* empty = plain HTTP, on loopback only */
  struct nm_text store;          /* "sqlite:var/netmove.db" */
  struct nm_text rules;          /* "rules" */
  struct nm_text master_key;     /* "file:..." or "env:..."; empty = a file beside the store */
  struct nm_text *outbound_allow; /* CIDRs */
  size_t outbound_allow_count;
  struct nm_text *behind;        /* CIDRs of proxies that end TLS */
  size_t behind_count;
  struct nm_text tls_certificate, tls_key; /* empty = plain HTTP, on loopback only */
  struct nm_text tls_client_ca;            /* empty = callers need no certificate */
  struct nm_text tls_client;               /* "optional" or "required" */
  struct {
    int connections, per_address, requests;
    int handshake_ms, head_ms, body_ms, write_ms, idle_ms;
  } limits;                      /* seconds in the file; per_address 0 = off */
  struct nm_text log_level;      /* "info" */
  int64_t events_age_ms, dead_age_ms, audit_age_ms; /* retention: days in the file */
  struct nm_text user;           /* who to be after a start as root; empty = who started it */
  int stop_max_ms;               /* a stop takes no longer; seconds in the file */
};

/* Reads a settings file; an empty path means defaults only.  Unknown keys, wrong kinds, a plain
 * listener that is not loopback and a postgresql store (not built yet) are problems, each with its
 * line of words.  Gives *out (destroy frees it); NM_EINVAL, or NM_EIO where the file cannot be
 * read. */
NM_MUST_CHECK int nm_settings_load(struct nm_settings **out, struct nm_text path,
                                   struct nm_problems *problems);

/* An option of the command line over the file: "listen", "admin", "store", "rules". */
NM_MUST_CHECK int nm_settings_override(struct nm_settings *settings, const char *option,
                                       struct nm_text value, struct nm_problems *problems);

/* What public.tls says, for nm_tls_open and nm_tls_check; its texts are lent by the settings. */
struct nm_tls_options nm_settings_tls(const struct nm_settings *settings);
bool nm_settings_has_tls(const struct nm_settings *settings);

/* The same for admin.tls. */
struct nm_tls_options nm_settings_admin_tls(const struct nm_settings *settings);
bool nm_settings_has_admin_tls(const struct nm_settings *settings);

/* Reads the files that the settings name (certificate, key, client_ca) and adds a line where they
 * cannot serve.  Not part of loading: commands need not be able to read the key. */
void nm_settings_check_files(const struct nm_settings *settings, const char *where,
                             struct nm_problems *problems);

/* Calls `changed` with the name of each key whose value differs ("log.level"). */
void nm_settings_compare(const struct nm_settings *a, const struct nm_settings *b,
                         void (*changed)(void *data, const char *key), void *data);

void nm_settings_destroy(struct nm_settings *settings);
