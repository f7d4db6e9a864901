/* check.h - what every C test includes: cmocka, and texts as it wants them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

#define assert_text(actual, expected) assert_text_at((actual), (expected), __FILE__, __LINE__)

static inline void assert_text_at(struct nm_text actual, const char *expected, const char *file,
                                  int line)
{
  struct nm_text wanted = nm_text_from(expected);
  if (nm_text_equal(actual, wanted)) return;
  print_error("\"%.*s\" is not \"%s\"\n", NM_TEXT_ARG(actual), expected);
  _fail(file, line);
}
