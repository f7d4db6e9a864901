/* faulty_vfs.h - a disk for tests: what SQLite writes goes through, is written down, and fails on
 * demand.
 *
 * Every write, truncation and sync has a serial number.  faulty_image() makes the files of a
 * machine whose power was cut at one of them: what was synced is there; of what was not, any
 * sectors are, as a disk is free to write them in any order, some, half or none.  faulty_fail()
 * makes the i-th call of a kind fail, once or from then on.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum faulty_kind {
  FAULTY_WRITE = 0,
  FAULTY_TRUNCATE,
  FAULTY_SYNC,
  FAULTY_DELETE,
  FAULTY_READ, /* the rest is not written down, it can only fail */
  FAULTY_OPEN,
  FAULTY_SIZE,
  FAULTY_SHARED,
  FAULTY_KINDS,
};

struct faulty_op {
  enum faulty_kind kind;
  int file;
  int64_t offset; /* of a sync: what was written before it began */
  size_t len;
  unsigned char *bytes;
};

enum { FAULTY_FILES_MAX = 8 };

static struct {
  pthread_mutex_t lock;
  sqlite3_vfs vfs, *real;
  bool is_recording;
  struct faulty_op *ops;
  size_t count, capacity;
  char *paths[FAULTY_FILES_MAX];
  int files;
  /* the call that fails */
  enum faulty_kind fail_kind;
  int fail_code;
  bool fails_for_ever;
  atomic_long fail_after;
  atomic_long calls[FAULTY_KINDS], failed;
} faulty = { .lock = PTHREAD_MUTEX_INITIALIZER, .fail_kind = FAULTY_KINDS };

struct faulty_file {
  sqlite3_file base;
  int index;
  sqlite3_file *real;
};

/* True where this call is the one that fails. */
static inline bool faulty_is_hit(enum faulty_kind kind)
{
  atomic_fetch_add(&faulty.calls[kind], 1);
  if (kind != faulty.fail_kind)
    return false;
  long left = atomic_fetch_sub(&faulty.fail_after, 1);
  if (left != 0 && !(left < 0 && faulty.fails_for_ever))
    return false;
  atomic_fetch_add(&faulty.failed, 1);
  return true;
}

/* The n-th call of a kind from now (0 = the next) ends with this code of SQLite's. */
static inline void faulty_fail(enum faulty_kind kind, long n, int code, bool for_ever)
{
  faulty.fail_kind = FAULTY_KINDS;
  faulty.fail_code = code;
  faulty.fails_for_ever = for_ever;
  atomic_store(&faulty.failed, 0);
  atomic_store(&faulty.fail_after, n);
  faulty.fail_kind = kind;
}

static inline void faulty_mend(void)
{
  faulty.fail_kind = FAULTY_KINDS;
}

static void faulty_note(struct faulty_op op, const void *bytes)
{
  pthread_mutex_lock(&faulty.lock);
  if (faulty.is_recording && op.file >= 0) {
    if (faulty.count == faulty.capacity) {
      faulty.capacity = faulty.capacity ? faulty.capacity * 2 : 1024;
      faulty.ops = realloc(faulty.ops, faulty.capacity * sizeof *faulty.ops);
    }
    if (bytes) {
      op.bytes = malloc(op.len);
      memcpy(op.bytes, bytes, op.len);
    }
    faulty.ops[faulty.count++] = op;
  }
  pthread_mutex_unlock(&faulty.lock);
}

/* How much has happened: what is acknowledged now must outlive a cut at this number. */
static inline size_t faulty_serial(void)
{
  pthread_mutex_lock(&faulty.lock);
  size_t serial = faulty.count;
  pthread_mutex_unlock(&faulty.lock);
  return serial;
}

/* ---- one file -------------------------------------------------------------------------------- */

#define FAULTY(file) ((struct faulty_file *)(file))
#define FAULTY_REAL(file) (FAULTY(file)->real)

