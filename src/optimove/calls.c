/* calls.c - each of Optimove's functions that we call: its path, body and what its answers mean. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "optimove/internal.h"

enum {
  PATH_MAX_BYTES = 8 * 1024,
  PATH_OF_CHANNEL_MAX_BYTES = 96,
  BODY_MAX_BYTES = 256 * 1024 * 1024, /* of as many customers as the store gives at once */
  PAGE_MAX_BYTES = 64 * 1024 * 1024,
  LIST_MAX_BYTES = 4 * 1024 * 1024,
  SAID_MAX_BYTES = 121, /* of what was answered, in a reason */
  PAGE_TIMEOUT_MS = 300 * 1000, /* clients in the field wait 300 s and more for large pages (1.5) */
};

/* ---- answers --------------------------------------------------------------------------------- */

/* What Optimove wrote, cut to a line: its errors are plain text or quoted strings (1.4), and what
 * comes in its name may be anything.  A reason goes into reports, which are UTF-8. */
static void describe(const struct nm_optimove_call *call, const struct nm_client_answer *from,
                     char *reason)
{
  size_t max = NM_ERROR_TEXT_MAX_BYTES, said_max = max;
  struct nm_text said = nm_text_from(from->reason ? from->reason : "no answer");
  int len = snprintf(reason, max, "%s: ", call->function);
  if (from->end == NM_CLIENT_ANSWERED) {
    len = snprintf(reason, max, "%s: %d ", call->function, from->status);
    said = from->body;
    said_max = (size_t)len + SAID_MAX_BYTES;
  }
  nm_text_put_line(reason + len, (said_max < max ? said_max : max) - (size_t)len, said);
}

static enum nm_optimove_end end_of_status(int status)
{
  if (status >= 200 && status < 300) return NM_OPTIMOVE_OK;
  if (status == 401 || status == 403) return NM_OPTIMOVE_DENIED;
  if (status == 429 || status == 408 || status >= 500) return NM_OPTIMOVE_LATER;
  return NM_OPTIMOVE_REFUSED;
}

static bool says_it_is_fine(const json_t *body)
{
  const char *word = json_string_value(body);
  return nm_text_equal_nocase(nm_text_from(word), NM_TEXT("ok")) ||
         nm_text_equal_nocase(nm_text_from(word), NM_TEXT("success"));
}

/* A 200 can still be an error: a quoted string, or no list where one belongs (1.4). */
static enum nm_optimove_end end_of_body(const struct nm_optimove_call *call, struct nm_text raw,
                                        const json_t *body)
{
  bool is_blank = nm_text_trim(raw).len == 0;
  if (call->expects_list)
    return is_blank || json_is_null(body) || json_is_array(body) ? NM_OPTIMOVE_OK
                                                                 : NM_OPTIMOVE_REFUSED;
  if (json_is_string(body) && !says_it_is_fine(body)) return NM_OPTIMOVE_REFUSED;
  return is_blank || body ? NM_OPTIMOVE_OK : NM_OPTIMOVE_UNKNOWN;
}

void nm_optimove_classify(const struct nm_optimove_call *call, const struct nm_client_answer *from,
                          struct nm_optimove_answer *out, json_t **parsed, char *reason)
{
  bool is_get = strcmp(call->method, "GET") == 0;

