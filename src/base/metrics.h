/* metrics.h - counters and gauges of the whole daemon, in Prometheus' text format.
 *
 * One list, metrics.def: each row is a name, its kind, family, labels and help.  Any thread.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"

enum nm_metric {
#define NM_METRIC(name, kind, family, labels, help) NM_METRIC_##name,
#include "base/metrics.def"
#undef NM_METRIC
  NM_METRIC_COUNT
};

void nm_metric_add(enum nm_metric metric, int64_t by);
int64_t nm_metric_get(enum nm_metric metric);

/* Appends all of them as text; passes `promtool check metrics`. */
NM_MUST_CHECK int nm_metrics_write(struct nm_buffer *out);
