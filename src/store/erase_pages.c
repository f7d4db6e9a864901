/* People's rows in the pages of campaigns.
 *
 * A row that is taken away leaves a row of the control group in its place, which is nobody's to be
 * sent to: rows keep their numbers, which cursors and marks are made of. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "store/erase.h"

/* Cheap: most pages name none of them. */
static bool may_name(const struct nm_erase_pass *pass, int64_t tenant_id, struct nm_text page)
{
  for (size_t i = 0; i < pass->count; i++) {
    const struct nm_erase_person *person = &pass->people[i];
    if (person->tenant_id == tenant_id &&
        memmem(page.ptr, page.len, person->customer.ptr, person->customer.len))
      return true;
  }
  return false;
}

static struct nm_erase_person *person_of(struct nm_erase_pass *pass, int64_t tenant_id, json_t *row)
{
  const char *key;
  json_t *value;
  char digits[NM_TEXT_I64_MAX_BYTES];
  json_object_foreach(row, key, value)
  {
    if (!nm_text_equal_nocase(nm_text_from(key), NM_TEXT("CustomerID")))
      continue;
    if (json_is_string(value))
      return nm_erase_find(
          pass, tenant_id,
          nm_text_trim(nm_json_string_of(value)));
    if (json_is_integer(value))
      return nm_erase_find(
          pass, tenant_id,
          (struct nm_text){ digits, nm_text_put_i64(digits, json_integer_value(value)) });
  }
  return NULL;
}

static int take_out(struct nm_erase_pass *pass, int64_t tenant_id, json_t *rows, bool *is_changed)
{
  json_t *row;
  size_t i;
  json_array_foreach(rows, i, row)
  {
    struct nm_erase_person *person = person_of(pass, tenant_id, row);
    if (!person)
      continue;
    json_t *blank =
        json_pack("{s:s,s:i,s:b}", "CustomerID", "erased", "ActionID", 1, "erased", true);
    if (json_array_set_new(rows, i, blank))
      return NM_ENOMEM;
    person->erased++;
    *is_changed = true;
  }
  return NM_OK;
}

static int pack(json_t *rows, int64_t *raw_bytes, void **out, size_t *out_len)
{
  char *text = json_dumps(rows, JSON_COMPACT);
  uLong len = text ? (uLong)strlen(text) : 0;
  uLongf packed_len = compressBound(len);
  void *packed = text ? malloc(packed_len) : NULL;
  int rc = packed && compress2(packed, &packed_len, (const Bytef *)text, len, 1) == Z_OK
               ? NM_OK
               : NM_ENOMEM;
  free(text);
  if (rc) {
    free(packed);
    return rc;
  }
  *raw_bytes = (int64_t)len;
  *out = packed;
  *out_len = packed_len;
  return NM_OK;
}

int nm_erase_page(struct nm_erase_pass *pass, int64_t tenant_id, struct nm_text packed,
                  int64_t *raw_bytes, void **out, size_t *out_len)
{
  uLongf len = (uLongf)*raw_bytes;
  json_t *rows = NULL;
  bool is_changed = false;
  *out = NULL;
  if (*raw_bytes <= 0 || *raw_bytes > NM_STORE_PAGE_MAX_BYTES)
    return NM_OK;
  char *bytes = malloc((size_t)*raw_bytes);
  if (!bytes)
    return NM_ENOMEM;
  int unpacked = uncompress((Bytef *)bytes, &len, (const Bytef *)packed.ptr, (uLong)packed.len);
  struct nm_text page = { bytes, len };
  int rc = unpacked == Z_MEM_ERROR ? NM_ENOMEM : unpacked == Z_OK ? NM_OK : NM_EINVAL;
  if (!rc && may_name(pass, tenant_id, page)) {
    rc = nm_json_parse_any(&rows, page, NULL);
    if (!rc)
      rc = take_out(pass, tenant_id, rows, &is_changed);
    if (!rc && is_changed)
      rc = pack(rows, raw_bytes, out, out_len);
  }
  json_decref(rows);
  free(bytes);
  return rc == NM_ENOMEM ? rc : NM_OK; /* what is no page any more names nobody */
}
