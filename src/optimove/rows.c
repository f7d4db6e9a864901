/* rows.c - a recipient as Optimove sends it into the event that rules see (optimove-api 4.1, 4.4).
 */
#include <stdlib.h>

#include "optimove/internal.h"

/* Keys of a row whose spelling rules can rely on; the rest keeps Optimove's. */
static const char *const known_keys[] = { "CustomerID", "ActionID", "TemplateID", "TemplateName",
                                          "ScheduleTime", "ScheduledTime", "PromoCode", "SendID" };

static const char *spelling(const char *key)
{
  for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++)
    if (nm_text_equal_nocase(nm_text_from(key), nm_text_from(known_keys[i]))) return known_keys[i];
  return key;
}

static bool is_attribute_list(const char *key)
{
  struct nm_text name = nm_text_from(key);
  return nm_text_equal_nocase(name, NM_TEXT("CustomerAttributes")) ||
         nm_text_equal_nocase(name, NM_TEXT("CustomerAttribute"));
}

static bool read_id(const json_t *value, int64_t *out)
{
  if (json_is_integer(value)) {
    *out = json_integer_value(value);
    return true;
  }
  return json_is_string(value) &&
         nm_text_to_i64((struct nm_text){ json_string_value(value), json_string_length(value) },
                        out);
}

/* "B1, B2" into ["B1","B2"]. */
static json_t *promo_codes(const json_t *value)
{
  if (json_is_array(value)) return json_deep_copy(value);
  json_t *codes = json_array();
  if (!json_is_string(value)) return codes;
  struct nm_text left = { json_string_value(value), json_string_length(value) };
  while (left.len > 0) {
    struct nm_text code;
    nm_text_cut(left, ',', &code, &left);
    code = nm_text_trim(code);
    if (code.len > 0) json_array_append_new(codes, json_stringn(code.ptr, code.len));
  }
  return codes;
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Null, and historically the text NULL, mean that there is no value. */
static bool is_absent(const json_t *value)
{
  return !value || json_is_null(value) ||
         (json_is_string(value) && strcmp(json_string_value(value), "NULL") == 0);
}

static size_t count_pieces(struct nm_text text, char at)
{
  size_t pieces = 1;
  for (size_t i = 0; i < text.len; i++) pieces += text.ptr[i] == at;
  return pieces;
}

/* The old form: one delimited string (4.2). */
static int attributes_of_string(json_t *into, struct nm_text text,
                                const struct nm_tenant_connector *connector, struct nm_error *err)
{
  char at = count_pieces(text, ';') == connector->param_count ? ';' : ',';
  if (count_pieces(text, at) != connector->param_count)
    return nm_fail(err, NM_EINVAL, "has another number of attributes than the %zu asked for",
                   connector->param_count);
  for (size_t i = 0; i < connector->param_count; i++) {
    struct nm_text piece;
    nm_text_cut(text, at, &piece, &text);
    if (piece.len == 0 || nm_text_equal(piece, NM_TEXT("NULL"))) continue;
    json_object_setn_new(into, connector->params[i].name.ptr, connector->params[i].name.len,
                         json_stringn(piece.ptr, piece.len));
  }
  return NM_OK;
}

/* Asked and answered must match one to one: a silent shift would give people each other's names. */
static int attributes_of_array(json_t *into, const json_t *values,
                               const struct nm_tenant_connector *connector, struct nm_error *err)
{
  if (json_array_size(values) != connector->param_count)
    return nm_fail(err, NM_EINVAL, "has %zu attributes, %zu were asked for",
                   json_array_size(values), connector->param_count);
  for (size_t i = 0; i < connector->param_count; i++) {
    json_t *value = json_array_get(values, i);
    if (is_absent(value)) continue;
    json_object_setn(into, connector->params[i].name.ptr, connector->params[i].name.len, value);
  }
  return NM_OK;
}

static int read_attributes(json_t *into, const json_t *value,
                           const struct nm_tenant_connector *connector, struct nm_error *err)
{
  if (is_absent(value) || connector->param_count == 0) return NM_OK;
  if (json_is_array(value)) return attributes_of_array(into, value, connector, err);
  if (json_is_string(value))
    return attributes_of_string(
        into, (struct nm_text){ json_string_value(value), json_string_length(value) }, connector,
        err);
  return nm_fail(err, NM_EINVAL, "has attributes that are no list");
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int64_t read_due(const json_t *row, const struct nm_tenant *tenant)
{
  const json_t *value = nm_optimove_get(row, "ScheduleTime");
  int64_t due_ms = 0;
  if (!value) value = nm_optimove_get(row, "ScheduledTime");
  if (json_is_string(value) &&
      nm_zone_read(tenant->connector.zone,
                   (struct nm_text){ json_string_value(value), json_string_length(value) },
                   &due_ms))
    return due_ms;
  return 0;
}

static int copy_row(json_t *event, json_t *attributes, const json_t *row,
                    const struct nm_tenant_connector *connector, struct nm_error *err)
{
  const char *key;
  json_t *value;
  int rc = NM_OK;
  json_object_foreach((json_t *)(uintptr_t)row, key, value)
  {
    const char *name = spelling(key);
    if (is_attribute_list(key)) rc = read_attributes(attributes, value, connector, err);
    else if (strcmp(name, "PromoCode") == 0)
      rc = json_object_set_new(event, name, promo_codes(value));
    else if (!json_is_null(value)) rc = json_object_set(event, name, value);
    if (rc) break;
  }
  return rc;
}

int nm_optimove_read_row(const json_t *row, const struct nm_tenant *tenant,
                         struct nm_text campaign, int64_t channel_id, struct nm_arena *arena,
                         struct nm_recipient *out, struct nm_error *err)
{
  int64_t action = 0;
  if (!json_is_object(row)) return nm_fail(err, NM_EINVAL, "is no object");
  struct nm_recipient found = {
    .customer = nm_text_trim(nm_optimove_id_text(nm_optimove_get(row, "CustomerID"), arena)),
    .due_at_ms = read_due(row, tenant),
  };
  if (found.customer.len == 0) return nm_fail(err, NM_EINVAL, "has no CustomerID");
  if (!read_id(nm_optimove_get(row, "TemplateID"), &found.template_id)) found.template_id = 0;
  found.is_control_group = read_id(nm_optimove_get(row, "ActionID"), &action) && action == 1;

  found.event = json_object();
  json_t *attributes = json_object();
  int rc = copy_row(found.event, attributes, row, &tenant->connector, err);
  if (json_object_set_new(found.event, "attributes", attributes)) rc = NM_ENOMEM;
  if (!rc) rc = nm_json_set_text(found.event, "CustomerID", found.customer);
  if (!rc) rc = nm_json_set_text(found.event, "CampaignID", campaign);
  if (!rc) rc = json_object_set_new(found.event, "EventTypeID", json_integer(13));
  if (!rc) rc = json_object_set_new(found.event, "ChannelID", json_integer(channel_id));
  if (!rc && found.template_id > 0)
    rc = json_object_set_new(found.event, "TemplateID", json_integer(found.template_id));
  if (rc) {
    json_decref(found.event);
    return rc == NM_EINVAL ? NM_EINVAL : nm_fail(err, NM_ENOMEM, "out of memory");
  }
  *out = found;
  return NM_OK;
}

int64_t nm_optimove_page_due(const json_t *rows, const struct nm_tenant *tenant)
{
  int64_t earliest = 0;
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row)
  {
    int64_t due_ms = read_due(row, tenant);
    if (due_ms == 0) return 0;
    if (earliest == 0 || due_ms < earliest) earliest = due_ms;
  }
  return earliest;
}
