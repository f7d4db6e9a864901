/* scarce.c - part of a program built for tests: allocations that fail.  Ours and Lua's are wrapped
 * by the linker, the libraries' go through their own hooks, so that it holds under AddressSanitizer
 * too.  Which ones fail stands in a small file (NETMOVE_SCARCE) that the test writes while the
 * daemon runs; see scarce.lua.  Without it, nothing is installed. */
#include <curl/curl.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "../c/sqlite_memory.h"

/* The file; the order of scarce.lua. */
struct order {
  _Atomic int64_t from, to; /* those with these numbers fail */
  _Atomic int64_t source;   /* of this one; 0 of all */
  _Atomic int64_t calls[4]; /* out: so many were asked for; of all, then by source */
  _Atomic int64_t failed;   /* out */
};

enum source { OURS = 1, GROWING = 2 /* Lua's, and what grows */, LIBRARIES = 3 };
enum { FRAMES = 24 };

static struct order *order;
static bool is_traced; /* NETMOVE_SCARCE_TRACE: stderr says where */

static bool is_out(enum source source)
{
  if (!order)
    return false;
  int64_t of_all = atomic_fetch_add(&order->calls[0], 1);
  int64_t of_source = atomic_fetch_add(&order->calls[source], 1);
  int64_t wanted = atomic_load(&order->source);
  if (wanted != 0 && wanted != (int64_t)source)
    return false;
  int64_t number = wanted == 0 ? of_all : of_source;
  if (number < atomic_load(&order->from) || number >= atomic_load(&order->to))
    return false;
  atomic_fetch_add(&order->failed, 1);
  if (is_traced) {
    void *frames[FRAMES];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
  }
  return true;
}

/* ---- ours ------------------------------------------------------------------------------------ */

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *old, size_t len);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t len)
{
  return is_out(OURS) ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
  return is_out(OURS) ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *old, size_t len)
{
  return is_out(GROWING) ? NULL : __real_realloc(old, len);
}

char *__wrap_strdup(const char *text)
{
  return is_out(OURS) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
  return is_out(OURS) ? NULL : __real_strndup(text, len);
}

/* ---- the libraries' -------------------------------------------------------------------------- */

static bool is_sqlite_out(void)
{
  return is_out(LIBRARIES);
}

static void *openssl_malloc(size_t len, const char *file, int line)
{
  (void)file, (void)line;
  return len == 0 || is_out(LIBRARIES) ? NULL : __real_malloc(len);
}

static void *openssl_realloc(void *old, size_t len, const char *file, int line)
{
  (void)file, (void)line;
  if (len == 0) {
    free(old);
    return NULL;
  }
  return is_out(LIBRARIES) ? NULL : __real_realloc(old, len);
}

static void openssl_free(void *old, const char *file, int line)
{
  (void)file, (void)line;
  free(old);
}

static void *library_malloc(size_t len)
{
  return is_out(LIBRARIES) ? NULL : __real_malloc(len);
}

static void *library_calloc(size_t count, size_t len)
{
  return is_out(LIBRARIES) ? NULL : __real_calloc(count, len);
}

static void *library_realloc(void *old, size_t len)
{
  return is_out(LIBRARIES) ? NULL : __real_realloc(old, len);
}

static char *library_strdup(const char *text)
{
  return is_out(LIBRARIES) ? NULL : __real_strdup(text);
}

static void hook_libraries(void)
{
  CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
  json_set_alloc_funcs(library_malloc, free);
  uv_replace_allocator(library_malloc, library_realloc, library_calloc, free);
  (void)wrap_sqlite(is_sqlite_out);
  curl_global_init_mem(CURL_GLOBAL_ALL, library_malloc, free, library_realloc, library_strdup,
                       library_calloc);
}

__attribute__((constructor)) static void begin(void)
{
  const char *path = getenv("NETMOVE_SCARCE");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0)
    return;
  void *at = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED)
    return;
  is_traced = getenv("NETMOVE_SCARCE_TRACE") != NULL;
  void *frame;
  (void)backtrace(&frame, 1); /* loads what it needs */
  hook_libraries();
  order = at;
}
