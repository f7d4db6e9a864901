/* process.h - what the daemon's process may do, and what it must not leave behind. */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/* The variable that tells a program what its file was called first. */
#define NM_PROCESS_PROGRAM "NETMOVE_PROGRAM"

/* At the very start of `serve`: nothing that we make is others' to read, a memory image of us is
 * never written (it would hold secrets), and as many files may be open as the system lets us. */
void nm_process_prepare(void);

/* Once all is up: gives back what only the start needed, free memory of the heap and pages of our
 * libraries that hold names, relocations and code that ran once.  Nothing is lost: what is used
 * again is mapped again. */
void nm_process_forget_start(void);

/* The program's file as it was called when this process began; a newer one may lie there by now.
 * NULL where the system does not tell. */
const char *nm_process_program(void);

/* Whom the settings want us to be. */
struct nm_process_user {
  bool is_wanted; /* root is to be given up */
  uid_t uid;
  gid_t gid;
  char name[64];
};

/* An empty name, or one that we are already, wants nothing.  NM_EINVAL: there is no such user, or
 * we may not become it. */
NM_MUST_CHECK int nm_process_find_user(struct nm_process_user *out, struct nm_text name,
                                       struct nm_error *err);

/* Gives up root, for good and in every thread. */
NM_MUST_CHECK int nm_process_become(const struct nm_process_user *user, struct nm_error *err);
