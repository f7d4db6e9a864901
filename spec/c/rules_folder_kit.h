/* rules_folder_kit.h - a folder of rules that is looked at, and what came of it. */
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "folder.h"
#include "rules/rules.h"

enum { PATIENCE_MS = 60 * 1000 };

struct world {
  char path[64];
  uv_loop_t loop;
  uv_timer_t patience;
  struct nm_rules_folder *folder;
  char digest[NM_RULES_DIGEST_BYTES + 1], source[4096]; /* of the latest that proved itself */
  char seen[1024];  /* "acme+ beta- ": what was given on, + proven, - refused */
  char problem[256];
  int count, wanted;
  bool is_waiting, is_late, is_closed;
};

static void on_verdict(void *data, struct nm_rules_verdict *verdict)
{
  struct world *w = data;
  size_t len = strlen(w->seen);
  snprintf(w->seen + len, sizeof w->seen - len, "%.*s%c ", NM_TEXT_ARG(verdict->tenant),
           verdict->rules ? '+' : '-');
  if (!verdict->rules)
    snprintf(w->problem, sizeof w->problem, "%s", verdict->problems->first->text.ptr);
  if (verdict->rules) {
    memcpy(w->digest, nm_rules_facts(verdict->rules)->digest, sizeof w->digest);
    snprintf(w->source, sizeof w->source, "%.*s", NM_TEXT_ARG(verdict->source));
  }
  w->count++;
  if (w->is_waiting && w->count >= w->wanted) uv_stop(&w->loop);
}

static void on_late(uv_timer_t *timer)
{
  struct world *w = timer->data;
  w->is_late = true;
  uv_stop(&w->loop);
}

/* Runs the loop until that many verdicts more have come. */
static void wait_for(struct world *w, int verdicts)
{
  w->wanted = w->count + verdicts;
  assert_int_equal(uv_timer_start(&w->patience, on_late, PATIENCE_MS, 0), 0);
  w->is_waiting = true;
  uv_run(&w->loop, UV_RUN_DEFAULT);
  w->is_waiting = false;
  uv_timer_stop(&w->patience);
  if (w->is_late) fail_msg("no verdict came; so far: %s", w->seen);
}

static void saw(struct world *w, const char *wanted)
{
  assert_string_equal(w->seen, wanted);
  w->seen[0] = '\0';
}

static void put(const char *path, const char *source)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_true(fputs(source, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void open_folder(struct world *w, const char *path)
{
  struct nm_error err;
  assert_int_equal(
      nm_rules_folder_open(&w->folder, &w->loop, nm_text_from(path), on_verdict, w, &err), NM_OK);
}

#define TENANT(name) "return tenant { name = \"" name "\" }"

static void on_closed(void *data)
{
  ((struct world *)data)->is_closed = true;
}

/* An empty folder with `rules` in it, where the program then stands. */
static int begin(void **state)
{
  struct world *w = calloc(1, sizeof *w);
  if (!w) return -1;
  *state = w;
  snprintf(w->path, sizeof w->path, "/tmp/netmove-test-XXXXXX");
  if (!mkdtemp(w->path) || chdir(w->path) != 0 || mkdir("rules", 0700) != 0) return -1;
  w->patience.data = w;
  return uv_loop_init(&w->loop) || uv_timer_init(&w->loop, &w->patience);
}

static int end(void **state)
{
  struct world *w = *state;
  if (w->folder) nm_rules_folder_close(w->folder, on_closed, w);
  else w->is_closed = true;
  uv_close((uv_handle_t *)&w->patience, NULL);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  int rc = !w->is_closed || uv_loop_close(&w->loop) != 0 || chdir("/") != 0 ||
           remove_folder(w->path) != 0;
  free(w);
  return rc;
}
