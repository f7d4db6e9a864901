/* links: adapters */
/* fuzz_netmera.c - libFuzzer on what Netmera's answers are taken for: whatever a peer says, the
 * outcome is one that the engine knows, and splitting ends.
 *
 * Six bytes of numbers (how it ended, status twice, messages, objects, wait), a recipient up to the
 * first newline, then the body.
 */
#include <stdlib.h>

#include "adapters/internal.h"

enum { NUMBERS = 6, BYTES_MAX = 8192, DAY_MS = 24 * 3600 * 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct nm_netmera_verdict *verdict, const struct nm_client_answer *answer,
                  size_t included, size_t groups)
{
  const struct nm_outcome *outcome = &verdict->outcome;
  bool is_taken = answer->status / 100 == 2;
  nm_require(outcome->kind <= NM_OUTCOME_UNKNOWN && outcome->scope <= NM_SCOPE_ACCOUNT);
  nm_require(outcome->reason.len > 0 && outcome->reason.len < sizeof verdict->reason);
  nm_require(outcome->retry_after_ms >= -1 && outcome->retry_after_ms <= DAY_MS);
  nm_require(!verdict->must_split || included > 1 || groups > 1);
  nm_require((outcome->kind == NM_OUTCOME_ACCEPTED) == is_taken);
  if (is_taken) return;
  /* Whether it may go again without asking depends on how it ended, never on the body. */
  if (answer->end == NM_CLIENT_UNKNOWN) nm_require(outcome->kind == NM_OUTCOME_UNKNOWN);
  if (answer->end == NM_CLIENT_UNREACHABLE || answer->end == NM_CLIENT_REFUSED)
    nm_require(outcome->kind == NM_OUTCOME_RETRY && outcome->is_unreachable);
  if (answer->end != NM_CLIENT_ANSWERED) nm_require(!verdict->must_split);
  for (size_t i = 0; i < outcome->reason.len; i++) /* goes to logs and to the queue's page */
    nm_require((unsigned char)outcome->reason.ptr[i] >= 0x20 && outcome->reason.ptr[i] != '@');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len < NUMBERS || len > BYTES_MAX) return 0;
  struct nm_text all = { (const char *)data + NUMBERS, len - NUMBERS }, recipient, body;
  nm_text_cut(all, '\n', &recipient, &body);
  size_t included = 1 + data[3] % 4, groups = 1 + data[4] % included;
  struct nm_client_answer answer = { .end = (enum nm_client_end)(data[0] % 4),
                                     .body = body,
                                     .retry_after_ms = data[5] == 0 ? -1 : data[5] * 1000,
                                     .reason = "lost" };
  if (answer.end == NM_CLIENT_ANSWERED || answer.end == NM_CLIENT_UNKNOWN)
    answer.status = 200 + (data[1] % 4) * 100 + data[2] % 100;
  if (answer.end == NM_CLIENT_ANSWERED) answer.reason = "";
  if (answer.end == NM_CLIENT_UNKNOWN && data[1] == 0xff) answer.status = 0;

  struct nm_netmera_verdict *verdict = malloc(sizeof *verdict);
  nm_require(verdict != NULL);
  nm_netmera_judge(verdict, &answer, included, groups);
  check(verdict, &answer, included, groups);
  bool is_named = nm_netmera_names(verdict->error, recipient);
  nm_require(!is_named || (recipient.len > 0 && recipient.len <= verdict->error.len));
  json_decref(verdict->json);
  free(verdict);
  return 0;
}
