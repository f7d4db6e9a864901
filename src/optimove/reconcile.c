/* reconcile.c - brings the listeners at Optimove to what is wanted, one journaled step at a time.
 *
 * journal -> list -> compare -> (note, unregister, note, register, note)* -> list again -> report.
 * A step is written down before its call and after it, so that whatever was left half done is seen at
 * the next look; the list at the end tells what is really there.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "optimove/internal.h"
#include "optimove/listeners.h"

enum { ARENA_MAX_BYTES = 8 * 1024 * 1024, TOLD_MAX_BYTES = 320 };

enum act { ACT_UNREGISTER = 0, ACT_REGISTER = 1 };

struct step {
  enum act act;
  struct nm_listener listener;
  const char *why;
};

struct work {
  struct nm_reconcile what;
  struct nm_arena *arena; /* also of what.public_url and what.routed_types, which were borrowed */
  json_t *report, *done, *todo, *warnings;
  struct nm_listener_list wanted;
  struct nm_text *prefixes;
  size_t prefix_count;
  struct step *steps;
  size_t step_count, step_at;
  bool is_list_known, is_cut_short, is_second_look;
  union {
    struct nm_store_listeners_load load;
    struct nm_store_listener_save save;
  } request;
  struct nm_store_listener *journal;
  size_t journal_count, journal_max;
};

static void take_step(struct work *work);
static void look(struct work *work);

/* ---- the report ------------------------------------------------------------------------------------ */

