/* netmera_results.c - what Netmera itself says of what was sent by one definition.
 *
 * sendNotification answers `{}`: delivery truth comes only from getPushResult (each device, by
 * pages, the last two weeks) and getPushStats (totals).  Both are asked by notificationKey, and
 * tell no campaign: what lies between two instants is counted, and it is the caller's to judge
 * whether somebody else used the key meanwhile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"

enum {
  PAGE = 1000,
  PAGES_MAX = 100000,
  URL_MAX_BYTES = 4096,
  TIMEOUT_MS = 60 * 1000,
  ANSWER_MAX_BYTES = 8 * 1024 * 1024,
};

/* One question under way. */
struct asking {
  struct nm_results what;
  struct nm_client *client;
  char *base, *key_header, *key; /* escaped */
  struct nm_result_counts counts;
  int pages;
  bool is_stats;
};

static void end(struct asking *asking, int rc, const char *reason)
{
  struct nm_results what = asking->what;
  struct nm_result_counts counts = asking->counts;
  free(asking->base);
  if (asking->key_header) explicit_bzero(asking->key_header, strlen(asking->key_header));
  free(asking->key_header);
  free(asking->key);
  free(asking);
  what.done(what.data, rc, &counts, reason);
}

static int ask(struct asking *asking, const char *next_page);

static bool is_within(const struct asking *asking, const json_t *time)
{
  int64_t at = json_is_integer(time) ? (int64_t)json_integer_value(time) : -1;
  return at >= asking->what.from_ms && at <= asking->what.to_ms;
}

static void count_items(struct asking *asking, const json_t *items)
{
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item) {
    if (!is_within(asking, json_object_get(item, "timeStamp"))) continue;
    if (nm_text_equal(nm_json_string(item, "status"), NM_TEXT("SUCCESS")))
      asking->counts.delivered++;
    else asking->counts.failed++;
  }
}

/* Totals of the definition: of use only where all of it lies in our time. */
static void read_stats(struct asking *asking, const json_t *body)
{
  const json_t *first = json_object_get(body, "startDate"),
               *last = json_object_get(body, "endDate");
  size_t i;
  json_t *platform;
  if (!is_within(asking, first) || !is_within(asking, last)) return;
  asking->counts.knows_clicks = true;
  json_array_foreach(json_object_get(body, "stats"), i, platform)
    asking->counts.clicked += (int64_t)json_integer_value(json_object_get(platform, "clicked"));
}

/* Text or a number; NULL = that was the last page. */
static bool next_page_of(const json_t *body, char out[64])
{
  const json_t *next = json_object_get(body, "nextPage");
  if (json_is_integer(next)) snprintf(out, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(next));
  else if (json_is_string(next) && json_string_length(next) > 0 && json_string_length(next) < 64)
    snprintf(out, 64, "%s", json_string_value(next));
  else return false;
  for (const char *at = out; *at; at++)
    if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", *at))
      return false;
  return true;
}

static void on_body(struct asking *asking, const json_t *body)
{
  char next[64];
  if (asking->is_stats) {
    read_stats(asking, body);
    end(asking, NM_OK, "");
    return;
  }
  count_items(asking, json_object_get(body, "items"));
  bool is_more = next_page_of(body, next);
  if (is_more && asking->counts.delivered + asking->counts.failed <= asking->what.most &&
      ++asking->pages < PAGES_MAX) {
    if (ask(asking, next)) end(asking, NM_EIO, "the next page could not be asked for");
    return;
  }
  asking->is_stats = true;
  if (ask(asking, NULL)) end(asking, NM_EIO, "the totals could not be asked for");
}

static void on_answer(void *data, const struct nm_client_answer *answer)
{
  struct asking *asking = data;
  json_t *body = NULL;
  char reason[128];
  if (answer->end == NM_CLIENT_ANSWERED && answer->status == 200 &&
      nm_json_parse_any(&body, answer->body, NULL) == NM_OK && json_is_object(body)) {
    on_body(asking, body);
    json_decref(body);
    return;
  }
  if (body) json_decref(body);
  snprintf(reason, sizeof reason, "%s: %s%d", asking->is_stats ? "getPushStats" : "getPushResult",
           answer->end == NM_CLIENT_ANSWERED ? "" : "no answer, ", answer->status);
  end(asking, answer->status >= 400 && answer->status < 500 ? NM_EDENIED : NM_EIO, reason);
}

static int ask(struct asking *asking, const char *next_page)
{
  char url[URL_MAX_BYTES];
  const struct nm_text headers[] = { nm_text_from(asking->key_header),
                                     NM_TEXT("Accept: application/json") };
  int len = snprintf(url, sizeof url, "%s/rest/3.0/%s?notificationKey=%s", asking->base,
                     asking->is_stats ? "getPushStats" : "getPushResult", asking->key);
  if (len > 0 && (size_t)len < sizeof url && !asking->is_stats)
    len += snprintf(url + len, sizeof url - (size_t)len,
                    "&start=%" PRId64 "&end=%" PRId64 "&max=%d%s%s", asking->what.from_ms,
                    asking->what.to_ms, PAGE, next_page ? "&nextPage=" : "",
                    next_page ? next_page : "");
  if (len <= 0 || (size_t)len >= sizeof url) return NM_ELIMIT;
  struct nm_client_call call = {
    .method = "GET", .url = { url, (size_t)len }, .headers = headers,
    .header_count = sizeof headers / sizeof *headers, .timeout_ms = TIMEOUT_MS,
    .response_max_bytes = ANSWER_MAX_BYTES, .done = on_answer, .data = asking,
  };
  return nm_client_start(asking->client, &call, NULL);
}

/* Percent-encoded; owned by the caller. */
static char *escape(struct nm_text text)
{
  char *out = malloc(nm_text_put_escaped(NULL, text) + 1);
  if (out) out[nm_text_put_escaped(out, text)] = '\0';
  return out;
}

int nm_netmera_results(const struct nm_adapter_env *env, const json_t *settings,
                       const struct nm_results *what)
{
  const char *url = json_object_get(settings, "url") ? "url" : "baseUrl";
  struct nm_text base = nm_json_string(settings, url), key = nm_json_string(settings, "apiKey");
  struct asking *asking = calloc(1, sizeof *asking);
  if (!asking) return NM_ENOMEM;
  while (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
  asking->what = *what;
  asking->what.report_key = NM_TEXT("");
  asking->client = env->client;
  asking->key = escape(what->report_key);
  asking->base = strndup(base.ptr, base.len);
  if (asprintf(&asking->key_header, "X-netmera-api-key: %.*s", NM_TEXT_ARG(key)) < 0)
    asking->key_header = NULL;
  int rc = asking->key && asking->base && asking->key_header ? ask(asking, NULL) : NM_ENOMEM;
  if (!rc) return NM_OK;
  free(asking->base);
  free(asking->key_header);
  free(asking->key);
  free(asking);
  return rc;
}
