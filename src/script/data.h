/* data.h - files that are one Lua table (settings, tenants as code) into JSON, in a sandbox.
 *
 * The file sees no library at all, only the word `secret "env:NAME"` or `secret "file:PATH"`.
 */
#pragma once

#include "base/problems.h"
#include "json/json.h"

enum nm_secrets {
  NM_SECRETS_KEEP = 0,    /* {"secret":"env:NAME"}: for check and for the daemon's own settings */
  NM_SECRETS_RESOLVE = 1, /* the value, read in this process' environment; missing: a problem */
};

/* Reads the file through one descriptor and evaluates it.  Tables become objects or arrays, numbers
 * that are integers stay so; anything else, cycles and depth above the JSON limit are problems that
 * name their key.  An empty table becomes {}, also where a list is meant.  A secret that cannot be
 * resolved is a problem.  Lines begin `FILE:LINE:` or `FILE: key:`.  Gives *out; NM_EINVAL with
 * problems, NM_EIO when the file cannot be read (problems says so too). */
NM_MUST_CHECK int nm_data_load(json_t **out, struct nm_text path, enum nm_secrets secrets,
                               struct nm_problems *problems);

/* Resolves one "env:NAME" or "file:PATH" into the arena (a file without its last newline). */
NM_MUST_CHECK int nm_secret_resolve(struct nm_text reference, struct nm_arena *arena,
                                    struct nm_text *out, struct nm_error *err);
