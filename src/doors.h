/* doors.h - the sockets that we listen on: bound here, inherited from a supervisor (LISTEN_FDS) or
 * from the process before us, and kept open until the one after us serves.
 */
#pragma once

#include <sys/types.h>

#include "config/config.h"

enum nm_door_kind {
  NM_DOOR_PUBLIC = 0,
  NM_DOOR_ADMIN = 1,
  NM_DOOR_COMMANDS = 2,
  NM_DOORS_COUNT = 3
};

enum { NM_DOOR_ADDRESS_MAX_BYTES = 192 };

struct nm_door {
  int fd;           /* -1: not open */
  bool is_borrowed; /* a supervisor's: it comes before what the settings say, and its file stays */
  char address[NM_DOOR_ADDRESS_MAX_BYTES]; /* what the settings said when it was bound */
  dev_t device; /* of a unix socket's file: removed only if it is still this one */
  ino_t inode;
};

struct nm_doors {
  struct nm_door at[NM_DOORS_COUNT];
};

/* Reads the environment, takes the descriptors it names and clears it.  *control is the line to the
 * process before us, or -1.  NM_EINVAL: a name that is none of "public", "admin", "commands", or no
 * socket. */
NM_MUST_CHECK int nm_doors_inherit(struct nm_doors *doors, int *control, struct nm_error *err);

/* Binds what the settings want and is not open yet, closes what they no longer want.  Callers wait
 * in the backlog from here on. */
NM_MUST_CHECK int nm_doors_open(struct nm_doors *doors, const struct nm_settings *settings,
                                struct nm_error *err);

/* "fd:N", another descriptor of the same socket, for nm_http_listen; false where the door is not
 * open. */
bool nm_doors_copy(const struct nm_doors *doors, enum nm_door_kind kind, char out[32]);

/* The file of the commands' socket becomes this user's. */
NM_MUST_CHECK int nm_doors_give(const struct nm_doors *doors, uid_t uid, gid_t gid,
                                struct nm_error *err);

/* Closes what is ours and removes its files: callers are refused from here on, but at doors that a
 * supervisor keeps. */
void nm_doors_close(struct nm_doors *doors);

/* ---- handing on ------------------------------------------------------------------------------ */

/* "NETMOVE_PUBLIC=3 0 127.0.0.1:8080": what nm_doors_inherit reads, for a door that has descriptor
 * fd in the next process. */
void nm_doors_write(const struct nm_doors *doors, enum nm_door_kind kind, int fd, char *out,
                    size_t size);

/* True for a variable that hands something on: it is not passed along as it came. */
bool nm_doors_is_ours(const char *variable);
