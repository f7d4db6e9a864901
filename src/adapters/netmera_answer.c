/* netmera_answer.c - what Netmera's answers mean.
 *
 * Codes as in Netmera's REST guide.  The same code is used for different things, so a row is found
 * by HTTP status and code together.  A 400 refuses the whole request: nothing of it was sent.
 */
#include <stdio.h>

#include "adapters/internal.h"

enum { RESTRICTED_WAIT_MS = 15 * 60 * 1000, MISPLACED_WAIT_MS = 60 * 1000 };
enum { QUOTE_MAX_BYTES = 120 };

/* Whose fault a refusal is, where a request holds many messages. */
enum fault {
  FAULT_NOBODYS = 0, /* it concerns the request or the account */
  FAULT_CONTENTS = 1, /* one object's key or params: with several objects it is not known whose */
  FAULT_PERSONS = 2, /* one recipient, or how many there are */
};

struct row {
  int status, code; /* code 0 = any other of this status */
  enum nm_outcome_kind kind;
  enum nm_outcome_scope scope;
  enum fault fault;
  int64_t retry_after_ms;
  const char *word;
};

static const struct row rows[] = {
  { 500, 2001, NM_OUTCOME_RETRY, 0, 0, -1, "internal error" },
  { 400, 2004, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1,
    "a field is missing or of the wrong kind" },
  { 400, 2009, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "invalid JSON" },
  { 403, 2010, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1, "the API key is invalid" },
  { 400, 2020, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "a required parameter is missing" },
  { 400, 2021, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "invalid configuration" },
  { 403, 2021, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1,
    "our IP address is not allowed for this API key" },
  { 403, 2022, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1, "the API key is not authorised for this" },
  { 403, 4000, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1, "the API key is not allowed to do this" },
  { 400, 2101, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the push message is too large" },
  { 400, 2102, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the list was not found" },
  { 400, 2103, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the message is not a draft" },
  { 500, 2104, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the app's settings were not found" },
  { 500, 2105, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the message is not an intelligent one" },
  { 400, 2106, NM_OUTCOME_RETRY, 0, 0, RESTRICTED_WAIT_MS,
    "the panel's time restriction forbids sending now" },
  { 400, 5003, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1,
    "no definition has this notificationKey" },
  { 400, 5016, NM_OUTCOME_DEAD_RECIPIENT, 0, FAULT_PERSONS, -1, "the external id was not found" },
  { 400, 5021, NM_OUTCOME_AUTH, NM_SCOPE_LANE, 0, -1, "the service is not allowed for this app" },
  { 400, 5022, NM_OUTCOME_THROTTLED, NM_SCOPE_ACCOUNT, 0, -1, "the service's quota is used up" },
  { 400, 5028, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the event was not found" },
  { 400, 5042, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1, "the segment was not found" },
  { 400, 6000, NM_OUTCOME_DEAD_RECIPIENT, 0, FAULT_PERSONS, -1, "the address is invalid" },
  { 500, 6001, NM_OUTCOME_RETRY, 0, 0, -1, "delivery error" },

  { 401, 0, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1, "the API key is refused" },
  { 403, 0, NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, 0, -1, "the API key is refused" },
  { 404, 0, NM_OUTCOME_RETRY, 0, 0, MISPLACED_WAIT_MS,
    "baseUrl does not lead to Netmera's REST API" },
  { 405, 0, NM_OUTCOME_RETRY, 0, 0, MISPLACED_WAIT_MS,
    "baseUrl does not lead to Netmera's REST API" },
  { 408, 0, NM_OUTCOME_RETRY, 0, 0, -1, "the request did not arrive in time" },
  { 413, 0, NM_OUTCOME_REFUSED, 0, FAULT_PERSONS, -1, "the request is too large" },
  { 429, 0, NM_OUTCOME_THROTTLED, NM_SCOPE_LANE, 0, -1, "too many requests" },
  /* A gateway that lost what stands behind it: the request may have arrived there. */
  { 502, 0, NM_OUTCOME_UNKNOWN, 0, 0, -1, "a gateway lost the answer" },
  { 504, 0, NM_OUTCOME_UNKNOWN, 0, 0, -1, "a gateway lost the answer" },
};

static struct row row_for(int status, int code)
{
  const struct row *by_status = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].status != status) continue;
    if (rows[i].code == code && code != 0) return rows[i];
    if (rows[i].code == 0) by_status = &rows[i];
  }
  if (by_status) return *by_status;
  if (status >= 500) return (struct row){ status, 0, NM_OUTCOME_RETRY, 0, 0, -1, "server error" };
  if (status >= 400)
    return (struct row){ status, 0, NM_OUTCOME_REFUSED, 0, FAULT_CONTENTS, -1,
                         "the request is refused" };
  return (struct row){ status, 0, NM_OUTCOME_RETRY, 0, 0, MISPLACED_WAIT_MS,
                       "baseUrl does not lead to Netmera's REST API" };
}

static bool contains(struct nm_text text, const char *word)
{
  return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

/* 2004 and 2020 say in words which field they mean. */
static bool is_about_people(struct nm_text error)
{
  return contains(error, "extId") || contains(error, "externalId") ||
         contains(error, "external id") || contains(error, "'target'");
}

static void judge_status(struct nm_netmera_verdict *out, const struct nm_client_answer *answer,
                         size_t included, size_t groups)
{
  int64_t code = 0;
  int rc = nm_json_parse_any(&out->json, answer->body, NULL);
  if (rc == NM_OK && json_is_object(out->json)) {
    out->error = nm_json_string(out->json, "error");
    if (!nm_json_i64(out->json, "code", &code) || code < 0 || code > 99999) code = 0;
  }
  struct row row = row_for(answer->status, (int)code);
  /* A 400 sent nothing, whyever: what it says is asked for once more. */
  if (rc == NM_ENOMEM && answer->status == 400)
    row = (struct row){ 400, 0, NM_OUTCOME_RETRY, 0, 0, -1, "and no memory to read why" };
  if (row.fault == FAULT_CONTENTS && (code == 2004 || code == 2020) && is_about_people(out->error))
    row.fault = FAULT_PERSONS;

  out->outcome.kind = row.kind;
  out->outcome.scope = row.scope;
  out->outcome.retry_after_ms =
      answer->retry_after_ms >= 0 ? answer->retry_after_ms : row.retry_after_ms;
  out->is_persons_fault = row.kind == NM_OUTCOME_DEAD_RECIPIENT;
  out->must_split =
      (row.fault == FAULT_PERSONS && included > 1) || (row.fault == FAULT_CONTENTS && groups > 1);
  if (code != 0)
    snprintf(out->reason, sizeof out->reason, "%d/%d %s", answer->status, (int)code, row.word);
  else
    snprintf(out->reason, sizeof out->reason, "%d %s", answer->status, row.word);
}

/* The provider's own words help with a refusal.  What stands behind a colon may be a value, and
 * what holds a digit or an @ may be somebody's id or address. */
static void quote_error(struct nm_netmera_verdict *out)
{
  struct nm_text quote, rest;
  size_t len = strlen(out->reason);
  nm_text_cut(out->error, ':', &quote, &rest);
  if (quote.len == 0 || quote.len > QUOTE_MAX_BYTES) return;
  for (size_t i = 0; i < quote.len; i++)
    if ((unsigned char)quote.ptr[i] < 0x20 || strchr("0123456789@\x7F", quote.ptr[i])) return;
  snprintf(out->reason + len, sizeof out->reason - len, " (%.*s)", NM_TEXT_ARG(quote));
}

void nm_netmera_judge(struct nm_netmera_verdict *out, const struct nm_client_answer *answer,
                      size_t included, size_t groups)
{
  *out = (struct nm_netmera_verdict){ .outcome = { .retry_after_ms = -1, .code = answer->status } };
  if (answer->status / 100 == 2) { /* also where its body, of any shape, was lost */
    out->outcome.kind = NM_OUTCOME_ACCEPTED;
    snprintf(out->reason, sizeof out->reason, "%d accepted", answer->status);
  } else if (answer->end == NM_CLIENT_ANSWERED) {
    judge_status(out, answer, included, groups);
    if (out->outcome.kind == NM_OUTCOME_REFUSED) quote_error(out);
  } else if (answer->end == NM_CLIENT_UNKNOWN) {
    out->outcome.kind = NM_OUTCOME_UNKNOWN;
    snprintf(out->reason, sizeof out->reason, "%s", answer->reason);
  } else { /* unreachable, or an address that may not be called: nothing was sent */
    out->outcome.kind = NM_OUTCOME_RETRY;
    out->outcome.is_unreachable = true;
    snprintf(out->reason, sizeof out->reason, "%s", answer->reason);
  }
  out->outcome.reason = nm_text_from(out->reason);
}

static bool is_id_char(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (unsigned char)c >= 0x80 || c == '_' || c == '-' || c == '@';
}

/* Stands it alone there, and is no part of a longer id?  A full stop ends a sentence or joins an
 * id. */
static bool is_alone(struct nm_text text, size_t at, size_t len)
{
  const char *before = text.ptr + at, *behind = text.ptr + at + len, *end = text.ptr + text.len;
  if (at > 0 && (is_id_char(before[-1]) || (before[-1] == '.' && at > 1 && is_id_char(before[-2]))))
    return false;
  if (behind == end) return true;
  if (is_id_char(*behind)) return false;
  return *behind != '.' || behind + 1 == end || !is_id_char(behind[1]);
}

bool nm_netmera_names(struct nm_text error, struct nm_text recipient)
{
  bool has_digit = false;
  for (size_t i = 0; i < recipient.len; i++)
    if (recipient.ptr[i] >= '0' && recipient.ptr[i] <= '9') has_digit = true;
  if (!has_digit) return false;

  for (size_t from = 0; from + recipient.len <= error.len;) {
    const char *found = memmem(error.ptr + from, error.len - from, recipient.ptr, recipient.len);
    if (!found) return false;
    size_t at = (size_t)(found - error.ptr);
    if (is_alone(error, at, recipient.len)) return true;
    from = at + 1;
  }
  return false;
}
