#include "base/mailbox.h"

void nm_mailbox_init(struct nm_mailbox *box, size_t max, void (*wake)(void *data), void *wake_data)
{
  *box = (struct nm_mailbox){ .max = max, .wake = wake, .wake_data = wake_data };
  nm_require(uv_mutex_init(&box->lock) == 0);
  nm_require(uv_cond_init(&box->filled) == 0);
}

void nm_mailbox_deinit(struct nm_mailbox *box)
{
  uv_cond_destroy(&box->filled);
  uv_mutex_destroy(&box->lock);
}

int nm_mailbox_post(struct nm_mailbox *box, struct nm_mail *mail)
{
  int rc = NM_OK;

  uv_mutex_lock(&box->lock);
  if (box->is_closed) {
    rc = NM_ECLOSED;
  } else if (box->count >= box->max) {
    rc = NM_EFULL;
  } else {
    bool was_empty = box->count == 0;
    mail->next = NULL;
    if (box->last) box->last->next = mail;
    else box->first = mail;
    box->last = mail;
    box->count++;
    if (was_empty ? box->wanted <= 1 : box->count == box->wanted) uv_cond_signal(&box->filled);
    /* Under the lock: after close() nobody is woken any more. */
    if (was_empty && box->wake) box->wake(box->wake_data);
  }
  uv_mutex_unlock(&box->lock);
  return rc;
}

struct nm_mail *nm_mailbox_take(struct nm_mailbox *box, size_t max_mails)
{
  uv_mutex_lock(&box->lock);
  struct nm_mail *first = box->first;
  struct nm_mail *last = first;
  size_t taken = first ? 1 : 0;
  while (last && last->next && taken < max_mails) {
    last = last->next;
    taken++;
  }
  if (last) {
    box->first = last->next;
    if (!box->first) box->last = NULL;
    last->next = NULL;
    box->count -= taken;
  }
  uv_mutex_unlock(&box->lock);
  return first;
}

bool nm_mailbox_wait(struct nm_mailbox *box, int64_t timeout_ms)
{
  uint64_t until = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
  uv_mutex_lock(&box->lock);
  while (box->count == 0 && !box->is_closed) {
    uint64_t now = uv_hrtime();
    if (now >= until) break;
    uv_cond_timedwait(&box->filled, &box->lock, until - now);
  }
  bool is_filled = box->count > 0;
  uv_mutex_unlock(&box->lock);
  return is_filled;
}

void nm_mailbox_gather(struct nm_mailbox *box, size_t wanted, int64_t timeout_us)
{
  uint64_t until = uv_hrtime() + (uint64_t)timeout_us * 1000;
  uv_mutex_lock(&box->lock);
  box->wanted = wanted < box->max ? wanted : box->max;
  while (box->count < box->wanted && !box->is_closed) {
    uint64_t now = uv_hrtime();
    if (now >= until) break;
    uv_cond_timedwait(&box->filled, &box->lock, until - now);
  }
  box->wanted = 0;
  uv_mutex_unlock(&box->lock);
}

void nm_mailbox_close(struct nm_mailbox *box)
{
  uv_mutex_lock(&box->lock);
  box->is_closed = true;
  box->wake = NULL;
  uv_cond_broadcast(&box->filled);
  uv_mutex_unlock(&box->lock);
}

bool nm_mailbox_is_closed(struct nm_mailbox *box)
{
  uv_mutex_lock(&box->lock);
  bool is_closed = box->is_closed;
  uv_mutex_unlock(&box->lock);
  return is_closed;
}

size_t nm_mailbox_count(struct nm_mailbox *box)
{
  uv_mutex_lock(&box->lock);
  size_t count = box->count;
  uv_mutex_unlock(&box->lock);
  return count;
}
