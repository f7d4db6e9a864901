/* The log (WAL) at start: was it damaged, cut short or lost since its last commit?
 *
 * SQLite takes the log as far as its frames' sums are right and calls the rest torn by a crash.
 * That is right for what was not acknowledged, and silently loses acknowledged commits where a
 * frame was damaged later.  Two things tell them apart: a commit is synced before the next one is
 * written, so that a bad frame with a later commit and a frame behind that was damaged; and the
 * lock file holds a mark of the last commit, which is written without a sync, so that it is never
 * ahead of what was synced. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/frames.h"
#include "store/sums.h"

enum { HEADER_BYTES = 32 };
enum { MARK_AT = 64, MARK_MAGIC = 0x6e6d6d6b };

static uint32_t be32(const unsigned char *at)
{
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- the mark -------------------------------------------------------------------------------- */

static uint64_t mark_sum(const struct nm_wal_mark *mark)
{
  unsigned char page[NM_PAGE_BYTES] = { 0 };
  memcpy(page, mark, offsetof(struct nm_wal_mark, sum));
  return nm_page_sum(page, MARK_AT);
}

void nm_wal_mark_read(int lock_fd, struct nm_wal_mark *mark)
{
  ssize_t len = pread(lock_fd, mark, sizeof *mark, MARK_AT);
  bool is_whole = len == (ssize_t)sizeof *mark && mark->magic == MARK_MAGIC;
  if (!is_whole || mark->sum != mark_sum(mark))
    *mark = (struct nm_wal_mark){ 0 };
}

void nm_wal_mark_write(int lock_fd, struct nm_wal_mark *mark)
{
  mark->magic = MARK_MAGIC;
  mark->sum = mark_sum(mark);
  ssize_t len = pwrite(lock_fd, mark, sizeof *mark, MARK_AT);
  (void)len; /* an older mark says less, never something wrong */
}

void nm_wal_mark_commit(int lock_fd, sqlite3 *handle, int frames)
{
  struct nm_wal_mark mark = { .frames = (uint32_t)frames, .has_database = 1 };
  unsigned char header[HEADER_BYTES], frame[NM_FRAME_BYTES];
  sqlite3_file *wal = NULL;
  int64_t last_at = HEADER_BYTES + (int64_t)(frames - 1) * NM_FRAME_BYTES;
  int rc = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  bool is_read = rc == SQLITE_OK && wal && wal->pMethods && frames > 0 &&
                 wal->pMethods->xRead(wal, header, sizeof header, 0) == SQLITE_OK &&
                 wal->pMethods->xRead(wal, frame, sizeof frame, last_at) == SQLITE_OK;
  if (is_read && memcmp(header + 16, frame + 8, 8) == 0) {
    mark.salts[0] = be32(header + 16);
    mark.salts[1] = be32(header + 20);
    mark.page = be32(frame);
    mark.page_sum = nm_page_sum(frame + NM_FRAME_HEAD_BYTES, mark.page);
  } else {
    mark.frames = 0; /* it began anew meanwhile: the next commit says more */
  }
  nm_wal_mark_write(lock_fd, &mark);
}

/* ---- the log --------------------------------------------------------------------------------- */

struct walk {
  int fd;
  int64_t frames; /* whole ones in the file */
  uint32_t salts[2];
  bool is_big_endian;
  uint32_t sums[2];
  int64_t committed; /* frames up to the last commit that SQLite takes */
  int64_t bad;       /* the first frame that it does not take; -1 = it takes all */
};

static void add_sums(struct walk *walk, const unsigned char *bytes, size_t len)
{
  uint32_t a = walk->sums[0], b = walk->sums[1];
  for (size_t i = 0; i < len; i += 8) {
    uint32_t x = be32(bytes + i), y = be32(bytes + i + 4);
    if (!walk->is_big_endian) {
      x = __builtin_bswap32(x);
      y = __builtin_bswap32(y);
    }
    a += x + b;
    b += y + a;
  }
  walk->sums[0] = a;
  walk->sums[1] = b;
}

/* False where the header is not one; an all-zero one is not a damaged one. */
static bool read_header(struct walk *walk, bool *is_blank)
{
  unsigned char header[HEADER_BYTES], none[HEADER_BYTES] = { 0 };
  *is_blank = pread(walk->fd, header, sizeof header, 0) != HEADER_BYTES ||
              memcmp(header, none, sizeof none) == 0;
  if (*is_blank || (be32(header) & ~1u) != 0x377f0682u)
    return false;
  walk->is_big_endian = be32(header) & 1;
  walk->salts[0] = be32(header + 16);
  walk->salts[1] = be32(header + 20);
  add_sums(walk, header, 24);
  return walk->sums[0] == be32(header + 24) && walk->sums[1] == be32(header + 28) &&
         be32(header + 8) == NM_PAGE_BYTES;
}

