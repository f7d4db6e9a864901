/* parse_guard.c - how large what a tenant does may be before a person looks. */
#include "tenants/internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { CEILING_MAX = 1000000000, DIFFERS_MAX = 1000 };

static void read_ceiling(struct nm_tenant_reader *reader, const json_t *table, const char *key,
                         int64_t *out)
{
  const char *at = nm_tenant_path(reader, "guard.%s", key);
  const json_t *value = json_object_get(table, key);
  double number = 0;
  if (!value || !nm_tenant_number(reader, at, value, CEILING_MAX, &number)) return;
  if (number < 1) nm_tenant_complain(reader, at, "%g is less than one", number);
  *out = (int64_t)number;
}

void nm_tenant_read_guard(struct nm_tenant_reader *reader, struct nm_tenant *tenant,
                          const json_t *document)
{
  static const char *const known[] = { "run", "hour", "differs" };
  const json_t *value = json_object_get(document, "guard");
  const json_t *table = value ? nm_tenant_table(reader, "guard", value) : NULL;
  if (!table || json_object_size(table) == 0) return;
  nm_tenant_check_keys(reader, "guard", table, known, COUNT(known));
  read_ceiling(reader, table, "run", &tenant->guard.run);
  read_ceiling(reader, table, "hour", &tenant->guard.hour);
  const json_t *differs = json_object_get(table, "differs");
  if (!differs ||
      !nm_tenant_number(reader, "guard.differs", differs, DIFFERS_MAX, &tenant->guard.differs))
    return;
  if (tenant->guard.differs <= 1)
    nm_tenant_complain(reader, "guard.differs",
                       "%g is no factor above 1: how many times more or fewer recipients than the"
                       " template's last run",
                       tenant->guard.differs);
}