NM_PRINTF(2, 3)
static void tell(json_t *list, const char *format, ...)
{
  char line[TOLD_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  json_array_append_new(list, json_string(line));
}

/* "13 for channel 459 (Push)", "4 for all channels". */
static struct nm_text pair_name(struct work *work, const struct nm_listener *listener)
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

static void finish(struct work *work, int rc)
{
  if (!rc && json_array_size(work->todo) > 0) rc = NM_EIO;
  work->what.done(work->what.data, rc, work->report);
  json_decref(work->report);
  nm_tenant_unref(work->what.tenant);
  nm_arena_destroy(work->arena);
  free(work);
}

/* ---- steps ------------------------------------------------------------------------------------------- */

static struct nm_store_listener *journal_row(struct work *work, const struct nm_listener *listener)
{
  for (size_t i = 0; i < work->journal_count; i++)
    if (work->journal[i].event_type == listener->event_type &&
        work->journal[i].channel_id == listener->channel_id)
      return &work->journal[i];
  nm_require(work->journal_count < work->journal_max);
  struct nm_store_listener *row = &work->journal[work->journal_count++];
  *row = (struct nm_store_listener){ .tenant_id = work->what.tenant->id,
                                     .event_type = listener->event_type,
                                     .channel_id = listener->channel_id,
                                     .state = NM_LISTENER_GONE };
  return row;
}

/* Writes a step's state down, then goes on with `next`. */
static void note(struct work *work, enum nm_listener_state state, void (*next)(struct nm_task *task))
{
  const struct step *step = &work->steps[work->step_at];
  struct nm_store_listener *row = journal_row(work, &step->listener);
  row->state = state;
  if (step->act == ACT_REGISTER) {
    row->url = work->prefixes[0];
    row->secret_number = work->what.tenant->secret_number;
  }
  work->request.save = (struct nm_store_listener_save){
    .request = { .task = { .home = work->what.home, .done = next },
                 .verb = NM_STORE_LISTENER_SAVE, .arena = work->arena },
    .listener = *row,
  };
  int rc = nm_store_submit(work->what.store, &work->request.save.request);
  if (rc) {
    tell(work->todo, "the journal takes no notes now (%s)", nm_code_name(rc));
    finish(work, NM_EIO);
  }
}

/* The save is the request's first member of the union, whose task is its first member. */
static struct work *work_of(struct nm_task *task)
{
  return (struct work *)(void *)((char *)task - offsetof(struct work, request));
}

static bool is_noted(struct work *work)
{
  const struct nm_store_request *request = &work->request.save.request;
  if (!request->rc) {
    journal_row(work, &work->steps[work->step_at].listener)->id = work->request.save.listener.id;
    return true;
  }
  tell(work->todo, "the journal takes no notes now (%s)", request->error.text);
  finish(work, NM_EIO);
  return false;
}

static void on_step_noted(struct nm_task *task)
{
  struct work *work = work_of(task);
  if (!is_noted(work)) return;
  work->step_at++;
  take_step(work);
}

static void note_done(struct work *work, const struct step *step)
{
  struct nm_text name = pair_name(work, &step->listener);
  tell(work->done, "%s %.*s%s%s", step->act == ACT_REGISTER ? "registered" : "unregistered",
       NM_TEXT_ARG(name), step->why[0] ? ": " : "", step->why);
  note(work, step->act == ACT_REGISTER ? NM_LISTENER_REGISTERED : NM_LISTENER_GONE, on_step_noted);
}

static void on_step_answered(void *data, const struct nm_optimove_answer *answer)
{
  struct work *work = data;
  const struct step *step = &work->steps[work->step_at];
  struct nm_text name = pair_name(work, &step->listener);

  if (answer->end == NM_OPTIMOVE_OK) {
    note_done(work, step);
    return;
  }
  tell(work->todo, "%s %.*s (%s)", step->act == ACT_REGISTER ? "register" : "unregister",
       NM_TEXT_ARG(name), answer->reason);
  if (answer->end == NM_OPTIMOVE_DENIED)
    tell(work->warnings, "this key may not call this function: %s", answer->reason);
  /* Registering over what could not be unregistered may leave two: the pair is left alone. */
  if (step->act == ACT_UNREGISTER && work->step_at + 1 < work->step_count &&
      work->steps[work->step_at + 1].listener.event_type == step->listener.event_type &&
      work->steps[work->step_at + 1].listener.channel_id == step->listener.channel_id)
    work->step_at++;
  work->step_at++;
  if (answer->end == NM_OPTIMOVE_LATER) work->is_cut_short = true;
  take_step(work);
}

static void on_intent_noted(struct nm_task *task)
{
  struct work *work = work_of(task);
  if (!is_noted(work)) return;
  const struct step *step = &work->steps[work->step_at];
  const struct nm_listener *l = &step->listener;
  int rc = step->act == ACT_REGISTER
               ? nm_optimove_register(work->what.account, l->event_type, l->channel_id, l->url,
                                      on_step_answered, work)
               : nm_optimove_unregister(work->what.account, l->event_type, l->channel_id,
                                        on_step_answered, work);
  if (rc) {
    tell(work->todo, "could not call Optimove (%s)", nm_code_name(rc));
    finish(work, rc);
  }
}

static void leave_rest(struct work *work)
{
  for (; work->step_at < work->step_count; work->step_at++) {
    const struct step *step = &work->steps[work->step_at];
    struct nm_text name = pair_name(work, &step->listener);
    tell(work->todo, "%s %.*s", step->act == ACT_REGISTER ? "register" : "unregister",
         NM_TEXT_ARG(name));
  }
}

static void take_step(struct work *work)
{
  if (work->is_cut_short) leave_rest(work);
  if (work->step_at < work->step_count) {
    enum act act = work->steps[work->step_at].act;
    note(work, act == ACT_REGISTER ? NM_LISTENER_REGISTERING : NM_LISTENER_UNREGISTERING,
         on_intent_noted);
    return;
  }
  if (work->step_count > 0 && work->is_list_known && !work->is_cut_short) {
    work->is_second_look = true;
    look(work);
    return;
  }
  finish(work, NM_OK);
}

/* ---- comparing ------------------------------------------------------------------------------------------ */

static void add_step(struct work *work, enum act act, const struct nm_listener *listener,
                     const char *why)
{
  work->steps[work->step_count++] = (struct step){ act, *listener, why };
}

static void plan_finding(struct work *work, const struct nm_listener_finding *finding)
{
  const struct nm_listener *listener = &finding->listener;
  switch (finding->verdict) {
  case NM_LISTENER_FINE: break;
  case NM_LISTENER_MISSING: add_step(work, ACT_REGISTER, listener, ""); break;
  case NM_LISTENER_STALE:
    add_step(work, ACT_UNREGISTER, listener, "stale");
    add_step(work, ACT_REGISTER, listener, "in place of a stale one");
    break;
  case NM_LISTENER_ORPHAN: add_step(work, ACT_UNREGISTER, listener, "nothing wants it"); break;
  case NM_LISTENER_CONFLICT: {
    struct nm_text name = pair_name(work, listener);
    tell(work->todo, "%.*s: somebody else's URL is registered there; it is left alone",
         NM_TEXT_ARG(name));
    break;
  }
  }
}

static void tell_plan(struct work *work)
{
  for (size_t i = 0; i < work->step_count; i++) {
    const struct step *step = &work->steps[i];
    struct nm_text name = pair_name(work, &step->listener);
    tell(work->todo, "%s %.*s%s%s%s", step->act == ACT_REGISTER ? "register" : "unregister",
         NM_TEXT_ARG(name), step->why[0] ? " (" : "", step->why, step->why[0] ? ")" : "");
  }
}

/* What is there by our own journal, for when Optimove does not tell. */
static struct nm_listener_list journaled(struct work *work)
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
  }
  return list;
}

