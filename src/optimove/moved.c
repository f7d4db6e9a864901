/* moved.c - accounts that the tenant has left: our listeners and templates there are taken away,
 * with the credentials of then, before those are forgotten.
 *
 * After the present account's listeners are as wanted.  A new key may as well be of the account
 * that the old one is of: since a change of account gives our URLs another `k`, a listener with the
 * present one tells so, and then nothing is to be done.  Where the old key may not list, the
 * journal tells what is there; taking that away by a key of the same host may hit the present
 * listeners, so these are looked at once more; and templates stay, as the present account's.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "optimove/work.h"

enum { ROUNDS_MAX = 4, GIVE_UP_MS = 7 * 24 * 3600 * 1000 };

struct moved {
  struct nm_work *work;
  struct nm_store_account *accounts;
  size_t account_count, at;
  struct nm_tenant *tenant; /* as it was when it left the account at hand */
  struct nm_optimove_account *account;
  struct nm_listener_own own;
  struct nm_listener *pairs;
  size_t pair_count, pair_at;
  int round;
  bool is_barred, has_trouble;
  bool has_unregistered;
  bool must_look_again; /* at the present account */
  union {
    struct nm_store_accounts_load accounts;
    struct nm_store_account_forget forget;
    struct nm_store_listeners_load listeners;
  } request;
};

static void next_account(struct moved *moved);
static void look(struct moved *moved);

static struct moved *moved_of(struct nm_task *task)
{
  return (struct moved *)(void *)((char *)task - offsetof(struct moved, request));
}

static struct nm_store_request *prepare(struct moved *moved, struct nm_store_request *request,
                                        enum nm_store_verb verb, void (*done)(struct nm_task *task))
{
  *request = (struct nm_store_request){ .task = { .home = moved->work->what.home, .done = done },
                                        .verb = verb,
                                        .arena = moved->work->arena };
  return request;
}

static struct nm_text where(const struct moved *moved)
{
  return moved->tenant ? moved->tenant->connector.base_url : NM_TEXT("the old account");
}

/* ---- the end --------------------------------------------------------------------------------- */

static void end(struct moved *moved)
{
  struct nm_work *work = moved->work;
  if (moved->must_look_again && !work->what.only_plan)
    nm_work_look_again(work);
  else if (work->what.account)
    nm_work_sync(work);
  else
    nm_work_finish(work, NM_OK);
}

static void leave_account(struct moved *moved)
{
  nm_tenant_unref(moved->tenant);
  moved->tenant = NULL;
  moved->at++;
  next_account(moved);
}

static void put_off(struct moved *moved, const char *kind, const char *what, const char *why)
{
  struct nm_work *work = moved->work;
  nm_work_tell(work->todo, "old account: %s at %.*s: %s", what, NM_TEXT_ARG(where(moved)), why);
  json_array_append_new(work->findings, json_pack("{s:s,s:s,s:s}", "kind", "old account", "what",
                                                  kind, "why", why));
  leave_account(moved);
}

/* It is for another time, or for a person. */
static void cannot(struct moved *moved, const char *what, const char *why)
{
  put_off(moved, "listeners", what, why);
}

static void on_forgotten(struct nm_task *task)
{
  struct moved *moved = moved_of(task);
  struct nm_work *work = moved->work;
  if (moved->request.forget.request.rc) {
    cannot(moved, "the journal takes no notes now", moved->request.forget.request.error.text);
    return;
  }
  if (moved->request.forget.doubts_present)
    for (size_t i = 0; i < work->journal_count; i++)
      if (work->journal[i].state != NM_LISTENER_GONE)
        work->journal[i].state = NM_LISTENER_REGISTERING;
  leave_account(moved);
}

static bool is_same_host(const struct moved *moved)
{
  const struct nm_reconcile *what = &moved->work->what;
  return what->account && nm_text_equal(moved->tenant->connector.base_url,
                                        what->tenant->connector.base_url);
}

static void forget(struct moved *moved, bool keeps_templates)
{
  struct nm_work *work = moved->work;
  bool touched_present = is_same_host(moved) && moved->has_unregistered;
  if (work->what.only_plan) {
    leave_account(moved);
    return;
  }
  moved->must_look_again = moved->must_look_again || touched_present;
  moved->request.forget = (struct nm_store_account_forget){
    .tenant_id = work->what.tenant->id,
    .account_id = moved->accounts[moved->at].id,
    .doubts_present = touched_present && moved->is_barred,
    .keeps_templates = keeps_templates,
  };
  struct nm_store_request *request =
      prepare(moved, &moved->request.forget.request, NM_STORE_ACCOUNT_FORGET, on_forgotten);
  int rc = nm_store_submit(work->what.store, request);
  if (rc)
    cannot(moved, "the journal takes no notes now", nm_code_name(rc));
}

