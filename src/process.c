#include "process.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

/* A leak checker attaches to the process it checks, as a debugger would. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_WATCHED 1
#endif
#endif
#ifndef IS_WATCHED
#define IS_WATCHED 0
#endif

/* Neither a core file nor another process of the same user gets at our memory. */
static void hide_memory(void)
{
  const struct rlimit none = { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
  if (!IS_WATCHED) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void raise_files(void)
{
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files)) return;
  rlim_t wanted = files.rlim_max < NM_FILES_MAX ? files.rlim_max : NM_FILES_MAX;
  if (files.rlim_cur >= wanted) return;
  files.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &files))
    nm_log(NM_LOG_WARN, "main", NULL, "the limit of open files cannot be raised: %s",
           strerror(errno));
}

enum { SEGMENTS_MAX = 16 }; /* of a file that the linker has loaded; most have five */

static char program[PATH_MAX];

/* What is started again after a failed upgrade may lie under another name by now; it is told the
 * one that counts.  A file that was replaced has " (deleted)" behind its name. */
static void find_program(void)
{
  static const char GONE[] = " (deleted)";
  const char *told = getenv(NM_PROCESS_PROGRAM);
  if (told && strlen(told) < sizeof program) {
    memcpy(program, told, strlen(told) + 1);
    unsetenv(NM_PROCESS_PROGRAM);
    return;
  }
  ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
  program[len > 0 ? len : 0] = '\0';
  size_t gone = strlen(GONE);
  if (len > (ssize_t)gone && strcmp(program + len - gone, GONE) == 0)
    program[(size_t)len - gone] = '\0';
}

void nm_process_prepare(void)
{
  signal(SIGPIPE, SIG_IGN);
  umask(077);
  hide_memory();
  raise_files();
  find_program();
}

const char *nm_process_program(void)
{
  return program[0] ? program : NULL;
}

/* Of one file's segments those that nobody has written to: what is used of them again comes from
 * the file.  A segment with PF_W is left alone, whatever protection it has by now.  All are read
 * before the first is given back: the table of them stands in it. */
static int forget_segments(struct dl_phdr_info *info, size_t size, void *data)
{
  struct { uintptr_t from, to; } gone[SEGMENTS_MAX];
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  size_t count = 0;
  (void)size;
  (void)data;
  if (strncmp(info->dlpi_name, "linux-", 6) == 0) return 0; /* the kernel's own */
  for (size_t i = 0; i < info->dlpi_phnum && count < SEGMENTS_MAX; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
    uintptr_t from = info->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;
    gone[count].from = (from + page - 1) / page * page;
    gone[count].to = to / page * page;
    if (gone[count].to > gone[count].from) count++;
  }
  for (size_t i = 0; i < count; i++)
    (void)madvise((void *)gone[i].from, gone[i].to - gone[i].from, MADV_DONTNEED);
  return 0;
}

void nm_process_forget_start(void)
{
  if (IS_WATCHED) return;
  malloc_trim(0);
  dl_iterate_phdr(forget_segments, NULL);
}

int nm_process_find_user(struct nm_process_user *out, struct nm_text name, struct nm_error *err)
{
  *out = (struct nm_process_user){ .is_wanted = false };
  if (name.len == 0) return NM_OK;
  if (name.len >= sizeof out->name) return nm_fail(err, NM_EINVAL, "user: the name is too long");
  memcpy(out->name, name.ptr, name.len);
  errno = 0;
  const struct passwd *found = getpwnam(out->name);
  if (!found) return nm_fail(err, NM_EINVAL, "user: there is no user \"%s\"", out->name);
  out->uid = found->pw_uid;
  out->gid = found->pw_gid;
  if (geteuid() == found->pw_uid) return NM_OK;
  if (geteuid() != 0)
    return nm_fail(err, NM_EINVAL, "user: only root can become %s; start as %s, or leave it out",
                   out->name, out->name);
  out->is_wanted = true;
  return NM_OK;
}

int nm_process_become(const struct nm_process_user *user, struct nm_error *err)
{
  if (!user->is_wanted) return NM_OK;
  if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid) ||
      setresuid(user->uid, user->uid, user->uid))
    return nm_fail(err, NM_EDENIED, "cannot become user %s: %s", user->name, strerror(errno));
  if (user->uid != 0 && (setuid(0) == 0 || geteuid() != user->uid))
    return nm_fail(err, NM_EINTERNAL, "root was not given up");
  hide_memory(); /* becoming another one had opened it again */
  return NM_OK;
}
