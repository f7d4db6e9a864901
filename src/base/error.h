/* error.h - how a function says that it failed, and what must never be.
 *
 * A function that can fail returns 0 or one of the negative codes below, and leaves its
 * out-parameters untouched on failure.  Where a person will read the reason, its last parameter is
 * a struct nm_error, filled in once, where the reason is known.
 */
#pragma once

#include <stdbool.h>

#define NM_MUST_CHECK __attribute__((warn_unused_result))
#define NM_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

enum nm_code {
  NM_OK = 0,
  NM_ENOMEM = -1,       /* no memory, or an arena or state at its limit */
  NM_EINVAL = -2,       /* the input is wrong; the sender can mend it */
  NM_ENOTFOUND = -3,    /* no such thing */
  NM_ELIMIT = -4,       /* above a limit of base/limits.h or of the settings */
  NM_EFULL = -5,        /* a queue or mailbox is full now; later may do */
  NM_EIO = -6,          /* disk or network */
  NM_ECLOSED = -7,      /* stopping; no new work */
  NM_ETIMEOUT = -8,
  NM_EDENIED = -9,      /* not allowed: key, address, role */
  NM_ECONFLICT = -10,   /* exists already, or changed meanwhile */
  NM_EUNSUPPORTED = -11,/* known, but not built yet */
  NM_EINTERNAL = -12,   /* a bug of ours that we survive */
};

enum { NM_ERROR_TEXT_MAX_BYTES = 256 };

struct nm_error {
  int code;
  char text[NM_ERROR_TEXT_MAX_BYTES];
};

/* Fills err (NULL is fine) and returns code.  Text beyond the limit is cut. */
NM_PRINTF(3, 4)
int nm_fail(struct nm_error *err, int code, const char *format, ...);

/* The word for a code: "not found". */
const char *nm_code_name(int code);

/* What must not be: logs and aborts, in release builds too. */
#define nm_require(condition)                                                                      \
  ((condition) ? (void)0 : nm_require_failed(#condition, __FILE__, __LINE__))

/* What we can survive: false after counting and logging once per place. */
#define nm_expect(condition)                                                                       \
  __extension__({                                                                                  \
    bool nm_expect_ok = (condition);                                                               \
    static _Atomic unsigned nm_expect_seen;                                                        \
    if (!nm_expect_ok) nm_expect_failed(#condition, __FILE__, __LINE__, &nm_expect_seen);          \
    nm_expect_ok;                                                                                  \
  })

_Noreturn void nm_require_failed(const char *what, const char *file, int line);
void nm_expect_failed(const char *what, const char *file, int line, _Atomic unsigned *seen);