/* ---- templates ------------------------------------------------------------------------------- */

static bool is_over(const struct moved *moved)
{
  return nm_clock_wall_ms() - moved->accounts[moved->at].saved_at_ms > GIVE_UP_MS;
}

static void on_templates(void *data, const char *trouble)
{
  struct moved *moved = data;
  if (trouble && !is_over(moved)) {
    put_off(moved, "templates", "templates are to be deleted", trouble);
    return;
  }
  if (trouble)
    nm_work_tell(moved->work->warnings,
                 "old account: our templates may stay behind at %.*s; delete them there (this is "
                 "said for the last time): %s",
                 NM_TEXT_ARG(where(moved)), trouble);
  forget(moved, false);
}

static bool has_registered(const struct nm_work *work)
{
  for (size_t i = 0; i < work->journal_count; i++)
    if (work->journal[i].state == NM_LISTENER_REGISTERED) return true;
  return false;
}

/* The account is known for another one than the present by whose listeners are there: at the same
 * host that takes a list, and a listener of the present account to look for. */
static void leave_templates(struct moved *moved)
{
  const struct nm_templates templates = {
    .account = moved->account, .left_id = moved->accounts[moved->at].id, .left = where(moved),
    .done = on_templates, .data = moved,
  };
  bool is_unclear = is_same_host(moved) && !moved->work->what.wants_nothing;
  if (is_unclear && moved->is_barred)
    forget(moved, true);
  else if (is_unclear && !has_registered(moved->work))
    put_off(moved, "templates", "templates are to be deleted",
            "no listener stands yet at the present account, which may be the same");
  else
    nm_work_templates(moved->work, &templates);
}

/* ---- one listener after the other ------------------------------------------------------------ */

static void take_pair(struct moved *moved);

static void on_unregistered(void *data, const struct nm_optimove_answer *answer)
{
  struct moved *moved = data;
  struct nm_work *work = moved->work;
  struct nm_text name = nm_work_pair_name(work, &moved->pairs[moved->pair_at]);
  if (answer->end == NM_OPTIMOVE_OK) {
    nm_work_tell(work->done, "unregistered %.*s at the old account %.*s", NM_TEXT_ARG(name),
                 NM_TEXT_ARG(where(moved)));
  } else if (answer->end == NM_OPTIMOVE_LATER && (answer->status == 0 || answer->status == 429)) {
    cannot(moved, "listeners are to be taken away", answer->reason);
    return;
  } else {
    moved->has_trouble = true;
    nm_work_tell(work->warnings, "old account: %s", answer->reason);
  }
  moved->pair_at++;
  take_pair(moved);
}

static void take_pair(struct moved *moved)
{
  const struct nm_listener *pair = &moved->pairs[moved->pair_at];
  if (moved->pair_at < moved->pair_count) {
    int rc = nm_optimove_unregister(moved->account, pair->event_type, pair->channel_id,
                                    on_unregistered, moved);
    if (rc)
      cannot(moved, "could not call Optimove", nm_code_name(rc));
  } else if (!moved->is_barred) {
    look(moved); /* the list has the last word */
  } else if (moved->has_trouble) {
    cannot(moved, "listeners are to be taken away", "not every call was answered with a yes");
  } else {
    moved->has_unregistered = moved->pair_count > 0;
    leave_templates(moved);
  }
}

static void tell_plan(struct moved *moved)
{
  struct nm_work *work = moved->work;
  for (size_t i = 0; i < moved->pair_count; i++) {
    struct nm_text name = nm_work_pair_name(work, &moved->pairs[i]);
    nm_work_tell(work->todo, "old account: listener %.*s at %.*s: ours, and the tenant has left",
                 NM_TEXT_ARG(name), NM_TEXT_ARG(where(moved)));
    json_array_append_new(
        work->findings, json_pack("{s:s,s:s,s:I,s:I,s:s}", "kind", "old account", "what",
                                  "listener", "event_type", (json_int_t)moved->pairs[i].event_type,
                                  "channel_id", (json_int_t)moved->pairs[i].channel_id, "why",
                                  "the tenant has left this account"));
  }
  leave_templates(moved);
}

/* ---- what is there --------------------------------------------------------------------------- */

