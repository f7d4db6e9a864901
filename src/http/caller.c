/* caller.c - who really calls, and whether plain HTTP may be spoken with them. */
#include <stdio.h>

#include "http/internal.h"

struct nm_http_fault nm_http_caller_fault(const struct nm_http_server *server,
                                          const struct nm_stream *stream)
{
  const struct nm_networks *behind = server->options.behind;
  struct nm_text peer = nm_text_from(stream->peer);
  bool is_trusted = behind && nm_networks_contain(behind, peer);
  if (stream->cover != NM_STREAM_PLAIN || is_trusted) return (struct nm_http_fault){ 0 };
  if (server->options.tls)
    return (struct nm_http_fault){ 400, "https_required", "this port speaks TLS: use https://" };
  if (!behind || nm_text_equal(peer, NM_TEXT("unix")) || nm_network_is_loopback(peer))
    return (struct nm_http_fault){ 0 };
  return (struct nm_http_fault){ 403, "https_required",
                                 "plain HTTP is taken only from the proxies in front of us" };
}

/* "203.0.113.7", "203.0.113.7:4711", "[2001:db8::1]" or "[2001:db8::1]:4711" without the rest. */
static struct nm_text cut_port(struct nm_text hop)
{
  struct nm_text address, rest;
  hop = nm_text_trim(hop);
  if (hop.len > 0 && hop.ptr[0] == '[') {
    nm_text_cut((struct nm_text){ hop.ptr + 1, hop.len - 1 }, ']', &address, &rest);
    return address;
  }
  bool has_port = nm_text_cut(hop, ':', &address, &rest) && !memchr(rest.ptr, ':', rest.len);
  return has_port ? address : hop;
}

/* Looks at the hops of one line from its end; true where it is known who calls. */
static bool follow(struct nm_http_request *request, struct nm_text line)
{
  const struct nm_networks *behind = request->server->options.behind;
  while (line.len > 0) {
    size_t at = line.len;
    while (at > 0 && line.ptr[at - 1] != ',') at--;
    struct nm_text hop = cut_port((struct nm_text){ line.ptr + at, line.len - at });
    unsigned char bytes[16];
    if (!nm_network_read_address(hop, bytes)) return true; /* the proxy that wrote it is the last */
    snprintf(request->peer, sizeof request->peer, "%.*s", NM_TEXT_ARG(hop));
    if (!nm_networks_contain(behind, hop)) return true;
    line.len = at > 0 ? at - 1 : 0;
  }
  return false;
}

/* What a trusted proxy says of who called it is believed, and of who called the one before as long
 * as that was a trusted one too; what stands in front of them anybody could have written. */
void nm_http_caller_find(struct nm_http_request *request)
{
  const struct nm_networks *behind = request->server->options.behind;
  const struct nm_http_parser *parser = &request->parser;
  if (!behind || !nm_networks_contain(behind, nm_text_from(request->peer))) return;
  for (unsigned i = parser->field_count; i > 0; i--) {
    const struct nm_http_field *field = &parser->fields[i - 1];
    if (!nm_text_equal_nocase(field->name, NM_TEXT("X-Forwarded-For"))) continue;
    if (follow(request, field->value)) return;
  }
}
