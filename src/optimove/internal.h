/* internal.h - between the files of this room. */
#pragma once

#include "optimove/optimove.h"

enum nm_optimove_urgency { NM_URGENT = 0, NM_PATIENT = 1, NM_URGENCIES = 2 };

/* One call of one function; lives from submit to done. */
struct nm_optimove_call {
  struct nm_optimove_call *next;
  struct nm_optimove_account *account;
  const char *function;   /* "RegisterEventListener", for reasons */
  const char *method;
  struct nm_text url;     /* owned */
  struct nm_text body;    /* owned; empty for GET */
  bool expects_list;
  bool is_page;           /* of recipients: its rows are counted, not parsed */
  int64_t timeout_ms;
  size_t answer_max_bytes;
  enum nm_optimove_urgency urgency;
  int refusals_for_pace;  /* 429s so far */
  bool is_impatient;      /* a person waits: a 429 is told, not waited out */
  nm_optimove_done *done;
  void *data;
};

/* Gives a call with its URL made of the account's base and `path`; NULL when out of memory. */
struct nm_optimove_call *nm_optimove_call_create(struct nm_optimove_account *account,
                                                 const char *function, const char *method,
                                                 struct nm_text path, nm_optimove_done *done,
                                                 void *data);

/* GET of a function that answers with a list, for a person who waits. */
NM_MUST_CHECK int nm_optimove_ask(struct nm_optimove_account *account, const char *function,
                                  struct nm_text path, nm_optimove_done *done, void *data);

/* GET of a function that answers with a list, by ourselves. */
NM_MUST_CHECK int nm_optimove_list(struct nm_optimove_account *account, const char *function,
                                   struct nm_text path, nm_optimove_done *done, void *data);

/* POST of a JSON body, by ourselves; takes body. */
NM_MUST_CHECK int nm_optimove_post(struct nm_optimove_account *account, const char *function,
                                   struct nm_text path, json_t *body, nm_optimove_done *done,
                                   void *data);

/* Queues a call; takes it. */
void nm_optimove_submit(struct nm_optimove_call *call);
void nm_optimove_call_destroy(struct nm_optimove_call *call);

/* Turns what the client says into what it means for this call; *parsed is the tree that
 * answer->body borrows from, to be freed by the caller.  reason must hold 256 bytes. */
void nm_optimove_classify(const struct nm_optimove_call *call, const struct nm_client_answer *from,
                          struct nm_optimove_answer *out, json_t **parsed, char *reason);

/* How many rows a page of recipients has; NM_EINVAL where it is no JSON array. */
NM_MUST_CHECK int nm_optimove_count_rows(struct nm_text body, int64_t *out);

/* A key of an object in any letter case; NULL when missing. */
const json_t *nm_optimove_get(const json_t *object, const char *key);

/* An id that may be a number or text, as a number; false when it is neither. */
bool nm_optimove_number(const json_t *value, int64_t *out);

/* An id that may be a number or text, as text in the arena; empty when it is neither. */
struct nm_text nm_optimove_id_text(const json_t *value, struct nm_arena *arena);