/* A listener with the present `k`: this is no other account than the present one. */
static bool is_present_account(const struct nm_work *work, struct nm_listener_list there)
{
  const struct nm_listener_own present = { .secrets =
                                               &work->own.secrets[work->own.secret_count - 1],
                                           .secret_count = 1 };
  for (size_t i = 0; i < there.count; i++)
    if (work->what.account && nm_listener_is_ours(there.items[i].url, &present))
      return true;
  return false;
}

static bool is_shared(struct nm_listener_list there, const struct nm_listener *pair,
                      const struct nm_listener_own *own)
{
  for (size_t i = 0; i < there.count; i++)
    if (there.items[i].event_type == pair->event_type &&
        there.items[i].channel_id == pair->channel_id &&
        !nm_listener_is_ours(there.items[i].url, own))
      return true;
  return false;
}

static bool has_pair(const struct moved *moved, const struct nm_listener *pair)
{
  for (size_t i = 0; i < moved->pair_count; i++)
    if (moved->pairs[i].event_type == pair->event_type &&
        moved->pairs[i].channel_id == pair->channel_id)
      return true;
  return false;
}

static void compare(struct moved *moved, struct nm_listener_list there)
{
  struct nm_work *work = moved->work;
  moved->pair_count = moved->pair_at = 0;
  moved->has_trouble = false;
  moved->pairs = nm_arena_alloc(work->arena, (there.count + 1) * sizeof *moved->pairs);
  if (!moved->pairs || !there.items) {
    cannot(moved, "listeners could not be compared", nm_code_name(NM_ENOMEM));
    return;
  }
  if (is_present_account(work, there)) {
    forget(moved, true);
    return;
  }
  for (size_t i = 0; i < there.count; i++) {
    const struct nm_listener *row = &there.items[i];
    if (!nm_listener_is_ours(row->url, &moved->own) || has_pair(moved, row))
      continue;
    if (is_shared(there, row, &moved->own)) {
      struct nm_text name = nm_work_pair_name(work, row);
      nm_work_tell(work->warnings,
                   "old account: listener %.*s stays at %.*s: taking ours away would take "
                   "somebody else's URL away too",
                   NM_TEXT_ARG(name), NM_TEXT_ARG(where(moved)));
      continue;
    }
    moved->pairs[moved->pair_count++] = *row;
  }
  if (work->what.only_plan) {
    tell_plan(moved);
  } else if (moved->pair_count == 0) {
    moved->has_unregistered = moved->round > 1;
    leave_templates(moved);
  } else if (moved->round > ROUNDS_MAX) {
    cannot(moved, "listeners are to be taken away", "Optimove says yes, but does not do it");
  } else {
    take_pair(moved);
  }
}

static void on_journal(struct nm_task *task)
{
  struct moved *moved = moved_of(task);
  const struct nm_store_listeners_load *load = &moved->request.listeners;
  struct nm_work *work = moved->work;
  if (load->request.rc) {
    cannot(moved, "the journal cannot be read", load->request.error.text);
    return;
  }
  struct nm_listener_list list = {
    nm_arena_alloc(work->arena, (load->count + 1) * sizeof *list.items), 0
  };
  for (size_t i = 0; i < load->count && list.items; i++)
    list.items[list.count++] =
        (struct nm_listener){ load->listeners[i].event_type, load->listeners[i].channel_id,
                              load->listeners[i].url };
  struct nm_text *prefixes = nm_arena_alloc(work->arena, (load->count + 1) * sizeof *prefixes);
  if (!prefixes) { /* nothing would be ours, and the account be forgotten */
    cannot(moved, "listeners could not be compared", nm_code_name(NM_ENOMEM));
    return;
  }
  for (size_t i = 0; i < list.count; i++) /* what the journal calls ours is ours */
    prefixes[i] = list.items[i].url;
  moved->own.prefixes = prefixes;
  moved->own.prefix_count = list.count;
  compare(moved, list);
}

static void use_journal(struct moved *moved)
{
  struct nm_work *work = moved->work;
  moved->is_barred = true;
  moved->request.listeners =
      (struct nm_store_listeners_load){ .tenant_id = work->what.tenant->id,
                                        .account_id = moved->accounts[moved->at].id };
  struct nm_store_request *request =
      prepare(moved, &moved->request.listeners.request, NM_STORE_LISTENERS_LOAD, on_journal);
  int rc = nm_store_submit(work->what.store, request);
  if (rc)
    cannot(moved, "the journal cannot be read", nm_code_name(rc));
}

/* A key that is refused will not come back, and a host may be gone for good: a person has to look
 * there, and after a week it is said for the last time. */
