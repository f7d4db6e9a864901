#include <lauxlib.h>

#include "script/internal.h"

/* json_text(text): the text as it stands between quotes in JSON, itself where nothing in it has to
 * be escaped; nil where it is no text or not UTF-8. */
int nm_json_text_inside(lua_State *L)
{
  static const char hex[] = "0123456789abcdef",
                    names[] = "btn\vfr"; /* 8 to 13; 11 has no short form */
  luaL_Buffer buffer;
  struct nm_text text;
  size_t clean = 0;
  bool is_ascii = true;
  if (lua_type(L, 1) != LUA_TSTRING) return 0;
  text.ptr = lua_tolstring(L, 1, &text.len);
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c >= 0x80) is_ascii = false;
    if (c >= 0x20 && c != '"' && c != '\\') clean++;
  }
  if (!is_ascii && !nm_text_is_utf8(text)) return 0;
  lua_settop(L, 1);
  if (clean == text.len) return 1;

  luaL_buffinit(L, &buffer);
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    unsigned char byte = (unsigned char)c;
    if (byte == 0) return 0;
    if (byte >= 0x20 && c != '"' && c != '\\') {
      luaL_addchar(&buffer, c);
      continue;
    }
    luaL_addchar(&buffer, '\\');
    if (byte >= 0x20) {
      luaL_addchar(&buffer, c);
    } else if (byte >= 8 && byte <= 13 && byte != 11) {
      luaL_addchar(&buffer, names[byte - 8]);
    } else {
      luaL_addlstring(&buffer, "u00", 3);
      luaL_addchar(&buffer, hex[byte >> 4]);
      luaL_addchar(&buffer, hex[byte & 15]);
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}