  describe(call, from, reason);
  *out = (struct nm_optimove_answer){ .status = from->status, .raw = from->body,
                                      .retry_after_ms = from->retry_after_ms, .reason = reason };
  if (from->end == NM_CLIENT_REFUSED) {
    out->end = NM_OPTIMOVE_REFUSED;
  } else if (from->end == NM_CLIENT_UNREACHABLE) {
    out->end = NM_OPTIMOVE_LATER;
  } else if (from->end == NM_CLIENT_UNKNOWN) {
    out->end = is_get ? NM_OPTIMOVE_LATER : NM_OPTIMOVE_UNKNOWN;
  } else {
    out->end = end_of_status(from->status);
    bool is_counted = call->is_page && nm_optimove_count_rows(from->body, &out->rows) == NM_OK;
    if (out->end == NM_OPTIMOVE_OK && !is_counted) {
      int rc = nm_json_parse_any(parsed, from->body, NULL);
      if (rc) *parsed = NULL;
      out->end = end_of_body(call, from->body, *parsed);
      if (rc == NM_ENOMEM && is_get) out->end = NM_OPTIMOVE_LATER; /* it may be a good list */
      /* Never the list's end by mistake. */
      if (call->is_page && json_is_array(*parsed)) out->end = NM_OPTIMOVE_REFUSED;
      if (json_is_array(*parsed) || json_is_object(*parsed)) out->body = *parsed;
    }
  }
}

const json_t *nm_optimove_get(const json_t *object, const char *key)
{
  const json_t *exact = json_object_get(object, key);
  if (exact) return exact;
  struct nm_text wanted = nm_text_from(key);
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, name, value)
    if (nm_text_equal_nocase(nm_text_from(name), wanted)) return value;
  return NULL;
}

bool nm_optimove_number(const json_t *value, int64_t *out)
{
  if (json_is_integer(value)) *out = json_integer_value(value);
  return json_is_integer(value) ||
         (json_is_string(value) && nm_text_to_i64(nm_text_from(json_string_value(value)), out));
}

struct nm_text nm_optimove_id_text(const json_t *value, struct nm_arena *arena)
{
  if (json_is_string(value))
    return (struct nm_text){ json_string_value(value), json_string_length(value) };
  if (json_is_integer(value))
    return nm_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
  return (struct nm_text){ NULL, 0 };
}

/* ---- making calls ---------------------------------------------------------------------------- */

/* Submits a call (NULL: out of memory) with a JSON body; takes both. */
static int submit_json(struct nm_optimove_call *call, json_t *body)
{
  struct nm_buffer text;
  nm_buffer_init(&text, BODY_MAX_BYTES);
  int rc = !call || !body ? NM_ENOMEM : nm_json_write(&text, body);
  json_decref(body);
  if (rc) {
    nm_buffer_deinit(&text);
    if (call) nm_optimove_call_destroy(call);
    return rc;
  }
  call->body = nm_buffer_text(&text);
  nm_optimove_submit(call);
  return NM_OK;
}

int nm_optimove_post(struct nm_optimove_account *account, const char *function, struct nm_text path,
                     json_t *body, nm_optimove_done *done, void *data)
{
  struct nm_optimove_call *call =
      nm_optimove_call_create(account, function, "POST", path, done, data);
  if (call) call->urgency = NM_PATIENT;
  return submit_json(call, body);
}

static int post_urgent(struct nm_optimove_account *account, const char *function,
                       struct nm_text path, json_t *body, nm_optimove_done *done, void *data)
{
  struct nm_optimove_call *call =
      nm_optimove_call_create(account, function, "POST", path, done, data);
  if (call) call->urgency = NM_URGENT;
  return submit_json(call, body);
}

static int submit_page(struct nm_optimove_account *account, const char *function,
                       struct nm_text path, nm_optimove_done *done, void *data)
{
  struct nm_optimove_call *call =
      nm_optimove_call_create(account, function, "GET", path, done, data);
  if (!call) return NM_ENOMEM;
  call->expects_list = call->is_page = true;
  call->timeout_ms = PAGE_TIMEOUT_MS;
  call->answer_max_bytes = PAGE_MAX_BYTES;
  nm_optimove_submit(call);
  return NM_OK;
}

int nm_optimove_list(struct nm_optimove_account *account, const char *function, struct nm_text path,
                     nm_optimove_done *done, void *data)
{
  struct nm_optimove_call *call =
      nm_optimove_call_create(account, function, "GET", path, done, data);
  if (!call) return NM_ENOMEM;
  call->expects_list = true;
  call->answer_max_bytes = LIST_MAX_BYTES;
  nm_optimove_submit(call);
  return NM_OK;
}

