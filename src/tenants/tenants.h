/* tenants.h - tenants, their connectors, providers and hooks, as the whole daemon sees them.
 *
 * A struct nm_tenant is immutable and counted: a change makes a new one and swaps it in, so any
 * thread may hold one for as long as it likes.  Secrets are plain in memory, encrypted in the
 * store, and never in anything that is written out.
 */
#pragma once

#include "base/problems.h"
#include "base/zone.h"
#include "json/json.h"
#include "model/channel.h"
#include "net/network.h"

struct nm_keyring;

struct nm_tenant_channel {
  int64_t id;              /* Optimove's */
  struct nm_text name;
  enum nm_channel kind;
};

struct nm_tenant_param {
  struct nm_text real_field_name; /* EMAIL */
  struct nm_text name;            /* email: event.attributes.email */
};

struct nm_tenant_provider {
  struct nm_text name;     /* "netmera": in lanes, logs and explain */
  struct nm_text adapter;
  const json_t *settings;  /* the provider's table without `adapter`, secrets in plain text */
  double rate_per_s;       /* 0 = unlimited */
  int concurrency;         /* sends at a time, at most; 0 = what the adapter says */
  int ahead;               /* messages of runs that may wait for it before runs rest; 0 = the
                            * default */
  int batch;               /* messages in one send, at most; 0 = what the adapter says */
  bool hold_unknown;       /* unknown = "hold" */
};

enum nm_hook_type { NM_HOOK_EVENT = 0, NM_HOOK_PROFILE = 1, NM_HOOK_MESSAGE_LOG = 2 };

struct nm_tenant_hook {
  struct nm_text event;    /* PURCHASE, PROFILE_ATTRIBUTE_CHANGE, MESSAGE_LOG */
  bool is_active;
  bool hold_inactive;      /* inactive = "hold" */
};

/* What becomes of a campaign whose notice never came. */
enum nm_catch_up {
  NM_CATCH_UP_REPORT = 0, /* held for a person */
  NM_CATCH_UP_RUN = 1,
  NM_CATCH_UP_OFF = 2,    /* nobody asks */
};

/* The provider that optimove.realtime makes; no other may have its name. */
#define NM_TENANT_REALTIME "optimove-realtime"

struct nm_tenant_connector {
  bool is_present;
  bool is_active;
  struct nm_text base_url; /* without a slash at its end */
  struct nm_text api_key;
  struct nm_text admin_api_key; /* for what a third party's key may not call; empty = none */
  bool repeat_allowed;     /* repeat = "allow" */
  const struct nm_zone *zone; /* reads TimeStamp and ScheduleTime; UTC by default */
  int64_t timeout_ms;      /* of a call to Optimove; 0 = the default */
  int64_t check_every_ms;  /* between two looks for drift; 0 = the default */
  int64_t callback_timeout_ms; /* Optimove's word on updates is waited for so long; 0 = the
                                * default */
  enum nm_catch_up catch_up;
  int64_t catch_up_after_ms;  /* so long a notice may be late; 0 = the default */
  bool reports_metrics;       /* tells Optimove what became of each run, once */
  int64_t metrics_after_ms;   /* from a run's end to its figures; 0 = the default */
  int unsubscribe_mode;       /* CommunicationMode of who wants no more; 0 = Optimove is not told */
  bool has_realtime;       /* real-time events go by the provider NM_TENANT_REALTIME */
  struct nm_tenant_channel *channels;
  size_t channel_count;
  struct nm_tenant_param *params;
  size_t param_count;
};

struct nm_tenant {
  int64_t id;              /* 0 until saved */
  int64_t version;
  struct nm_text name, app_key, rest_api_key;
  struct nm_text rest_api_key_previous; /* restApiKeys: valid too while it is replaced; empty =
                                         * none */
  struct nm_networks allow;      /* who may call its public routes; none = everybody */
  struct {
    double rate_per_s, burst;    /* events that it may send us; rate 0 = unlimited */
  } inbound;
  struct {                       /* above it a person looks first; 0 = off */
    int64_t run;                 /* recipients of one run */
    int64_t hour;                /* messages of the tenant within an hour */
    double differs;              /* times more or fewer recipients than the template's last run */
  } guard;
  struct nm_tenant_connector connector;
  struct nm_tenant_provider *providers;
  size_t provider_count;
  /* chains[kind]: provider names in order, first healthy one wins */
  struct nm_text *chains[NM_CHANNEL_COUNT];
  size_t chain_counts[NM_CHANNEL_COUNT];
  struct nm_tenant_hook *hooks;
  size_t hook_count;
  int secret_number;       /* which `k` new listener URLs carry */
  int secret_number_previous; /* still valid; 0 = none */
  bool is_leaving;         /* it is being removed: nobody gets in, nothing goes out; it reads as one
                            * that is INACTIVE and has neither providers nor hooks */
  bool leaves_by_force;    /* also where Optimove cannot be asked to forget our listeners */
  bool leaves_nothing;     /* what is kept of it goes too */
  const json_t *document;  /* the whole as it was saved, secrets in plain text */
};

