#include "engine/reconciler.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/backoff.h"
#include "engine/book.h"

enum {
  DENIED_WAIT_MS = 10 * 60 * 1000,
  REPORT_IN_MS = NM_CONNECTOR_APPLY_MAX_MS - 1000,
  AT_ONCE_MAX = 16, /* of those that nobody waits for */
};

static void start(struct nm_reconciler *reconciler);

/* A tenant that goes has listeners to be taken away, whatever its status is. */
static bool is_active(const struct nm_book *book)
{
  const struct nm_tenant *tenant = book->tenant;
  return tenant->connector.is_present && (tenant->connector.is_active || tenant->is_leaving);
}

/* ---- who waits ------------------------------------------------------------------------------- */

static void push(struct nm_control **list, struct nm_control *control)
{
  control->task.mail.next = (struct nm_mail *)*list;
  *list = control;
}

/* Answers each with a report of its own: its warnings are completed by what rules and tenant name
 * differently. */
static void answer_all(struct nm_reconciler *reconciler, struct nm_control **list, int rc,
                       const json_t *report, bool is_settled)
{
  struct nm_control *control = *list;
  json_t *carried = list == &reconciler->waiting ? reconciler->carried : NULL;
  *list = NULL;
  while (control) {
    struct nm_control *next = (struct nm_control *)(void *)control->task.mail.next;
    json_t *answer = report ? json_deep_copy(report) : json_object();
    const char *const keys[] = { "done", "todo", "warnings", "findings" };
    for (size_t i = 0; i < 4; i++)
      if (!json_object_get(answer, keys[i])) json_object_set_new(answer, keys[i], json_array());
    if (carried) { /* earlier rounds first */
      json_t *done = json_deep_copy(carried);
      json_array_extend(done, json_object_get(answer, "done"));
      json_object_set_new(answer, "done", done);
    }
    nm_book_compare(reconciler->book, json_object_get(answer, "warnings"), false);
    json_object_set_new(answer, "settled", json_boolean(is_settled));
    if (rc == NM_EDENIED) nm_fail(&control->error, rc, "Optimove refuses this key");
    nm_control_answer(control, rc == NM_EDENIED ? rc : NM_OK, answer);
    control = next;
  }
  if (!carried) return;
  json_decref(carried);
  reconciler->carried = NULL;
}

static json_t *report_of(const char *key, const char *line)
{
  return json_pack("{s:[s]}", key, line);
}

static void on_patience(void *data)
{
  struct nm_reconciler *reconciler = data;
  json_t *report =
      report_of("todo", "the listeners are still being looked at; it goes on by itself");
  answer_all(reconciler, &reconciler->waiting, NM_OK, report, false);
  answer_all(reconciler, &reconciler->next_waiting, NM_OK, report, false);
  json_decref(report);
}

/* ---- a round --------------------------------------------------------------------------------- */

/* By schedule only what it found is worth a line. */
static void log_report(const struct nm_reconciler *reconciler, int rc, const json_t *report)
{
  struct nm_log_ids ids = nm_book_ids(reconciler->book);
  const char *const keys[] = { "done", "todo", "warnings" };
  for (size_t k = 0; k < 3; k++) {
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(report, keys[k]), i, line)
      nm_log(k == 0 ? NM_LOG_INFO : NM_LOG_WARN, "engine", &ids, "listeners: %s%s%s",
             reconciler->is_by_schedule && k == 0 ? "mended drift: " : "",
             k == 1 ? "still to do: " : "", json_string_value(line));
  }
  if (!rc && reconciler->book->tenant->connector.is_present)
    nm_log(reconciler->is_by_schedule ? NM_LOG_DEBUG : NM_LOG_INFO, "engine", &ids,
           "listeners at Optimove are as wanted");
}

static void remember(struct nm_reconciler *reconciler, int rc, const json_t *report)
{
  json_decref(reconciler->last_report);
  reconciler->last_report = json_deep_copy(report);
  reconciler->last_rc = rc;
  reconciler->last_ended_at_ms = nm_clock_wall_ms();
}

static void look_again_within(struct nm_reconciler *reconciler, int64_t wait_ms)
{
  nm_alarm_within(&reconciler->alarm, wait_ms);
  reconciler->next_look_at_ms = nm_clock_wall_ms() + wait_ms;
}

/* Drift is looked for at the tenant's pace, a tenth sooner or later so that tenants spread. */
static int64_t schedule_ms(const struct nm_reconciler *reconciler)
{
  const struct nm_tenant_connector *connector = &reconciler->book->tenant->connector;
  int64_t every_ms = connector->check_every_ms ? connector->check_every_ms
                                               : NM_CONNECTOR_CHECK_EVERY_MS;
  uint64_t random = nm_engine_random(reconciler->book->engine);
  return every_ms - every_ms / 10 + (int64_t)(random % (uint64_t)(every_ms / 5 + 1));
}

