/* work.h - one reconciliation under way: between reconcile.c, steps.c and sync.c. */
#pragma once

#include "optimove/internal.h"
#include "optimove/listeners.h"

enum nm_act {
  NM_ACT_UNREGISTER = 0,
  NM_ACT_REGISTER = 1,
  NM_ACT_NOTE = 2, /* nothing is called: the journal learns what is there */
};

struct nm_step {
  enum nm_act act;
  struct nm_listener listener;
  const char *why;
  enum nm_listener_state state; /* of a note */
};

/* A pair that was refused: it is not tried again in this reconciliation. */
struct nm_given_up {
  struct nm_given_up *next;
  int64_t event_type, channel_id;
  struct nm_text reason;
};

struct nm_work {
  struct nm_reconcile what;
  struct nm_arena *arena; /* also of what `what` borrowed */
  json_t *report, *done, *todo, *warnings, *findings;
  struct nm_listener_list wanted;
  struct nm_listener_own own;
  struct nm_text *prefixes;

  struct nm_step *steps;
  size_t step_count, step_at;
  void (*after_steps)(struct nm_work *work);
  struct nm_given_up *given_up;
  int round, list_tries;
  int troubles_in_a_row;   /* 5xx and lost answers */
  bool is_list_known;      /* else our journal says what is there */
  bool is_cut_short;       /* Optimove is away: the rest is for another time */
  bool has_looked_behind;  /* at accounts that were left */
  size_t conflicts;        /* of the todos: what only a person can decide */

  union {
    struct nm_store_listeners_load load;
    struct nm_store_listener_save save;
  } request;
  struct nm_store_listener *journal;
  size_t journal_count, journal_max;
};

/* What is wanted of templates, where. */
struct nm_templates {
  struct nm_optimove_account *account;
  int64_t left_id;     /* of an account that was left: nothing of ours is wanted; 0 = the present */
  struct nm_text left; /* its address, for people */
  void (*done)(void *data, const char *trouble); /* NULL: all is done, or told */
  void *data;
};

NM_PRINTF(2, 3)
void nm_work_tell(json_t *list, const char *format, ...);

/* "13 for channel 459 (Push)", "4 for all channels". */
struct nm_text nm_work_pair_name(struct nm_work *work, const struct nm_listener *listener);

/* "459 (Push)". */
struct nm_text nm_work_channel_name(struct nm_work *work, int64_t id);

/* Tells who asked, and frees.  A todo makes of 0 NM_EIO, or NM_ECONFLICT where only a person can
 * help. */
void nm_work_finish(struct nm_work *work, int rc);

/* Takes work->steps from work->step_at on, each noted before and after, then calls after_steps. */
void nm_work_take_step(struct nm_work *work);

/* After the listeners: what is ours at accounts that the tenant has left (moved.c), then sync. */
void nm_work_moved(struct nm_work *work);

/* The listeners of the present account once more, from the first round on. */
void nm_work_look_again(struct nm_work *work);

/* After the listeners: channels and templates, then the end. */
void nm_work_sync(struct nm_work *work);

/* Brings our templates at one account to what is wanted there (templates.c). */
void nm_work_templates(struct nm_work *work, const struct nm_templates *what);

const struct nm_given_up *nm_work_is_given_up(const struct nm_work *work,
                                              const struct nm_listener *listener);
