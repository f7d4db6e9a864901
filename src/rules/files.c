#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "rules/folder.h"
#include "rules/internal.h"
#include "script/file.h"

enum { PROBLEMS_MAX_BYTES = 1024 * 1024, FRESH_MS = 1000, SHORTAGES_MAX = 20 };

static const struct nm_text extension = { ".lua", 4 };
static const char library_folder[] = "lib/";

/* "acme.lua", not ".acme.lua" (editors') and not ".lua". */
static bool is_rules_name(struct nm_text name)
{
  if (name.len <= extension.len || name.len > NAME_MAX || name.ptr[0] == '.') return false;
  if (memchr(name.ptr, '/', name.len) || memchr(name.ptr, '\0', name.len)) return false;
  struct nm_text end = { name.ptr + name.len - extension.len, extension.len };
  return nm_text_equal(end, extension);
}

/* "texts.lua": what `use` can name. */
static bool is_library_name(struct nm_text name)
{
  if (!is_rules_name(name)) return false;
  for (size_t i = 0; i < name.len - extension.len; i++) {
    char c = name.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

struct nm_rules_file *nm_rules_files_find(struct nm_rules_folder *folder, struct nm_text name,
                                          bool is_library)
{
  char path[NAME_MAX + sizeof library_folder];
  if (is_library ? !is_library_name(name) : !is_rules_name(name)) return NULL;
  if (is_library) {
    int len = snprintf(path, sizeof path, "%s%.*s", library_folder, NM_TEXT_ARG(name));
    name = (struct nm_text){ path, (size_t)len };
  }
  struct nm_rules_file **at = &folder->files;
  int order = 1;
  for (; *at; at = &(*at)->next) {
    order = strncmp((*at)->name, name.ptr, name.len);
    if (order == 0) order = (*at)->name[name.len] != '\0';
    if (order >= 0) break;
  }
  if (*at && order == 0) return *at;
  if (folder->file_count >= NM_RULES_FILES_MAX) {
    if (!folder->is_full_told)
      nm_log(NM_LOG_WARN, "rules", NULL, "folder %s: more than %d files; the others are not read",
             folder->path, NM_RULES_FILES_MAX);
    folder->is_full_told = true;
    return NULL;
  }

  struct nm_rules_file *file = calloc(1, sizeof *file);
  char *copy = strndup(name.ptr, name.len);
  if (!file || !copy) {
    free(copy);
    free(file);
    return NULL;
  }
  file->name = copy;
  file->is_library = is_library;
  file->next = *at;
  *at = file;
  folder->file_count++;
  return file;
}

static void scan_libraries(struct nm_rules_folder *folder)
{
  char path[PATH_MAX];
  const struct dirent *entry;
  int len = snprintf(path, sizeof path, "%s/%s", folder->path, library_folder);
  DIR *dir = len > 0 && len < (int)sizeof path ? opendir(path) : NULL;
  if (!dir) return;
  while ((entry = readdir(dir)) != NULL)
    (void)nm_rules_files_find(folder, nm_text_from(entry->d_name), true);
  closedir(dir);
}

bool nm_rules_files_scan(struct nm_rules_folder *folder)
{
  DIR *dir = opendir(folder->path);
  const struct dirent *entry;
  if (!dir) {
    if (!folder->is_missing_told)
      nm_log(NM_LOG_WARN, "rules", NULL, "folder %s: %s; it is looked for every second",
             folder->path, strerror(errno));
    folder->is_missing_told = true;
    return false;
  }
  if (folder->is_missing_told) nm_log(NM_LOG_INFO, "rules", NULL, "folder %s: found", folder->path);
  folder->is_missing_told = false;
  while ((entry = readdir(dir)) != NULL)
    (void)nm_rules_files_find(folder, nm_text_from(entry->d_name), false);
  closedir(dir);
  scan_libraries(folder);
  return true;
}

static bool is_path(const struct nm_rules_folder *folder, const struct nm_rules_file *file,
                    char out[PATH_MAX])
{
  int len = snprintf(out, PATH_MAX, "%s/%s", folder->path, file->name);
  return len > 0 && len < PATH_MAX;
}

static struct nm_rules_mark mark_of(const struct stat *found)
{
  return (struct nm_rules_mark){
    found->st_mtim, found->st_ctim, found->st_size, found->st_ino, found->st_dev,
  };
}

bool nm_rules_file_mark(const struct nm_rules_folder *folder, const struct nm_rules_file *file,
                        struct nm_rules_mark *out)
{
  char path[PATH_MAX];
  struct stat found;
  if (!is_path(folder, file, path) || stat(path, &found) != 0 || !S_ISREG(found.st_mode))
    return false;
  *out = mark_of(&found);
  return true;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool nm_rules_mark_equal(const struct nm_rules_mark *a, const struct nm_rules_mark *b)
{
  return is_same_time(&a->modified, &b->modified) && is_same_time(&a->changed, &b->changed) &&
         a->size == b->size && a->inode == b->inode && a->device == b->device;
}

/* Two changes within one tick of the file system's clock look like one: such a file is read
 * again. */
static bool is_fresh(const struct nm_rules_mark *mark)
{
  int64_t changed_ms = (int64_t)mark->changed.tv_sec * 1000 + mark->changed.tv_nsec / 1000000;
  return nm_clock_wall_ms() - changed_ms < FRESH_MS;
}

/* ---- what a file uses ------------------------------------------------------------------------ */

static void free_uses(struct nm_rules_file *file)
{
  for (size_t i = 0; i < file->use_count; i++) free(file->uses[i].name);
  free(file->uses);
  file->uses = NULL;
  file->use_count = 0;
}

static void note_uses(struct nm_rules_file *file, const struct nm_rules_libraries *libraries)
{
  free_uses(file);
  if (libraries->count == 0) return;
  file->uses = calloc(libraries->count, sizeof *file->uses);
  nm_require(file->uses != NULL); /* else a change of a library would not be seen */
  for (size_t i = 0; i < libraries->count; i++) {
    const struct nm_rules_library *item = &libraries->items[i];
    struct nm_rules_use *use = &file->uses[file->use_count];
    size_t room = sizeof library_folder + item->name.len + extension.len;
    use->name = malloc(room);
    nm_require(use->name != NULL);
    snprintf(use->name, room, "%s%.*s%s", library_folder, NM_TEXT_ARG(item->name), extension.ptr);
    if (item->is_found) nm_rules_digest(item->source, use->digest);
    file->use_count++;
  }
}

/* A library is not what it was when they were loaded. */
static void tell_users(struct nm_rules_folder *folder, const struct nm_rules_file *library)
{
  for (struct nm_rules_file *file = folder->files; file && !folder->is_closing; file = file->next) {
    for (size_t i = 0; i < file->use_count; i++)
      if (strcmp(file->uses[i].name, library->name) == 0 &&
          strcmp(file->uses[i].digest, library->digest) != 0)
        file->is_stale = true;
    /* One that is being written itself is read once it is still. */
    if (file->is_stale && !file->is_waiting) (void)nm_rules_file_read(folder, file, false, 0);
  }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* True where a library may be half written, or memory did not do; nothing was said then. */
static bool give_verdict(struct nm_rules_folder *folder, struct nm_rules_file *file,
                         struct nm_text path, struct nm_text source, int64_t still_ms,
                         const struct nm_error *unread)
{
  struct nm_problems problems = { .arena = nm_arena_create(PROBLEMS_MAX_BYTES) };
  struct nm_rules_libraries libraries = { .arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES),
                                          .still_ms = still_ms, .bundle = source };
  struct nm_rules_verdict verdict = { .file = path, .problems = &problems };
  bool is_moving = false;
  int rc = problems.arena && libraries.arena ? NM_OK : NM_ENOMEM;
  verdict.tenant = (struct nm_text){ file->name, strlen(file->name) - extension.len };
  if (!rc && unread) nm_problems_add(&problems, "%s", unread->text);
  else if (!rc) rc = nm_rules_load_file(&verdict.rules, path, source, &libraries, &problems);
  bool is_wordless = !problems.arena || !libraries.arena;
  bool is_short = rc == NM_ENOMEM && (is_wordless || file->shortages < SHORTAGES_MAX);
  file->shortages = is_short ? file->shortages + 1 : 0;
  if (is_short) {
    is_moving = file->is_stale = true; /* a look finds it, whoever has read it now */
  } else {
    if (rc) verdict.rules = NULL;
    is_moving = libraries.is_moving;
    verdict.source = libraries.bundle;
    if (!is_moving) {
      if (!unread) note_uses(file, &libraries);
      file->is_stale = false;
      folder->on_verdict(folder->data, &verdict);
    }
    nm_rules_destroy(verdict.rules);
  }
  nm_arena_destroy(libraries.arena);
  nm_arena_destroy(problems.arena);
  return is_moving;
}

/* A library that a link takes from elsewhere counts as none, as it does when it is used. */
static int is_inside(const struct nm_rules_folder *folder, const char *path, struct nm_error *err)
{
  char beside[PATH_MAX], real[PATH_MAX];
  int len = snprintf(beside, sizeof beside, "%s/x", folder->path);
  if (len < 0 || len >= (int)sizeof beside) return NM_ELIMIT;
  return nm_rules_library_path(nm_text_from(beside), path, real, err);
}

bool nm_rules_file_read(struct nm_rules_folder *folder, struct nm_rules_file *file, bool always,
                        int64_t still_ms)
{
  char path[PATH_MAX], digest[NM_RULES_DIGEST_BYTES + 1] = "";
  struct nm_buffer source;
  struct nm_error err = { 0, "" };
  struct nm_rules_mark mark;
  struct stat found;
  bool is_moving = false;
  file->is_waiting = false;
  if (!is_path(folder, file, path) || !nm_rules_file_mark(folder, file, &mark)) return false;

  nm_buffer_init(&source, NM_RULES_SOURCE_MAX_BYTES + 8192);
  int rc = file->is_library ? is_inside(folder, path, &err) : NM_OK;
  if (rc == NM_OK)
    rc = nm_file_read(nm_text_from(path), NM_RULES_SOURCE_MAX_BYTES, &source, &found, &err);
  if (rc == NM_OK) {
    mark = mark_of(&found);
    nm_rules_digest(nm_buffer_text(&source), digest);
  }
  bool is_new = !file->was_read || strcmp(digest, file->digest) != 0 || file->is_stale;
  /* An unreadable file has no digest: it is told once for each of its states. */
  if (rc != NM_OK && !nm_rules_mark_equal(&mark, &file->mark)) is_new = true;
  if (!file->is_library && (is_new || always))
    is_moving = give_verdict(folder, file, nm_text_from(path), nm_buffer_text(&source), still_ms,
                             rc == NM_OK ? NULL : &err);
  nm_buffer_deinit(&source);
  if (is_moving) return true;
  file->mark = mark;
  file->was_read = true;
  file->is_fresh = is_fresh(&mark);
  memcpy(file->digest, digest, sizeof digest);
  if (file->is_library) tell_users(folder, file);
  return false;
}

void nm_rules_files_free(struct nm_rules_folder *folder)
{
  while (folder->files) {
    struct nm_rules_file *next = folder->files->next;
    free_uses(folder->files);
    free(folder->files->name);
    free(folder->files);
    folder->files = next;
  }
}
