#include "store/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "store/frames.h"

enum { RESERVED_AT = 20, MAGIC_BYTES = 16, SUM_AT = NM_PAGE_BYTES - NM_PAGE_SUM_BYTES };

struct page_file {
  struct nm_file file; /* first */
  bool has_sums;
};

/* ---- sums ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t sum, uint64_t word)
{
  sum = (sum ^ word) * 0x9FB21C651E98DF25u;
  return sum ^ (sum >> 29);
}

/* Four at a time, so that the processor need not wait for each product. */
uint64_t nm_page_sum(const unsigned char *page, uint64_t number)
{
  uint64_t sums[4] = { number, ~number, number << 32, 0x6e6d6f76u };
  uint64_t words[4];
  size_t at = 0;
  for (; at + sizeof words <= SUM_AT; at += sizeof words) {
    memcpy(words, page + at, sizeof words);
    for (int i = 0; i < 4; i++)
      sums[i] = mix(sums[i], words[i]);
  }
  for (; at < SUM_AT; at += sizeof words[0]) {
    memcpy(words, page + at, sizeof words[0]);
    sums[0] = mix(sums[0], words[0]);
  }
  uint64_t sum = mix(mix(mix(sums[0], sums[1]), sums[2]), sums[3]);
  return sum ? sum : 1;
}

static uint64_t written_sum(const unsigned char *page)
{
  uint64_t sum;
  memcpy(&sum, page + SUM_AT, sizeof sum);
  return sum;
}

static bool is_database(const unsigned char *first)
{
  return memcmp(first, "SQLite format 3", MAGIC_BYTES) == 0;
}

/* Whether the first page says that there are sums.  A flip of the byte that says so is seen by the
 * page's own sum: 1 yes, 0 no, -1 it is damaged. */
static int says_sums(const unsigned char *first)
{
  unsigned char page[NM_PAGE_BYTES];
  if (!is_database(first))
    return 0; /* SQLite says so */
  if (first[RESERVED_AT] == NM_PAGE_SUM_BYTES)
    return 1;
  memcpy(page, first, sizeof page);
  page[RESERVED_AT] = NM_PAGE_SUM_BYTES;
  return nm_page_sum(page, 1) == written_sum(page) ? -1 : 0;
}

/* ---- the database's file --------------------------------------------------------------------- */

static int look_at_first(struct page_file *file)
{
  unsigned char first[NM_PAGE_BYTES];
  sqlite3_file *real = file->file.real;
  if (real->pMethods->xRead(real, first, sizeof first, 0) != SQLITE_OK)
    return SQLITE_OK;
  int says = says_sums(first);
  file->has_sums = says == 1;
  return says < 0 ? SQLITE_IOERR_DATA : SQLITE_OK;
}

static int complain(const struct page_file *file, sqlite3_int64 at)
{
  nm_log(NM_LOG_ERROR, "store", NULL,
         "page %lld of %s is not as it was written: the disk has damaged it, or another program has"
         " written to it",
         (long long)(at / NM_PAGE_BYTES + 1), file->file.path);
  return SQLITE_IOERR_DATA;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at)
{
  struct page_file *file = (struct page_file *)(void *)base;
  sqlite3_file *real = file->file.real;
  int rc = real->pMethods->xRead(real, out, len, at);
  if (rc != SQLITE_OK)
    return rc;
  if (at == 0 && len >= 100 && !file->has_sums && look_at_first(file))
    return complain(file, at);
  if (!file->has_sums || len != NM_PAGE_BYTES || at % NM_PAGE_BYTES != 0)
    return SQLITE_OK;
  unsigned char *page = out;
  if (nm_page_sum(page, (uint64_t)(at / NM_PAGE_BYTES + 1)) != written_sum(page))
    return complain(file, at);
  /* What goes into the log has no sum: so the pages of a log that another program puts in are told
   * from damaged ones. */
  memset(page + SUM_AT, 0, NM_PAGE_SUM_BYTES);
  return SQLITE_OK;
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
  struct page_file *file = (struct page_file *)(void *)base;
  sqlite3_file *real = file->file.real;
  unsigned char page[NM_PAGE_BYTES];
  if (len != NM_PAGE_BYTES || at % NM_PAGE_BYTES != 0)
    return real->pMethods->xWrite(real, bytes, len, at);
  memcpy(page, bytes, sizeof page);
  if (at == 0)
    file->has_sums = is_database(page) && page[RESERVED_AT] == NM_PAGE_SUM_BYTES;
  if (file->has_sums) {
    uint64_t sum = nm_page_sum(page, (uint64_t)(at / NM_PAGE_BYTES + 1));
    memcpy(page + SUM_AT, &sum, sizeof sum);
  }
  return real->pMethods->xWrite(real, page, len, at);
}

