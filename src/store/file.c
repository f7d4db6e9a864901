#include "store/file.h"

#include <string.h>

static sqlite3_file *real_of(sqlite3_file *base)
{
  return ((struct nm_file *)(void *)base)->real;
}

int nm_file_open(sqlite3_vfs *vfs, const struct nm_file_kind *kind, const char *path,
                 sqlite3_file *base, int flags, int *out)
{
  struct nm_file *file = (struct nm_file *)(void *)base;
  memset(file, 0, kind->bytes);
  file->path = path;
  file->real = (sqlite3_file *)(void *)((char *)file + kind->bytes);
  int rc = vfs->xOpen(vfs, path, file->real, flags, out);
  if (file->real->pMethods) base->pMethods = kind->methods;
  return rc;
}

int nm_file_close(sqlite3_file *base)
{
  return real_of(base)->pMethods->xClose(real_of(base));
}

int nm_file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
  return real_of(base)->pMethods->xTruncate(real_of(base), size);
}

int nm_file_sync(sqlite3_file *base, int flags)
{
  return real_of(base)->pMethods->xSync(real_of(base), flags);
}

int nm_file_size(sqlite3_file *base, sqlite3_int64 *out)
{
  return real_of(base)->pMethods->xFileSize(real_of(base), out);
}

int nm_file_lock(sqlite3_file *base, int level)
{
  return real_of(base)->pMethods->xLock(real_of(base), level);
}

int nm_file_unlock(sqlite3_file *base, int level)
{
  return real_of(base)->pMethods->xUnlock(real_of(base), level);
}

int nm_file_reserved(sqlite3_file *base, int *out)
{
  return real_of(base)->pMethods->xCheckReservedLock(real_of(base), out);
}

int nm_file_control(sqlite3_file *base, int op, void *arg)
{
  return real_of(base)->pMethods->xFileControl(real_of(base), op, arg);
}

int nm_file_sector(sqlite3_file *base)
{
  return real_of(base)->pMethods->xSectorSize(real_of(base));
}

int nm_file_device(sqlite3_file *base)
{
  return real_of(base)->pMethods->xDeviceCharacteristics(real_of(base));
}

int nm_file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out)
{
  return real_of(base)->pMethods->xShmMap(real_of(base), page, size, extend, out);
}

int nm_file_shm_lock(sqlite3_file *base, int at, int count, int flags)
{
  return real_of(base)->pMethods->xShmLock(real_of(base), at, count, flags);
}

void nm_file_shm_barrier(sqlite3_file *base)
{
  real_of(base)->pMethods->xShmBarrier(real_of(base));
}

int nm_file_shm_unmap(sqlite3_file *base, int is_end)
{
  return real_of(base)->pMethods->xShmUnmap(real_of(base), is_end);
}
