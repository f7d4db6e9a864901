/* reconcile.c - brings the listeners at Optimove to what is wanted.
 *
 * journal -> (list -> compare -> steps)* -> the journal learns what is there -> sync.c -> report.
 * Each round lists anew, so whatever a lost answer or a failed call left open is seen and mended by
 * the next one; rounds end when nothing is left to do.  Where the key may not list, our journal
 * says what is there: what stands half done in it is taken away and registered anew.
 *
 * An old URL is replaced by registering over it, without a gap; only where Optimove then holds both
 * are they taken away and the fresh one registered again.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "optimove/work.h"

enum { ARENA_MAX_BYTES = 32 * 1024 * 1024, TOLD_MAX_BYTES = 512, ROUNDS_MAX = 5, LIST_TRIES = 2 };
enum { SECRETS_MAX = 64 }; /* so many rotations back a URL is known by its `k` */

static void look(struct nm_work *work);

/* ---- the report ------------------------------------------------------------------------------ */

void nm_work_tell(json_t *list, const char *format, ...)
{
  char line[TOLD_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  nm_text_put_line(line, sizeof line, nm_text_from(line)); /* the cut may be in a character */
  int rc = json_array_append_new(list, json_string(line));
  nm_require(rc == 0); /* a todo that is lost would end as a success */
}

struct nm_text nm_work_pair_name(struct nm_work *work, const struct nm_listener *listener)
{
  const struct nm_tenant_channel *channel =
      nm_tenant_find_channel(work->what.tenant, listener->channel_id);
  if (listener->channel_id == 0)
    return nm_arena_printf(work->arena, "%" PRId64 " for all channels", listener->event_type);
  if (!channel || channel->name.len == 0)
    return nm_arena_printf(work->arena, "%" PRId64 " for channel %" PRId64, listener->event_type,
                           listener->channel_id);
  return nm_arena_printf(work->arena, "%" PRId64 " for channel %" PRId64 " (%.*s)",
                         listener->event_type, listener->channel_id, NM_TEXT_ARG(channel->name));
}

void nm_work_finish(struct nm_work *work, int rc)
{
  size_t todo = json_array_size(work->todo);
  if (!rc && todo > 0) rc = work->conflicts == todo ? NM_ECONFLICT : NM_EIO;
  work->what.done(work->what.data, rc, work->report);
  json_decref(work->report);
  nm_tenant_unref(work->what.tenant);
  nm_arena_destroy(work->arena);
  free(work);
}

static const char *word_of(enum nm_listener_verdict verdict)
{
  switch (verdict) {
  case NM_LISTENER_FINE: return "fine";
  case NM_LISTENER_MISSING: return "missing";
  case NM_LISTENER_STALE: return "stale";
  case NM_LISTENER_ORPHAN: return "orphan";
  case NM_LISTENER_CONFLICT: return "conflict";
  }
  return "?";
}

static struct nm_text explain(struct nm_work *work, const struct nm_listener_finding *finding)
{
  const struct nm_given_up *given_up = nm_work_is_given_up(work, &finding->listener);
  if (given_up) return given_up->reason;
  if (finding->verdict != NM_LISTENER_CONFLICT) return nm_text_from(finding->why);
  return nm_arena_printf(work->arena,
                         finding->is_wanted
                             ? "somebody else's URL is registered there (%.*s); it is left alone "
                               "unless you say --take-over"
                             : "ours is an orphan, but taking it away would take somebody else's "
                               "URL away too (%.*s)",
                         NM_TEXT_ARG(finding->theirs));
}

/* Something that is still to do. */
static void tell_finding(struct nm_work *work, const struct nm_listener_finding *finding)
{
  struct nm_text name = nm_work_pair_name(work, &finding->listener);
  struct nm_text why = explain(work, finding);
  const char *word = word_of(finding->verdict);
  nm_work_tell(work->todo, "%s: listener %.*s%s%.*s", word, NM_TEXT_ARG(name),
               why.len > 0 ? ": " : "", NM_TEXT_ARG(why));
  json_t *row = json_pack("{s:s,s:s,s:I,s:s%}", "kind", word, "what", "listener", "event_type",
                          (json_int_t)finding->listener.event_type, "why", why.ptr ? why.ptr : "",
                          why.len);
  if (row && finding->listener.channel_id)
    json_object_set_new(row, "channel_id", json_integer(finding->listener.channel_id));
  json_array_append_new(work->findings, row);
  if (finding->verdict == NM_LISTENER_CONFLICT) work->conflicts++;
}

/* ---- steps out of findings ------------------------------------------------------------------- */

static void add_step(struct nm_work *work, enum nm_act act, const struct nm_listener *listener,
                     const char *why)
{
  work->steps[work->step_count++] = (struct nm_step){ .act = act, .listener = *listener,
                                                      .why = why };
}

static bool may_act_on(const struct nm_work *work, const struct nm_listener_finding *finding)
{
  if (work->what.only_plan || work->round >= ROUNDS_MAX || work->is_cut_short) return false;
  if (finding->verdict == NM_LISTENER_CONFLICT && !work->what.take_over) return false;
  return !nm_work_is_given_up(work, &finding->listener);
}

static void plan_finding(struct nm_work *work, const struct nm_listener_finding *finding)
{
  const struct nm_listener *listener = &finding->listener;
  bool needs_clearing = finding->needs_clearing || !work->is_list_known;
  if (finding->verdict == NM_LISTENER_FINE) return;
  if (!may_act_on(work, finding)) {
    tell_finding(work, finding);
    return;
  }
  switch (finding->verdict) {
  case NM_LISTENER_FINE: break;
  case NM_LISTENER_MISSING: add_step(work, NM_ACT_REGISTER, listener, ""); break;
  case NM_LISTENER_STALE:
    if (needs_clearing) add_step(work, NM_ACT_UNREGISTER, listener, finding->why);
    add_step(work, NM_ACT_REGISTER, listener, finding->why);
    break;
  case NM_LISTENER_ORPHAN: add_step(work, NM_ACT_UNREGISTER, listener, finding->why); break;
  case NM_LISTENER_CONFLICT:
    add_step(work, NM_ACT_UNREGISTER, listener, "taken over");
    if (finding->is_wanted) add_step(work, NM_ACT_REGISTER, listener, "taken over");
    break;
  }
}

/* ---- what the journal learns ----------------------------------------------------------------- */

static const struct nm_store_listener *find_row(const struct nm_work *work,
                                                const struct nm_listener *pair)
{
  for (size_t i = 0; i < work->journal_count; i++)
    if (work->journal[i].event_type == pair->event_type &&
        work->journal[i].channel_id == pair->channel_id)
      return &work->journal[i];
  return NULL;
}

static bool says_so(const struct nm_work *work, const struct nm_store_listener *row)
{
  return row && row->id && row->state == NM_LISTENER_REGISTERED &&
         row->secret_number == work->what.tenant->secret_number &&
         nm_text_equal(row->url, work->prefixes[0]);
}

static bool is_ours_there(const struct nm_work *work, struct nm_listener_list there,
                          const struct nm_store_listener *row)
{
  for (size_t i = 0; i < there.count; i++)
    if (there.items[i].event_type == row->event_type &&
        there.items[i].channel_id == row->channel_id &&
        nm_listener_is_ours(there.items[i].url, &work->own))
      return true;
  return false;
}

static void add_note(struct nm_work *work, int64_t event_type, int64_t channel_id,
                     enum nm_listener_state state)
{
  struct nm_step *step = &work->steps[work->step_count++];
  *step = (struct nm_step){ .act = NM_ACT_NOTE, .state = state, .why = "",
                            .listener = { .event_type = event_type, .channel_id = channel_id } };
}

/* Where the list and the journal differ, the list is right. */
static void plan_notes(struct nm_work *work, struct nm_listener_list there,
                       const struct nm_listener_finding *findings, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const struct nm_listener *pair = &findings[i].listener;
    if (findings[i].verdict == NM_LISTENER_FINE && !says_so(work, find_row(work, pair)))
      add_note(work, pair->event_type, pair->channel_id, NM_LISTENER_REGISTERED);
  }
  for (size_t i = 0; i < work->journal_count; i++) {
    const struct nm_store_listener *row = &work->journal[i];
    if (row->state != NM_LISTENER_GONE && !is_ours_there(work, there, row))
      add_note(work, row->event_type, row->channel_id, NM_LISTENER_GONE);
  }
}

