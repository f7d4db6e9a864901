#include "base/metrics.h"

#include <stdatomic.h>

static _Atomic int64_t values[NM_METRIC_COUNT];

static const struct {
  const char *kind, *family, *labels, *help;
} rows[] = {
#define NM_METRIC(name, kind, family, labels, help) { #kind, #family, labels, help },
#include "base/metrics.def"
#undef NM_METRIC
};

void nm_metric_add(enum nm_metric metric, int64_t by)
{
  atomic_fetch_add_explicit(&values[metric], by, memory_order_relaxed);
}

int64_t nm_metric_get(enum nm_metric metric)
{
  return atomic_load_explicit(&values[metric], memory_order_relaxed);
}

int nm_metrics_write(struct nm_buffer *out)
{
  int rc = NM_OK;
  for (size_t i = 0; i < NM_METRIC_COUNT && !rc; i++) {
    bool is_first = i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0;
    if (is_first)
      rc = nm_buffer_appendf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].family, rows[i].help,
                             rows[i].family, rows[i].kind);
    const char *open = rows[i].labels[0] ? "{" : "", *close = rows[i].labels[0] ? "}" : "";
    if (!rc)
      rc = nm_buffer_appendf(out, "%s%s%s%s %lld\n", rows[i].family, open, rows[i].labels, close,
                             (long long)nm_metric_get((enum nm_metric)i));
  }
  return rc;
}
