/* probe.c - connector test: asks functions that only read, one after the other, and says in plain
 * words what is wrong and what to do about it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/guard.h"
#include "optimove/internal.h"

enum { ARENA_MAX_BYTES = 8 * 1024 * 1024, TEXT_MAX_BYTES = 640, OWN_URL_TIMEOUT_MS = 5 * 1000 };

enum check {
  CHECK_KEY = 0,
  CHECK_CHANNELS = 1,
  CHECK_ATTRIBUTES = 2,
  CHECK_TEMPLATES = 3,
  CHECK_CAMPAIGNS = 4,
  CHECK_OWN_URL = 5,
  CHECKS = 6,
};

static const struct {
  const char *name, *function;
  const char *needed_for; /* what does not work where this key may not call it */
} checks[CHECKS] = {
  { "key", "GetRegisteredEventListeners",
    "listeners are then kept by our own journal alone, and drift is not seen" },
  { "channels", "GetExecutionChannels", "the channels' ids cannot be checked" },
  { "attributes", "GetCustomerAttributeList",
    "the names in params cannot be checked, and UpdateCustomerAttributes may be refused likewise" },
  { "templates", "GetChannelTemplates", "templates are then kept by our own journal alone" },
  { "campaigns", "GetExecutedCampaignsByChannel",
    "campaigns whose notice never came cannot be found" },
  { "public url", "", "" },
};

struct probing {
  struct nm_probe what;
  struct nm_arena *arena;
  json_t *answer, *list, *reasons;
  enum check at;
  bool is_wrong;
  bool is_key_refused;
};

static void next(struct probing *probing);

/* ---- what is said ---------------------------------------------------------------------------- */