/* What is there by our own journal, for when Optimove does not tell. */
static struct nm_listener_list journaled(struct nm_work *work)
{
  struct nm_listener_list list = {
    nm_arena_alloc(work->arena, (work->journal_count + 1) * sizeof *list.items), 0
  };
  for (size_t i = 0; i < work->journal_count && list.items; i++) {
    const struct nm_store_listener *row = &work->journal[i];
    char secret[NM_URL_SECRET_BYTES + 1];
    if (row->state == NM_LISTENER_GONE) continue;
    /* Half-done ones count as stale: their secret is left out, so they are done anew. */
    nm_keyring_url_secret(work->what.keyring, work->what.tenant->name, (int)row->secret_number,
                          secret);
    list.items[list.count++] = (struct nm_listener){
      row->event_type, row->channel_id,
      row->state == NM_LISTENER_REGISTERED
          ? nm_arena_printf(work->arena, "%.*s?k=%s&t=%" PRId64, NM_TEXT_ARG(row->url), secret,
                            row->event_type)
          : row->url,
    };
    if (!list.items[list.count - 1].url.ptr) return (struct nm_listener_list){ NULL, 0 };
  }
  return list;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void on_round_over(struct nm_work *work)
{
  work->round++;
  if (work->is_cut_short) {
    if (json_array_size(work->todo) == 0)
      nm_work_tell(work->todo, "the listeners are not as wanted yet: Optimove is away");
    nm_work_finish(work, NM_EIO);
    return;
  }
  look(work);
}

/* Room for every step and for every row that a step may make. */
static bool make_room(struct nm_work *work, size_t findings)
{
  size_t steps_max = findings * 2 + work->journal_count + 1;
  size_t journal_max = work->journal_count + findings + 1;
  struct nm_store_listener *journal = nm_arena_alloc(work->arena, journal_max * sizeof *journal);
  work->steps = nm_arena_alloc(work->arena, steps_max * sizeof *work->steps);
  work->step_count = work->step_at = 0;
  if (!work->steps || !journal) return false;
  if (work->journal_count > 0)
    memcpy(journal, work->journal, work->journal_count * sizeof *journal);
  work->journal = journal;
  work->journal_max = journal_max;
  return true;
}

static void compare(struct nm_work *work, struct nm_listener_list there)
{
  size_t count = 0;
  struct nm_listener_finding *findings =
      there.items ? nm_listeners_compare(work->wanted, there, &work->own, work->arena, &count)
                  : NULL;
  if (!findings || !make_room(work, count)) {
    nm_work_finish(work, NM_ENOMEM);
    return;
  }
  json_array_clear(work->todo); /* of the round before: what it could not do is found again */
  json_array_clear(work->findings);
  work->conflicts = 0;
  for (size_t i = 0; i < count; i++) plan_finding(work, &findings[i]);
  work->after_steps = on_round_over;
  if (work->step_count == 0) {
    work->after_steps = nm_work_moved;
    if (work->is_list_known && !work->what.only_plan) plan_notes(work, there, findings, count);
  }
  nm_work_take_step(work);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Keys of third parties may not be given the list, and its name has changed before. */
static bool is_list_barred(const struct nm_optimove_answer *answer)
{
  return answer->end == NM_OPTIMOVE_DENIED || answer->status == 404 || answer->status == 405;
}

static void on_listed(void *data, const struct nm_optimove_answer *answer)
{
  struct nm_work *work = data;
  if (answer->end == NM_OPTIMOVE_OK) {
    work->is_list_known = true;
    compare(work, nm_listeners_there(answer->body, work->arena));
  } else if (answer->end == NM_OPTIMOVE_DENIED && answer->status == 401) {
    nm_work_tell(work->warnings, "Optimove refuses this key: %s", answer->reason);
    nm_work_finish(work, NM_EDENIED);
  } else if (is_list_barred(answer)) {
    nm_work_tell(work->warnings, "the listeners cannot be listed, our journal tells instead: %s",
                 answer->reason);
    compare(work, journaled(work)); /* a key that may not list can still register */
  } else if (++work->list_tries < LIST_TRIES && answer->status != 429 &&
             answer->end != NM_OPTIMOVE_REFUSED) {
    look(work);
  } else {
    nm_work_tell(work->warnings, "the listeners cannot be listed: %s", answer->reason);
    nm_work_tell(work->todo, "look at the listeners again");
    nm_work_finish(work, NM_EIO);
  }
}

static void look(struct nm_work *work)
{
  if (work->round > 0 && !work->is_list_known) {
    compare(work, journaled(work));
    return;
  }
  int rc = nm_optimove_listeners(work->what.account, on_listed, work);
  if (rc) {
    nm_work_tell(work->todo, "could not call Optimove (%s)", nm_code_name(rc));
    nm_work_finish(work, rc);
  }
}

void nm_work_look_again(struct nm_work *work)
{
  work->round = work->list_tries = 0;
  look(work);
}

/* ---- the start ------------------------------------------------------------------------------- */

/* The `k` of the latest rotations. */
static bool derive_secrets(struct nm_work *work)
{
  int last = work->what.tenant->secret_number;
  int first = last > SECRETS_MAX ? last - SECRETS_MAX + 1 : 1;
  struct nm_text *secrets = nm_arena_alloc(work->arena, SECRETS_MAX * sizeof *secrets);
  if (!secrets) return false;
  for (int number = first; number <= last; number++) {
    char *secret = nm_arena_alloc(work->arena, NM_URL_SECRET_BYTES + 1);
    if (!secret) return false;
    nm_keyring_url_secret(work->what.keyring, work->what.tenant->name, number, secret);
    secrets[work->own.secret_count++] = nm_text_from(secret);
  }
  work->own.secrets = secrets;
  return true;
}

static void on_journal(struct nm_task *task)
{
  struct nm_work *work =
      (struct nm_work *)(void *)((char *)task - offsetof(struct nm_work, request));
  const struct nm_store_listeners_load *load = &work->request.load;
  if (load->request.rc) {
    nm_work_tell(work->todo, "the journal cannot be read (%s)", load->request.error.text);
    nm_work_finish(work, NM_EIO);
    return;
  }
  work->journal = load->listeners;
  work->journal_count = load->count;
  work->prefixes = nm_arena_alloc(work->arena, (load->count + 1) * sizeof *work->prefixes);
  work->wanted = nm_listeners_wanted(&work->what, work->arena);
  struct nm_text prefix = nm_listeners_own_prefix(&work->what, work->arena);
  if (!work->prefixes || !prefix.ptr || !work->wanted.items || !derive_secrets(work)) {
    nm_work_finish(work, NM_ENOMEM);
    return;
  }
  work->own.prefixes = work->prefixes;
  work->prefixes[work->own.prefix_count++] = prefix;
  for (size_t i = 0; i < load->count; i++)
    work->prefixes[work->own.prefix_count++] = load->listeners[i].url;
  if (work->what.account) look(work);
  else nm_work_moved(work); /* no connector any more */
}

static int keep_templates(struct nm_work *work)
{
  struct nm_reconcile *what = &work->what;
  struct nm_wanted_template *templates =
      nm_arena_alloc(work->arena, (what->template_count + 1) * sizeof *templates);
  if (!templates) return NM_ENOMEM;
  for (size_t i = 0; i < what->template_count; i++) {
    templates[i] = what->templates[i];
    templates[i].name = nm_arena_copy(work->arena, templates[i].name);
    if (!templates[i].name.ptr) return NM_ENOMEM;
  }
  what->templates = templates;
  return NM_OK;
}

static int keep_borrowed(struct nm_work *work)
{
  struct nm_reconcile *what = &work->what;
  int64_t *types = nm_arena_alloc(work->arena, (what->routed_count + 1) * sizeof *types);
  what->public_url = nm_arena_copy(work->arena, what->public_url);
  if (!types || !what->public_url.ptr) return NM_ENOMEM;
  if (what->routed_count > 0)
    memcpy(types, what->routed_types, what->routed_count * sizeof *types);
  what->routed_types = types;
  return keep_templates(work);
}

int nm_optimove_reconcile(const struct nm_reconcile *what)
{
  struct nm_work *work = calloc(1, sizeof *work);
  if (!work) return NM_ENOMEM;
  work->what = *what;
  work->arena = nm_arena_create(ARENA_MAX_BYTES);
  work->done = json_array();
  work->todo = json_array();
  work->warnings = json_array();
  work->findings = json_array();
  work->report = json_pack("{s:o,s:o,s:o,s:o}", "done", work->done, "todo", work->todo, "warnings",
                           work->warnings, "findings", work->findings);
  work->request.load = (struct nm_store_listeners_load){
    .request = { .task = { .home = what->home, .done = on_journal },
                 .verb = NM_STORE_LISTENERS_LOAD, .arena = work->arena },
    .tenant_id = what->tenant->id,
  };
  int rc = !work->arena || !work->report || keep_borrowed(work)
               ? NM_ENOMEM
               : nm_store_submit(what->store, &work->request.load.request);
  if (rc) {
    json_decref(work->report);
    nm_arena_destroy(work->arena);
    free(work);
    return rc;
  }
  nm_tenant_ref(work->what.tenant);
  return NM_OK;
}
