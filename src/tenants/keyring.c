/* keyring.c - the master key: read or made once, and the keys derived from it. */
#include "tenants/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/data.h"

enum { PATH_MAX_BYTES = 1024, HEX_BYTES = 2 * NM_MASTER_KEY_BYTES };

static void derive(unsigned char out[NM_MASTER_KEY_BYTES], const char *purpose,
                   const unsigned char master[NM_MASTER_KEY_BYTES])
{
  crypto_generichash(out, NM_MASTER_KEY_BYTES, (const unsigned char *)purpose, strlen(purpose),
                     master, NM_MASTER_KEY_BYTES);
}

/* 32 bytes as hex or as base64 of either alphabet, with or without padding. */
static bool decode(struct nm_text text, unsigned char out[NM_MASTER_KEY_BYTES])
{
  static const int variants[] = { sodium_base64_VARIANT_ORIGINAL,
                                  sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                  sodium_base64_VARIANT_URLSAFE,
                                  sodium_base64_VARIANT_URLSAFE_NO_PADDING };
  size_t len = 0;
  while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
  if (text.len == HEX_BYTES)
    return sodium_hex2bin(out, NM_MASTER_KEY_BYTES, text.ptr, text.len, NULL, &len, NULL) == 0 &&
           len == NM_MASTER_KEY_BYTES;
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
    if (text.len > 0 &&
        sodium_base642bin(out, NM_MASTER_KEY_BYTES, text.ptr, text.len, NULL, &len, NULL,
                          variants[i]) == 0 &&
        len == NM_MASTER_KEY_BYTES)
      return true;
  return false;
}

/* Every folder above the file. */
static void make_folders(const char *path)
{
  char folder[PATH_MAX_BYTES];
  for (size_t i = 1; path[i] && i < sizeof folder; i++)
    if (path[i] == '/') {
      memcpy(folder, path, i);
      folder[i] = '\0';
      mkdir(folder, 0755); /* one that cannot be made shows when the file is opened */
    }
}

static int write_key(int fd, const char *path, struct nm_error *err)
{
  unsigned char key[NM_MASTER_KEY_BYTES];
  char text[HEX_BYTES + 2];
  randombytes_buf(key, sizeof key);
  sodium_bin2hex(text, sizeof text, key, sizeof key);
  text[HEX_BYTES] = '\n';
  bool is_ok = write(fd, text, HEX_BYTES + 1) == HEX_BYTES + 1 && fsync(fd) == 0;
  int why = errno;
  sodium_memzero(key, sizeof key);
  sodium_memzero(text, sizeof text);
  return is_ok ? NM_OK
               : nm_fail(err, NM_EIO, "%s: the master key cannot be written: %s", path,
                         strerror(why));
}

/* Sealed secrets are worth nothing without it: its name must outlive a power cut, too. */
static int sync_folder_of(const char *path, struct nm_error *err)
{
  char folder[PATH_MAX_BYTES];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool is_ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* some file systems cannot */
  int why = errno;
  if (fd >= 0) close(fd);
  return is_ok ? NM_OK
               : nm_fail(err, NM_EIO, "%s: the master key cannot be kept: %s", path, strerror(why));
}

/* Written aside and linked into place, so that no crash leaves half a key and no key is written
 * over. */
static int make_file(const char *path, struct nm_error *err)
{
  char aside[PATH_MAX_BYTES + 16];
  snprintf(aside, sizeof aside, "%s.%ld", path, (long)getpid());
  make_folders(path);
  unlink(aside);
  int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return nm_fail(err, NM_EIO, "%s: the master key cannot be made: %s", path, strerror(errno));
  int rc = write_key(fd, path, err);
  close(fd);
  if (rc == NM_OK && link(aside, path) && errno != EEXIST)
    rc = nm_fail(err, NM_EIO, "%s: the master key cannot be made: %s", path, strerror(errno));
  unlink(aside);
  return rc ? rc : sync_folder_of(path, err);
}

