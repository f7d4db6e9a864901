#include <curl/curl.h>
#include <llhttp.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <sqlite3.h>
#include <uv.h>
#include <zlib.h>

#include "cli/internal.h"
#include "script/versions.h"

int nm_cli_version(struct nm_invocation *invocation)
{
  char llhttp[32], lua[64], cjson[64];
  snprintf(llhttp, sizeof llhttp, "%d.%d.%d", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
           LLHTTP_VERSION_PATCH);
  nm_script_versions(lua, sizeof lua, cjson, sizeof cjson);
  const struct {
    const char *name, *version;
  } rows[] = {
    { "libuv", uv_version_string() },
    { "OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING) },
    { "libcurl", curl_version_info(CURLVERSION_NOW)->version },
    { "Lua", lua },
    { "lua-cjson", cjson },
    { "jansson", jansson_version_str() },
    { "SQLite", sqlite3_libversion() },
    { "libsodium", sodium_version_string() },
    { "llhttp", llhttp },
    { "zlib", zlibVersion() },
  };
  if (invocation->is_json) {
    json_t *libraries = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
      json_object_set_new(libraries, rows[i].name, json_string(rows[i].version));
    json_t *all = json_pack("{s:s,s:o}", "netmove", NM_VERSION, "libraries", libraries);
    nm_cli_print_json(all);
    json_decref(all);
    return NM_CLI_DONE;
  }
  printf("netmove %s\n", NM_VERSION);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    printf("  %-10s %s\n", rows[i].name, rows[i].version);
  return NM_CLI_DONE;
}