NM_PRINTF(3, 4)
static void say(struct probing *probing, const char *result, const char *format, ...)
{
  char text[TEXT_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (strcmp(result, "wrong") == 0) probing->is_wrong = true;
  json_array_append_new(probing->list, json_pack("{s:s,s:s,s:s}", "what",
                                                 checks[probing->at].name, "result", result,
                                                 "text", text));
}

/* The same, and that it should not be saved so. */
static void object(struct probing *probing)
{
  json_t *last = json_array_get(probing->list, json_array_size(probing->list) - 1);
  json_t *text = json_object_get(last, "text");
  if (text) json_array_append(probing->reasons, text);
}

/* Host and port of a URL. */
static struct nm_text host_of(struct nm_text url)
{
  struct nm_text scheme, rest, host, path;
  if (!nm_text_cut(url, ':', &scheme, &rest)) return url;
  while (rest.len > 0 && rest.ptr[0] == '/') {
    rest.ptr++;
    rest.len--;
  }
  nm_text_cut(rest, '/', &host, &path);
  return host;
}

static bool mentions(const char *reason, const char *word)
{
  return strstr(reason, word) != NULL;
}

/* Nothing came back: why, and what to do. */
static void say_unreached(struct probing *probing, const char *result, struct nm_text url,
                          const char *key, enum nm_optimove_end end, const char *reason)
{
  struct nm_text host = host_of(url);
  if (end == NM_OPTIMOVE_REFUSED)
    say(probing, result,
        "%.*s may not be called from here: %s; outbound.allow in the settings names "
        "private ranges that may",
        NM_TEXT_ARG(host), reason);
  else if (mentions(reason, "cannot be resolved"))
    say(probing, result, "the name %.*s is not found: is %s right, and does DNS work on this "
                         "machine?", NM_TEXT_ARG(host), key);
  else if (mentions(reason, "connection refused"))
    say(probing, result, "nothing answers at %.*s (connection refused): is %s right, port and all?",
        NM_TEXT_ARG(host), key);
  else if (mentions(reason, "certificate") || mentions(reason, "SSL"))
    say(probing, result, "the certificate of %.*s is not accepted: %s", NM_TEXT_ARG(host), reason);
  else
    say(probing, result, "%.*s does not answer: %s", NM_TEXT_ARG(host), reason);
}

static bool is_by_admin_key(const struct probing *probing)
{
  return probing->at == CHECK_CHANNELS || probing->at == CHECK_ATTRIBUTES;
}

/* The setting that holds the key of the call at hand. */
static const char *key_name(const struct probing *probing)
{
  return is_by_admin_key(probing) ? nm_optimove_admin_key_name(probing->what.tenant)
                                  : "optimove.apiKey";
}

static void say_refused(struct probing *probing, const struct nm_optimove_answer *answer)
{
  bool has_second = is_by_admin_key(probing) &&
                    probing->what.tenant->connector.admin_api_key.len > 0;
  const char *function = checks[probing->at].function;
  const char *needed_for = checks[probing->at].needed_for;
  bool is_key = probing->at == CHECK_KEY;
  if (answer->status == 401 && is_key) {
    probing->is_key_refused = true;
    say(probing, "wrong",
        "Optimove refuses this key (401): it is mistyped, disabled, or of another "
        "account than baseUrl; nothing works without it");
  } else if (answer->status == 401 && has_second) {
    say(probing, "wrong", "Optimove refuses the key in %s (401): it is mistyped, disabled, or of "
                          "another account than baseUrl; %s", key_name(probing), needed_for);
  } else if (answer->end == NM_OPTIMOVE_DENIED) {
    say(probing, "warning", "this kind of key (%s) may not call %s (%d): %s%s", key_name(probing),
        function, answer->status, needed_for,
        is_by_admin_key(probing) && !has_second
            ? "; a second key that may can be given as optimove.adminApiKey" : "");
  } else if (answer->status == 429) {
    say(probing, is_key ? "wrong" : "warning",
        "Optimove says that this key has made too many calls "
        "(429): somebody else uses it too, or wait a minute and ask again");
  } else if (answer->status == 404 || answer->status == 405) {
    say(probing, is_key ? "wrong" : "warning", "there is no %s at baseUrl (%d): is it Optimove's "
        "address? %s", function, answer->status, needed_for);
  } else if (answer->status >= 500) {
    say(probing, is_key ? "wrong" : "warning", "Optimove has trouble of its own: %s",
        answer->reason);
  } else if (answer->status == 0) {
    say_unreached(probing, "wrong", probing->what.tenant->connector.base_url, "baseUrl",
                  answer->end, answer->reason);
    if (answer->end == NM_OPTIMOVE_REFUSED) object(probing);
  } else {
    say(probing, is_key ? "wrong" : "warning", "%s is answered with something else than a list: %s",
        function, answer->reason);
  }
}

/* ---- what answers tell ----------------------------------------------------------------------- */

static bool lists_channel(const json_t *rows, int64_t id)
{
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row)
  {
    const json_t *value = nm_optimove_get(row, "ChannelID");
    int64_t found = 0;
    if (json_is_integer(value)) found = json_integer_value(value);
    else if (json_is_string(value) &&
             !nm_text_to_i64(nm_text_from(json_string_value(value)), &found))
      continue;
    if (found == id) return true;
  }
  return false;
}

/* "459 (Push), 481 (SMS)": what Optimove lists, as far as there is room. */
static void name_channels(char *out, size_t size, const json_t *rows)
{
  size_t i, at = 0;
  json_t *row;
  out[0] = '\0';
  json_array_foreach(rows, i, row)
  {
    const json_t *id = nm_optimove_get(row, "ChannelID"),
                 *name = nm_optimove_get(row, "ChannelName");
    int len = json_is_integer(id)
                  ? snprintf(out + at, size - at, "%s%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "",
                             json_integer_value(id))
                  : snprintf(out + at, size - at, "%s%s", i > 0 ? ", " : "",
                             json_is_string(id) ? json_string_value(id) : "?");
    if (len < 0 || (size_t)len >= size - at) break;
    at += (size_t)len;
    len =
        json_is_string(name) ? snprintf(out + at, size - at, " (%s)", json_string_value(name)) : 0;
    if (len < 0 || (size_t)len >= size - at) break;
    at += (size_t)len;
  }
  out[at] = '\0';
}