static void carry(struct nm_reconciler *reconciler, const json_t *report)
{
  if (!reconciler->carried) reconciler->carried = json_array();
  json_array_extend(reconciler->carried, json_object_get(report, "done"));
}

void nm_reconciler_tell(struct nm_reconciler *reconciler, int rc, const json_t *report,
                        bool is_settled)
{
  answer_all(reconciler, &reconciler->waiting, rc, report, is_settled);
  answer_all(reconciler, &reconciler->next_waiting, rc, report, is_settled);
  nm_alarm_clear(&reconciler->patience);
}

static bool may_leave(const struct nm_reconciler *reconciler, int rc)
{
  const struct nm_tenant *tenant = reconciler->book->tenant;
  return tenant->is_leaving && (rc == NM_OK || tenant->leaves_by_force) &&
         nm_engine_is_running(reconciler->book->engine);
}

static void on_reconciled(void *data, int rc, const json_t *report)
{
  struct nm_reconciler *reconciler = data;
  struct nm_engine *engine = reconciler->book->engine;
  engine->reconciles--;
  reconciler->is_running = false;
  if (nm_engine_is_running(engine)) log_report(reconciler, rc, report);
  remember(reconciler, rc, report);
  if (may_leave(reconciler, rc) && !reconciler->is_wanted) {
    reconciler->is_running = true;
    nm_leaving_go(reconciler->book, json_deep_copy(report));
    return;
  }
  if (rc != NM_EDENIED) nm_catchup_soon(&reconciler->book->catchup);
  /* Something changed meanwhile (a new tenant's rules came in): the next round's end is told too.
   */
  if (reconciler->waiting && reconciler->is_wanted && rc != NM_EDENIED)
    carry(reconciler, report);
  else answer_all(reconciler, &reconciler->waiting, rc, report, rc == NM_OK);
  if (!reconciler->waiting && !reconciler->next_waiting) nm_alarm_clear(&reconciler->patience);
  if (reconciler->is_wanted) {
    start(reconciler);
  } else if (!rc ||
             rc == NM_ECONFLICT) { /* a conflict is a person's: we only look whether it is over */
    reconciler->failures = 0;
    reconciler->is_by_schedule = true;
    look_again_within(reconciler, schedule_ms(reconciler));
  } else {
    reconciler->failures++;
    int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_optimove, reconciler->failures + 1,
                                         nm_engine_random(engine));
    look_again_within(reconciler, rc == NM_EDENIED ? DENIED_WAIT_MS : wait_ms);
  }
  nm_engine_check_stop(engine);
}

static bool is_beyond(int64_t type)
{
  return type != NM_EVENT_TYPE_CANCEL && type != NM_EVENT_TYPE_SINGLE &&
         type != NM_EVENT_TYPE_CAMPAIGN;
}

