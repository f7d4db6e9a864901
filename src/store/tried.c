/* Who was tried and waits: what a lane needs to know that keeps the order of each person's messages
 * over a restart. */
#include "store/internal.h"

enum { TRIED_FIRST = 64 };

static int add_one(struct nm_store_lease *lease, size_t *capacity, sqlite3_stmt *stmt)
{
  struct nm_arena *arena = lease->request.arena;
  if (lease->tried_count == *capacity) {
    size_t wanted = *capacity ? *capacity * 2 : TRIED_FIRST;
    struct nm_store_tried *grown = nm_arena_alloc(arena, wanted * sizeof *grown);
    if (!grown) return NM_ENOMEM;
    if (*capacity > 0) memcpy(grown, lease->tried, *capacity * sizeof *grown);
    lease->tried = grown;
    *capacity = wanted;
  }
  struct nm_row row = { .stmt = stmt, .arena = arena };
  lease->tried[lease->tried_count++] = (struct nm_store_tried){
    .id = nm_row_i64(&row, 0),
    .due_at_ms = nm_row_i64(&row, 1),
    .customer = nm_row_text(&row, 2),
    .address = nm_row_text(&row, 3),
  };
  return row.is_short ? NM_ENOMEM : NM_OK;
}

/* Looks at all that waits for the lane, once a start: nobody else pays for an index by person. */
int nm_writer_find_tried(struct nm_writer *writer, struct nm_store_lease *lease)
{
  sqlite3_stmt *stmt = NULL;
  size_t capacity = 0;
  lease->tried = NULL;
  lease->tried_count = 0;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id, due_at, customer, address FROM messages"
                      " INDEXED BY messages_waiting WHERE state = 0 AND tenant_id = ?1"
                      " AND provider = ?2 AND EXISTS (SELECT 1 FROM attempts"
                      " WHERE attempts.message_id = messages.id) ORDER BY id",
                      NM_I(lease->tenant_id), NM_T(lease->provider));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) rc = add_one(lease, &capacity, stmt);
  sqlite3_reset(stmt);
  if (rc == NM_ENOMEM && !writer->db.failure)
    return nm_fail(&lease->request.error, rc, "store: no memory for those that were tried");
  return rc;
}