int nm_optimove_ask(struct nm_optimove_account *account, const char *function, struct nm_text path,
                    nm_optimove_done *done, void *data)
{
  struct nm_optimove_call *call =
      nm_optimove_call_create(account, function, "GET", path, done, data);
  if (!call) return NM_ENOMEM;
  call->expects_list = call->is_impatient = true;
  call->urgency = NM_URGENT;
  call->answer_max_bytes = LIST_MAX_BYTES;
  nm_optimove_submit(call);
  return NM_OK;
}

int nm_optimove_recipients(struct nm_optimove_account *account,
                           const struct nm_optimove_execution *execution, int64_t top, int64_t skip,
                           nm_optimove_done *done, void *data)
{
  const struct nm_tenant_connector *connector = &execution->tenant->connector;
  struct nm_buffer path;
  nm_buffer_init(&path, PATH_MAX_BYTES);
  int rc = nm_buffer_appendf(&path, "/Customers/GetCustomerExecutionDetailsByCampaign?CampaignID=");
  if (!rc) rc = nm_buffer_append_escaped(&path, execution->campaign);
  if (!rc)
    rc = nm_buffer_appendf(&path, "&ChannelID=%" PRId64 "&%%24top=%" PRId64 "&%%24skip=%" PRId64,
                           execution->channel_id, top, skip);
  for (size_t i = 0; i < connector->param_count && !rc; i++) {
    rc = nm_buffer_append_text(&path, i == 0 ? NM_TEXT("&CustomerAttributes=") : NM_TEXT("%3B"));
    if (!rc) rc = nm_buffer_append_escaped(&path, connector->params[i].real_field_name);
  }
  if (!rc)
    rc = submit_page(account, "GetCustomerExecutionDetailsByCampaign", nm_buffer_text(&path), done,
                     data);
  nm_buffer_deinit(&path);
  return rc;
}

/* One customer's object with its attributes from updates[*at] on; moves *at behind them. */
static json_t *customer_object(const struct nm_update *updates, size_t count, size_t *at)
{
  struct nm_text customer = updates[*at].customer;
  json_t *attributes = json_array();
  json_t *object = json_object();
  int rc = nm_json_set_text(object, "CustomerID", customer);
  for (; *at < count && nm_text_equal(updates[*at].customer, customer); (*at)++) {
    json_t *attribute = json_object();
    if (!rc) rc = nm_json_set_text(attribute, "RealFieldName", updates[*at].field);
    if (!rc) rc = nm_json_set_text(attribute, "Value", updates[*at].value);
    if (json_array_append_new(attributes, attribute)) rc = NM_ENOMEM;
  }
  if (json_object_set_new(object, "Attributes", attributes)) rc = NM_ENOMEM;
  if (!rc) return object;
  json_decref(object);
  return NULL;
}

int nm_optimove_update_attributes(struct nm_optimove_account *account,
                                  const struct nm_update *updates, size_t count,
                                  struct nm_text callback_url, nm_optimove_done *done, void *data)
{
  json_t *list = json_array();
  json_t *body = json_object();
  int rc = NM_OK;
  for (size_t at = 0; at < count && !rc;)
    if (json_array_append_new(list, customer_object(updates, count, &at))) rc = NM_ENOMEM;
  if (json_object_set_new(body, "CustomerNewAttributesValuesList", list)) rc = NM_ENOMEM;
  if (!rc) rc = nm_json_set_text(body, "CallbackURL", callback_url);
  if (rc) {
    json_decref(body);
    return rc;
  }
  return nm_optimove_post(account, "UpdateCustomerAttributes",
                          NM_TEXT("/Customers/UpdateCustomerAttributes"), body, done, data);
}

