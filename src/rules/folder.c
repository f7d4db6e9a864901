#include "rules/folder.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/script.h"

/* Two roads lead to a file being read.  A file event, or the backstop seeing another mark, makes it
 * wait; the settle timer reads what has been still for a moment.  look() reads at once. */

static void on_settle(uv_timer_t *timer);

static void wait_for(struct nm_rules_folder *folder, struct nm_rules_file *file)
{
  struct nm_rules_mark mark;
  if (!nm_rules_file_mark(folder, file, &mark)) return; /* vanished: not a change */
  file->is_waiting = true;
  file->waiting_mark = mark;
  file->changed_at_ms = nm_clock_mono_ms();
  if (!uv_is_active((uv_handle_t *)&folder->settle))
    (void)uv_timer_start(&folder->settle, on_settle, NM_RULES_STILL_MS, NM_RULES_STILL_MS);
}

/* True while the file has to be looked at again. */
static bool settle(struct nm_rules_folder *folder, struct nm_rules_file *file, int64_t now_ms)
{
  struct nm_rules_mark mark;
  if (!nm_rules_file_mark(folder, file, &mark)) {
    file->is_waiting = false; /* between an editor's two renames: an event or the look follows */
    return false;
  }
  if (!nm_rules_mark_equal(&mark, &file->waiting_mark)) {
    file->waiting_mark = mark;
    file->changed_at_ms = now_ms;
    return true;
  }
  if (now_ms - file->changed_at_ms < NM_RULES_STILL_MS) return true;
  if (!nm_rules_file_read(folder, file, false, NM_RULES_STILL_MS)) return false;
  file->is_waiting = true;
  return true;
}

static void on_settle(uv_timer_t *timer)
{
  struct nm_rules_folder *folder = timer->data;
  int64_t now_ms = nm_clock_mono_ms();
  bool is_any_waiting = false;
  for (struct nm_rules_file *file = folder->files; file && !folder->is_closing; file = file->next)
    if (file->is_waiting && settle(folder, file, now_ms)) is_any_waiting = true;
  if (!is_any_waiting) uv_timer_stop(timer);
}

/* ---- the watch and its backstop -------------------------------------------------------------- */

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
  struct nm_rules_folder *folder = event->data;
  bool is_library = event == &folder->watches[NM_RULES_WATCH_LIBRARIES].event;
  (void)events;
  if (status != 0 || !name) return; /* the backstop sees it */
  struct nm_rules_file *file = nm_rules_files_find(folder, nm_text_from(name), is_library);
  if (file) wait_for(folder, file);
}

/* A folder that was replaced needs a new watch; without any watch the backstop does. */
static void watch(struct nm_rules_watch *watch, const char *path)
{
  struct stat found;
  bool is_there = stat(path, &found) == 0;
  if (watch->is_watching && is_there && found.st_ino == watch->inode &&
      found.st_dev == watch->device)
    return;
  if (watch->is_watching) uv_fs_event_stop(&watch->event);
  watch->is_watching = false;
  if (!is_there || uv_fs_event_start(&watch->event, on_event, path, 0) != 0) return;
  watch->is_watching = true;
  watch->inode = found.st_ino;
  watch->device = found.st_dev;
}

static void keep_watching(struct nm_rules_folder *folder)
{
  char path[PATH_MAX];
  watch(&folder->watches[NM_RULES_WATCH_FILES], folder->path);
  int len = snprintf(path, sizeof path, "%s/lib", folder->path);
  if (len > 0 && len < (int)sizeof path) watch(&folder->watches[NM_RULES_WATCH_LIBRARIES], path);
}

static void look_for_changes(struct nm_rules_folder *folder)
{
  struct nm_rules_mark mark;
  keep_watching(folder);
  if (!nm_rules_files_scan(folder)) return;
  for (struct nm_rules_file *file = folder->files; file; file = file->next) {
    if (file->is_waiting || !nm_rules_file_mark(folder, file, &mark)) continue;
    if (!file->was_read || file->is_fresh || file->is_stale || !nm_rules_mark_equal(&mark, &file->mark))
      wait_for(folder, file);
  }
}

static void on_look(uv_timer_t *timer)
{
  look_for_changes(timer->data);
  nm_script_prove_rest(NM_RULES_PROVER_REST_MS);
}

void nm_rules_folder_look(struct nm_rules_folder *folder, bool all)
{
  keep_watching(folder);
  if (!nm_rules_files_scan(folder)) return;
  for (struct nm_rules_file *file = folder->files; file && !folder->is_closing; file = file->next)
    (void)nm_rules_file_read(folder, file, all, 0);
}

void nm_rules_folder_again(struct nm_rules_folder *folder, struct nm_text tenant)
{
  for (struct nm_rules_file *file = folder->files; file; file = file->next) {
    struct nm_text name = nm_text_from(file->name);
    if (!file->is_library && name.len == tenant.len + 4 && nm_text_starts_with(name, tenant))
      file->is_stale = true;
  }
}

/* ---- open and close -------------------------------------------------------------------------- */

static void free_folder(struct nm_rules_folder *folder)
{
  nm_rules_files_free(folder);
  free(folder->path);
  free(folder);
}

static int start(struct nm_rules_folder *folder, uv_loop_t *loop)
{
  /* These cannot fail on Linux; a handle that is open must be closed through the loop. */
  nm_require(uv_timer_init(loop, &folder->look) == 0);
  nm_require(uv_timer_init(loop, &folder->settle) == 0);
  folder->look.data = folder->settle.data = folder;
  for (int i = 0; i < 2; i++) {
    nm_require(uv_fs_event_init(loop, &folder->watches[i].event) == 0);
    folder->watches[i].event.data = folder;
  }
  folder->open_handles = 4;
  return uv_timer_start(&folder->look, on_look, NM_RULES_LOOK_MS, NM_RULES_LOOK_MS);
}

int nm_rules_folder_open(struct nm_rules_folder **out, uv_loop_t *loop, struct nm_text path,
                         void (*on_verdict)(void *data, struct nm_rules_verdict *verdict),
                         void *data, struct nm_error *err)
{
  if (path.len == 0 || memchr(path.ptr, '\0', path.len))
    return nm_fail(err, NM_EINVAL, "rules: expected the path of a folder");
  while (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
  struct nm_rules_folder *folder = calloc(1, sizeof *folder);
  char *copy = strndup(path.ptr, path.len);
  if (!folder || !copy) {
    free(copy);
    free(folder);
    return nm_fail(err, NM_ENOMEM, "out of memory");
  }
  folder->path = copy;
  folder->on_verdict = on_verdict;
  folder->data = data;
  nm_require(start(folder, loop) == 0);
  look_for_changes(folder);
  *out = folder;
  return NM_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
  struct nm_rules_folder *folder = handle->data;
  if (--folder->open_handles > 0) return;
  void (*on_closed)(void *data) = folder->on_closed;
  void *data = folder->closed_data;
  free_folder(folder);
  if (on_closed) on_closed(data);
}

void nm_rules_folder_close(struct nm_rules_folder *folder, void (*on_closed)(void *data),
                           void *data)
{
  folder->is_closing = true;
  folder->on_closed = on_closed;
  folder->closed_data = data;
  uv_close((uv_handle_t *)&folder->look, on_handle_closed);
  uv_close((uv_handle_t *)&folder->settle, on_handle_closed);
  for (int i = 0; i < 2; i++)
    uv_close((uv_handle_t *)&folder->watches[i].event, on_handle_closed);
}
