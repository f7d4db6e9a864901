/* faults.c - preloaded into a daemon under test: a disk that is full or fails, and a wall clock
 * that jumps.  What is to happen stands in a small file (NETMOVE_FAULTS) that the test writes while
 * the daemon runs; see faults.lua. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The file; the order of faults.lua. */
struct order {
  _Atomic int64_t clock_ms;    /* added to the wall clock */
  _Atomic int64_t is_full;     /* files of the store do not grow */
  _Atomic int64_t syncs_fail;  /* so many syncs of the store fail with EIO */
  _Atomic int64_t writes_fail; /* and so many writes */
  _Atomic int64_t sync_delay_ms;
  _Atomic int64_t refused;     /* out: how often */
  _Atomic int64_t clock_is_ms; /* the wall clock stands still here, unless 0 */
  _Atomic int64_t clock_ppm;   /* and is so much faster than the real one, from */
  _Atomic int64_t clock_since_ms;
};

static struct order nothing, *order = &nothing;

__attribute__((constructor)) static void map_order(void)
{
  const char *path = getenv("NETMOVE_FAULTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0)
    return;
  void *at = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED)
    order = at;
}

static void *next(const char *name)
{
  return dlsym(RTLD_NEXT, name);
}

static bool is_stores(int fd)
{
  char link[64], path[512];
  int len = 0;
  const char digits[] = "0123456789";
  char number[16];
  int at = sizeof number;
  for (int rest = fd; at > 0 && (rest > 0 || at == sizeof number); rest /= 10)
    number[--at] = digits[rest % 10];
  memcpy(link, "/proc/self/fd/", 14);
  memcpy(link + 14, number + at, sizeof number - (size_t)at);
  link[14 + sizeof number - (size_t)at] = '\0';
  len = (int)readlink(link, path, sizeof path - 1);
  if (len <= 0)
    return false;
  path[len] = '\0';
  const char *name = strrchr(path, '/');
  return name && strncmp(name, "/netmove.db", 11) == 0 && !strstr(name, ".lock");
}

static bool take_one(_Atomic int64_t *left)
{
  int64_t have = atomic_load(left);
  while (have > 0)
    if (atomic_compare_exchange_weak(left, &have, have - 1))
      return true;
  return false;
}

static int refuse(int why)
{
  atomic_fetch_add(&order->refused, 1);
  errno = why;
  return -1;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static bool would_grow(int fd, int64_t end)
{
  struct stat status;
  return fstat(fd, &status) == 0 && end > status.st_size;
}

static int check_write(int fd, int64_t end)
{
  if (atomic_load(&order->is_full) && is_stores(fd) && would_grow(fd, end))
    return refuse(ENOSPC);
  if (atomic_load(&order->writes_fail) > 0 && is_stores(fd) && take_one(&order->writes_fail))
    return refuse(EIO);
  return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (!real)
    real = (ssize_t(*)(int, const void *, size_t, off64_t))next("pwrite64");
  return check_write(fd, at + (int64_t)len) ? -1 : real(fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
  return pwrite64(fd, bytes, len, at);
}

static int check_sync(int fd)
{
  int64_t wait_ms = atomic_load(&order->sync_delay_ms);
  if (wait_ms > 0 && is_stores(fd))
    (void)poll(NULL, 0, (int)wait_ms); /* the disk is slow */
  if (atomic_load(&order->syncs_fail) > 0 && is_stores(fd) && take_one(&order->syncs_fail))
    return refuse(EIO);
  return 0;
}

int fsync(int fd)
{
  static int (*real)(int);
  if (!real)
    real = (int (*)(int))next("fsync");
  return check_sync(fd) ? -1 : real(fd);
}

int fdatasync(int fd)
{
  static int (*real)(int);
  if (!real)
    real = (int (*)(int))next("fdatasync");
  return check_sync(fd) ? -1 : real(fd);
}

int ftruncate64(int fd, off64_t size)
{
  static int (*real)(int, off64_t);
  if (!real)
    real = (int (*)(int, off64_t))next("ftruncate64");
  if (atomic_load(&order->is_full) && is_stores(fd) && would_grow(fd, size))
    return refuse(ENOSPC);
  return real(fd, size);
}

int ftruncate(int fd, off_t size)
{
  return ftruncate64(fd, size);
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* Nanoseconds that the wall clock of the daemon shows when the real one shows these. */
static int64_t shown(int64_t ns)
{
  int64_t still_ms = atomic_load(&order->clock_is_ms), ppm = atomic_load(&order->clock_ppm);
  if (still_ms != 0)
    return still_ms * 1000000;
  if (ppm != 0)
    ns += (ns / 1000000 - atomic_load(&order->clock_since_ms)) * ppm; /* a millionth of a ms: a ns */
  return ns + atomic_load(&order->clock_ms) * 1000000;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
  static int (*real)(clockid_t, struct timespec *);
  if (!real)
    real = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
  int rc = real(id, out);
  if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    int64_t ns = shown((int64_t)out->tv_sec * 1000000000 + out->tv_nsec);
    out->tv_sec = ns / 1000000000 - (ns % 1000000000 < 0);
    out->tv_nsec = (ns % 1000000000 + 1000000000) % 1000000000;
  }
  return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
  struct timespec now;
  (void)zone;
  int rc = clock_gettime(CLOCK_REALTIME, &now);
  *out = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
  return rc;
}

time_t time(time_t *out)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}
