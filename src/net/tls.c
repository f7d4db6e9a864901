/* tls.c - the certificate in force, and how another one takes its place. */
#include "net/tls.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/internal.h"

enum { FILES = 3, SOON_DAYS = 14 };

/* What tells one state of a file from another. */
struct stamp {
  int error;
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec modified, changed;
};

struct nm_tls {
  uv_loop_t *loop;
  struct nm_tls_options options; /* of texts that are ours */
  SSL_CTX *context;
  struct nm_tls_tickets tickets;
  uv_timer_t rotation, looking;
  int handles; /* of the two, not yet closed */
  uv_work_t work;
  bool is_working, is_asked, is_asked_again, is_closing;
  void (*on_closed)(void *data);
  void *closed_data;

  /* While is_working these belong to the worker. */
  struct stamp seen[FILES];
  SSL_CTX *made; /* NULL: nothing has changed, or `error` says why not */
  struct nm_error error;
};

/* ---- files ----------------------------------------------------------------------------------- */

static void stamp_file(struct stamp *out, struct nm_text path)
{
  struct stat info;
  memset(out, 0, sizeof *out); /* compared with its padding */
  if (path.len == 0) return;
  if (stat(path.ptr, &info)) {
    out->error = errno;
    return;
  }
  out->device = info.st_dev;
  out->inode = info.st_ino;
  out->size = info.st_size;
  out->modified = info.st_mtim;
  out->changed = info.st_ctim;
}

static void stamp_files(struct stamp out[FILES], const struct nm_tls_options *options)
{
  stamp_file(&out[0], options->certificate);
  stamp_file(&out[1], options->key);
  stamp_file(&out[2], options->client_ca);
}

static int copy_path(struct nm_text *out, struct nm_text path)
{
  char *copy = malloc(path.len + 1);
  if (!copy) return NM_ENOMEM;
  if (path.len > 0) memcpy(copy, path.ptr, path.len);
  copy[path.len] = '\0';
  *out = (struct nm_text){ copy, path.len };
  return NM_OK;
}

static void free_paths(struct nm_tls_options *options)
{
  free((char *)options->certificate.ptr);
  free((char *)options->key.ptr);
  free((char *)options->client_ca.ptr);
}

/* NUL behind each path, whatever the caller's had. */
static int copy_options(struct nm_tls_options *out, const struct nm_tls_options *options)
{
  struct nm_tls_options copy = { .client = options->client };
  if (copy_path(&copy.certificate, options->certificate) || copy_path(&copy.key, options->key) ||
      copy_path(&copy.client_ca, options->client_ca)) {
    free_paths(&copy);
    return NM_ENOMEM;
  }
  *out = copy;
  return NM_OK;
}

int nm_tls_check(const struct nm_tls_options *options, struct nm_error *err)
{
  struct nm_tls_options copy;
  SSL_CTX *context;
  if (copy_options(&copy, options)) return nm_fail(err, NM_ENOMEM, "no memory for TLS");
  int rc = nm_tls_context_create(&context, &copy, err);
  if (!rc) SSL_CTX_free(context);
  free_paths(&copy);
  return rc;
}

/* ---- looking again --------------------------------------------------------------------------- */

static void warn_of_end(SSL_CTX *context, const char *path)
{
  int days = 0, seconds = 0;
  const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(context));
  if (!ASN1_TIME_diff(&days, &seconds, NULL, end)) return;
  if (days < 0 || seconds < 0) {
    nm_log(NM_LOG_WARN, "net", NULL, "the certificate in %s has expired; callers will refuse it",
           path);
  } else if (days < SOON_DAYS) {
    nm_log(NM_LOG_WARN, "net", NULL, "the certificate in %s expires in %d days", path, days);
  }
}

static void on_look(uv_work_t *work)
{
  struct nm_tls *self = work->data;
  struct stamp now[FILES];
  stamp_files(now, &self->options);
  if (!self->is_asked && memcmp(now, self->seen, sizeof now) == 0) return;
  memcpy(self->seen, now, sizeof now);
  int rc = nm_tls_context_create(&self->made, &self->options, &self->error);
  nm_expect(rc == NM_OK || self->error.code == rc);
}

static void free_when_done(struct nm_tls *self)
{
  if (self->handles > 0 || self->is_working) return;
  void (*on_closed)(void *data) = self->on_closed;
  void *data = self->closed_data;
  SSL_CTX_free(self->context);
  OPENSSL_cleanse(&self->tickets, sizeof self->tickets);
  free_paths(&self->options);
  free(self);
  if (on_closed) on_closed(data);
}

