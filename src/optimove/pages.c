/* pages.c - what a page of recipients holds as a whole, before its rows are looked into. */
#include "json/scan.h"
#include "optimove/internal.h"

int nm_optimove_count_rows(struct nm_text body, int64_t *out)
{
  struct nm_scan scan = nm_scan_over(body);
  struct nm_text raw;
  bool is_first = true;
  int64_t count = 0;
  if (nm_scan_kind(&scan) != NM_SCAN_ARRAY || !nm_text_is_utf8(body)) return NM_EINVAL;
  nm_scan_enter(&scan);
  while (nm_scan_element(&scan, &is_first) && nm_scan_value(&scan, &raw)) count++;
  if (scan.why || !nm_scan_is_end(&scan)) return NM_EINVAL;
  *out = count;
  return NM_OK;
}

/* Moves behind the row; 0 = now. */
static int64_t row_due(struct nm_scan *scan, const struct nm_tenant *tenant)
{
  struct nm_text raw, key, stamp = { NULL, 0 }, other = { NULL, 0 };
  bool is_first = true;
  int64_t due_ms;
  if (nm_scan_kind(scan) != NM_SCAN_OBJECT) {
    nm_scan_value(scan, &raw);
    return 0;
  }
  nm_scan_enter(scan);
  while (nm_scan_member(scan, &is_first, &key) && nm_scan_value(scan, &raw)) {
    if (raw.len <= 2 || raw.ptr[0] != '"') continue;
    struct nm_text inner = { raw.ptr + 1, raw.len - 2 };
    if (nm_text_equal_nocase(key, NM_TEXT("ScheduleTime"))) stamp = inner;
    else if (nm_text_equal_nocase(key, NM_TEXT("ScheduledTime"))) other = inner;
  }
  if (stamp.len == 0) stamp = other;
  return stamp.len > 0 && nm_zone_read(tenant->connector.zone, stamp, &due_ms) ? due_ms : 0;
}

int64_t nm_optimove_page_due(struct nm_text body, const struct nm_tenant *tenant)
{
  struct nm_scan scan = nm_scan_over(body);
  bool is_first = true;
  int64_t earliest = 0;
  nm_scan_enter(&scan);
  while (nm_scan_element(&scan, &is_first)) {
    int64_t due_ms = row_due(&scan, tenant);
    if (due_ms == 0) return 0;
    if (earliest == 0 || due_ms < earliest) earliest = due_ms;
  }
  return earliest;
}