/* Checks a tenant's document (what `tenant apply` sends and config/tenants/NAME.lua says, secrets
 * resolved or, with `may_lack_secrets`, as {"secret":...} references) and makes a tenant of it. All
 * mistakes at once into problems, each line `WHERE: key: ...` with the nearest known word.  Adapter
 * settings are checked by who knows adapters (`check_provider`; NULL = not).  Gives *out with one
 * reference. */
NM_MUST_CHECK int nm_tenant_parse(
    struct nm_tenant **out, const json_t *document, const char *where, bool may_lack_secrets,
    int (*check_provider)(struct nm_text adapter, const json_t *settings, struct nm_error *err),
    struct nm_problems *problems);

struct nm_tenant *nm_tenant_ref(struct nm_tenant *tenant);
void nm_tenant_unref(struct nm_tenant *tenant); /* NULL is fine */

/* The document for people and the API: every secret replaced by {"set":true}.  Gives. */
json_t *nm_tenant_public(const struct nm_tenant *tenant);

/* Completes a new document by what its writer leaves to us: the number of the URL secret, and
 * secrets given as
 * {"set":true} or true ("keep the one that is set").  Call it before parsing. */
NM_MUST_CHECK int nm_tenant_carry(json_t *document, const struct nm_tenant *old);

/* True where Optimove is spoken to at another address or with another key than before: what is
 * registered there has to go. */
bool nm_tenant_has_left(const struct nm_tenant *old, const struct nm_tenant *fresh);

/* What differs between two documents, for `tenant apply`: lines such as `providers.netmera.rate: 5
 * -> 10`, secrets only as `(changed)`.  old NULL = new tenant.  JSON array of text; gives. */
json_t *nm_tenant_changes(const struct nm_tenant *old, const struct nm_tenant *fresh);

const struct nm_tenant_provider *nm_tenant_find_provider(const struct nm_tenant *tenant,
                                                         struct nm_text name);
const struct nm_tenant_hook *nm_tenant_find_hook(const struct nm_tenant *tenant,
                                                 struct nm_text event);
const struct nm_tenant_channel *nm_tenant_find_channel(const struct nm_tenant *tenant, int64_t id);

/* ---- secrets at rest ------------------------------------------------------------------------- */

/* The master key: from "file:..." or "env:..." (32 bytes as hex or base64), or, where `reference`
 * is empty, a file at `beside` (mode 0600) that is made when it is missing; *was_made then says
 * so. */
NM_MUST_CHECK int nm_keyring_open(struct nm_keyring **out, struct nm_text reference,
                                  struct nm_text beside, bool *was_made, struct nm_error *err);
void nm_keyring_destroy(struct nm_keyring *keyring);

/* The document with every secret encrypted (XChaCha20-Poly1305, bound to the tenant's name and its
 * place in the document), and back.  Texts in the arena. */
NM_MUST_CHECK int nm_keyring_seal(struct nm_keyring *keyring, const struct nm_tenant *tenant,
                                  struct nm_arena *arena, struct nm_text *out);
NM_MUST_CHECK int nm_keyring_unseal(struct nm_keyring *keyring, struct nm_text name,
                                    struct nm_text sealed, json_t **out, struct nm_error *err);

/* The secret `k` of our URLs: derived from the master key, the tenant and a number; never stored.
 * 32 characters, URL-safe. */
enum { NM_URL_SECRET_BYTES = 32 };
void nm_keyring_url_secret(const struct nm_keyring *keyring, struct nm_text tenant, int number,
                           char out[NM_URL_SECRET_BYTES + 1]);

/* The key under which people who were erased are remembered (store.h). */
enum { NM_PERSON_KEY = 32 };
void nm_keyring_person_key(const struct nm_keyring *keyring, unsigned char out[NM_PERSON_KEY]);

/* ---- the directory: who is served now -------------------------------------------------------- */

struct nm_tenants;

struct nm_tenants *nm_tenants_create(struct nm_keyring *keyring);
void nm_tenants_destroy(struct nm_tenants *tenants);

/* Puts a saved tenant in (replacing the one of its name).  Takes one reference. */
NM_MUST_CHECK int nm_tenants_put(struct nm_tenants *tenants, struct nm_tenant *tenant);

/* Takes the tenant of this id out; who holds a reference keeps it. */
void nm_tenants_remove(struct nm_tenants *tenants, int64_t id);

/* Each gives a reference, or NULL.  Any thread. */
struct nm_tenant *nm_tenants_by_name(struct nm_tenants *tenants, struct nm_text name);
struct nm_tenant *nm_tenants_by_id(struct nm_tenants *tenants, int64_t id);

/* All of them, each with a reference, in the arena; sorted by name. */
struct nm_tenant **nm_tenants_all(struct nm_tenants *tenants, struct nm_arena *arena,
                                  size_t *count);

/* Who calls a public route: the tenant of appKey where `header_key` is one of its restApiKeys or
 * `url_secret` one of its valid `k`.  Constant time, the same for an unknown appKey.  Gives a
 * reference or NULL. */
struct nm_tenant *nm_tenants_authenticate(struct nm_tenants *tenants, struct nm_text app_key,
                                          struct nm_text header_key, struct nm_text url_secret);