static void compare(struct work *work, struct nm_listener_list there)
{
  size_t count = 0;
  struct nm_listener_finding *findings = nm_listeners_compare(
      work->wanted, there, work->prefixes, work->prefix_count, work->arena, &count);
  size_t steps_max = count * 2;
  work->steps = nm_arena_alloc(work->arena, (steps_max + 1) * sizeof *work->steps);
  work->step_count = work->step_at = 0;
  size_t journal_max = work->journal_count + count + 1;
  struct nm_store_listener *journal = nm_arena_alloc(work->arena, journal_max * sizeof *journal);
  if (!findings || !work->steps || !journal) {
    finish(work, NM_ENOMEM);
    return;
  }
  if (work->journal_count > 0)
    memcpy(journal, work->journal, work->journal_count * sizeof *journal);
  work->journal = journal;
  work->journal_max = journal_max;

  for (size_t i = 0; i < count; i++) plan_finding(work, &findings[i]);
  if (work->what.only_plan || work->is_second_look) {
    tell_plan(work);
    finish(work, NM_OK);
    return;
  }
  take_step(work);
}

/* ---- looking ----------------------------------------------------------------------------------------------- */

static void on_listed(void *data, const struct nm_optimove_answer *answer)
{
  struct work *work = data;
  if (answer->end == NM_OPTIMOVE_OK) {
    work->is_list_known = true;
    compare(work, nm_listeners_there(answer->body, work->arena));
    return;
  }
  if (answer->end == NM_OPTIMOVE_DENIED && answer->status == 401) {
    tell(work->warnings, "Optimove refuses this key: %s", answer->reason);
    finish(work, NM_EDENIED);
    return;
  }
  tell(work->warnings, "the listeners cannot be listed: %s", answer->reason);
  if (answer->end == NM_OPTIMOVE_LATER || work->is_second_look) {
    tell(work->todo, "look at the listeners again");
    finish(work, NM_EIO);
    return;
  }
  compare(work, journaled(work)); /* a key that may not list can still register */
}

static void look(struct work *work)
{
  int rc = nm_optimove_listeners(work->what.account, on_listed, work);
  if (rc) {
    tell(work->todo, "could not call Optimove (%s)", nm_code_name(rc));
    finish(work, rc);
  }
}

static void on_journal(struct nm_task *task)
{
  struct work *work = work_of(task);
  const struct nm_store_listeners_load *load = &work->request.load;
  if (load->request.rc) {
    tell(work->todo, "the journal cannot be read (%s)", load->request.error.text);
    finish(work, NM_EIO);
    return;
  }
  work->journal = load->listeners;
  work->journal_count = load->count;
  work->prefixes = nm_arena_alloc(work->arena, (load->count + 1) * sizeof *work->prefixes);
  work->wanted = nm_listeners_wanted(&work->what, work->arena);
  if (!work->prefixes || !work->wanted.items) {
    finish(work, NM_ENOMEM);
    return;
  }
  work->prefixes[work->prefix_count++] = nm_listeners_own_prefix(&work->what, work->arena);
  for (size_t i = 0; i < load->count; i++)
    work->prefixes[work->prefix_count++] = load->listeners[i].url;
  look(work);
}

static int keep_borrowed(struct work *work)
{
  struct nm_reconcile *what = &work->what;
  int64_t *types = nm_arena_alloc(work->arena, (what->routed_count + 1) * sizeof *types);
  what->public_url = nm_arena_copy(work->arena, what->public_url);
  if (!types || !what->public_url.ptr) return NM_ENOMEM;
  if (what->routed_count > 0)
    memcpy(types, what->routed_types, what->routed_count * sizeof *types);
  what->routed_types = types;
  return NM_OK;
}

int nm_optimove_reconcile(const struct nm_reconcile *what)
{
  struct work *work = calloc(1, sizeof *work);
  if (!work) return NM_ENOMEM;
  work->what = *what;
  work->arena = nm_arena_create(ARENA_MAX_BYTES);
  work->done = json_array();
  work->todo = json_array();
  work->warnings = json_array();
  work->report = json_pack("{s:o,s:o,s:o}", "done", work->done, "todo", work->todo, "warnings",
                           work->warnings);
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
