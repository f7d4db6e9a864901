/* http_transcript.h - what the parser makes of bytes cut in a given way, as text that can be
 * compared: where messages begin and end must not depend on the cuts. */
#pragma once

#include <stdio.h>

#include "http/parser.h"

enum { TRANSCRIPT_BODY_MAX = 64, TRANSCRIPT_HEAD_MAX = 2048 };

static inline void transcript_add(struct nm_buffer *out, struct nm_text text)
{
  nm_require(nm_buffer_append_text(out, text) == NM_OK);
}

static inline void transcript_message(struct nm_buffer *out, const struct nm_http_parser *parser)
{
  transcript_add(out, parser->method);
  transcript_add(out, NM_TEXT(" "));
  transcript_add(out, parser->target);
  transcript_add(out, parser->is_1_0 ? NM_TEXT(" 1.0") : NM_TEXT(" 1.1"));
  for (unsigned i = 0; i < parser->field_count; i++) {
    transcript_add(out, NM_TEXT(" "));
    transcript_add(out, parser->fields[i].name);
    transcript_add(out, NM_TEXT("="));
    transcript_add(out, parser->fields[i].value);
  }
  if (nm_buffer_text(&parser->body).len > 0) {
    transcript_add(out, NM_TEXT(" <"));
    transcript_add(out, nm_buffer_text(&parser->body));
    transcript_add(out, NM_TEXT(">"));
  }
  transcript_add(out, parser->keeps_alive ? NM_TEXT("\n") : NM_TEXT(" close\n"));
}

/* Feeds one piece; false once something was refused. */
static inline bool transcript_feed(struct nm_buffer *out, struct nm_http_parser *parser,
                                   struct nm_text piece)
{
  for (;;) {
    size_t used = 0;
    enum nm_http_step step = nm_http_parser_feed(parser, piece, &used);
    nm_require(used <= piece.len);
    piece = (struct nm_text){ piece.ptr + used, piece.len - used };
    if (step == NM_HTTP_STEP_MORE) {
      nm_require(piece.len == 0);
      return true;
    }
    if (step == NM_HTTP_STEP_BAD) {
      char word[8];
      snprintf(word, sizeof word, "!%d", parser->fault.status);
      transcript_add(out, nm_text_from(word));
      return false;
    }
    if (step == NM_HTTP_STEP_HEAD) {
      nm_http_parser_take_body(parser, TRANSCRIPT_BODY_MAX, false);
      if (nm_http_parser_has_body(parser)) continue;
      nm_require(nm_http_parser_feed(parser, NM_TEXT(""), &used) == NM_HTTP_STEP_DONE);
    }
    transcript_message(out, parser);
    nm_http_parser_deinit(parser);
    nm_http_parser_init(parser, TRANSCRIPT_HEAD_MAX);
    if (piece.len == 0) return true;
  }
}

/* Feeds bytes in pieces that end at the cuts (ascending); gives the transcript in out. */
static inline void transcript(struct nm_buffer *out, struct nm_text bytes, const size_t *cuts,
                              size_t cut_count)
{
  struct nm_http_parser parser;
  nm_buffer_clear(out);
  nm_http_parser_init(&parser, TRANSCRIPT_HEAD_MAX);
  size_t from = 0;
  for (size_t i = 0; i <= cut_count; i++) {
    size_t to = i < cut_count ? cuts[i] : bytes.len;
    /* An own copy of exact size, so that reading beyond the piece is seen by ASan. */
    char *copy = malloc(to - from + 1);
    nm_require(copy != NULL);
    memcpy(copy, bytes.ptr + from, to - from);
    char *piece = realloc(copy, to > from ? to - from : 1);
    struct nm_text fed = { piece, to - from };
    bool goes_on = fed.len == 0 || transcript_feed(out, &parser, fed);
    free(piece);
    if (!goes_on) break;
    from = to;
  }
  nm_http_parser_deinit(&parser);
}
