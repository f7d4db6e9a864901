/* links: base */
#include "check.h"

#include "base/port.h"

enum { TASKS = 10000, BOX_MAX = 64 };

struct question {
  struct nm_task task;
  int number, answer;
};

static struct {
  uv_loop_t asker_loop, answerer_loop;
  struct nm_port asker, answerer;
  uv_sem_t is_open;
  struct question questions[TASKS];
  int answered, full;
} t;

static void on_question(void *data, struct nm_mail *mail)
{
  struct question *question = (struct question *)(void *)mail;
  (void)data;
  if (question->number < 0) {
    nm_port_close(&t.answerer, NULL);
    return;
  }
  question->answer = question->number * 2;
  nm_task_return(&question->task);
}

static void run_answerer(void *data)
{
  (void)data;
  uv_loop_init(&t.answerer_loop);
  if (nm_port_open(&t.answerer, &t.answerer_loop, BOX_MAX, on_question, NULL)) return;
  uv_sem_post(&t.is_open);
  uv_run(&t.answerer_loop, UV_RUN_DEFAULT);
  uv_loop_close(&t.answerer_loop);
}

static void on_answer(struct nm_task *task)
{
  struct question *question = (struct question *)(void *)task;
  assert_int_equal(question->answer, question->number * 2);
  t.answered++;
}

static void tasks_cross_and_come_back_and_a_full_box_says_so(void **state)
{
  uv_thread_t thread;
  static struct question last = { .number = -1 };
  (void)state;
  uv_sem_init(&t.is_open, 0);
  uv_loop_init(&t.asker_loop);
  assert_int_equal(nm_port_open(&t.asker, &t.asker_loop, SIZE_MAX, NULL, NULL), NM_OK);
  uv_thread_create(&thread, run_answerer, NULL);
  uv_sem_wait(&t.is_open);

  for (int i = 0; i < TASKS;) {
    struct question *question = &t.questions[i];
    *question = (struct question){ .task = { .home = &t.asker, .done = on_answer }, .number = i };
    int rc = nm_port_post(&t.answerer, &question->task);
    if (rc == NM_OK) i++;
    else assert_int_equal(rc, NM_EFULL);
    t.full += rc == NM_EFULL;
    uv_run(&t.asker_loop, UV_RUN_NOWAIT);
  }
  while (t.answered < TASKS) uv_run(&t.asker_loop, UV_RUN_ONCE);
  while (nm_port_post(&t.answerer, &last.task)) uv_run(&t.asker_loop, UV_RUN_NOWAIT);
  uv_thread_join(&thread);
  assert_int_equal(nm_port_post(&t.answerer, &last.task), NM_ECLOSED);
  nm_port_close(&t.asker, NULL);
  uv_run(&t.asker_loop, UV_RUN_DEFAULT);
  nm_port_deinit(&t.asker);
  nm_port_deinit(&t.answerer);
  assert_int_equal(uv_loop_close(&t.asker_loop), 0);
  uv_sem_destroy(&t.is_open);
}

static void a_task_without_a_home_is_done_where_it_is_returned(void **state)
{
  struct question question = { .task = { .done = on_answer } };
  (void)state;
  t.answered = 0;
  nm_task_return(&question.task);
  assert_int_equal(t.answered, 1);
}

enum { COMPANY = 5, LONG_US = 60 * 1000 * 1000 };

static struct {
  struct nm_mailbox box;
  struct nm_mail mails[COMPANY];
} g;

static void run_poster(void *data)
{
  (void)data;
  for (size_t i = 0; i < COMPANY; i++)
    if (nm_mailbox_post(&g.box, &g.mails[i])) return;
}

static void run_closer(void *data)
{
  (void)data;
  nm_mailbox_close(&g.box);
}

static void who_gathers_is_woken_when_all_are_there_and_by_the_end(void **state)
{
  uv_thread_t thread;
  (void)state;
  nm_mailbox_init(&g.box, 10, NULL, NULL);
  uv_thread_create(&thread, run_poster, NULL);
  nm_mailbox_gather(&g.box, COMPANY, LONG_US);
  assert_int_equal(nm_mailbox_count(&g.box), COMPANY);
  uv_thread_join(&thread);

  nm_mailbox_gather(&g.box, COMPANY, LONG_US); /* they are there already */
  nm_mailbox_gather(&g.box, COMPANY + 1, 1000); /* the time is up */
  nm_mailbox_take(&g.box, SIZE_MAX);
  uv_thread_create(&thread, run_poster, NULL);
  while (!nm_mailbox_wait(&g.box, 1000)) {} /* the ordinary way still works */
  uv_thread_join(&thread);

  uv_thread_create(&thread, run_closer, NULL);
  nm_mailbox_gather(&g.box, COMPANY + 1, LONG_US);
  assert_true(nm_mailbox_is_closed(&g.box));
  uv_thread_join(&thread);
  nm_mailbox_deinit(&g.box);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_gathers_is_woken_when_all_are_there_and_by_the_end),
    cmocka_unit_test(tasks_cross_and_come_back_and_a_full_box_says_so),
    cmocka_unit_test(a_task_without_a_home_is_done_where_it_is_returned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
