/* optimove.h - Optimove's API: calls paced by key, recipients, attribute updates, listeners.
 *
 * Facts and sources: every function names the one of Optimove's that it calls.  Engine thread only.
 * An answer is never trusted to be what the documentation says: quoted strings, empty bodies, null
 * and text are all seen in the field.
 */
#pragma once

#include "client/client.h"
#include "json/tape.h"
#include "store/store.h"
#include "tenants/tenants.h"

struct nm_optimove;         /* all accounts of this engine */
struct nm_optimove_account; /* one base URL and key: one sliding window of 50 calls in 10 s */

NM_MUST_CHECK int nm_optimove_open(struct nm_optimove **out, uv_loop_t *loop,
                                   struct nm_client *client);

/* From now on nothing waits for its turn or for a key that pauses: it ends with
 * NM_OPTIMOVE_LATER. */
void nm_optimove_leave(struct nm_optimove *optimove);

/* Calls that wait end with NM_OPTIMOVE_LATER; those under way end with the client's closing. */
void nm_optimove_close(struct nm_optimove *optimove, void (*on_closed)(void *data), void *data);

/* The account of a tenant's connector; lives as long as the room.  NULL without a connector or
 * memory. */
struct nm_optimove_account *nm_optimove_account(struct nm_optimove *optimove,
                                                const struct nm_tenant *tenant);

/* The account for calls that a third party's key may not make (UpdateCustomerAttributes,
 * GetExecutionChannels, GetCustomerAttributeList): that of `adminApiKey`; without one the same as
 * above. */
struct nm_optimove_account *nm_optimove_admin_account(struct nm_optimove *optimove,
                                                      const struct nm_tenant *tenant);

/* The setting that holds the key of those calls: "optimove.adminApiKey", or "optimove.apiKey". */
const char *nm_optimove_admin_key_name(const struct nm_tenant *tenant);

enum nm_optimove_end {
  NM_OPTIMOVE_OK = 0,
  NM_OPTIMOVE_LATER = 1,   /* unreachable, 429, 5xx: again after retry_after_ms or a backoff; only
                            * unreachable and 429 prove that nothing was done */
  NM_OPTIMOVE_DENIED = 2,  /* 401 or 403: this key may not call this function */
  NM_OPTIMOVE_REFUSED = 3, /* another 4xx, or a quoted string where a list belongs: a person should
                            * look */
  NM_OPTIMOVE_UNKNOWN = 4, /* the answer was lost: it may or may not have been done */
};

struct nm_optimove_answer {
  enum nm_optimove_end end;
  int status;             /* 0 = none */
  const json_t *body;     /* parsed where it is JSON; NULL otherwise; borrowed for the call */
  int64_t rows;           /* of a page of recipients, which is not parsed: how many it has */
  struct nm_text raw;     /* the bytes of the body */
  int64_t retry_after_ms; /* -1 = none */
  const char *reason;     /* for people, names the function: "GetX: 401 \"Unauthorized\"" */
};

typedef void nm_optimove_done(void *data, const struct nm_optimove_answer *answer);

/* A tenant's campaign on one of its channels. */
struct nm_optimove_execution {
  const struct nm_tenant *tenant;
  struct nm_text campaign;
  int64_t channel_id;
};

/* A page of its recipients: GetCustomerExecutionDetailsByCampaign with $top, $skip and the
 * connector's params as CustomerAttributes.  OK: raw is an array of `rows`; 0 = the list ends
 * here. */
NM_MUST_CHECK int nm_optimove_recipients(struct nm_optimove_account *account,
                                         const struct nm_optimove_execution *execution,
                                         int64_t top, int64_t skip, nm_optimove_done *done,
                                         void *data);

/* UpdateCustomerAttributes: updates sorted by customer.  OK: taken, the callback will tell. */
NM_MUST_CHECK int nm_optimove_update_attributes(struct nm_optimove_account *account,
                                                const struct nm_update *updates, size_t count,
                                                struct nm_text callback_url,
                                                nm_optimove_done *done, void *data);

/* GetRegisteredEventListeners, RegisterEventListener, UnregisterEventListener; channel_id 0 =
 * without. */
NM_MUST_CHECK int nm_optimove_listeners(struct nm_optimove_account *account, nm_optimove_done *done,
                                        void *data);
NM_MUST_CHECK int nm_optimove_register(struct nm_optimove_account *account, int64_t event_type,
                                       int64_t channel_id, struct nm_text url,
                                       nm_optimove_done *done, void *data);
NM_MUST_CHECK int nm_optimove_unregister(struct nm_optimove_account *account, int64_t event_type,
                                         int64_t channel_id, nm_optimove_done *done, void *data);

/* GetExecutionChannels; GetChannelTemplates, AddChannelTemplates, DeleteChannelTemplates: 100 a
 * call. */
NM_MUST_CHECK int nm_optimove_channels(struct nm_optimove_account *account, nm_optimove_done *done,
                                       void *data);
NM_MUST_CHECK int nm_optimove_templates(struct nm_optimove_account *account, int64_t channel_id,
                                        nm_optimove_done *done, void *data);
NM_MUST_CHECK int nm_optimove_add_templates(struct nm_optimove_account *account, int64_t channel_id,
                                            const struct nm_store_template *templates, size_t count,
                                            nm_optimove_done *done, void *data);
