/* The room's door: which backend a URL means, and the way to it. */
#include "store/internal.h"

static const struct nm_text sqlite_scheme = { "sqlite:", 7 };

static int open_sqlite(struct nm_store **out, struct nm_text path,
                       const struct nm_store_options *options, struct nm_error *err)
{
  if (nm_text_starts_with(path, NM_TEXT("///"))) { /* sqlite:///var/lib is /var/lib */
    path.ptr += 2;
    path.len -= 2;
  }
  /* SQLite reads these as a database in memory or as a URI of its own. */
  if (nm_text_is_empty(path) || path.ptr[0] == ':' || nm_text_starts_with(path, NM_TEXT("file:")))
    return nm_fail(err, NM_EINVAL, "store \"%.*s\" names no file: write sqlite:var/netmove.db",
                   NM_TEXT_ARG(options->url));
  if (memchr(path.ptr, '\0', path.len)) return nm_fail(err, NM_EINVAL, "store holds a NUL byte");
  return nm_sqlite_open(out, path, options, err);
}

int nm_store_open(struct nm_store **out, const struct nm_store_options *options,
                  struct nm_error *err)
{
  struct nm_text url = options->url;
  if (nm_text_starts_with(url, sqlite_scheme)) {
    struct nm_text path = { url.ptr + sqlite_scheme.len, url.len - sqlite_scheme.len };
    return open_sqlite(out, path, options, err);
  }
  if (nm_text_starts_with(url, NM_TEXT("postgresql:")) ||
      nm_text_starts_with(url, NM_TEXT("postgres:")))
    return nm_fail(err, NM_EUNSUPPORTED,
                   "a postgresql: store is not built yet; use sqlite:PATH");
  return nm_fail(err, NM_EINVAL, "store \"%.*s\" is no sqlite:PATH", NM_TEXT_ARG(url));
}

int nm_store_submit(struct nm_store *store, struct nm_store_request *request)
{
  return store->submit(store, request);
}

void nm_store_set_person_key(struct nm_store *store, const unsigned char key[NM_PERSON_KEY_BYTES])
{
  store->set_person_key(store, key);
}

void nm_store_close(struct nm_store *store)
{
  if (store) store->close(store);
}

bool nm_store_is_sound(struct nm_store *store)
{
  return store->is_sound(store);
}
