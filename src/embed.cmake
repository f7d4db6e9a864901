# Puts every file of lua/ into the binary by .incbin: module name (dots for slashes), bytes, length.
set(NETMOVE_EMBED_DIR ${CMAKE_CURRENT_LIST_DIR}/../lua)

function(netmove_embed_lua target)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${NETMOVE_EMBED_DIR} ${NETMOVE_EMBED_DIR}/*.lua)
  # What only editors and tenants' own specs read stays outside.
  list(FILTER files EXCLUDE REGEX "^meta/|/given\\.lua$")
  set(assembly ".section .rodata\n")
  set(externs "")
  set(rows "")
  set(number 0)
  set(paths "")
  foreach(file IN LISTS files)
    string(REGEX REPLACE "\\.lua$" "" module ${file})
    string(REPLACE "/" "." module ${module})
    set(symbol "nm_embedded_lua_${number}")
    string(APPEND assembly ".global ${symbol}\n${symbol}:\n.incbin \"${NETMOVE_EMBED_DIR}/${file}\"\n"
           ".global ${symbol}_end\n${symbol}_end:\n.byte 0\n")
    string(APPEND externs "extern const char ${symbol}[], ${symbol}_end[];\n")
    string(APPEND rows "  { \"${module}\", ${symbol}, ${symbol}_end },\n")
    list(APPEND paths ${NETMOVE_EMBED_DIR}/${file})
    math(EXPR number "${number} + 1")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",@progbits\n")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded_lua.S CONTENT "${assembly}")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded_lua.c CONTENT
       "#include \"script/embedded.h\"\n${externs}const struct nm_embedded nm_embedded_lua[] = {\n${rows}  { 0, 0, 0 }\n};\n")
  set_source_files_properties(${CMAKE_BINARY_DIR}/embedded_lua.S PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/embedded_lua.S ${CMAKE_BINARY_DIR}/embedded_lua.c)
endfunction()

# Puts one file into the binary as SYMBOL to SYMBOL_end.
function(netmove_embed_file target symbol path)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${symbol}.S CONTENT
       ".section .rodata\n.global ${symbol}\n${symbol}:\n.incbin \"${path}\"\n.global ${symbol}_end\n${symbol}_end:\n.byte 0\n.section .note.GNU-stack,\"\",@progbits\n")
  set_source_files_properties(${CMAKE_BINARY_DIR}/${symbol}.S PROPERTIES OBJECT_DEPENDS ${path})
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/${symbol}.S)
endfunction()
