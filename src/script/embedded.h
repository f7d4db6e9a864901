/* embedded.h - the files of lua/ as they stand in the binary (made by src/embed.cmake). */
#pragma once

struct nm_embedded {
  const char *module; /* "netmove.values"; NULL ends the table */
  const char *begin, *end;
};

extern const struct nm_embedded nm_embedded_lua[];