/* True where it is another list than before. */
static bool read_routed(struct nm_reconciler *reconciler)
{
  const struct nm_generation *active = reconciler->book->active;
  const struct nm_rules_facts *facts = active ? nm_rules_facts(active->rules) : NULL;
  size_t count = facts ? facts->event_type_count : 0;
  int64_t *routed = calloc(count + 1, sizeof *routed);
  nm_require(routed != NULL);
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (is_beyond(facts->event_types[i])) routed[kept++] = facts->event_types[i];
  bool is_changed = kept != reconciler->routed_count ||
                    (kept > 0 && memcmp(routed, reconciler->routed, kept * sizeof *routed) != 0);
  free(reconciler->routed);
  reconciler->routed = routed;
  reconciler->routed_count = kept;
  return is_changed;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
  const unsigned char *at = bytes;
  for (size_t i = 0; i < len; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}

static void add_template(struct nm_reconciler *reconciler, int64_t channel_id, int64_t template_id,
                         struct nm_text name)
{
  uint64_t hash = reconciler->templates_hash;
  hash = mix(hash, &channel_id, sizeof channel_id);
  hash = mix(hash, &template_id, sizeof template_id);
  reconciler->templates_hash = mix(hash, name.ptr, name.len);
  reconciler->templates[reconciler->template_count++] =
      (struct nm_wanted_template){ channel_id, template_id, name };
}

/* What the rules name, on each channel of its kind that the tenant has too.  True where it is
 * another list than before. */
static bool read_templates(struct nm_reconciler *reconciler)
{
  const struct nm_book *book = reconciler->book;
  const struct nm_rules_facts *facts = book->active ? nm_rules_facts(book->active->rules) : NULL;
  uint64_t before = reconciler->templates_hash;
  size_t max = facts ? facts->template_count * facts->channel_count : 0;
  free(reconciler->templates);
  reconciler->templates = calloc(max + 1, sizeof *reconciler->templates);
  nm_require(reconciler->templates != NULL);
  reconciler->template_count = 0;
  reconciler->templates_hash = facts ? 0xcbf29ce484222325u : 0;
  for (size_t i = 0; facts && i < facts->channel_count; i++) {
    if (!nm_tenant_find_channel(book->tenant, facts->channel_ids[i])) continue;
    for (size_t t = 0; t < facts->template_count; t++)
      if (facts->template_kinds[t] == facts->channel_kinds[i])
        add_template(reconciler, facts->channel_ids[i], facts->template_ids[t],
                     facts->template_names[t]);
  }
  return before != reconciler->templates_hash;
}

struct nm_reconcile nm_reconciler_describe(struct nm_reconciler *reconciler)
{
  struct nm_book *book = reconciler->book;
  struct nm_engine *engine = book->engine;
  bool is_leaving = book->tenant->is_leaving;
  read_routed(reconciler);
  read_templates(reconciler);
  if (is_leaving) reconciler->routed_count = reconciler->template_count = 0;
  return (struct nm_reconcile){
    .account = book->account, .admin_account = book->admin_account, .optimove = engine->optimove,
    .tenant = book->tenant, .keyring = engine->env.keyring,
    .store = engine->env.store, .home = &engine->answers,
    .public_url = nm_text_from(engine->public_url), .routed_types = reconciler->routed,
    .routed_count = reconciler->routed_count,
    .knows_templates = book->active != NULL || is_leaving, .templates = reconciler->templates,
    .template_count = reconciler->template_count,
    .checks_channels = !reconciler->is_by_schedule && !book->tenant->is_leaving,
    .wants_nothing = book->tenant->is_leaving,
  };
}

static void start(struct nm_reconciler *reconciler)
{
  struct nm_book *book = reconciler->book;
  struct nm_engine *engine = book->engine;
  if (reconciler->is_running || reconciler->is_gone || engine->phase == NM_ENGINE_STARTING) return;
  reconciler->is_wanted = false;
  reconciler->next_look_at_ms = 0;
  nm_alarm_clear(&reconciler->alarm);
  while (reconciler->next_waiting) {
    struct nm_control *next = (struct nm_control *)(void *)reconciler->next_waiting->task.mail.next;
    push(&reconciler->waiting, reconciler->next_waiting);
    reconciler->next_waiting = next;
  }
  /* Without a connector there may be listeners at the account that was left. */
  bool has_connector = book->tenant->connector.is_present;
  if ((has_connector && (!is_active(book) || !book->account)) || !nm_engine_is_running(engine)) {
    answer_all(reconciler, &reconciler->waiting, NM_OK, NULL, true);
    return;
  }
  if (!reconciler->waiting && engine->reconciles >= AT_ONCE_MAX) {
    nm_alarm_within(&reconciler->alarm, 100 + (int64_t)(nm_engine_random(engine) % 1000));
    return;
  }
  struct nm_reconcile what = nm_reconciler_describe(reconciler);
  what.take_over = reconciler->takes_over;
  what.done = on_reconciled;
  what.data = reconciler;
  reconciler->takes_over = false;
  reconciler->is_running = true;
  engine->reconciles++;
  int rc = nm_optimove_reconcile(&what);
  if (rc) {
    json_t *report = report_of("todo", "could not look at the listeners; it goes on by itself");
    on_reconciled(reconciler, rc == NM_EDENIED ? NM_EIO : rc, report);
    json_decref(report);
  }
}

static void on_alarm(void *data)
{
  struct nm_reconciler *reconciler = data;
  if (nm_engine_is_running(reconciler->book->engine)) start(reconciler);
}

void nm_reconciler_open(struct nm_reconciler *reconciler, struct nm_book *book)
{
  *reconciler = (struct nm_reconciler){ .book = book };
  nm_alarm_open(&reconciler->alarm, book->engine, on_alarm, reconciler);
  nm_alarm_open(&reconciler->patience, book->engine, on_patience, reconciler);
}

void nm_reconciler_want(struct nm_reconciler *reconciler, struct nm_control *control)
{
  reconciler->is_wanted = true;
  reconciler->is_by_schedule = false;
  reconciler->failures = 0;
  if (control) {
    push(&reconciler->next_waiting, control);
    nm_alarm_within(&reconciler->patience, REPORT_IN_MS);
  }
  start(reconciler);
}

void nm_reconciler_rules_changed(struct nm_reconciler *reconciler)
{
  bool is_changed = read_routed(reconciler);
  is_changed = read_templates(reconciler) || is_changed;
  if (is_changed && nm_engine_is_running(reconciler->book->engine))
    nm_reconciler_want(reconciler, NULL);
}

/* ---- the end --------------------------------------------------------------------------------- */

void nm_reconciler_stop(struct nm_reconciler *reconciler)
{
  json_t *report = report_of("todo", "netmove is stopping; it goes on at the next start");
  answer_all(reconciler, &reconciler->waiting, NM_OK, report, false);
  answer_all(reconciler, &reconciler->next_waiting, NM_OK, report, false);
  json_decref(report);
}

void nm_reconciler_deinit(struct nm_reconciler *reconciler)
{
  json_decref(reconciler->last_report);
  json_decref(reconciler->carried);
  free(reconciler->templates);
  free(reconciler->routed);
}