NM_MUST_CHECK int nm_optimove_delete_templates(struct nm_optimove_account *account,
                                               const struct nm_store_template *templates,
                                               size_t count, nm_optimove_done *done, void *data);

/* GetExecutedCampaignsByChannel: what was executed on a channel on a day ("2026-11-23", in the
 * connector's zone).  OK: body is an array of {"CampaignID"}, or NULL. */
NM_MUST_CHECK int nm_optimove_executed(struct nm_optimove_account *account, int64_t channel_id,
                                       struct nm_text day, nm_optimove_done *done, void *data);
struct nm_text nm_optimove_campaign_of(const json_t *row, struct nm_arena *arena);

/* UpdateCampaignMetrics: at most NM_OPTIMOVE_METRICS_MAX rows.  Whether a value sets or adds is not
 * documented: UNKNOWN may not simply be sent again. */
NM_MUST_CHECK int nm_optimove_update_metrics(struct nm_optimove_account *account,
                                             const struct nm_fact *facts, size_t count,
                                             nm_optimove_done *done, void *data);

/* SetCustomerChannelPreference: at most NM_OPTIMOVE_PREFERENCES_MAX customers.  Saying it twice
 * changes nothing. */
NM_MUST_CHECK int nm_optimove_set_preference(struct nm_optimove_account *account,
                                             int64_t channel_id, int mode,
                                             const struct nm_text *customers, size_t count,
                                             nm_optimove_done *done, void *data);

/* ---- reading what came back ------------------------------------------------------------------ */

/* One row of a page. */
struct nm_recipient {
  struct nm_text customer;     /* CustomerID */
  int64_t template_id;         /* 0 = none */
  int64_t due_at_ms;           /* ScheduleTime or ScheduledTime in the connector's zone; 0 = now */
  bool is_control_group;       /* ActionID 1: never messaged (optimove-api 4.7) */
  const struct nm_json_node *event; /* an object as nm_event_for_rules() makes them: EventTypeID 13,
                                     * CampaignID, ChannelID, the row's keys in Optimove's spelling,
                                     * attributes by the params' names */
};

/* Reads one row, a JSON object.  NM_EINVAL with a reason for rows that cannot be used (no
 * CustomerID, attributes that do not match what was asked for).  Texts borrow from the row, the
 * execution or the arena. */
NM_MUST_CHECK int nm_optimove_read_row(struct nm_text row,
                                       const struct nm_optimove_execution *execution,
                                       struct nm_arena *arena, struct nm_recipient *out,
                                       struct nm_error *err);

/* The earliest ScheduleTime of a page's rows; 0 where any row is due now. */
int64_t nm_optimove_page_due(struct nm_text body, const struct nm_tenant *tenant);

/* ---- listeners: wanted against what is there ------------------------------------------------- */

struct nm_wanted_template {
  int64_t channel_id, template_id;
  struct nm_text name;
};

struct nm_reconcile {
  struct nm_optimove_account *account;  /* NULL: the tenant has no connector any more */
  struct nm_optimove_account *admin_account; /* lists the channels */
  struct nm_optimove *optimove;         /* for accounts that the tenant has left */
  struct nm_tenant *tenant;             /* borrowed until done */
  const struct nm_keyring *keyring;
  struct nm_store *store;
  struct nm_port *home;                 /* for the store's answers */
  struct nm_text public_url;
  const int64_t *routed_types;          /* EventTypeIDs that the rules route beyond 11, 13 and 4 */
  size_t routed_count;
  bool knows_templates; /* false: there are no rules yet, templates stay as they are */
  const struct nm_wanted_template *templates; /* what the rules name, on each channel of its kind */
  size_t template_count;
  bool checks_channels;                 /* also asks whether Optimove knows the tenant's channels */
  bool only_plan;                       /* look, change nothing */
  bool take_over;                       /* also pairs where somebody else's URL is */
  bool wants_nothing;                   /* the tenant goes: whatever is ours is taken away */
  /* Called once.  rc: 0 all as wanted; NM_EDENIED the key is refused; NM_EIO not yet as wanted;
   * NM_ECONFLICT only what a person has to decide is left.  report: {"done":[text],"todo":[text],
   * "warnings":[text],"findings":[{kind,what,event_type,channel_id?,why}]}; borrowed. */
  void (*done)(void *data, int rc, const json_t *report);
  void *data;
};

/* Starts; copies *what.  done is not called when it fails. */
NM_MUST_CHECK int nm_optimove_reconcile(const struct nm_reconcile *what);

/* ---- connector test: what is wrong, in plain words ------------------------------------------- */

struct nm_probe {
  struct nm_optimove_account *account, *admin_account;
  struct nm_tenant *tenant;    /* borrowed until done */
  struct nm_client *client;    /* for the look at our own public URL */
  struct nm_text public_url;   /* borrowed until done */
  bool for_save;               /* only what a save hangs on: address, key, channels */
  /* Called once.  rc: NM_EDENIED where the key is refused.  checks: {"ok":bool,"checks":[{"what",
   * "result":"fine"|"warning"|"wrong","text"}],"reasons":[text]}, reasons: why it should not be
   * saved so; gives. */
  void (*done)(void *data, int rc, json_t *checks);
  void *data;
};

/* Starts; copies *what.  Reads only: nothing is changed at Optimove.  done is not called when it
 * fails. */
NM_MUST_CHECK int nm_optimove_probe(const struct nm_probe *what);