int nm_optimove_listeners(struct nm_optimove_account *account, nm_optimove_done *done, void *data)
{
  return nm_optimove_list(account, "GetRegisteredEventListeners",
                          NM_TEXT("/General/GetRegisteredEventListeners"), done, data);
}

static json_t *pair_object(int64_t event_type, int64_t channel_id)
{
  /* Without its ChannelID it would be about all channels. */
  return channel_id ? json_pack("{s:I,s:I}", "EventTypeID", (json_int_t)event_type, "ChannelID",
                                (json_int_t)channel_id)
                    : json_pack("{s:I}", "EventTypeID", (json_int_t)event_type);
}

int nm_optimove_register(struct nm_optimove_account *account, int64_t event_type,
                         int64_t channel_id, struct nm_text url, nm_optimove_done *done, void *data)
{
  json_t *body = pair_object(event_type, channel_id);
  int rc = nm_json_set_text(body, "ListenerURL", url); /* raw, as current clients send it (2.1) */
  if (rc) {
    json_decref(body);
    return rc;
  }
  return post_urgent(account, "RegisterEventListener", NM_TEXT("/General/RegisterEventListener"),
                     body, done, data);
}

int nm_optimove_unregister(struct nm_optimove_account *account, int64_t event_type,
                           int64_t channel_id, nm_optimove_done *done, void *data)
{
  return post_urgent(account, "UnregisterEventListener",
                     NM_TEXT("/General/UnregisterEventListener"),
                     pair_object(event_type, channel_id), done, data);
}

/* ---- channels and templates ------------------------------------------------------------------ */

int nm_optimove_channels(struct nm_optimove_account *account, nm_optimove_done *done, void *data)
{
  return nm_optimove_list(account, "GetExecutionChannels",
                          NM_TEXT("/Actions/GetExecutionChannels"), done, data);
}

/* The path of a function about one channel, in a buffer of the caller. */
static struct nm_text channel_path(char out[PATH_OF_CHANNEL_MAX_BYTES], const char *function,
                                   int64_t channel_id)
{
  int len = snprintf(out, PATH_OF_CHANNEL_MAX_BYTES, "/Integrations/%s?ChannelID=%" PRId64,
                     function, channel_id);
  return (struct nm_text){ out, (size_t)len };
}

int nm_optimove_templates(struct nm_optimove_account *account, int64_t channel_id,
                          nm_optimove_done *done, void *data)
{
  char path[PATH_OF_CHANNEL_MAX_BYTES];
  return nm_optimove_list(account, "GetChannelTemplates",
                          channel_path(path, "GetChannelTemplates", channel_id), done, data);
}

static json_t *template_list(const struct nm_store_template *templates, size_t count,
                             bool is_delete)
{
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++) {
    json_t *item = json_pack("{s:I}", "TemplateID", (json_int_t)templates[i].template_id);
    int rc = is_delete
                 ? json_object_set_new(item, "ChannelID", json_integer(templates[i].channel_id))
                 : nm_json_set_text(item, "TemplateName", templates[i].name);
    if (json_array_append_new(list, item) || rc) {
      json_decref(list);
      return NULL;
    }
  }
  return list;
}

int nm_optimove_add_templates(struct nm_optimove_account *account, int64_t channel_id,
                              const struct nm_store_template *templates, size_t count,
                              nm_optimove_done *done, void *data)
{
  char path[PATH_OF_CHANNEL_MAX_BYTES];
  return nm_optimove_post(account, "AddChannelTemplates",
                          channel_path(path, "AddChannelTemplates", channel_id),
                          template_list(templates, count, false), done, data);
}

int nm_optimove_delete_templates(struct nm_optimove_account *account,
                                 const struct nm_store_template *templates, size_t count,
                                 nm_optimove_done *done, void *data)
{
  return nm_optimove_post(account, "DeleteChannelTemplates",
                          NM_TEXT("/Integrations/DeleteChannelTemplates"),
                          template_list(templates, count, true), done, data);
}
