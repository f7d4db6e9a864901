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

enum { PROBLEMS_MAX_BYTES = 1024 * 1024, FRESH_MS = 1000 };

static const struct nm_text extension = { ".lua", 4 };

/* "acme.lua", not ".acme.lua" (editors') and not ".lua". */
static bool is_rules_name(struct nm_text name)
{
  if (name.len <= extension.len || name.len > NAME_MAX || name.ptr[0] == '.') return false;
  if (memchr(name.ptr, '/', name.len) || memchr(name.ptr, '\0', name.len)) return false;
  struct nm_text end = { name.ptr + name.len - extension.len, extension.len };
  return nm_text_equal(end, extension);
}

struct nm_rules_file *nm_rules_files_find(struct nm_rules_folder *folder, struct nm_text name)
{
  if (!is_rules_name(name)) return NULL;
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
  file->next = *at;
  *at = file;
  folder->file_count++;
  return file;
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
    (void)nm_rules_files_find(folder, nm_text_from(entry->d_name));
  closedir(dir);
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

static void give_verdict(struct nm_rules_folder *folder, const char *name, struct nm_text path,
                         struct nm_text source, const struct nm_error *unread)
{
  struct nm_problems problems = { .arena = nm_arena_create(PROBLEMS_MAX_BYTES) };
  struct nm_rules_verdict verdict = { .file = path, .source = source, .problems = &problems };
  if (!problems.arena) return;
  verdict.tenant = (struct nm_text){ name, strlen(name) - extension.len };
  if (unread) nm_problems_add(&problems, "%s", unread->text);
  else if (nm_rules_load(&verdict.rules, path, source, &problems) != NM_OK) verdict.rules = NULL;
  folder->on_verdict(folder->data, &verdict);
  nm_rules_destroy(verdict.rules);
  nm_arena_destroy(problems.arena);
}

void nm_rules_file_read(struct nm_rules_folder *folder, struct nm_rules_file *file, bool always)
{
  char path[PATH_MAX], digest[NM_RULES_DIGEST_BYTES + 1] = "";
  struct nm_buffer source;
  struct nm_error err = { 0, "" };
  struct nm_rules_mark mark;
  struct stat found;
  file->is_waiting = false;
  if (!is_path(folder, file, path) || !nm_rules_file_mark(folder, file, &mark)) return;

  nm_buffer_init(&source, NM_RULES_SOURCE_MAX_BYTES + 8192);
  int rc = nm_file_read(nm_text_from(path), NM_RULES_SOURCE_MAX_BYTES, &source, &found, &err);
  if (rc == NM_OK) {
    mark = mark_of(&found);
    nm_rules_digest(nm_buffer_text(&source), digest);
  }
  bool is_new = !file->was_read || strcmp(digest, file->digest) != 0;
  /* An unreadable file has no digest: it is told once for each of its states. */
  if (rc != NM_OK && !nm_rules_mark_equal(&mark, &file->mark)) is_new = true;
  file->mark = mark;
  file->was_read = true;
  file->is_fresh = is_fresh(&mark);
  memcpy(file->digest, digest, sizeof digest);
  if (is_new || always)
    give_verdict(folder, file->name, nm_text_from(path), nm_buffer_text(&source),
                 rc == NM_OK ? NULL : &err);
  nm_buffer_deinit(&source);
}

void nm_rules_files_free(struct nm_rules_folder *folder)
{
  while (folder->files) {
    struct nm_rules_file *next = folder->files->next;
    free(folder->files->name);
    free(folder->files);
    folder->files = next;
  }
}
