/* internal.h - what the files of this room share. */
#pragma once

#include "adapters/adapter.h"
#include "base/buffer.h"

/* adapters.c */

/* NM_EINVAL naming the first key that is neither one of `own` nor common to all providers, with the
 * nearest known word. */
NM_MUST_CHECK int nm_adapter_check_keys(const json_t *settings, const char *const *own,
                                        size_t count, struct nm_error *err);

/* NM_EINVAL where text is no http or https address to which a path can be appended. */
NM_MUST_CHECK int nm_adapter_check_url(const char *key, struct nm_text text, struct nm_error *err);

/* Whom to deliver to. */
struct nm_text nm_adapter_recipient(const struct nm_message *message);

/* netmera_body.c */

enum { NM_NETMERA_BATCH_MAX = 1000, NM_NETMERA_BODY_MAX_BYTES = 8 * 1024 * 1024 };

/* What one request holds. */
struct nm_netmera_body {
  struct nm_buffer json;
  size_t included;    /* messages in it */
  size_t groups;      /* objects in it */
  const char **unfit; /* why a message is not in it; NULL = it is; places by who makes this */
};

/* Why this message cannot go at all, or NULL. */
const char *nm_netmera_unfit(const struct nm_message *message);

/* Writes the body of sendNotification for at most NM_NETMERA_BATCH_MAX messages into an initialised
 * buffer: one object for all messages with the same notificationKey, params and ttl, an array where
 * there are several.  Nobody is twice in one object.  NM_ELIMIT above the buffer's maximum,
 * NM_ENOMEM. */
NM_MUST_CHECK int nm_netmera_write(struct nm_netmera_body *body,
                                   const struct nm_message *const *messages, size_t count,
                                   int64_t now_ms);

/* netmera_results.c */

int nm_netmera_results(const struct nm_adapter_env *env, const json_t *settings,
                       const struct nm_results *what);

/* netmera_test.c */

int nm_netmera_test(const struct nm_adapter_env *env, const json_t *settings,
                    const struct nm_provider_test *what);

/* netmera_answer.c */

/* What an answer means for the messages of its request. */
struct nm_netmera_verdict {
  struct nm_outcome outcome; /* reason points into `reason` */
  bool is_persons_fault;     /* one recipient is wrong: the text may name whom */
  bool must_split;           /* refused for the sake of some message, and nothing was sent */
  struct nm_text error;      /* the provider's own text, for finding names; borrows from `json` */
  json_t *json;              /* gives; may be NULL */
  char reason[256];
};

void nm_netmera_judge(struct nm_netmera_verdict *out, const struct nm_client_answer *answer,
                      size_t included, size_t groups);

/* True where the provider's text names this recipient.  Blind to ids without a digit, which could
 * be words of the sentence: halving finds those. */
bool nm_netmera_names(struct nm_text error, struct nm_text recipient);