static int faulty_close(sqlite3_file *file)
{
  return FAULTY_REAL(file)->pMethods->xClose(FAULTY_REAL(file));
}

static int faulty_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
  if (faulty_is_hit(FAULTY_READ))
    return faulty.fail_code;
  return FAULTY_REAL(file)->pMethods->xRead(FAULTY_REAL(file), out, len, at);
}

static int faulty_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
  if (faulty_is_hit(FAULTY_WRITE))
    return faulty.fail_code;
  int rc = FAULTY_REAL(file)->pMethods->xWrite(FAULTY_REAL(file), bytes, len, at);
  if (rc == SQLITE_OK)
    faulty_note((struct faulty_op){ FAULTY_WRITE, FAULTY(file)->index, at, (size_t)len, NULL },
                bytes);
  return rc;
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  if (faulty_is_hit(FAULTY_TRUNCATE))
    return faulty.fail_code;
  int rc = FAULTY_REAL(file)->pMethods->xTruncate(FAULTY_REAL(file), size);
  if (rc == SQLITE_OK)
    faulty_note((struct faulty_op){ FAULTY_TRUNCATE, FAULTY(file)->index, size, 0, NULL }, NULL);
  return rc;
}

static int faulty_sync(sqlite3_file *file, int flags)
{
  int64_t before = (int64_t)faulty_serial();
  if (faulty_is_hit(FAULTY_SYNC))
    return faulty.fail_code;
  int rc = FAULTY_REAL(file)->pMethods->xSync(FAULTY_REAL(file), flags);
  if (rc == SQLITE_OK)
    faulty_note((struct faulty_op){ FAULTY_SYNC, FAULTY(file)->index, before, 0, NULL }, NULL);
  return rc;
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *out)
{
  if (faulty_is_hit(FAULTY_SIZE))
    return faulty.fail_code;
  return FAULTY_REAL(file)->pMethods->xFileSize(FAULTY_REAL(file), out);
}

static int faulty_lock_file(sqlite3_file *file, int kind)
{
  return FAULTY_REAL(file)->pMethods->xLock(FAULTY_REAL(file), kind);
}

static int faulty_unlock_file(sqlite3_file *file, int kind)
{
  return FAULTY_REAL(file)->pMethods->xUnlock(FAULTY_REAL(file), kind);
}

static int faulty_reserved(sqlite3_file *file, int *out)
{
  return FAULTY_REAL(file)->pMethods->xCheckReservedLock(FAULTY_REAL(file), out);
}

static int faulty_control(sqlite3_file *file, int op, void *arg)
{
  return FAULTY_REAL(file)->pMethods->xFileControl(FAULTY_REAL(file), op, arg);
}

static int faulty_sector(sqlite3_file *file)
{
  return FAULTY_REAL(file)->pMethods->xSectorSize(FAULTY_REAL(file));
}

static int faulty_device(sqlite3_file *file)
{
  return FAULTY_REAL(file)->pMethods->xDeviceCharacteristics(FAULTY_REAL(file));
}

static int faulty_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
  if (faulty_is_hit(FAULTY_SHARED))
    return faulty.fail_code;
  return FAULTY_REAL(file)->pMethods->xShmMap(FAULTY_REAL(file), page, size, extend, out);
}

static int faulty_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
  return FAULTY_REAL(file)->pMethods->xShmLock(FAULTY_REAL(file), offset, count, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
  FAULTY_REAL(file)->pMethods->xShmBarrier(FAULTY_REAL(file));
}

static int faulty_shm_unmap(sqlite3_file *file, int is_end)
{
  return FAULTY_REAL(file)->pMethods->xShmUnmap(FAULTY_REAL(file), is_end);
}

