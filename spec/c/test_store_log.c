/* links: store */
/* The log of a store that never rests: it is begun anew while commits keep coming and somebody
 * always looks, and nothing is lost with it. */
#include <stdatomic.h>

#include "store_kit.h"

enum { LOG_PAGES = 64, ANEW = 5, BODY_BYTES = 8 * 1024, COMMITS_MAX = 100000 };

/* How often the log was begun anew: it counts that itself, in its head. */
static uint32_t count_begun(struct kit *kit)
{
  char path[160];
  unsigned char head[16] = { 0 };
  snprintf(path, sizeof path, "%s-wal", kit->path);
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  size_t len = fread(head, 1, sizeof head, file);
  fclose(file);
  if (len < sizeof head) return 0;
  return (uint32_t)head[12] << 24 | (uint32_t)head[13] << 16 | (uint32_t)head[14] << 8 | head[15];
}

struct looker {
  struct kit *kit;
  uv_thread_t thread;
  uv_sem_t answered;
  atomic_bool is_over;
  int64_t looks;
};

struct look {
  struct nm_store_query query; /* first */
  struct looker *looker;
};

static void on_looked(struct nm_task *task)
{
  uv_sem_post(&((struct look *)(void *)task)->looker->answered);
}

static void look_on(void *data)
{
  struct looker *looker = data;
  json_t *args = json_object();
  while (!looker->is_over) {
    struct look look = { .query = { .kind = NM_QUERY_STATUS, .args = args }, .looker = looker };
    look.query.request.verb = NM_STORE_QUERY;
    look.query.request.arena = nm_arena_create(1024 * 1024);
    look.query.request.task.done = on_looked;
    if (nm_store_submit(looker->kit->store, &look.query.request)) abort();
    uv_sem_wait(&looker->answered);
    if (look.query.request.rc == NM_OK) looker->looks++;
    json_decref(look.query.answer);
    nm_arena_destroy(look.query.request.arena);
  }
  json_decref(args);
}

static void the_log_is_begun_anew_while_commits_keep_coming(void **state)
{
  struct kit *kit = *state;
  struct looker looker = { .kit = kit };
  char body[BODY_BYTES];
  char customer[32];
  int64_t count = 0;
  memset(body, 'x', sizeof body);
  kit->log_max_pages = LOG_PAGES;
  kit_reopen(kit);
  assert_int_equal(uv_sem_init(&looker.answered, 0), 0);
  assert_int_equal(uv_thread_create(&looker.thread, look_on, &looker), 0);
  while (count_begun(kit) < ANEW) {
    snprintf(customer, sizeof customer, "C%lld", (long long)count++);
    struct nm_store_arrival arrival = kit_event(11, "99", customer, "");
    arrival.event.body = (struct nm_text){ body, sizeof body };
    kit_accept(kit, &arrival);
    nm_arena_reset(kit->arena);
    if (count > COMMITS_MAX) fail_msg("begun anew only %u times", count_begun(kit));
  }
  looker.is_over = true;
  uv_thread_join(&looker.thread);
  uv_sem_destroy(&looker.answered);
  assert_true(looker.looks > 0);
  nm_store_close(kit->store);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM events"), count);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM pragma_integrity_check"
                                       " WHERE integrity_check = 'ok'"), 1);
  kit_open(kit);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(the_log_is_begun_anew_while_commits_keep_coming),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
