#include "base/port.h"

enum { DRAIN_MAX = 512 }; /* tasks a turn of the loop, so that sockets get theirs */

static void wake(void *data)
{
  struct nm_port *port = data;
  uv_async_send(&port->async);
}

static void on_woken(uv_async_t *async)
{
  struct nm_port *port = async->data;
  struct nm_mail *mail = nm_mailbox_take(&port->box, DRAIN_MAX);
  while (mail) {
    struct nm_mail *next = mail->next;
    struct nm_task *task = (struct nm_task *)mail;
    if (port->on_task) port->on_task(port->data, mail);
    else if (task->done) task->done(task);
    mail = next;
  }
  if (!uv_is_closing((uv_handle_t *)async) && nm_mailbox_count(&port->box) > 0)
    uv_async_send(async);
}

int nm_port_open(struct nm_port *port, uv_loop_t *loop, size_t max,
                 void (*on_task)(void *data, struct nm_mail *task), void *data)
{
  *port = (struct nm_port){ .on_task = on_task, .data = data };
  if (uv_async_init(loop, &port->async, on_woken)) return NM_EIO;
  port->async.data = port;
  nm_mailbox_init(&port->box, max, wake, port);
  return NM_OK;
}

int nm_port_post(struct nm_port *port, struct nm_task *task)
{
  return nm_mailbox_post(&port->box, &task->mail);
}

void nm_task_return(struct nm_task *task)
{
  struct nm_port *home = task->home;
  if (!home) {
    if (task->done) task->done(task);
    return;
  }
  int rc = nm_port_post(home, task);
  nm_expect(rc == NM_OK || rc == NM_ECLOSED);
}

static void on_async_closed(uv_handle_t *handle)
{
  struct nm_port *port = handle->data;
  if (port->on_closed) port->on_closed(port->data);
}

void nm_port_close(struct nm_port *port, void (*on_closed)(void *data))
{
  port->on_closed = on_closed;
  nm_mailbox_close(&port->box);
  nm_mailbox_take(&port->box, SIZE_MAX);
  uv_close((uv_handle_t *)&port->async, on_async_closed);
}

void nm_port_deinit(struct nm_port *port)
{
  nm_mailbox_deinit(&port->box);
}
