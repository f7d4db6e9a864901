/* unsent_kit.h - what a caller's sockets keep back when its loop goes to sleep: nothing, where the
 * peer has room for it. */
#pragma once

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <uv.h>

#include "check.h"

struct unsent {
  uv_prepare_t before_sleep;
  int port; /* of the peer */
  int sockets;
  int bytes;
};

static inline void unsent_on_sleep(uv_prepare_t *prepare)
{
  struct unsent *unsent = prepare->data;
  for (int fd = 3; fd < 256; fd++) {
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    int bytes;
    if (getpeername(fd, (struct sockaddr *)&to, &len) || to.sin_family != AF_INET) continue;
    if (ntohs(to.sin_port) != unsent->port || ioctl(fd, SIOCOUTQNSD, &bytes)) continue;
    unsent->sockets++;
    unsent->bytes += bytes;
  }
}

static inline void unsent_open(struct unsent *unsent, uv_loop_t *on, int port)
{
  *unsent = (struct unsent){ .port = port };
  assert_int_equal(uv_prepare_init(on, &unsent->before_sleep), 0);
  unsent->before_sleep.data = unsent;
  uv_prepare_start(&unsent->before_sleep, unsent_on_sleep);
  uv_unref((uv_handle_t *)&unsent->before_sleep);
}

static inline void unsent_on_closed(uv_handle_t *handle)
{
  handle->data = NULL;
}

/* Asserts that something was looked at and nothing kept back. */
static inline void unsent_close(struct unsent *unsent)
{
  uv_close((uv_handle_t *)&unsent->before_sleep, unsent_on_closed);
  while (unsent->before_sleep.data) uv_run(unsent->before_sleep.loop, UV_RUN_NOWAIT);
  assert_true(unsent->sockets > 0);
  assert_int_equal(unsent->bytes, 0);
}