static const sqlite3_io_methods faulty_methods = {
  2,
  faulty_close,
  faulty_read,
  faulty_write,
  faulty_truncate,
  faulty_sync,
  faulty_size,
  faulty_lock_file,
  faulty_unlock_file,
  faulty_reserved,
  faulty_control,
  faulty_sector,
  faulty_device,
  faulty_shm_map,
  faulty_shm_lock,
  faulty_shm_barrier,
  faulty_shm_unmap,
  NULL,
  NULL,
};

/* ---- the disk -------------------------------------------------------------------------------- */

static int faulty_index(const char *path)
{
  int index = -1;
  if (!path)
    return -1;
  pthread_mutex_lock(&faulty.lock);
  for (int i = 0; i < faulty.files; i++)
    if (strcmp(faulty.paths[i], path) == 0)
      index = i;
  if (index < 0 && faulty.files < FAULTY_FILES_MAX) {
    index = faulty.files++;
    faulty.paths[index] = strdup(path);
  }
  pthread_mutex_unlock(&faulty.lock);
  return index;
}

static int faulty_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
  (void)vfs;
  struct faulty_file *self = FAULTY(file);
  self->base.pMethods = NULL;
  if (faulty_is_hit(FAULTY_OPEN))
    return faulty.fail_code;
  self->real = (sqlite3_file *)(self + 1);
  self->index = faulty.is_recording ? faulty_index(path) : -1;
  int rc = faulty.real->xOpen(faulty.real, path, self->real, flags, out);
  if (self->real->pMethods)
    self->base.pMethods = &faulty_methods;
  return rc;
}

static int faulty_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
  (void)vfs;
  if (faulty_is_hit(FAULTY_DELETE))
    return faulty.fail_code;
  int rc = faulty.real->xDelete(faulty.real, path, sync);
  if (rc == SQLITE_OK && faulty.is_recording)
    faulty_note((struct faulty_op){ FAULTY_DELETE, faulty_index(path), 0, 0, NULL }, NULL);
  return rc;
}

/* Becomes the process's disk for SQLite; before the first store is opened. */
static inline void faulty_install(void)
{
  if (faulty.real)
    return;
  faulty.real = sqlite3_vfs_find(NULL);
  faulty.vfs = *faulty.real;
  faulty.vfs.zName = "faulty";
  faulty.vfs.pNext = NULL;
  faulty.vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty.real->szOsFile;
  faulty.vfs.xOpen = faulty_open;
  faulty.vfs.xDelete = faulty_delete;
  sqlite3_vfs_register(&faulty.vfs, 1);
}

static inline void faulty_forget(void)
{
  faulty.is_recording = false;
  for (size_t i = 0; i < faulty.count; i++)
    free(faulty.ops[i].bytes);
  for (int i = 0; i < faulty.files; i++)
    free(faulty.paths[i]);
  free(faulty.ops);
  faulty.ops = NULL;
  faulty.count = faulty.capacity = 0;
  faulty.files = 0;
}

/* ---- a cut ----------------------------------------------------------------------------------- */