static void judge_channels(struct probing *probing, const json_t *rows)
{
  const struct nm_tenant_connector *connector = &probing->what.tenant->connector;
  char known[TEXT_MAX_BYTES / 2];
  size_t unknown = 0;
  name_channels(known, sizeof known, rows);
  for (size_t i = 0; i < connector->channel_count; i++) {
    if (lists_channel(rows, connector->channels[i].id)) continue;
    unknown++;
    say(probing, "warning",
        "Optimove does not know channel %" PRId64 " (%.*s): ids are assigned by "
        "Optimove, look them up there; it knows %s",
        connector->channels[i].id, NM_TEXT_ARG(connector->channels[i].name),
        known[0] ? known : "none");
    object(probing);
  }
  if (unknown == 0)
    say(probing, "fine", "Optimove knows all %zu channels (asked with %s)",
        connector->channel_count, key_name(probing));
}

static bool lists_field(const json_t *rows, struct nm_text field)
{
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row)
    if (nm_text_equal_nocase(
            nm_text_from(json_string_value(nm_optimove_get(row, "RealFieldName"))), field))
      return true;
  return false;
}

static void judge_attributes(struct probing *probing, const json_t *rows)
{
  const struct nm_tenant_connector *connector = &probing->what.tenant->connector;
  size_t unknown = 0;
  for (size_t i = 0; i < connector->param_count; i++) {
    if (lists_field(rows, connector->params[i].real_field_name)) continue;
    unknown++;
    say(probing, "warning", "Optimove has no attribute %.*s (params): recipients will come without "
        "it, or not at all", NM_TEXT_ARG(connector->params[i].real_field_name));
  }
  if (unknown == 0) say(probing, "fine", "Optimove has all %zu attributes", connector->param_count);
}

static void judge(struct probing *probing, const json_t *rows)
{
  switch (probing->at) {
  case CHECK_KEY:
    say(probing, "fine", "%.*s takes the key and lists %zu listeners",
        NM_TEXT_ARG(host_of(probing->what.tenant->connector.base_url)), json_array_size(rows));
    break;
  case CHECK_CHANNELS: judge_channels(probing, rows); break;
  case CHECK_ATTRIBUTES: judge_attributes(probing, rows); break;
  default: say(probing, "fine", "%s may be called", checks[probing->at].function);
  }
}

static void on_asked(void *data, const struct nm_optimove_answer *answer)
{
  struct probing *probing = data;
  if (answer->end == NM_OPTIMOVE_OK) judge(probing, answer->body);
  else say_refused(probing, answer);
  /* without the key, or without an answer, the others would only say the same again */
  bool is_over = answer->status == 0 || probing->is_key_refused || answer->status == 429;
  probing->at = is_over ? CHECK_OWN_URL : probing->at + 1;
  next(probing);
}

/* ---- our own URL ----------------------------------------------------------------------------- */

static void finish(struct probing *probing)
{
  json_t *answer = probing->answer;
  json_object_set_new(answer, "ok", json_boolean(!probing->is_wrong));
  probing->what.done(probing->what.data, probing->is_key_refused ? NM_EDENIED : NM_OK, answer);
  nm_tenant_unref(probing->what.tenant);
  nm_arena_destroy(probing->arena);
  free(probing);
}

static void on_own_url(void *data, const struct nm_client_answer *answer)
{
  struct probing *probing = data;
  struct nm_text url = probing->what.public_url;
  if (answer->end == NM_CLIENT_ANSWERED && answer->status == 200)
    say(probing, "fine",
        "our own URL answers from this machine; whether it does from outside, only "
        "a call from there can tell");
  else if (answer->end == NM_CLIENT_ANSWERED)
    say(probing, "warning",
        "something else than netmove answers at %.*s (%d): is public.url right?",
        NM_TEXT_ARG(host_of(url)), answer->status);
  else
    say_unreached(probing, "warning", url, "public.url",
                  answer->end == NM_CLIENT_REFUSED ? NM_OPTIMOVE_REFUSED : NM_OPTIMOVE_LATER,
                  answer->reason);
  finish(probing);
}

