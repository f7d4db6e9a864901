/* prove.c - proves one file after the other in a state that the thread keeps.
 *
 * Loading our library takes longer than proving a file with it.  Nothing of a file is reachable
 * from the next: its environment, its words and its texts are made for one load.  To be sure, a
 * state is thrown away when a load overran or failed in it, when more stays in it than it had,
 * after a number of files, and where none comes for a while. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "script/internal.h"

enum {
  FILES_MAX = 64,                   /* of one state */
  GARBAGE_MAX_BYTES = 1024 * 1024,  /* then it is collected between two files */
  STAYS_MAX_BYTES = 64 * 1024,      /* what may be more after that than at first */
};

struct prover {
  struct nm_state state;
  size_t empty_bytes; /* in use with the library and nothing else */
  int files;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* this thread's prover */

static void destroy(void *data)
{
  struct prover *prover = data;
  if (!prover) return;
  nm_state_close(&prover->state);
  free(prover);
}

static void make_key(void)
{
  nm_require(pthread_key_create(&key, destroy) == 0);
}

static int load_library(lua_State *L)
{
  static const char *const modules[] = { "netmove", "netmove.examples" };
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
    lua_getglobal(L, "require");
    lua_pushstring(L, modules[i]);
    lua_call(L, 1, 0);
  }
  return 0;
}

static struct prover *create(struct nm_error *err)
{
  static const struct nm_budget unhurried = { 0, 1000 };
  struct prover *prover = calloc(1, sizeof *prover);
  if (!prover) {
    (void)nm_fail(err, NM_ENOMEM, "out of memory");
    return NULL;
  }
  int rc = nm_state_open(&prover->state, NM_STATE_RULES, NM_RULES_STATE_MAX_BYTES, err);
  if (rc == NM_OK) rc = nm_state_call(&prover->state, load_library, NULL, &unhurried, NULL, NULL, err);
  if (rc == NM_OK && !pthread_setspecific(key, prover)) return prover;
  if (rc == NM_OK) (void)nm_fail(err, NM_ENOMEM, "out of memory");
  destroy(prover);
  return NULL;
}

static void drop(struct prover *prover)
{
  pthread_setspecific(key, NULL);
  destroy(prover);
}

/* True where the state is as good as new. */
static bool is_clean(struct prover *prover)
{
  struct nm_state *state = &prover->state;
  if (state->is_starved || ++prover->files >= FILES_MAX) return false;
  if (prover->empty_bytes == 0) {
    nm_state_collect(state);
    prover->empty_bytes = state->used_bytes;
  }
  if (state->used_bytes < prover->empty_bytes + GARBAGE_MAX_BYTES) return true;
  nm_state_collect(state);
  return state->used_bytes < prover->empty_bytes + STAYS_MAX_BYTES;
}

int nm_script_prove_open(struct nm_error *err)
{
  pthread_once(&once, make_key);
  return pthread_getspecific(key) || create(err) ? NM_OK : NM_ENOMEM;
}

int nm_script_prove(struct nm_text file, struct nm_text source,
                    const struct nm_script_libraries *libraries, struct nm_arena *arena,
                    struct nm_value *found, struct nm_error *err)
{
  struct nm_value value = { .kind = NM_VALUE_NIL };
  struct nm_script_proof proof = { file, source, libraries, arena, &value, false };
  int opened = nm_script_prove_open(err);
  if (opened != NM_OK) return opened;
  struct prover *prover = pthread_getspecific(key);
  int rc = nm_script_prove_in(&prover->state, &proof, err);
  if (rc != NM_OK || !is_clean(prover)) drop(prover);
  if (rc != NM_OK) return rc;
  *found = value;
  return proof.is_proven ? NM_OK : NM_EINVAL;
}

void nm_script_prove_rest(int64_t idle_ms)
{
  pthread_once(&once, make_key);
  struct prover *prover = pthread_getspecific(key);
  if (prover && nm_clock_mono_ms() - prover->state.started_mono_ns / 1000000 >= idle_ms)
    drop(prover);
}
