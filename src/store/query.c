#include "store/internal.h"
int nm_reader_resume(struct nm_db *db, struct nm_store_resume *resume)
{
  (void)db;
  return nm_fail(&resume->request.error, NM_EUNSUPPORTED, "not built yet");
}
int nm_reader_query(struct nm_db *db, struct nm_store_query *query)
{
  (void)db;
  return nm_fail(&query->request.error, NM_EUNSUPPORTED, "not built yet");
}
