/* awake.c - the states of rules that serve: opened for the first event, closed where none came for
 * long.
 *
 * Rules whose file took its time to prove are opened when they are loaded, and stay: an event
 * should not wait for them. */
#include <pthread.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rules/internal.h"

enum { LOOK_EVERY = 1024 }; /* events */

/* Those that an event opened, by the thread that serves them: the latest opened in front. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nm_rules *awake;

int nm_rules_open_state(struct nm_rules *rules, struct nm_error *err)
{
  struct nm_rules_bundle bundle;
  struct nm_script_libraries libraries;
  struct nm_arena *arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES);
  if (!arena) return nm_fail(err, NM_ENOMEM, "out of memory");
  bool is_bundle = nm_rules_bundle_read(rules->source, &bundle);
  if (is_bundle) libraries = nm_rules_bundle_libraries(&bundle);
  int rc = nm_script_open(&rules->script, rules->file, is_bundle ? bundle.main : rules->source,
                          is_bundle ? &libraries : NULL, arena, err);
  nm_arena_destroy(arena);
  return rc;
}

static void leave_list(struct nm_rules *rules)
{
  struct nm_rules **at = &awake;
  while (*at && *at != rules) at = &(*at)->next_awake;
  if (*at) *at = rules->next_awake;
  rules->next_awake = NULL;
}

void nm_rules_close_state(struct nm_rules *rules)
{
  if (!rules->script) return;
  if (rules->sleeps) {
    pthread_mutex_lock(&lock);
    leave_list(rules);
    pthread_mutex_unlock(&lock);
  }
  nm_rules_forget_cost(rules);
  nm_script_destroy(rules->script);
  rules->script = NULL;
  rules->sleeps = false;
}

size_t nm_rules_let_sleep(int64_t now_ms)
{
  struct nm_rules *idle = NULL, *next;
  size_t count = 0;
  pthread_mutex_lock(&lock);
  for (struct nm_rules *rules = awake; rules; rules = next) {
    next = rules->next_awake;
    if (!pthread_equal(rules->served_by, pthread_self()) ||
        now_ms - nm_script_called_ms(rules->script) < NM_RULES_SLEEP_MS)
      continue;
    leave_list(rules);
    rules->sleeps = false;
    rules->next_awake = idle;
    idle = rules;
  }
  pthread_mutex_unlock(&lock);
  for (; idle; idle = next, count++) {
    next = idle->next_awake;
    idle->next_awake = NULL;
    nm_rules_close_state(idle);
  }
  return count;
}

static void enter_list(struct nm_rules *rules)
{
  pthread_mutex_lock(&lock);
  rules->served_by = pthread_self();
  rules->next_awake = awake;
  rules->sleeps = true;
  awake = rules;
  pthread_mutex_unlock(&lock);
}

int nm_rules_wake(struct nm_rules *rules, struct nm_error *err)
{
  static _Thread_local uint32_t served; /* of all tenants */
  if (rules->script && ++served % LOOK_EVERY != 0) return NM_OK;
  if (!rules->script || rules->sleeps) (void)nm_rules_let_sleep(nm_clock_mono_ms());
  if (rules->script) return NM_OK;
  int rc = nm_rules_open_state(rules, err);
  if (rc == NM_OK) enter_list(rules);
  return rc;
}
