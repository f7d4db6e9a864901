/* folder.h - the end of a test's own folder, with all that is in it. */
#pragma once

#include <ftw.h>
#include <stdio.h>

static inline int remove_entry(const char *path, const struct stat *status, int kind,
                               struct FTW *at)
{
  (void)status;
  (void)kind;
  (void)at;
  return remove(path);
}

/* 0 where nothing is left of it. */
static inline int remove_folder(const char *path)
{
  return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
