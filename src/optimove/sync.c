/* sync.c - after the listeners: are the channels known, and are the templates there? */
#include <inttypes.h>

#include "optimove/work.h"

static void on_templates(void *data, const char *trouble)
{
  struct nm_work *work = data;
  if (trouble) nm_work_tell(work->todo, "%s", trouble);
  nm_work_finish(work, trouble ? NM_EIO : NM_OK);
}

static void sync_templates(struct nm_work *work)
{
  const struct nm_templates present = { .account = work->what.account, .done = on_templates,
                                        .data = work };
  if (work->what.knows_templates) nm_work_templates(work, &present);
  else nm_work_finish(work, NM_OK);
}

static bool lists_channel(const json_t *rows, int64_t id)
{
  size_t i;
  json_t *row;
  int64_t found;
  json_array_foreach(rows, i, row)
    if (nm_optimove_number(nm_optimove_get(row, "ChannelID"), &found) && found == id) return true;
  return false;
}

static void on_channels(void *data, const struct nm_optimove_answer *answer)
{
  struct nm_work *work = data;
  const struct nm_tenant_connector *connector = &work->what.tenant->connector;
  if (answer->end == NM_OPTIMOVE_DENIED)
    nm_work_tell(work->warnings,
                 "the key in %s may not list channels, so their ids are not checked: %s",
                 nm_optimove_admin_key_name(work->what.tenant), answer->reason);
  for (size_t i = 0; answer->end == NM_OPTIMOVE_OK && i < connector->channel_count; i++)
    if (!lists_channel(answer->body, connector->channels[i].id))
      nm_work_tell(work->warnings, "Optimove does not know channel %.*s",
                   NM_TEXT_ARG(nm_work_channel_name(work, connector->channels[i].id)));
  sync_templates(work);
}

void nm_work_sync(struct nm_work *work)
{
  if (!work->what.checks_channels || work->what.tenant->connector.channel_count == 0 ||
      nm_optimove_channels(work->what.admin_account, on_channels, work))
    sync_templates(work);
}
