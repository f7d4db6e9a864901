/* folder.h - private to rules/: the files of the watched folder, and what was last seen of each. */
#pragma once

#include <sys/stat.h>

#include "rules/rules.h"

enum {
  NM_RULES_STILL_MS = 50,    /* a file is read once it has not changed for this long */
  NM_RULES_LOOK_MS = 1000,   /* the backstop, for what file events do not tell */
};

/* What tells one state of a file from another without reading it. */
struct nm_rules_mark {
  struct timespec modified, changed;
  off_t size;
  ino_t inode;
  dev_t device;
};

/* A library that a file asked for when it was loaded. */
struct nm_rules_use {
  char *name;                             /* "lib/texts.lua" */
  char digest[NM_RULES_DIGEST_BYTES + 1]; /* of what it was then; "" = not there */
};

struct nm_rules_file {
  struct nm_rules_file *next; /* by name */
  char *name;                 /* "acme.lua", "lib/texts.lua" */
  bool is_library;
  bool is_stale;              /* a library of it has changed since */
  struct nm_rules_use *uses;
  size_t use_count;
  struct nm_rules_mark mark;  /* when it was last read */
  bool was_read;
  bool is_fresh;              /* read so soon after its change that another may hide */
  bool is_waiting;            /* for stillness, or for memory */
  int shortages;              /* in a row: it could not be proven for want of memory */
  struct nm_rules_mark waiting_mark;
  int64_t changed_at_ms;      /* monotonic */
  char digest[NM_RULES_DIGEST_BYTES + 1]; /* of what was given on last; "" = unreadable */
};

struct nm_rules_folder {
  char *path;
  void (*on_verdict)(void *data, struct nm_rules_verdict *verdict);
  void *data;
  struct nm_rules_file *files;
  size_t file_count;
  bool is_missing_told, is_full_told, is_closing;
  struct nm_rules_watch {
    uv_fs_event_t event;
    bool is_watching;
    ino_t inode;
    dev_t device;
  } watches[2];               /* the folder, and its `lib` */
  uv_timer_t look, settle;
  int open_handles;
  void (*on_closed)(void *data);
  void *closed_data;
};

/* files.c.  None of them keeps a descriptor open. */

enum { NM_RULES_WATCH_FILES = 0, NM_RULES_WATCH_LIBRARIES = 1 };

/* Finds the *.lua files there are, and those of `lib`; those not known yet are added.  False where
 * the folder cannot be read. */
bool nm_rules_files_scan(struct nm_rules_folder *folder);

/* The file of that name in the folder or in its `lib`, known from now on; NULL for other names, and
 * when there are too many. */
struct nm_rules_file *nm_rules_files_find(struct nm_rules_folder *folder, struct nm_text name,
                                          bool is_library);

/* Looks at the file; false where it is gone or no file. */
bool nm_rules_file_mark(const struct nm_rules_folder *folder, const struct nm_rules_file *file,
                        struct nm_rules_mark *out);
bool nm_rules_mark_equal(const struct nm_rules_mark *a, const struct nm_rules_mark *b);

/* Reads it and gives its verdict, if its digest or that of a library is a new one (or `always`); a
 * library's news are verdicts of those who use it.  Nothing is given on, and true returned, with
 * still_ms > 0 where a library changed within that time (it may be half written), and, for the first
 * times, where memory did not do: it is to be read again. */
bool nm_rules_file_read(struct nm_rules_folder *folder, struct nm_rules_file *file, bool always,
                        int64_t still_ms);

void nm_rules_files_free(struct nm_rules_folder *folder);
