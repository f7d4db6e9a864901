/* script_kit.h - rules become a script as the daemon makes one of them: proven, then opened. */
#pragma once

#include "script/script.h"

/* NM_EINVAL: *found is the list of problems. */
static inline int kit_load(struct nm_script **out, struct nm_text file, struct nm_text source,
                           struct nm_arena *arena, struct nm_value *found, struct nm_error *err)
{
  int rc = nm_script_prove(file, source, NULL, arena, found, err);
  return rc ? rc : nm_script_open(out, file, source, NULL, arena, err);
}