static inline uint64_t faulty_random(uint64_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

struct faulty_bytes {
  unsigned char *at;
  size_t len, capacity;
  bool exists;
};

static inline void faulty_put(struct faulty_bytes *to, size_t at, const unsigned char *bytes,
                              size_t len)
{
  if (at + len > to->capacity) {
    size_t capacity = (at + len) * 2;
    to->at = realloc(to->at, capacity);
    memset(to->at + to->capacity, 0, capacity - to->capacity);
    to->capacity = capacity;
  }
  memcpy(to->at + at, bytes, len);
  if (at + len > to->len)
    to->len = at + len;
}

static inline void faulty_cut_to(struct faulty_bytes *to, size_t len)
{
  if (len < to->len)
    memset(to->at + len, 0, to->len - len);
  if (len <= to->len || len <= to->capacity)
    to->len = len;
}

/* Of a write that was not synced: each sector is there or is not. */
static inline void faulty_tear(struct faulty_bytes *to, const struct faulty_op *op, size_t sector,
                               unsigned percent, uint64_t *state)
{
  size_t at = (size_t)op->offset, end = at + op->len;
  while (at < end) {
    size_t next = (at / sector + 1) * sector;
    if (next > end)
      next = end;
    if (faulty_random(state) % 100 < percent)
      faulty_put(to, at, op->bytes + (at - (size_t)op->offset), next - at);
    at = next;
  }
}

/* A new file's first sync syncs its folder too, and with it what was deleted before. */
static inline size_t faulty_folder_synced(size_t cut)
{
  bool was_synced[FAULTY_FILES_MAX] = { false };
  size_t synced = 0;
  for (size_t i = 0; i < cut; i++) {
    const struct faulty_op *op = &faulty.ops[i];
    if (op->kind == FAULTY_DELETE)
      was_synced[op->file] = false;
    if (op->kind != FAULTY_SYNC || was_synced[op->file] || op->file == 0)
      continue;
    was_synced[op->file] = true;
    synced = (size_t)op->offset;
  }
  return synced;
}

/* The content of file `index` after a cut right behind operation number `cut`. */
static inline struct faulty_bytes faulty_content(int index, size_t cut, uint64_t *state)
{
  static const unsigned percents[] = { 0, 10, 50, 90, 100 };
  size_t sector = faulty_random(state) % 2 ? 512 : 4096;
  unsigned percent = percents[faulty_random(state) % 5];
  struct faulty_bytes bytes = { 0 };
  size_t synced = 0, folder_synced = faulty_folder_synced(cut);
  bool is_deletion_lost = faulty_random(state) % 2 == 0;
  for (size_t i = 0; i < cut; i++) {
    const struct faulty_op *op = &faulty.ops[i];
    /* Two threads may sync one file; the one that began later may be noted first. */
    bool is_sync = op->file == index && op->kind == FAULTY_SYNC;
    if (is_sync && (size_t)op->offset > synced)
      synced = (size_t)op->offset;
  }
  for (size_t i = 0; i < cut; i++) {
    const struct faulty_op *op = &faulty.ops[i];
    if (op->file != index)
      continue;
    bool is_there = i < synced;
    switch (op->kind) {
    case FAULTY_WRITE:
      bytes.exists = true;
      if (is_there)
        faulty_put(&bytes, (size_t)op->offset, op->bytes, op->len);
      else
        faulty_tear(&bytes, op, sector, percent, state);
      break;
    case FAULTY_TRUNCATE:
      if (is_there || faulty_random(state) % 100 < percent)
        faulty_cut_to(&bytes, (size_t)op->offset);
      break;
    case FAULTY_DELETE:
      if (is_deletion_lost && i >= folder_synced)
        break;
      bytes.len = 0;
      bytes.exists = false;
      if (bytes.at)
        memset(bytes.at, 0, bytes.capacity);
      break;
    default:
      break;
    }
  }
  return bytes;
}

/* Puts the files of a cut where the recorded ones stood, with `from` in their paths become `to`. */
static inline int faulty_image(size_t cut, uint64_t seed, const char *from, const char *to)
{
  uint64_t state = seed * 0x9E3779B97F4A7C15u + cut + 1;
  for (int i = 0; i < faulty.files; i++) {
    char path[512];
    if (strncmp(faulty.paths[i], from, strlen(from)) != 0)
      continue;
    snprintf(path, sizeof path, "%s%s", to, faulty.paths[i] + strlen(from));
    struct faulty_bytes bytes = faulty_content(i, cut, &state);
    remove(path);
    FILE *file = bytes.exists || i == 0 ? fopen(path, "wb") : NULL;
    size_t written = file && bytes.len > 0 ? fwrite(bytes.at, 1, bytes.len, file) : bytes.len;
    if (file && fclose(file))
      return -1;
    free(bytes.at);
    if (file && written != bytes.len)
      return -1;
  }
  return 0;
}
