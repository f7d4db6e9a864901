/* templates.c - templates at one account, brought to what is wanted there.
 *
 * At the present account what the rules name is put under each channel of its kind; at one that
 * was left nothing of ours is wanted.  Only templates that we added are renamed or deleted.  One
 * channel after the other: list -> compare -> (note, call, note)* -> list again.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/limits.h"
#include "optimove/work.h"

enum { ROUNDS_MAX = 3, TROUBLE_MAX_BYTES = 512 };

struct row {
  int64_t channel_id, template_id;
  struct nm_text name;
};

struct sync {
  struct nm_work *work;
  struct nm_templates what;
  struct nm_store_template *journal;
  size_t journal_count;
  int64_t *channels;
  size_t channel_count, channel_at;
  int round;
  bool is_barred; /* the list: our journal tells instead */

  struct nm_store_template *adds, *deletes, *notes; /* of this channel and round */
  size_t add_count, delete_count, note_count;
  struct nm_store_template *batch; /* what is under way */
  size_t batch_count;
  bool is_batch_delete;
  void (*after_save)(struct sync *sync);
  union {
    struct nm_store_templates_load load;
    struct nm_store_templates_save save;
  } request;
};

static void next_channel(struct sync *sync);
static void look(struct sync *sync);
static void take_batch(struct sync *sync);

static struct sync *sync_of(struct nm_task *task)
{
  return (struct sync *)(void *)((char *)task - offsetof(struct sync, request));
}

static void cannot(struct sync *sync, const char *what, const char *why)
{
  char trouble[TROUBLE_MAX_BYTES];
  snprintf(trouble, sizeof trouble, "%s (%s)", what, why);
  sync->what.done(sync->what.data, trouble);
}

static bool is_left(const struct sync *sync)
{
  return sync->what.left_id != 0;
}

/* " at the old account https://..." where it is one. */
static struct nm_text place(const struct sync *sync)
{
  return is_left(sync) ? nm_arena_printf(sync->work->arena, " at the old account %.*s",
                                         NM_TEXT_ARG(sync->what.left))
                       : NM_TEXT("");
}

/* ---- the journal ----------------------------------------------------------------------------- */

static struct nm_store_template *journal_row(struct sync *sync, int64_t channel_id,
                                             int64_t template_id)
{
  for (size_t i = 0; i < sync->journal_count; i++)
    if (sync->journal[i].channel_id == channel_id && sync->journal[i].template_id == template_id)
      return &sync->journal[i];
  return NULL;
}

/* The memory of the journal follows what was saved; a new row has room (make_room). */
static void remember(struct sync *sync, const struct nm_store_template *saved)
{
  struct nm_store_template *row = journal_row(sync, saved->channel_id, saved->template_id);
  if (row) *row = *saved;
  else sync->journal[sync->journal_count++] = *saved;
}

static void on_saved(struct nm_task *task)
{
  struct sync *sync = sync_of(task);
  const struct nm_store_templates_save *save = &sync->request.save;
  if (save->request.rc) {
    cannot(sync, "the journal takes no notes now", save->request.error.text);
    return;
  }
  for (size_t i = 0; i < save->count; i++) remember(sync, &save->templates[i]);
  sync->after_save(sync);
}

static void save(struct sync *sync, struct nm_store_template *templates, size_t count,
                 void (*then)(struct sync *sync))
{
  struct nm_work *work = sync->work;
  sync->after_save = then;
  sync->request.save = (struct nm_store_templates_save){
    .request = { .task = { .home = work->what.home, .done = on_saved },
                 .verb = NM_STORE_TEMPLATES_SAVE, .arena = work->arena },
    .tenant_id = work->what.tenant->id, .account_id = sync->what.left_id,
    .templates = templates, .count = count,
  };
  int rc = nm_store_submit(work->what.store, &sync->request.save.request);
  if (rc) cannot(sync, "the journal takes no notes now", nm_code_name(rc));
}

static void save_batch(struct sync *sync, enum nm_template_state state,
                       void (*then)(struct sync *sync))
{
  for (size_t i = 0; i < sync->batch_count; i++) sync->batch[i].state = state;
  save(sync, sync->batch, sync->batch_count, then);
}

/* ---- steps ----------------------------------------------------------------------------------- */

struct nm_text nm_work_channel_name(struct nm_work *work, int64_t id)
{
  const struct nm_tenant_channel *channel = nm_tenant_find_channel(work->what.tenant, id);
  if (!channel || channel->name.len == 0) return nm_arena_printf(work->arena, "%" PRId64, id);
  return nm_arena_printf(work->arena, "%" PRId64 " (%.*s)", id, NM_TEXT_ARG(channel->name));
}