static int read_file(const char *path, unsigned char out[NM_MASTER_KEY_BYTES], struct nm_error *err)
{
  char text[256];
  struct stat about;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return nm_fail(err, errno == ENOENT ? NM_ENOTFOUND : NM_EIO,
                   "%s: the master key cannot be read: %s", path, strerror(errno));
  ssize_t len = fstat(fd, &about) ? -1 : read(fd, text, sizeof text);
  int why = errno;
  close(fd);
  int rc = NM_OK;
  if (len < 0)
    rc = nm_fail(err, NM_EIO, "%s: the master key cannot be read: %s", path, strerror(why));
  else if (about.st_mode & 077)
    rc = nm_fail(err, NM_EDENIED,
                 "%s: the master key can be read by others (mode %04o): chmod 600 it", path,
                 (unsigned)(about.st_mode & 07777));
  else if (!decode((struct nm_text){ text, (size_t)len }, out))
    rc = nm_fail(err, NM_EINVAL, "%s: not a master key: expected 32 bytes as hex or base64", path);
  sodium_memzero(text, sizeof text);
  return rc;
}

static int read_or_make(struct nm_text beside, unsigned char out[NM_MASTER_KEY_BYTES],
                        bool *was_made, struct nm_error *err)
{
  char path[PATH_MAX_BYTES];
  if (beside.len == 0 || beside.len >= sizeof path)
    return nm_fail(err, NM_EINVAL,
                   "no place for a master key: name one as master_key in the settings");
  memcpy(path, beside.ptr, beside.len);
  path[beside.len] = '\0';
  int rc = read_file(path, out, err);
  if (rc != NM_ENOTFOUND) return rc;
  rc = make_file(path, err);
  if (rc == NM_OK) rc = read_file(path, out, err);
  if (rc == NM_OK) *was_made = true;
  return rc;
}

static int read_reference(struct nm_text reference, unsigned char out[NM_MASTER_KEY_BYTES],
                          struct nm_error *err)
{
  struct nm_arena *arena = nm_arena_create(64 * 1024);
  struct nm_text text = { NULL, 0 };
  if (!arena) return nm_fail(err, NM_ENOMEM, "out of memory");
  int rc = nm_secret_resolve(reference, arena, &text, err);
  if (rc == NM_OK && !decode(text, out))
    rc = nm_fail(err, NM_EINVAL,
                 "master_key %.*s: not a master key: expected 32 bytes as hex or base64",
                 NM_TEXT_ARG(reference));
  if (text.ptr) sodium_memzero((char *)text.ptr, text.len);
  nm_arena_destroy(arena);
  return rc;
}

int nm_keyring_open(struct nm_keyring **out, struct nm_text reference, struct nm_text beside,
                    bool *was_made, struct nm_error *err)
{
  unsigned char master[NM_MASTER_KEY_BYTES];
  bool is_made = false;
  if (sodium_init() < 0) return nm_fail(err, NM_EINTERNAL, "libsodium does not start");
  struct nm_keyring *keyring = calloc(1, sizeof *keyring);
  if (!keyring) return nm_fail(err, NM_ENOMEM, "out of memory");
  int rc = reference.len > 0 ? read_reference(reference, master, err)
                             : read_or_make(beside, master, &is_made, err);
  if (rc) {
    free(keyring);
    return rc;
  }
  derive(keyring->seal_key, "netmove seal 1", master);
  derive(keyring->url_key, "netmove url 1", master);
  derive(keyring->person_key, "netmove person 1", master);
  sodium_memzero(master, sizeof master);
  if (was_made) *was_made = is_made;
  *out = keyring;
  return NM_OK;
}

void nm_keyring_destroy(struct nm_keyring *keyring)
{
  if (!keyring) return;
  sodium_memzero(keyring, sizeof *keyring);
  free(keyring);
}

void nm_keyring_person_key(const struct nm_keyring *keyring, unsigned char out[NM_PERSON_KEY])
{
  memcpy(out, keyring->person_key, NM_PERSON_KEY);
}

void nm_keyring_url_secret(const struct nm_keyring *keyring, struct nm_text tenant, int number,
                           char out[NM_URL_SECRET_BYTES + 1])
{
  unsigned char digest[24]; /* 24 bytes are 32 characters of base64 */
  char tail[16];
  crypto_generichash_state state;
  size_t len = (size_t)snprintf(tail, sizeof tail, "%c%d", '\0', number);
  crypto_generichash_init(&state, keyring->url_key, sizeof keyring->url_key, sizeof digest);
  crypto_generichash_update(&state, (const unsigned char *)tenant.ptr, tenant.len);
  crypto_generichash_update(&state, (const unsigned char *)tail, len);
  crypto_generichash_final(&state, digest, sizeof digest);
  sodium_bin2base64(out, NM_URL_SECRET_BYTES + 1, digest, sizeof digest,
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  sodium_memzero(digest, sizeof digest);
}
