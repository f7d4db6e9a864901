/* mailbox.h - a bounded queue between threads.
 *
 * Many threads post, one takes.  What travels is a struct that begins with a struct nm_mail (or
 * holds one): the mailbox owns nothing and allocates nothing.
 */
#pragma once

#include <uv.h>

#include "base/error.h"

struct nm_mail {
  struct nm_mail *next;
};

struct nm_mailbox {
  uv_mutex_t lock;
  uv_cond_t filled;
  struct nm_mail *first, *last;
  size_t count, max;
  size_t wanted; /* who takes is woken at so many, too; 0 = only when the first comes */
  bool is_closed;
  void (*wake)(void *data); /* called by a post into an empty mailbox, under its lock; may be
                             * NULL */
  void *wake_data;
};

void nm_mailbox_init(struct nm_mailbox *box, size_t max, void (*wake)(void *data), void *wake_data);
void nm_mailbox_deinit(struct nm_mailbox *box);

/* Posts from any thread.  NM_EFULL at the maximum, NM_ECLOSED after close; the mail then stays the
 * caller's. */
NM_MUST_CHECK int nm_mailbox_post(struct nm_mailbox *box, struct nm_mail *mail);

/* Takes up to max_mails at once, oldest first, as a list; NULL when empty.  Never waits. */
struct nm_mail *nm_mailbox_take(struct nm_mailbox *box, size_t max_mails);

/* As take, but waits until there is something (then true), the time is up, or it was closed. */
bool nm_mailbox_wait(struct nm_mailbox *box, int64_t timeout_ms);

/* Waits for company: until so many are there, the time is up, or it was closed. */
void nm_mailbox_gather(struct nm_mailbox *box, size_t wanted, int64_t timeout_us);

/* No more posts; what is in it can still be taken.  Ends every wait; `wake` is called no more. */
void nm_mailbox_close(struct nm_mailbox *box);

bool nm_mailbox_is_closed(struct nm_mailbox *box);
size_t nm_mailbox_count(struct nm_mailbox *box);
