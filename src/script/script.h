/* script.h - one tenant's rules in a sandboxed Lua state of their own, seen from C as plain data.
 *
 * Knows how to get in and out; what the values mean is the business of rules/.  One thread at a
 * time.
 */
#pragma once

#include "json/tape.h"
#include "model/event.h"
#include "script/value.h"

struct nm_script;

/* Where the text of a library comes from that a rules file names by `use`. */
struct nm_script_libraries {
  void *data;
  bool is_alone; /* the file only stands in for the tenants that will use a library */
  /* Gives *source, in the arena or longer-lived.  NM_ENOTFOUND: there is none of that name; else
   * err is told to the author.  `name` is [a-z0-9_]+. */
  int (*read)(void *data, struct nm_text name, struct nm_arena *arena, struct nm_text *source,
              struct nm_error *err);
  /* The names that there are, at most `max`, for whoever misspelt one. */
  size_t (*list)(void *data, struct nm_arena *arena, struct nm_text *names, size_t max);
};

/* Proves a rules file, in a state that this thread keeps for it and that has our library loaded
 * already; it is left as it was found, and thrown away where anything went wrong or something of
 * it stayed.  `file` is what messages name; `libraries` is NULL where there are none.  Borrows
 * all; what is found lives in the arena.
 * 0: *found are the rules' own words (name, time_zone, channels ...).  NM_EINVAL: *found is a list
 * of problems, each with `text`, perhaps `trace`.  Otherwise (NM_ELIMIT, NM_ENOMEM) *found is
 * nothing and err says why. */
NM_MUST_CHECK int nm_script_prove(struct nm_text file, struct nm_text source,
                                  const struct nm_script_libraries *libraries,
                                  struct nm_arena *arena, struct nm_value *found,
                                  struct nm_error *err);

/* Opens that state where there is none yet, so that the next file takes only its own time. */
NM_MUST_CHECK int nm_script_prove_open(struct nm_error *err);

/* Closes that state of this thread where no file was proven in it for so long: it holds the whole
 * library.  The next file opens another. */
void nm_script_prove_rest(int64_t idle_ms);

/* Opens what has proven itself, to serve: its examples are not run again.  Gives *out. */
NM_MUST_CHECK int nm_script_open(struct nm_script **out, struct nm_text file,
                                 struct nm_text source,
                                 const struct nm_script_libraries *libraries,
                                 struct nm_arena *arena, struct nm_error *err);
void nm_script_destroy(struct nm_script *script);

/* What rules are told of time and place. */
struct nm_script_context {
  int64_t now_ms;
  int year, month, day;
  int minute;           /* of the local day */
  int weekday;          /* Monday 1 */
  bool is_recipient;
  bool wants_values;    /* the trace also says where each value came from */
};

/* Evaluates one event.  Borrows all; *effects and *trace live in the arena.  NM_EINVAL: the
 * author's code failed, err is one line; NM_ELIMIT: it overran its instructions, time or memory.
 * Usable again in any case. */
NM_MUST_CHECK int nm_script_evaluate(struct nm_script *script, const json_t *event,
                                     const struct nm_script_context *context,
                                     struct nm_arena *arena, struct nm_value *effects,
                                     struct nm_value *trace, struct nm_error *err);

/* An event as traffic brings it. */
struct nm_script_event {
  const struct nm_event *event; /* its bytes; or */
  const struct nm_json_node *row; /* an object such as nm_event_for_rules would show, of one row */
  const json_t *profile;        /* becomes `user`; NULL = none */
};

/* One message to the event's customer, which is what nearly all events come to. */
struct nm_script_send {
  struct nm_text channel, message, customer, campaign;
  struct nm_text content; /* a JSON object */
  int64_t template_id, channel_id, expires_in_ms;
  int quiet_from, quiet_to; /* minutes of the day; the same = none */
};

struct nm_script_answer {
  bool is_send;
  struct nm_script_send send; /* where is_send */
  struct nm_value effects;    /* otherwise: a list of tables */
  struct nm_value failure;
};

/* As nm_script_evaluate, by the short way where there is one, and without a trace. */
NM_MUST_CHECK int nm_script_serve(struct nm_script *script, const struct nm_script_event *event,
                                  const struct nm_script_context *context, struct nm_arena *arena,
                                  struct nm_script_answer *out, struct nm_error *err);

/* What a call took, as its budget counts it: instructions in hundreds, so of short calls some show
 * 0 and others 100; together they are right. */
struct nm_script_cost {
  int64_t instructions;
  int64_t cpu_ns;
  size_t peak_bytes; /* the most its state had in use meanwhile */
  bool is_overrun;   /* stopped at a limit of its own; a full arena of the caller is none */
};

/* Of the last evaluation. */
struct nm_script_cost nm_script_cost(const struct nm_script *script);

/* When it was called last, on the monotonic clock. */
int64_t nm_script_called_ms(const struct nm_script *script);

/* Bytes in use; after a full collection, if asked for. */
size_t nm_script_memory(struct nm_script *script, bool collect);
