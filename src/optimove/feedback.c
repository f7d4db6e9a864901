/* feedback.c - what we ask and tell Optimove about campaigns that were executed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "optimove/internal.h"

int nm_optimove_executed(struct nm_optimove_account *account, int64_t channel_id,
                         struct nm_text day, nm_optimove_done *done, void *data)
{
  char path[128];
  int len = snprintf(path, sizeof path,
                     "/Actions/GetExecutedCampaignsByChannel?ChannelID=%" PRId64 "&Date=%.*s",
                     channel_id, NM_TEXT_ARG(day));
  return nm_optimove_list(account, "GetExecutedCampaignsByChannel",
                          (struct nm_text){ path, (size_t)len }, done, data);
}

struct nm_text nm_optimove_campaign_of(const json_t *row, struct nm_arena *arena)
{
  return nm_optimove_id_text(nm_optimove_get(row, "CampaignID"), arena);
}

/* Optimove's campaigns are numbers; we keep them as text. */
static json_t *number_or_text(struct nm_text id)
{
  json_int_t number = 0;
  for (size_t i = 0; i < id.len; i++) {
    if (id.ptr[i] < '0' || id.ptr[i] > '9' || i == 18) return json_stringn(id.ptr, id.len);
    number = number * 10 + (id.ptr[i] - '0');
  }
  return json_integer(number);
}

int nm_optimove_update_metrics(struct nm_optimove_account *account, const struct nm_fact *facts,
                               size_t count, nm_optimove_done *done, void *data)
{
  json_t *list = json_array();
  int rc = list ? NM_OK : NM_ENOMEM;
  for (size_t i = 0; i < count && !rc; i++) {
    const struct nm_fact *fact = &facts[i];
    json_t *row = json_pack("{s:I,s:o,s:I,s:I,s:I}", "ChannelID", (json_int_t)fact->channel_id,
                            "CampaignID", number_or_text(fact->campaign), "TemplateID",
                            (json_int_t)fact->template_id, "MetricID", (json_int_t)fact->metric,
                            "MetricValue", (json_int_t)fact->value);
    if (json_array_append_new(list, row)) rc = NM_ENOMEM;
  }
  if (rc) {
    json_decref(list);
    return rc;
  }
  return nm_optimove_post(account, "UpdateCampaignMetrics",
                          NM_TEXT("/Integrations/UpdateCampaignMetrics"), list, done, data);
}

int nm_optimove_set_preference(struct nm_optimove_account *account, int64_t channel_id, int mode,
                               const struct nm_text *customers, size_t count,
                               nm_optimove_done *done, void *data)
{
  json_t *list = json_array();
  int rc = list ? NM_OK : NM_ENOMEM;
  for (size_t i = 0; i < count && !rc; i++)
    if (json_array_append_new(list, json_stringn(customers[i].ptr, customers[i].len)))
      rc = NM_ENOMEM;
  json_t *body = json_pack("{s:I,s:o,s:i}", "ChannelID", (json_int_t)channel_id, "CustomerIDs",
                           list, "CommunicationMode", mode);
  if (rc || !body) {
    json_decref(body);
    return NM_ENOMEM;
  }
  return nm_optimove_post(account, "SetCustomerChannelPreference",
                          NM_TEXT("/Integrations/SetCustomerChannelPreference"), body, done, data);
}
