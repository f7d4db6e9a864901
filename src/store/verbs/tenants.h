/* tenants.h - tenants and what is theirs: generations of rules, listeners and templates at
 * Optimove. */
#pragma once

#include "store/verbs/request.h"

struct nm_store_tenant {
  int64_t id;
  int64_t version;
  struct nm_text name, app_key;
  struct nm_text sealed; /* JSON whose secrets are encrypted (tenants/) */
};

struct nm_store_tenant_save {
  struct nm_store_request request;
  struct nm_store_tenant tenant; /* by name; out: id, version.  NM_ECONFLICT: the appKey is
                                  * another's */
  int64_t if_id, if_version;     /* it must still be this one; if_version 0 = whatever is there,
                                  * -1 = there must be none.  Else NM_ECONFLICT with is_stale */
  bool is_stale;                 /* out */
  bool retires_account;          /* leaves its account at Optimove: see struct nm_store_account */
  bool keeps_host;               /* of that account: it may be the same one under another key */
  bool is_new;                   /* out */
};

/* A piece of a tenant's end, a bounded number of rows a call: what waits of it is stopped or
 * dropped with a word; with is_purge all that is kept of it is deleted; at last itself. */
struct nm_store_tenant_remove {
  struct nm_store_request request;
  int64_t tenant_id;
  bool is_purge;
  size_t rows_max;
  int stage;         /* where the next call goes on; 0 at first */
  int64_t after_id;
  int64_t messages;  /* out, added to: how many were stopped */
  bool is_more;      /* out */
};

struct nm_store_tenants_load {
  struct nm_store_request request;
  struct nm_store_tenant *tenants;
  size_t count;
};

struct nm_store_generation {
  int64_t id;
  int64_t tenant_id;
  int64_t created_at_ms;
  bool is_active;
  struct nm_text digest; /* hex */
  struct nm_text source;
  struct nm_text pinned_over; /* digest of the file's version that this one stands in for; empty =
                               * it is not pinned */
};

/* Makes it the active one; the same digest again gives the first one's id.  Keeps the latest
 * NM_STORE_GENERATIONS_MAX and each that an open run still uses. */
struct nm_store_generation_save {
  struct nm_store_request request;
  struct nm_store_generation generation; /* out: id */
};

/* All that are active or that an open run uses, of every tenant; or every one of one tenant, the
 * latest activated first. */
struct nm_store_generations_load {
  struct nm_store_request request;
  int64_t tenant_id; /* 0 = of every tenant */
  struct nm_store_generation *generations;
  size_t count;
};

enum nm_listener_state {
  NM_LISTENER_REGISTERING = 0, /* journaled before the call */
  NM_LISTENER_REGISTERED = 1,
  NM_LISTENER_UNREGISTERING = 2,
  NM_LISTENER_GONE = 3,
};

struct nm_store_listener {
  int64_t id;            /* 0 = new */
  int64_t tenant_id;
  int64_t event_type;
  int64_t channel_id;    /* 0 = none */
  struct nm_text url;    /* without its secret */
  int64_t secret_number; /* which secret it carries */
  enum nm_listener_state state;
};

struct nm_store_listener_save {
  struct nm_store_request request;
  struct nm_store_listener listener; /* out: id */
};

struct nm_store_listeners_load {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id;                  /* 0 = the present account, else one that was left */
  struct nm_store_listener *listeners; /* all but those gone */
  size_t count;
};

/* An account that the tenant has left (another baseUrl or key was saved): its document as it was
 * then, sealed, kept until our listeners and templates there are gone. */
struct nm_store_account {
  int64_t id;
  struct nm_text sealed;
  int64_t saved_at_ms;
};

struct nm_store_accounts_load {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_store_account *accounts; /* the one left first comes first */
  size_t count;
};

struct nm_store_account_forget {
  struct nm_store_request request;
  int64_t tenant_id, account_id;
  bool doubts_present;  /* what the journal says of the present account may not be so any more */
  bool keeps_templates; /* it is, or may be, the present account: so are ours there, to be done
                         * anew */
};

/* Templates that we put under Optimove's channels; nobody else's stand here. */
enum nm_template_state {
  NM_TEMPLATE_ADDING = 0, /* journaled before the call */
  NM_TEMPLATE_ADDED = 1,
  NM_TEMPLATE_DELETING = 2,
  NM_TEMPLATE_GONE = 3,   /* saving this forgets it */
};

struct nm_store_template {
  int64_t channel_id, template_id; /* Optimove's numbers */
  struct nm_text name;
  enum nm_template_state state;
};

struct nm_store_templates_save {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id; /* 0 = the present account, else one that was left */
  const struct nm_store_template *templates;
  size_t count;
};

struct nm_store_templates_load {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id; /* as above */
  struct nm_store_template *templates; /* by channel and number */
  size_t count;
};