static void on_batch_over(struct sync *sync)
{
  take_batch(sync);
}

static void on_answered(void *data, const struct nm_optimove_answer *answer)
{
  struct sync *sync = data;
  struct nm_work *work = sync->work;
  struct nm_text channel = nm_work_channel_name(work, sync->channels[sync->channel_at]);
  struct nm_text at = place(sync);
  if (answer->end == NM_OPTIMOVE_OK) {
    nm_work_tell(work->done, "%s %zu template%s on channel %.*s%.*s",
                 sync->is_batch_delete ? "deleted" : "added", sync->batch_count,
                 sync->batch_count == 1 ? "" : "s", NM_TEXT_ARG(channel), NM_TEXT_ARG(at));
    save_batch(sync, sync->is_batch_delete ? NM_TEMPLATE_GONE : NM_TEMPLATE_ADDED, on_batch_over);
  } else if (answer->end == NM_OPTIMOVE_DENIED || answer->end == NM_OPTIMOVE_REFUSED) {
    /* a person should look; what is wanted of messages does not depend on it */
    nm_work_tell(work->warnings, "templates of channel %.*s%.*s are not as wanted: %s",
                 NM_TEXT_ARG(channel), NM_TEXT_ARG(at), answer->reason);
    sync->round = ROUNDS_MAX + 1;
    sync->add_count = sync->delete_count = 0;
    take_batch(sync);
  } else if (answer->end == NM_OPTIMOVE_UNKNOWN && sync->round < ROUNDS_MAX) {
    take_batch(sync); /* the next list tells whether it was done */
  } else {
    cannot(sync, "templates are not as wanted yet", answer->reason);
  }
}

static void call_batch(struct sync *sync)
{
  struct nm_optimove_account *account = sync->what.account;
  int64_t channel_id = sync->channels[sync->channel_at];
  int rc = sync->is_batch_delete
               ? nm_optimove_delete_templates(account, sync->batch, sync->batch_count, on_answered,
                                              sync)
               : nm_optimove_add_templates(account, channel_id, sync->batch, sync->batch_count,
                                           on_answered, sync);
  if (rc) cannot(sync, "could not call Optimove", nm_code_name(rc));
}

static void on_notes_saved(struct sync *sync)
{
  sync->channel_at++;
  next_channel(sync);
}

