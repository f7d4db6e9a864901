/* versions.h - what `netmove version` says of Lua and lua-cjson. */
#pragma once

#include <stddef.h>

/* Writes both as NUL-terminated text; "?" where one cannot be told. */
void nm_script_versions(char *lua, size_t lua_size, char *cjson, size_t cjson_size);
