/* access.h - who may use the admin API (tokens), and who changed what (the audit log). */
#pragma once

#include "store/verbs/request.h"

struct nm_store_token {
  int64_t id;
  int64_t tenant_id;     /* 0 = the whole daemon */
  int role;              /* the api's number */
  int64_t created_at_ms;
  int64_t expires_at_ms; /* 0 = never */
  int64_t used_at_ms;    /* about; 0 = never */
  struct nm_text name;
  struct nm_text hash;   /* bytes; the token itself is kept nowhere */
};

/* A new one; an empty name becomes "token ID".  NM_ECONFLICT: there is one of this name. */
struct nm_store_token_save {
  struct nm_store_request request;
  struct nm_store_token token; /* out: id, name */
};

/* NM_ENOTFOUND where there is none (of this tenant, unless 0). */
struct nm_store_token_drop {
  struct nm_store_request request;
  int64_t id, tenant_id;
};

struct nm_store_token_used {
  struct nm_store_request request;
  int64_t id, at_ms;
};

struct nm_store_tokens_load {
  struct nm_store_request request;
  struct nm_store_token *tokens; /* out: by id */
  size_t count;
};

/* Begins a line (id 0), or ends it. */
struct nm_store_audit {
  struct nm_store_request request;
  int64_t id;              /* out of a new one */
  int64_t tenant_id;       /* 0 = none */
  int64_t at_ms;
  struct nm_text who, route, thing;
  struct nm_store_audit_end end; /* of one that is there: all but its id */
};