/* The next hundred; when none is left, the list is looked at again, or the channel is done. */
static void take_batch(struct sync *sync)
{
  bool is_delete = sync->delete_count > 0;
  size_t *left = is_delete ? &sync->delete_count : &sync->add_count;
  if (*left > 0) {
    sync->is_batch_delete = is_delete;
    sync->batch = is_delete ? sync->deletes : sync->adds;
    sync->batch_count = *left < NM_OPTIMOVE_TEMPLATES_MAX ? *left : NM_OPTIMOVE_TEMPLATES_MAX;
    if (is_delete) sync->deletes += sync->batch_count;
    else sync->adds += sync->batch_count;
    *left -= sync->batch_count;
    save_batch(sync, is_delete ? NM_TEMPLATE_DELETING : NM_TEMPLATE_ADDING, call_batch);
  } else if (sync->batch_count > 0 && sync->round <= ROUNDS_MAX) {
    sync->batch_count = 0;
    look(sync);
  } else if (sync->note_count > 0) {
    save(sync, sync->notes, sync->note_count, on_notes_saved);
  } else {
    on_notes_saved(sync);
  }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static const struct row *find(const struct row *rows, size_t count, int64_t template_id)
{
  for (size_t i = 0; i < count; i++)
    if (rows[i].template_id == template_id) return &rows[i];
  return NULL;
}

static size_t wanted_count(const struct sync *sync)
{
  return is_left(sync) ? 0 : sync->work->what.template_count;
}

static const struct nm_wanted_template *find_wanted(const struct sync *sync, int64_t channel_id,
                                                    int64_t template_id)
{
  const struct nm_wanted_template *templates = sync->work->what.templates;
  for (size_t i = 0; i < wanted_count(sync); i++)
    if (templates[i].channel_id == channel_id && templates[i].template_id == template_id)
      return &templates[i];
  return NULL;
}

static void tell(struct sync *sync, const char *kind, int64_t template_id, struct nm_text name,
                 const char *why)
{
  struct nm_work *work = sync->work;
  int64_t channel_id = sync->channels[sync->channel_at];
  struct nm_text channel = nm_work_channel_name(work, channel_id), at = place(sync);
  nm_work_tell(work->todo, "%s: template %" PRId64 " (%.*s) on channel %.*s%.*s%s%s", kind,
               template_id, NM_TEXT_ARG(name), NM_TEXT_ARG(channel), NM_TEXT_ARG(at),
               why[0] ? ": " : "", why);
  json_array_append_new(work->findings,
                        json_pack("{s:s,s:s,s:I,s:I,s:s}", "kind", kind, "what", "template",
                                  "channel_id", (json_int_t)channel_id, "template_id",
                                  (json_int_t)template_id, "why", why));
}

static void compare_wanted(struct sync *sync, const struct row *rows, size_t count)
{
  const struct nm_reconcile *what = &sync->work->what;
  int64_t channel_id = sync->channels[sync->channel_at];
  for (size_t i = 0; i < wanted_count(sync); i++) {
    const struct nm_wanted_template *wanted = &what->templates[i];
    if (wanted->channel_id != channel_id) continue;
    const struct row *there = find(rows, count, wanted->template_id);
    const struct nm_store_template *ours = journal_row(sync, channel_id, wanted->template_id);
    bool is_stale = there && ours && !nm_text_equal(there->name, wanted->name);
    struct nm_store_template row = { channel_id, wanted->template_id, wanted->name,
                                     NM_TEMPLATE_ADDED };
    if (there && !is_stale) {
      if (ours && ours->state != NM_TEMPLATE_ADDED) sync->notes[sync->note_count++] = row;
    } else if (what->only_plan) {
      tell(sync, there ? "stale" : "missing", wanted->template_id, wanted->name,
           there ? "it has an old name" : "");
    } else {
      sync->adds[sync->add_count++] = row;
    }
  }
}

static void compare_ours(struct sync *sync, const struct row *rows, size_t count)
{
  struct nm_work *work = sync->work;
  int64_t channel_id = sync->channels[sync->channel_at];
  for (size_t i = 0; i < sync->journal_count; i++) {
    struct nm_store_template row = sync->journal[i];
    if (row.channel_id != channel_id || row.state == NM_TEMPLATE_GONE) continue;
    if (find_wanted(sync, channel_id, row.template_id)) continue;
    bool is_there = find(rows, count, row.template_id) != NULL;
    row.state = NM_TEMPLATE_GONE;
    if (!is_there) sync->notes[sync->note_count++] = row;
    else if (work->what.only_plan && is_left(sync))
      tell(sync, "old account", row.template_id, row.name, "ours, and the tenant has left");
    else if (work->what.only_plan)
      tell(sync, "orphan", row.template_id, row.name, "ours, and the rules name it no more");
    else sync->deletes[sync->delete_count++] = row;
  }
}

static bool make_room(struct sync *sync)
{
  size_t max = sync->journal_count + wanted_count(sync) + 1;
  struct nm_arena *arena = sync->work->arena;
  struct nm_store_template *journal = nm_arena_alloc(arena, max * sizeof *journal);
  sync->adds = nm_arena_alloc(arena, max * sizeof *sync->adds);
  sync->deletes = nm_arena_alloc(arena, max * sizeof *sync->deletes);
  sync->notes = nm_arena_alloc(arena, max * sizeof *sync->notes);
  sync->add_count = sync->delete_count = sync->note_count = sync->batch_count = 0;
  if (!journal || !sync->adds || !sync->deletes || !sync->notes) return false;
  if (sync->journal_count > 0)
    memcpy(journal, sync->journal, sync->journal_count * sizeof *journal);
  sync->journal = journal;
  return true;
}

/* rows NULL: there was no memory for them. */
static void compare(struct sync *sync, const struct row *rows, size_t count)
{
  if (!rows || !make_room(sync)) {
    cannot(sync, "templates could not be compared", nm_code_name(NM_ENOMEM));
    return;
  }
  compare_wanted(sync, rows, count);
  compare_ours(sync, rows, count);
  if (sync->work->what.only_plan) sync->note_count = 0;
  if (sync->round++ >= ROUNDS_MAX && sync->add_count + sync->delete_count > 0) {
    cannot(sync, "templates are not as wanted", "Optimove says yes, but does not do it");
    return;
  }
  take_batch(sync);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* What the journal says is there: what stands half done in it is done anew. */
static void compare_journal(struct sync *sync)
{
  struct row *rows = nm_arena_alloc(sync->work->arena, (sync->journal_count + 1) * sizeof *rows);
  size_t count = 0;
  for (size_t i = 0; i < sync->journal_count && rows; i++) {
    const struct nm_store_template *row = &sync->journal[i];
    int64_t channel_id = sync->channels[sync->channel_at];
    if (row->channel_id != channel_id || row->state == NM_TEMPLATE_GONE) continue;
    if (row->state != NM_TEMPLATE_ADDING || !find_wanted(sync, channel_id, row->template_id))
      rows[count++] = (struct row){ row->channel_id, row->template_id, row->name };
  }
  compare(sync, rows, count);
}

static void compare_list(struct sync *sync, const json_t *list)
{
  size_t count = 0, i;
  json_t *item;
  struct row *rows = nm_arena_alloc(sync->work->arena, (json_array_size(list) + 1) * sizeof *rows);
  json_array_foreach(list, i, item)
  {
    struct row row = { .channel_id = sync->channels[sync->channel_at] };
    const json_t *name = nm_optimove_get(item, "TemplateName");
    if (!rows || !nm_optimove_number(nm_optimove_get(item, "TemplateID"), &row.template_id))
      continue;
    if (json_is_string(name))
      row.name = (struct nm_text){ json_string_value(name), json_string_length(name) };
    rows[count++] = row;
  }
  compare(sync, rows, count);
}

static void on_listed(void *data, const struct nm_optimove_answer *answer)
{
  struct sync *sync = data;
  if (answer->end == NM_OPTIMOVE_OK) {
    compare_list(sync, answer->body);
  } else if (answer->end == NM_OPTIMOVE_DENIED || answer->status == 404 || answer->status == 405) {
    if (!sync->is_barred)
      nm_work_tell(sync->work->warnings,
                   "templates%.*s cannot be listed, our journal tells instead: %s",
                   NM_TEXT_ARG(place(sync)), answer->reason);
    sync->is_barred = true;
    compare_journal(sync);
  } else if (answer->end == NM_OPTIMOVE_REFUSED && !is_left(sync)) {
    struct nm_text channel = nm_work_channel_name(sync->work, sync->channels[sync->channel_at]);
    nm_work_tell(sync->work->warnings, "templates of channel %.*s are left as they are: %s",
                 NM_TEXT_ARG(channel), answer->reason);
    on_notes_saved(sync);
  } else {
    cannot(sync, "look at the templates again", answer->reason);
  }
}

static void look(struct sync *sync)
{
  if (sync->is_barred) {
    compare_journal(sync);
    return;
  }
  int rc = nm_optimove_templates(sync->what.account, sync->channels[sync->channel_at],
                                 on_listed, sync);
  if (rc) cannot(sync, "could not call Optimove", nm_code_name(rc));
}

static void next_channel(struct sync *sync)
{
  sync->round = 0;
  if (sync->channel_at >= sync->channel_count) sync->what.done(sync->what.data, NULL);
  else look(sync);
}

/* ---- the start ------------------------------------------------------------------------------- */

static void add_channel(struct sync *sync, int64_t id)
{
  for (size_t i = 0; i < sync->channel_count; i++)
    if (sync->channels[i] == id) return;
  sync->channels[sync->channel_count++] = id;
}

static void on_loaded(struct nm_task *task)
{
  struct sync *sync = sync_of(task);
  const struct nm_store_templates_load *load = &sync->request.load;
  const struct nm_reconcile *what = &sync->work->what;
  size_t max = load->count + wanted_count(sync) + 1;
  if (load->request.rc) {
    cannot(sync, "the journal of templates cannot be read", load->request.error.text);
    return;
  }
  sync->journal = load->templates;
  sync->journal_count = load->count;
  sync->channels = nm_arena_alloc(sync->work->arena, max * sizeof *sync->channels);
  if (!sync->channels) {
    cannot(sync, "templates could not be compared", nm_code_name(NM_ENOMEM));
    return;
  }
  for (size_t i = 0; i < wanted_count(sync); i++)
    add_channel(sync, what->templates[i].channel_id);
  for (size_t i = 0; i < load->count; i++) add_channel(sync, load->templates[i].channel_id);
  next_channel(sync);
}

void nm_work_templates(struct nm_work *work, const struct nm_templates *what)
{
  struct sync *sync = nm_arena_alloc(work->arena, sizeof *sync);
  if (!sync) {
    what->done(what->data, nm_code_name(NM_ENOMEM));
    return;
  }
  sync->work = work;
  sync->what = *what;
  sync->request.load = (struct nm_store_templates_load){
    .request = { .task = { .home = work->what.home, .done = on_loaded },
                 .verb = NM_STORE_TEMPLATES_LOAD, .arena = work->arena },
    .tenant_id = work->what.tenant->id, .account_id = what->left_id,
  };
  int rc = nm_store_submit(work->what.store, &sync->request.load.request);
  if (rc) cannot(sync, "the journal of templates cannot be read", nm_code_name(rc));
}