static void on_not_listed(struct moved *moved, bool is_for_later, const char *reason)
{
  bool is_last = is_over(moved);
  if (is_for_later && !is_last) {
    cannot(moved, "listeners are to be looked at", reason);
    return;
  }
  nm_work_tell(moved->work->warnings,
               "old account: our listeners and templates may stay behind at %.*s; take them away "
               "there%s: %s",
               NM_TEXT_ARG(where(moved)), is_last ? " (this is said for the last time)" : "",
               reason);
  if (is_last)
    forget(moved, false);
  else
    leave_account(moved);
}

static void on_listed(void *data, const struct nm_optimove_answer *answer)
{
  struct moved *moved = data;
  bool is_barred =
      answer->end == NM_OPTIMOVE_DENIED || answer->status == 404 || answer->status == 405;
  if (answer->end == NM_OPTIMOVE_OK)
    compare(moved, nm_listeners_there(answer->body, moved->work->arena));
  else if (answer->end == NM_OPTIMOVE_DENIED && answer->status == 401)
    on_not_listed(moved, false, answer->reason);
  else if (is_barred)
    use_journal(moved);
  else
    on_not_listed(moved, true, answer->reason);
}

static void look(struct moved *moved)
{
  moved->round++;
  int rc = nm_optimove_listeners(moved->account, on_listed, moved);
  if (rc)
    cannot(moved, "could not call Optimove", nm_code_name(rc));
}

/* ---- the accounts ---------------------------------------------------------------------------- */

static int unseal(struct moved *moved, struct nm_error *err)
{
  const struct nm_reconcile *what = &moved->work->what;
  json_t *document = NULL;
  struct nm_problems problems = { .arena = moved->work->arena };
  int rc = nm_keyring_unseal((struct nm_keyring *)(uintptr_t)what->keyring, what->tenant->name,
                             moved->accounts[moved->at].sealed, &document, err);
  if (!rc)
    rc = nm_tenant_parse(&moved->tenant, document, "store", false, NULL, &problems);
  json_decref(document);
  return rc;
}

static bool is_present_key(const struct moved *moved)
{
  const struct nm_tenant_connector *was = &moved->tenant->connector;
  const struct nm_tenant_connector *is = &moved->work->what.tenant->connector;
  return is->is_present && nm_text_equal(was->base_url, is->base_url) &&
         nm_text_equal(was->api_key, is->api_key);
}

static void next_account(struct moved *moved)
{
  struct nm_error error = { 0, "" };
  moved->round = 0;
  moved->is_barred = moved->has_unregistered = false;
  moved->own = moved->work->own;
  if (moved->at >= moved->account_count) {
    end(moved);
    return;
  }
  int rc = unseal(moved, &error);
  if (rc) {
    cannot(moved, "its credentials cannot be read", error.text[0] ? error.text : nm_code_name(rc));
  } else if (is_present_key(moved)) {
    forget(moved, true); /* the tenant is back */
  } else {
    moved->account = nm_optimove_account(moved->work->what.optimove, moved->tenant);
    if (moved->account)
      look(moved);
    else
      cannot(moved, "could not call Optimove", nm_code_name(NM_ENOMEM));
  }
}

static void on_loaded(struct nm_task *task)
{
  struct moved *moved = moved_of(task);
  const struct nm_store_accounts_load *load = &moved->request.accounts;
  if (load->request.rc) {
    nm_work_tell(moved->work->todo, "the journal of old accounts cannot be read (%s)",
                 load->request.error.text);
    nm_work_finish(moved->work, NM_EIO);
    return;
  }
  moved->accounts = load->accounts;
  moved->account_count = load->count;
  next_account(moved);
}

void nm_work_moved(struct nm_work *work)
{
  if (work->has_looked_behind) { /* once is enough */
    if (work->what.account)
      nm_work_sync(work);
    else
      nm_work_finish(work, NM_OK);
    return;
  }
  work->has_looked_behind = true;
  struct moved *moved = nm_arena_alloc(work->arena, sizeof *moved);
  if (!moved) {
    nm_work_finish(work, NM_ENOMEM);
    return;
  }
  moved->work = work;
  moved->request.accounts = (struct nm_store_accounts_load){ .tenant_id = work->what.tenant->id };
  struct nm_store_request *request =
      prepare(moved, &moved->request.accounts.request, NM_STORE_ACCOUNTS_LOAD, on_loaded);
  int rc = nm_store_submit(work->what.store, request);
  if (!rc)
    return;
  nm_work_tell(work->todo, "the journal of old accounts cannot be read (%s)", nm_code_name(rc));
  nm_work_finish(work, NM_EIO);
}
