/* netmera_test.c - whether Netmera takes our key: a profile that nobody has is read, nothing is
 * sent.
 *
 * getProfileAttributes refuses a wrong key (403/2010), an address that is not on the key's list
 * (403/2021) and a key without this right before it looks for the person. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"

enum { TIMEOUT_MS = 10 * 1000, TEXT_MAX_BYTES = 512 };

struct testing {
  struct nm_provider_test what;
  char *host;
  char *key_header;
};

NM_PRINTF(3, 4)
static void end(struct testing *testing, const char *result, const char *format, ...)
{
  struct nm_provider_test what = testing->what;
  char text[TEXT_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  explicit_bzero(testing->key_header, strlen(testing->key_header));
  free(testing->key_header);
  free(testing->host);
  free(testing);
  what.done(what.data, result, text);
}

static void say_unreached(struct testing *testing, const struct nm_client_answer *answer)
{
  const char *reason = answer->reason;
  if (answer->end == NM_CLIENT_REFUSED)
    end(testing, "wrong",
        "%s may not be called from here: %s; outbound.allow in the settings names private ranges "
        "that may", testing->host, reason);
  else if (strstr(reason, "cannot be resolved"))
    end(testing, "wrong",
        "the name of %s is not found: is baseUrl right, and does DNS work on this "
        "machine?",
        testing->host);
  else if (strstr(reason, "connection refused"))
    end(testing, "wrong", "nothing answers at %s (connection refused): is baseUrl right, port and "
                          "all?", testing->host);
  else if (strstr(reason, "certificate") || strstr(reason, "SSL"))
    end(testing, "wrong", "the certificate of %s is not accepted: %s", testing->host, reason);
  else
    end(testing, "wrong", "%s does not answer: %s", testing->host, reason);
}

static void on_answer(void *data, const struct nm_client_answer *answer)
{
  struct testing *testing = data;
  struct nm_netmera_verdict verdict;
  if (answer->end != NM_CLIENT_ANSWERED) {
    say_unreached(testing, answer);
    return;
  }
  nm_netmera_judge(&verdict, answer, 1, 1);
  json_decref(verdict.json);
  enum nm_outcome_kind kind = verdict.outcome.kind;
  if (answer->status == 200 || kind == NM_OUTCOME_DEAD_RECIPIENT)
    end(testing, "fine", "%s takes the key", testing->host);
  else if (answer->status == 401 || answer->status == 403)
    end(testing, "wrong",
        "%s refuses: %s; the key is made in its panel, Developers > API, where the "
        "addresses that may use it stand too",
        testing->host, verdict.reason);
  else if (answer->status == 404 || answer->status == 405)
    end(testing, "wrong", "there is no REST API of Netmera at %s (%d): is baseUrl right?",
        testing->host, answer->status);
  else if (answer->status == 400)
    end(testing, "fine", "%s takes the key (%s)", testing->host, verdict.reason);
  else
    end(testing, "warning", "%s has trouble of its own (%d): ask again later", testing->host,
        answer->status);
}

int nm_netmera_test(const struct nm_adapter_env *env, const json_t *settings,
                    const struct nm_provider_test *what)
{
  const char *key_of_url = json_object_get(settings, "url") ? "url" : "baseUrl";
  struct nm_text base = nm_json_string(settings, key_of_url);
  struct nm_text key = nm_json_string(settings, "apiKey");
  struct testing *testing = calloc(1, sizeof *testing);
  char *url = NULL;
  if (!testing) return NM_ENOMEM;
  while (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
  testing->what = *what;
  testing->host = strndup(base.ptr, base.len);
  if (asprintf(&testing->key_header, "X-netmera-api-key: %.*s", NM_TEXT_ARG(key)) < 0)
    testing->key_header = NULL;
  if (asprintf(&url, "%.*s/rest/3.0/getProfileAttributes?extId=netmove-provider-test",
               NM_TEXT_ARG(base)) < 0)
    url = NULL;
  int rc = testing->host && testing->key_header && url ? NM_OK : NM_ENOMEM;
  if (!rc) {
    const struct nm_text headers[] = { nm_text_from(testing->key_header),
                                       NM_TEXT("Accept: application/json") };
    const struct nm_client_call call = { .method = "GET", .url = nm_text_from(url),
                                         .headers = headers, .header_count = 2,
                                         .timeout_ms = TIMEOUT_MS, .done = on_answer,
                                         .data = testing };
    rc = nm_client_start(env->client, &call, NULL);
  }
  free(url);
  if (!rc) return NM_OK;
  free(testing->key_header);
  free(testing->host);
  free(testing);
  return rc;
}
