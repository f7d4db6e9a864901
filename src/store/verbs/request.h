/* request.h - what every request to the store begins with, and the verbs. */
#pragma once

#include "base/arena.h"
#include "base/port.h"

enum nm_store_verb {
  /* writer */
  NM_STORE_ACCEPT = 0,
  NM_STORE_TAKE,
  NM_STORE_PLAN,
  NM_STORE_LEASE,
  NM_STORE_FINISH,
  NM_STORE_PAGE_SAVE,
  NM_STORE_EXPAND,
  NM_STORE_RUN_SET,
  NM_STORE_FENCE,
  NM_STORE_RUN_RELEASE,
  NM_STORE_RUN_REPIN,
  NM_STORE_RUN_CHECK,
  NM_STORE_BATCH_TAKE,
  NM_STORE_BATCH_FINISH,
  NM_STORE_TENANT_SAVE,
  NM_STORE_GENERATION_SAVE,
  NM_STORE_PROFILE_SAVE,
  NM_STORE_LISTENER_SAVE,
  NM_STORE_TEMPLATES_SAVE,
  NM_STORE_CATCH_UP,
  NM_STORE_FACTS_SAVE,
  NM_STORE_FACTS_TAKE,
  NM_STORE_FACTS_FINISH,
  NM_STORE_PREFERENCES_DONE,
  NM_STORE_RETRY,
  NM_STORE_RETAIN,
  NM_STORE_TENANT_REMOVE,
  NM_STORE_TOKEN_SAVE,
  NM_STORE_TOKEN_DROP,
  NM_STORE_TOKEN_USED,
  NM_STORE_AUDIT,
  NM_STORE_ACCOUNT_FORGET,
  NM_STORE_PROFILES_SAVE,
  NM_STORE_ERASE,
  NM_STORE_ERASE_STEP,
  /* checkpointer */
  NM_STORE_SCRUB,
  /* reader */
  NM_STORE_RESUME,
  NM_STORE_PAGE_LOAD,
  NM_STORE_MARK_LOAD,
  NM_STORE_TENANTS_LOAD,
  NM_STORE_GENERATIONS_LOAD,
  NM_STORE_PROFILES_LOAD,
  NM_STORE_LISTENERS_LOAD,
  NM_STORE_ACCOUNTS_LOAD,
  NM_STORE_TEMPLATES_LOAD,
  NM_STORE_TALLY,
  NM_STORE_PREFERENCES_LOAD,
  NM_STORE_TOKENS_LOAD,
  NM_STORE_QUERY,
};

/* How a line of the audit log ends. */
struct nm_store_audit_end {
  int64_t id;
  const int64_t *tenant_id; /* read when the verb has run, as it may make it; NULL = as begun */
  int status;               /* of the answer, as HTTP has them */
  struct nm_text was, became, details; /* never a secret */
};

struct nm_store_request {
  struct nm_task task; /* first: home and done are the asker's */
  enum nm_store_verb verb;
  /* NULL, or: in the transaction of what a verb of the writer did, this line ends.  Where the verb
   * fails nothing of it is written. */
  const struct nm_store_audit_end *audit;
  struct nm_arena *arena; /* results that are texts or arrays live here */
  int rc;                 /* out: NM_OK or NM_E...; the text stands in error */
  struct nm_error error;
};
