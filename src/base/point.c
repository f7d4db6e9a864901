#include "base/point.h"

#ifdef NM_POINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
#define NM_POINT_AT(name) #name,
#include "base/points.def"
#undef NM_POINT_AT
};

static pthread_once_t is_read = PTHREAD_ONCE_INIT;
static int wanted = -1;
static atomic_long passages_left;

static void read_environment(void)
{
  const char *text = getenv("NETMOVE_END_AT");
  const char *colon = text ? strchr(text, ':') : NULL;
  if (!colon)
    return;
  for (int i = 0; i < NM_POINT_COUNT; i++)
    if (strlen(names[i]) == (size_t)(colon - text) &&
        memcmp(names[i], text, (size_t)(colon - text)) == 0)
      wanted = i;
  atomic_store(&passages_left, strtol(colon + 1, NULL, 10));
}

void nm_point(enum nm_point point)
{
  (void)pthread_once(&is_read, read_environment);
  if ((int)point != wanted || atomic_fetch_sub(&passages_left, 1) != 1)
    return;
  kill(getpid(), SIGKILL);
  for (;;)
    pause();
}

#else

extern int nm_point_is_left_out; /* a file of C is never empty */

#endif
