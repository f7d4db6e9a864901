/* steps.c - one journaled step after the other: note, call, note.
 *
 * A step is written down before its call and after it.  What a lost answer leaves open stays open
 * in the journal; the next look settles it.
 */
#include <inttypes.h>
#include <stddef.h>

#include "optimove/work.h"

enum { TROUBLES_IN_A_ROW_MAX = 3 };

/* The journal's row of a pair; a new one, gone, where there is none. */
static struct nm_store_listener *journal_row(struct nm_work *work,
                                             const struct nm_listener *listener)
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
                                     .url = work->prefixes[0],
                                     .state = NM_LISTENER_GONE };
  return row;
}

const struct nm_given_up *nm_work_is_given_up(const struct nm_work *work,
                                              const struct nm_listener *listener)
{
  for (const struct nm_given_up *given_up = work->given_up; given_up; given_up = given_up->next)
    if (given_up->event_type == listener->event_type &&
        given_up->channel_id == listener->channel_id)
      return given_up;
  return NULL;
}

static void give_up(struct nm_work *work, const struct nm_listener *listener, const char *reason)
{
  struct nm_given_up *given_up = nm_arena_alloc(work->arena, sizeof *given_up);
  if (!given_up) return; /* it is tried once more, no harm */
  *given_up = (struct nm_given_up){ work->given_up, listener->event_type, listener->channel_id,
                                    nm_arena_copy(work->arena, nm_text_from(reason)) };
  work->given_up = given_up;
}

static struct nm_step *step_of(struct nm_work *work)
{
  return &work->steps[work->step_at];
}

/* The request is a union whose members begin with their task. */
static struct nm_work *work_of(struct nm_task *task)
{
  return (struct nm_work *)(void *)((char *)task - offsetof(struct nm_work, request));
}

/* ---- notes ----------------------------------------------------------------------------------- */

/* Writes a step's state down, then goes on with `next`. */
static void note(struct nm_work *work, enum nm_listener_state state,
                 void (*next)(struct nm_task *task))
{
  struct nm_store_listener *row = journal_row(work, &step_of(work)->listener);
  row->state = state;
  if (state == NM_LISTENER_REGISTERING || state == NM_LISTENER_REGISTERED) {
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
    nm_work_tell(work->todo, "the journal takes no notes now (%s)", nm_code_name(rc));
    nm_work_finish(work, NM_EIO);
  }
}

static bool is_noted(struct nm_work *work)
{
  const struct nm_store_request *request = &work->request.save.request;
  if (!request->rc) {
    journal_row(work, &step_of(work)->listener)->id = work->request.save.listener.id;
    return true;
  }
  nm_work_tell(work->todo, "the journal takes no notes now (%s)", request->error.text);
  nm_work_finish(work, NM_EIO);
  return false;
}

static void on_step_noted(struct nm_task *task)
{
  struct nm_work *work = work_of(task);
  if (!is_noted(work)) return;
  work->step_at++;
  nm_work_take_step(work);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool is_same_pair(const struct nm_listener *a, const struct nm_listener *b)
{
  return a->event_type == b->event_type && a->channel_id == b->channel_id;
}

/* Goes on behind a step that did not succeed.  Registering over what could not be taken away may
 * leave two: then the pair's next step is not for now. */
static void pass_over(struct nm_work *work)
{
  const struct nm_step *step = step_of(work);
  if (step->act == NM_ACT_UNREGISTER && work->step_at + 1 < work->step_count &&
      is_same_pair(&work->steps[work->step_at + 1].listener, &step->listener))
    work->step_at++;
  work->step_at++;
  nm_work_take_step(work);
}

static void on_step_answered(void *data, const struct nm_optimove_answer *answer)
{
  struct nm_work *work = data;
  const struct nm_step *step = step_of(work);
  struct nm_text name = nm_work_pair_name(work, &step->listener);
  bool is_register = step->act == NM_ACT_REGISTER;

  if (answer->end == NM_OPTIMOVE_OK) {
    work->troubles_in_a_row = 0;
    nm_work_tell(work->done, "%s %.*s%s%s", is_register ? "registered" : "unregistered",
                 NM_TEXT_ARG(name), step->why[0] ? ": " : "", step->why);
    note(work, is_register ? NM_LISTENER_REGISTERED : NM_LISTENER_GONE, on_step_noted);
    return;
  }
  if (answer->end == NM_OPTIMOVE_DENIED || answer->end == NM_OPTIMOVE_REFUSED)
    give_up(work, &step->listener, answer->reason);
  if (answer->end == NM_OPTIMOVE_DENIED)
    nm_work_tell(work->warnings, "this key may not call this function: %s", answer->reason);
  /* Nothing was reached, or nothing is allowed: more calls would end the same way.  A 5xx or a lost
   * answer may concern this one call only, and may have done its work. */
  bool is_trouble = answer->end == NM_OPTIMOVE_LATER || answer->end == NM_OPTIMOVE_UNKNOWN;
  bool is_away = answer->end == NM_OPTIMOVE_LATER && (answer->status == 0 || answer->status == 429);
  if (is_trouble) work->troubles_in_a_row++;
  if (is_away || work->troubles_in_a_row >= TROUBLES_IN_A_ROW_MAX) {
    work->is_cut_short = true;
    nm_work_tell(work->warnings, "%s", answer->reason);
  }
  pass_over(work);
}

static void on_intent_noted(struct nm_task *task)
{
  struct nm_work *work = work_of(task);
  if (!is_noted(work)) return;
  const struct nm_step *step = step_of(work);
  const struct nm_listener *l = &step->listener;
  int rc = step->act == NM_ACT_REGISTER
               ? nm_optimove_register(work->what.account, l->event_type, l->channel_id, l->url,
                                      on_step_answered, work)
               : nm_optimove_unregister(work->what.account, l->event_type, l->channel_id,
                                        on_step_answered, work);
  if (rc) {
    nm_work_tell(work->todo, "could not call Optimove (%s)", nm_code_name(rc));
    nm_work_finish(work, rc);
  }
}

void nm_work_take_step(struct nm_work *work)
{
  if (work->step_at >= work->step_count || work->is_cut_short) {
    work->after_steps(work);
    return;
  }
  const struct nm_step *step = step_of(work);
  switch (step->act) {
  case NM_ACT_UNREGISTER: note(work, NM_LISTENER_UNREGISTERING, on_intent_noted); break;
  case NM_ACT_REGISTER: note(work, NM_LISTENER_REGISTERING, on_intent_noted); break;
  case NM_ACT_NOTE: note(work, step->state, on_step_noted); break;
  }
}
