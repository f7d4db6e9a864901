/* point.h - moments at which tests end the process; nothing in a build without tests.
 *
 * The names are in points.def.  With NETMOVE_END_AT=plan_committed:3 in the environment the third
 * passage of that point is the process's last: SIGKILL, no handler, nothing flushed.
 */
#pragma once

#ifdef NM_POINTS

enum nm_point {
#define NM_POINT_AT(name) NM_POINT_##name,
#include "base/points.def"
#undef NM_POINT_AT
  NM_POINT_COUNT
};

void nm_point(enum nm_point point);

#define NM_POINT(name) nm_point(NM_POINT_##name)

#else

#define NM_POINT(name) ((void)0)

#endif