/* As far as a look at it can tell. */
static void judge_own_url(struct probing *probing)
{
  struct nm_text url = probing->what.public_url;
  struct nm_text host = host_of(url);
  struct nm_error error;
  if (nm_text_starts_with(host, NM_TEXT("localhost")) ||
      nm_guard_check_url(&nm_guard_public, url, &error))
    say(probing, "warning", "Optimove calls us at %.*s, which is no address of the internet: set "
                            "public.url to one that is", NM_TEXT_ARG(url));
  if (!nm_text_starts_with(url, NM_TEXT("https://")))
    say(probing, "warning", "Optimove calls us without encryption (%.*s): the URL's secret and "
                            "customers' ids can be read on the way", NM_TEXT_ARG(url));
}

static void call_own_url(struct probing *probing)
{
  struct nm_error error;
  struct nm_text base = probing->what.public_url;
  while (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
  struct nm_text url = nm_arena_printf(probing->arena, "%.*s/healthz", NM_TEXT_ARG(base));
  struct nm_client_call call = { .method = "GET", .url = url, .timeout_ms = OWN_URL_TIMEOUT_MS,
                                 .response_max_bytes = 64 * 1024, .done = on_own_url,
                                 .data = probing };
  judge_own_url(probing);
  if (url.ptr && nm_client_start(probing->what.client, &call, &error) == NM_OK) return;
  finish(probing);
}

/* ---- one after the other --------------------------------------------------------------------- */

static struct nm_text path_of(struct probing *probing)
{
  const struct nm_tenant_connector *connector = &probing->what.tenant->connector;
  int64_t channel = connector->channel_count > 0 ? connector->channels[0].id : 0;
  struct nm_local today;
  switch (probing->at) {
  case CHECK_KEY: return NM_TEXT("/General/GetRegisteredEventListeners");
  case CHECK_CHANNELS: return NM_TEXT("/Actions/GetExecutionChannels");
  case CHECK_ATTRIBUTES: return NM_TEXT("/Model/GetCustomerAttributeList");
  case CHECK_TEMPLATES:
    return nm_arena_printf(probing->arena, "/Integrations/GetChannelTemplates?ChannelID=%" PRId64,
                           channel);
  default:
    nm_zone_local(connector->zone, nm_clock_wall_ms(), &today);
    return nm_arena_printf(probing->arena,
                           "/Actions/GetExecutedCampaignsByChannel?ChannelID=%" PRId64
                           "&Date=%04d-%02d-%02d", channel, today.year, today.month, today.day);
  }
}

static void next(struct probing *probing)
{
  const struct nm_tenant_connector *connector = &probing->what.tenant->connector;
  bool has_channels = connector->channel_count > 0;
  if (probing->what.for_save &&
      (probing->at > CHECK_CHANNELS || (probing->at == CHECK_CHANNELS && !has_channels))) {
    finish(probing);
    return;
  }
  if (probing->at == CHECK_ATTRIBUTES && connector->param_count == 0) probing->at++;
  if (probing->at > CHECK_ATTRIBUTES && connector->channel_count == 0) probing->at = CHECK_OWN_URL;
  if (probing->at == CHECK_OWN_URL) {
    call_own_url(probing);
    return;
  }
  struct nm_text path = path_of(probing);
  struct nm_optimove_account *account = is_by_admin_key(probing) ? probing->what.admin_account
                                                                 : probing->what.account;
  if (path.ptr && !nm_optimove_ask(account, checks[probing->at].function, path,
                                   on_asked, probing))
    return;
  say(probing, "wrong", "out of memory");
  finish(probing);
}

int nm_optimove_probe(const struct nm_probe *what)
{
  struct probing *probing = calloc(1, sizeof *probing);
  if (!probing) return NM_ENOMEM;
  probing->what = *what;
  probing->arena = nm_arena_create(ARENA_MAX_BYTES);
  probing->list = json_array();
  probing->reasons = json_array();
  probing->answer = json_pack("{s:o,s:o}", "checks", probing->list, "reasons", probing->reasons);
  if (!probing->arena || !probing->answer) {
    nm_arena_destroy(probing->arena);
    json_decref(probing->answer);
    free(probing);
    return NM_ENOMEM;
  }
  probing->what.public_url = nm_arena_copy(probing->arena, what->public_url);
  nm_tenant_ref(probing->what.tenant);
  next(probing);
  return NM_OK;
}
