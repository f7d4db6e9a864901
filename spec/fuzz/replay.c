/* replay.c - libFuzzer's main() where there is no libFuzzer: each file of the folders named goes
 * through the target once.  Words that begin with - are libFuzzer's and are passed over.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 1024 * 1024, PATH_MAX_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A copy of exact size, so that a sanitizer sees a byte too many. */
static int replay_file(const char *path)
{
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info) || info.st_size > FILE_MAX_BYTES) {
    fprintf(stderr, "%s: cannot be read, or is too large\n", path);
    if (file) fclose(file);
    return 1;
  }
  size_t len = (size_t)info.st_size;
  uint8_t *bytes = malloc(len > 0 ? len : 1);
  int rc = !bytes || fread(bytes, 1, len, file) != len;
  fclose(file);
  if (rc) fprintf(stderr, "%s: cannot be read\n", path);
  else LLVMFuzzerTestOneInput(bytes, len);
  free(bytes);
  return rc;
}

static int replay_folder(const char *folder, unsigned *count)
{
  char path[PATH_MAX_BYTES];
  struct dirent *entry;
  int rc = 0;
  DIR *dir = opendir(folder);
  if (!dir) {
    fprintf(stderr, "%s: no such folder\n", folder);
    return 1;
  }
  while (rc == 0 && (entry = readdir(dir))) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    rc = replay_file(path);
    ++*count;
  }
  closedir(dir);
  return rc;
}

int main(int argc, char **argv)
{
  unsigned count = 0;
  int rc = 0;
  for (int i = 1; i < argc && rc == 0; i++)
    if (argv[i][0] != '-') rc = replay_folder(argv[i], &count);
  if (rc == 0 && count == 0) {
    fprintf(stderr, "no inputs: name folders of them\n");
    return 1;
  }
  if (rc == 0) printf("%u inputs, nothing found\n", count);
  return rc;
}