static bool has_salts(const struct walk *walk, const unsigned char *frame)
{
  return be32(frame + 8) == walk->salts[0] && be32(frame + 12) == walk->salts[1];
}

static bool read_frame(const struct walk *walk, int64_t number, unsigned char *frame, size_t len)
{
  return pread(walk->fd, frame, len, HEADER_BYTES + number * NM_FRAME_BYTES) == (ssize_t)len;
}

static void walk_frames(struct walk *walk)
{
  unsigned char frame[NM_FRAME_BYTES];
  walk->bad = -1;
  for (int64_t i = 0; i < walk->frames; i++) {
    walk->bad = i;
    if (!read_frame(walk, i, frame, sizeof frame))
      return;
    if (!has_salts(walk, frame) || be32(frame) == 0)
      return;
    add_sums(walk, frame, 8);
    add_sums(walk, frame + NM_FRAME_HEAD_BYTES, NM_PAGE_BYTES);
    if (walk->sums[0] != be32(frame + 16) || walk->sums[1] != be32(frame + 20))
      return;
    if (be32(frame + 4) != 0)
      walk->committed = i + 1;
    walk->bad = -1;
  }
}

/* Behind a bad frame: a commit of the same log, and something behind that.  It was synced, then. */
static bool was_synced_beyond(const struct walk *walk)
{
  unsigned char head[NM_FRAME_HEAD_BYTES];
  bool has_commit = false;
  for (int64_t i = walk->bad; i >= 0 && i < walk->frames; i++) {
    if (!read_frame(walk, i, head, sizeof head))
      return false;
    if (!has_salts(walk, head))
      continue;
    if (has_commit)
      return true;
    has_commit = be32(head + 4) != 0;
  }
  return false;
}

/* ---- at start -------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *what, struct nm_error *err)
{
  return nm_fail(err, NM_EIO,
                 "%s-wal is damaged (%s): put a backup in place of both, or remove %s.lock to start"
                 " with what is left",
                 path, what, path);
}

static int compare(const struct walk *walk, const struct nm_wal_mark *mark, const char *path,
                   struct nm_error *err)
{
  char what[96];
  if (was_synced_beyond(walk)) {
    snprintf(what, sizeof what, "frame %lld is not as it was written", (long long)walk->bad + 1);
    return refuse(path, what, err);
  }
  if (mark->frames == 0)
    return NM_OK;
  if (mark->salts[0] == walk->salts[0] && mark->salts[1] == walk->salts[1]) {
    if (walk->committed >= mark->frames)
      return NM_OK;
    snprintf(what, sizeof what, "%lld frames of %u can be read", (long long)walk->committed,
             mark->frames);
    return refuse(path, what, err);
  }
  return NM_OK;
}

/* There is no log, and there was one.  Either another program has put it into the database, which
 * then has the page that the last commit wrote, or it is lost. */
static int find_in_database(const char *path, const struct nm_wal_mark *mark, struct nm_error *err)
{
  unsigned char page[NM_PAGE_BYTES];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return nm_fail(err, NM_EIO, "%s cannot be opened: %s", path, strerror(errno));
  off_t at = ((off_t)mark->page - 1) * NM_PAGE_BYTES;
  bool is_there = pread(fd, page, sizeof page, at) == (ssize_t)sizeof page &&
                  nm_page_sum(page, mark->page) == mark->page_sum;
  close(fd);
  if (!is_there)
    return refuse(path, "it is gone, and with it the last commits before the crash", err);
  nm_log(NM_LOG_WARN, "store", NULL, "another program has opened %s since it was last used", path);
  return nm_sums_adopt(path, err);
}

int nm_wal_check(const char *path, const struct nm_wal_mark *mark, struct nm_error *err)
{
  char wal[4096 + 8];
  struct stat status;
  bool is_blank = true;
  int rc = NM_OK;
  snprintf(wal, sizeof wal, "%s-wal", path);
  struct walk walk = { .fd = open(wal, O_RDONLY | O_CLOEXEC), .bad = -1 };
  bool is_there = walk.fd >= 0 && fstat(walk.fd, &status) == 0 && status.st_size >= HEADER_BYTES;
  if (!is_there) {
    if (walk.fd >= 0)
      close(walk.fd);
    return mark->frames > 0 ? find_in_database(path, mark, err) : NM_OK;
  }
  walk.frames = (status.st_size - HEADER_BYTES) / NM_FRAME_BYTES;
  if (!read_header(&walk, &is_blank)) {
    bool is_loss = !is_blank ? walk.frames > 0 : mark->frames > 0;
    if (is_loss)
      rc = refuse(path, "its header is not as it was written", err);
  } else {
    walk_frames(&walk);
    rc = compare(&walk, mark, path, err);
  }
  close(walk.fd);
  return rc;
}
