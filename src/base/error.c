#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"

int nm_fail(struct nm_error *err, int code, const char *format, ...)
{
  if (err) {
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
  }
  return code;
}

const char *nm_code_name(int code)
{
  switch (code) {
  case NM_OK: return "ok";
  case NM_ENOMEM: return "out of memory";
  case NM_EINVAL: return "invalid";
  case NM_ENOTFOUND: return "not found";
  case NM_ELIMIT: return "above the limit";
  case NM_EFULL: return "full";
  case NM_EIO: return "input or output failed";
  case NM_ECLOSED: return "stopping";
  case NM_ETIMEOUT: return "timed out";
  case NM_EDENIED: return "not allowed";
  case NM_ECONFLICT: return "conflict";
  case NM_EUNSUPPORTED: return "not built yet";
  default: return "internal error";
  }
}

_Noreturn void nm_require_failed(const char *what, const char *file, int line)
{
  nm_log(NM_LOG_ERROR, "base", NULL, "must not be: !(%s) at %s:%d", what, file, line);
  nm_log_flush();
  abort();
}

void nm_expect_failed(const char *what, const char *file, int line, _Atomic unsigned *seen)
{
  nm_metric_add(NM_METRIC_EXPECT_FAILED, 1);
  if ((*seen)++ == 0)
    nm_log(NM_LOG_ERROR, "base", NULL, "unexpected: !(%s) at %s:%d", what, file, line);
}
