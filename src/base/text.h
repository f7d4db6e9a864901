/* text.h - strings as pointer and length, passed by value.
 *
 * A text borrows its bytes: it is valid as long as whoever made them keeps them (an arena, a
 * buffer, a literal).  It need not end in NUL and may hold any byte.  Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct nm_text {
  const char *ptr;
  size_t len;
};

/* A text of a string literal, also usable as an initialiser of a static. */
#define NM_TEXT(literal) ((struct nm_text){ (literal), sizeof(literal) - 1 })

/* For printf: printf("%.*s", NM_TEXT_ARG(text)). */
#define NM_TEXT_ARG(text) (int)(text).len, ((text).ptr ? (text).ptr : "")

static inline struct nm_text nm_text_from(const char *cstr)
{
  return (struct nm_text){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline bool nm_text_is_empty(struct nm_text text)
{
  return text.len == 0;
}

bool nm_text_equal(struct nm_text a, struct nm_text b);

/* Equal but for the case of ASCII letters. */
bool nm_text_equal_nocase(struct nm_text a, struct nm_text b);

bool nm_text_starts_with(struct nm_text text, struct nm_text prefix);

/* Without blanks and tabs at either end. */
struct nm_text nm_text_trim(struct nm_text text);

/* Cuts at the first `at`: *head is what stands before it, *tail what stands behind.  Without it,
 * *head is all, *tail is empty, and false comes back. */
bool nm_text_cut(struct nm_text text, char at, struct nm_text *head, struct nm_text *tail);

/* Reads the whole text as a decimal integer, with an optional minus; false on anything else. */
bool nm_text_to_i64(struct nm_text text, int64_t *out);

/* Writes a number's digits, without NUL; returns how many bytes. */
enum { NM_TEXT_I64_MAX_BYTES = 20 };
size_t nm_text_put_i64(char out[NM_TEXT_I64_MAX_BYTES], int64_t number);

/* True where the bytes are valid UTF-8 without NUL. */
bool nm_text_is_utf8(struct nm_text text);

/* What a stranger wrote, as part of a line: writes as much of it as fits into max bytes with a NUL
 * behind; returns how many bytes without it.  A character goes in whole or not at all; control
 * characters become blanks, and bytes that are no UTF-8 question marks.  `out` may be text.ptr. */
size_t nm_text_put_line(char *out, size_t max, struct nm_text text);

/* Percent-encodes for a URL: all but the unreserved characters of RFC 3986.  Without NUL; returns
 * how many bytes.  With out = NULL it only counts them. */
size_t nm_text_put_escaped(char *out, struct nm_text text);
