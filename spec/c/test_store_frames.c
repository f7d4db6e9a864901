/* links: store */
/* What a commit writes to the log goes to the disk in one piece, and what is more than one piece
 * comes through whole. */
#include "faulty_vfs.h"
#include "store_kit.h"

enum { LARGE_BYTES = 300 * 1024, PIECE_MAX_BYTES = 128 * 1024, FRAME_BYTES = 24 + 4096 };

struct written {
  size_t writes, bytes, most;
};

/* What went into the log between two moments. */
static struct written written_to_log(size_t from, size_t to)
{
  struct written sum = { 0 };
  pthread_mutex_lock(&faulty.lock);
  for (size_t i = from; i < to; i++) {
    const struct faulty_op *op = &faulty.ops[i];
    size_t len = strlen(faulty.paths[op->file]);
    bool is_log = len > 4 && strcmp(faulty.paths[op->file] + len - 4, "-wal") == 0;
    if (!is_log || op->kind != FAULTY_WRITE) continue;
    sum.writes++;
    sum.bytes += op->len;
    if (op->len > sum.most) sum.most = op->len;
  }
  pthread_mutex_unlock(&faulty.lock);
  return sum;
}

static void begin_recording(struct kit *kit)
{
  nm_store_close(kit->store);
  faulty.is_recording = true;
  kit_open(kit);
  struct nm_store_arrival first = kit_event(11, "99", "first", "");
  kit_accept(kit, &first); /* the log has its head now */
}

static void end_recording(struct kit *kit)
{
  nm_store_close(kit->store);
  faulty.is_recording = false;
  faulty_forget();
  kit_open(kit);
}

static void a_commit_is_one_write_of_all_its_frames(void **state)
{
  struct kit *kit = *state;
  begin_recording(kit);
  size_t from = faulty_serial();
  struct nm_store_arrival arrival = kit_event(11, "99", "u", "");
  kit_accept(kit, &arrival);
  struct written sum = written_to_log(from, faulty_serial());
  assert_int_equal(sum.writes, 1);
  assert_int_equal(sum.bytes % FRAME_BYTES, 0);
  assert_true(sum.bytes >= 2 * FRAME_BYTES);
  end_recording(kit);
}

static void a_large_commit_comes_in_pieces_and_whole(void **state)
{
  struct kit *kit = *state;
  struct nm_event *events;
  char *body = malloc(LARGE_BYTES);
  assert_non_null(body);
  for (size_t i = 0; i < LARGE_BYTES; i++) body[i] = (char)('a' + i * 7919 % 26);
  begin_recording(kit);
  size_t from = faulty_serial();
  struct nm_store_arrival arrival = kit_event(11, "99", "large", "");
  arrival.event.body = (struct nm_text){ body, LARGE_BYTES };
  kit_accept(kit, &arrival);
  struct written sum = written_to_log(from, faulty_serial());
  assert_true(sum.bytes > LARGE_BYTES);
  assert_int_equal(sum.bytes % FRAME_BYTES, 0);
  assert_true(sum.most < PIECE_MAX_BYTES);
  assert_true(sum.writes <= sum.bytes / (PIECE_MAX_BYTES / 2) + 1);
  end_recording(kit);

  assert_int_equal(kit_take(kit, 10, &events), 2);
  assert_int_equal(events[1].body.len, LARGE_BYTES);
  assert_memory_equal(events[1].body.ptr, body, LARGE_BYTES);
  free(body);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_commit_is_one_write_of_all_its_frames),
    KIT_TEST(a_large_commit_comes_in_pieces_and_whole),
  };
  faulty_install();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
