/* starter.h - the commented rules file that `netmove init` writes. */
#pragma once

#include "base/arena.h"

/* The text of lua/netmove/starter.lua for a tenant's name, in the arena. */
NM_MUST_CHECK int nm_script_starter(struct nm_text tenant, struct nm_arena *arena,
                                    struct nm_text *out, struct nm_error *err);