static void on_looked(uv_work_t *work, int status)
{
  struct nm_tls *self = work->data;
  const char *path = self->options.certificate.ptr;
  (void)status;
  self->is_working = false;
  if (self->is_closing) {
    SSL_CTX_free(self->made);
    free_when_done(self);
    return;
  }
  if (self->made) {
    nm_tls_tickets_serve(&self->tickets, self->made);
    SSL_CTX_free(self->context); /* connections hold on to it as long as they need */
    self->context = self->made;
    nm_metric_add(NM_METRIC_TLS_FILES_TAKEN, 1);
    nm_log(NM_LOG_INFO, "net", NULL, "the certificate in %s serves from now on", path);
    warn_of_end(self->context, path);
  } else if (self->error.code) {
    nm_metric_add(NM_METRIC_TLS_FILES_REFUSED, 1);
    nm_log(NM_LOG_WARN, "net", NULL, "TLS files refused, the old certificate serves on: %s",
           self->error.text);
  }
  bool is_asked_again = self->is_asked_again;
  self->is_asked = self->is_asked_again = false;
  if (is_asked_again) nm_tls_look(self);
}

static void look(struct nm_tls *self)
{
  self->made = NULL;
  self->error = (struct nm_error){ 0 };
  self->is_working = uv_queue_work(self->loop, &self->work, on_look, on_looked) == 0;
}

void nm_tls_look(struct nm_tls *tls)
{
  if (tls->is_closing) return;
  if (tls->is_working) {
    tls->is_asked_again = true;
    return;
  }
  tls->is_asked = true;
  look(tls);
}

static void on_time_to_look(uv_timer_t *timer)
{
  struct nm_tls *self = timer->data;
  if (!self->is_working) look(self);
}

static void on_time_to_rotate(uv_timer_t *timer)
{
  struct nm_tls *self = timer->data;
  if (nm_tls_tickets_rotate(&self->tickets))
    nm_log(NM_LOG_ERROR, "net", NULL, "no random bytes for new ticket keys; the old ones stay");
  warn_of_end(self->context, self->options.certificate.ptr);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int make(struct nm_tls *self, const struct nm_tls_options *options, struct nm_error *err)
{
  if (copy_options(&self->options, options)) return nm_fail(err, NM_ENOMEM, "no memory for TLS");
  stamp_files(self->seen, &self->options);
  if (nm_tls_tickets_rotate(&self->tickets))
    return nm_fail(err, NM_EINTERNAL, "no random bytes for ticket keys");
  return nm_tls_context_create(&self->context, &self->options, err);
}

int nm_tls_open(struct nm_tls **out, uv_loop_t *loop, const struct nm_tls_options *options,
                struct nm_error *err)
{
  struct nm_tls *self = calloc(1, sizeof *self);
  if (!self) return nm_fail(err, NM_ENOMEM, "no memory for TLS");
  int rc = make(self, options, err);
  if (rc) {
    free_paths(&self->options);
    free(self);
    return rc;
  }
  nm_tls_tickets_serve(&self->tickets, self->context);
  warn_of_end(self->context, self->options.certificate.ptr);
  self->loop = loop;
  self->work.data = self->rotation.data = self->looking.data = self;
  self->handles = 2;
  uv_timer_init(loop, &self->rotation);
  uv_timer_init(loop, &self->looking);
  uv_timer_start(&self->rotation, on_time_to_rotate, NM_TLS_TICKET_KEY_MS, NM_TLS_TICKET_KEY_MS);
  uv_timer_start(&self->looking, on_time_to_look, NM_TLS_LOOK_MS, NM_TLS_LOOK_MS);
  *out = self;
  return NM_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
  struct nm_tls *self = handle->data;
  self->handles--;
  free_when_done(self);
}

void nm_tls_close(struct nm_tls *tls, void (*on_closed)(void *data), void *data)
{
  nm_require(!tls->is_closing);
  tls->is_closing = true;
  tls->on_closed = on_closed;
  tls->closed_data = data;
  uv_close((uv_handle_t *)&tls->rotation, on_handle_closed);
  uv_close((uv_handle_t *)&tls->looking, on_handle_closed);
}

SSL *nm_tls_session(struct nm_tls *tls)
{
  return SSL_new(tls->context);
}

int nm_tls_rotate(struct nm_tls *tls)
{
  return nm_tls_tickets_rotate(&tls->tickets);
}
