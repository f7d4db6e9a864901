/* reload.c - rules, certificates and settings are looked at again. */
#include "base/clock.h"
#include "cli/cli.h"
#include "daemon.h"

enum { SETTINGS_ARENA_MAX_BYTES = 256 * 1024 };

struct comparison {
  json_t *applied, *restart;
};

static void on_changed_key(void *data, const char *key)
{
  struct comparison *comparison = data;
  if (strcmp(key, "log.level") != 0) json_array_append_new(comparison->restart, json_string(key));
}

static void apply_settings(struct nm_daemon *daemon, const struct nm_settings *now,
                           struct comparison *comparison)
{
  enum nm_log_level level;
  nm_settings_compare(daemon->settings, now, on_changed_key, comparison);
  if (!nm_log_level_from(now->log_level, &level) || level == daemon->log_level) return;
  daemon->log_level = level;
  nm_log_set_level(level);
  json_array_append_new(comparison->applied, json_string("log.level"));
}

/* Reads the settings again and takes what can change while we run; what cannot is named. */
static json_t *reload_settings(struct nm_daemon *daemon)
{
  struct nm_problems problems = { .arena = nm_arena_create(SETTINGS_ARENA_MAX_BYTES) };
  struct comparison comparison = { json_array(), json_array() };
  struct nm_settings *now = NULL;
  json_t *wrong = json_array();
  if (nm_cli_settings_again(&now, &problems)) {
    for (const struct nm_problem *p = problems.first; p; p = p->next) {
      nm_log(NM_LOG_ERROR, "main", NULL, "settings are as before: %.*s", NM_TEXT_ARG(p->text));
      json_array_append_new(wrong, json_stringn(p->text.ptr, p->text.len));
    }
  } else {
    apply_settings(daemon, now, &comparison);
    nm_settings_destroy(now);
  }
  size_t i;
  json_t *key;
  json_array_foreach(comparison.applied, i, key)
      nm_log(NM_LOG_INFO, "main", NULL, "%s is changed", json_string_value(key));
  json_array_foreach(comparison.restart, i, key)
      nm_log(NM_LOG_WARN, "main", NULL,
             "%s is changed in the file and holds with the next start "
             "(SIGUSR2 starts without losing a caller)",
             json_string_value(key));
  nm_arena_destroy(problems.arena);
  return json_pack("{s:o,s:o,s:o}", "applied", comparison.applied, "restart", comparison.restart,
                   "problems", wrong);
}

void nm_daemon_say_serving(const struct nm_daemon *daemon)
{
  nm_notify("READY=1\nSTATUS=serving on %s", daemon->front.public_address);
}

void nm_daemon_say_busy(const char *status)
{
  nm_notify("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s", (long long)(nm_clock_mono_ns() / 1000),
            status);
}

static void look_again(struct nm_daemon *daemon, void (*done)(void *data, const json_t *verdicts),
                       void *data)
{
  nm_daemon_say_busy("reading rules and settings again");
  uv_async_send(&daemon->front.look);
  nm_rules_keeper_reload(daemon->keeper, done, data);
}

static void on_reloaded(void *data, const json_t *verdicts)
{
  struct nm_control *control = data;
  struct nm_daemon *daemon = control->payload;
  control->payload = NULL;
  control->answer = json_pack("{s:O,s:o}", "rules", verdicts, "settings", reload_settings(daemon));
  control->rc = NM_OK;
  nm_daemon_say_serving(daemon);
  nm_task_return(&control->task);
}

void nm_daemon_reload(struct nm_daemon *daemon, struct nm_control *control)
{
  control->payload = daemon;
  look_again(daemon, on_reloaded, control);
}

static void on_reloaded_by_signal(void *data, const json_t *verdicts)
{
  struct nm_daemon *daemon = data;
  (void)verdicts; /* the log has them */
  json_decref(reload_settings(daemon));
  nm_daemon_say_serving(daemon);
}

void nm_daemon_reload_by_signal(struct nm_daemon *daemon)
{
  look_again(daemon, on_reloaded_by_signal, daemon);
}