static const sqlite3_io_methods methods = {
  .iVersion = 2, /* 3 would be memory maps, where nobody compares */
  .xClose = nm_file_close,
  .xRead = on_read,
  .xWrite = on_write,
  .xTruncate = nm_file_truncate,
  .xSync = nm_file_sync,
  .xFileSize = nm_file_size,
  .xLock = nm_file_lock,
  .xUnlock = nm_file_unlock,
  .xCheckReservedLock = nm_file_reserved,
  .xFileControl = nm_file_control,
  .xSectorSize = nm_file_sector,
  .xDeviceCharacteristics = nm_file_device,
  .xShmMap = nm_file_shm_map,
  .xShmLock = nm_file_shm_lock,
  .xShmBarrier = nm_file_shm_barrier,
  .xShmUnmap = nm_file_shm_unmap,
};

static const struct nm_file_kind sums_file = { sizeof(struct page_file), &methods };

/* ---- the VFS --------------------------------------------------------------------------------- */

static sqlite3_vfs ours, *theirs;

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out)
{
  (void)vfs;
  if (flags & SQLITE_OPEN_WAL)
    return nm_file_open(theirs, &nm_frames_file, path, base, flags, out);
  if (flags & SQLITE_OPEN_MAIN_DB)
    return nm_file_open(theirs, &sums_file, path, base, flags, out);
  return theirs->xOpen(theirs, path, base, flags, out);
}

static void register_once(void)
{
  theirs = sqlite3_vfs_find(NULL);
  nm_require(theirs != NULL);
  ours = *theirs;
  ours.zName = "netmove";
  ours.pNext = NULL;
  size_t own_bytes = sums_file.bytes;
  if (own_bytes < nm_frames_file.bytes)
    own_bytes = nm_frames_file.bytes;
  ours.szOsFile = (int)own_bytes + theirs->szOsFile;
  ours.xOpen = on_open;
  nm_require(sqlite3_vfs_register(&ours, 0) == SQLITE_OK);
}

const char *nm_sums_vfs(void)
{
  static uv_once_t is_registered = UV_ONCE_INIT;
  uv_once(&is_registered, register_once);
  return ours.zName;
}

void nm_sums_begin(sqlite3 *handle)
{
  int reserved = NM_PAGE_SUM_BYTES;
  (void)sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
}

/* ---- pages that another program wrote -------------------------------------------------------- */

int nm_sums_adopt(const char *path, struct nm_error *err)
{
  unsigned char page[NM_PAGE_BYTES];
  bool has_sums = false;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return nm_fail(err, NM_EIO, "%s cannot be opened: %s", path, strerror(errno));
  for (uint64_t number = 1;; number++) {
    off_t at = (off_t)(number - 1) * NM_PAGE_BYTES;
    if (pread(fd, page, sizeof page, at) != (ssize_t)sizeof page)
      break;
    if (number == 1)
      has_sums = is_database(page) && page[RESERVED_AT] == NM_PAGE_SUM_BYTES;
    if (!has_sums)
      break;
    if (written_sum(page) != 0)
      continue; /* compared when it is read */
    uint64_t sum = nm_page_sum(page, number);
    if (pwrite(fd, &sum, sizeof sum, at + SUM_AT) == (ssize_t)sizeof sum)
      continue;
    close(fd);
    return nm_fail(err, NM_EIO, "%s cannot be written: %s", path, strerror(errno));
  }
  int rc = NM_OK;
  if (fsync(fd))
    rc = nm_fail(err, NM_EIO, "%s cannot be synced: %s", path, strerror(errno));
  close(fd);
  return rc;
}
