#include "store/internal.h"
int nm_writer_retry(struct nm_writer *writer, struct nm_store_retry *retry)
{
  (void)writer;
  return nm_fail(&retry->request.error, NM_EUNSUPPORTED, "not built yet");
}
int nm_writer_retain(struct nm_writer *writer, struct nm_store_retain *retain)
{
  (void)writer;
  return nm_fail(&retain->request.error, NM_EUNSUPPORTED, "not built yet");
}
