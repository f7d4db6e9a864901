#include "http/router.h"

#include <stdio.h>

struct nm_text nm_http_match_name(const char *name)
{
  const char *end = strchr(name, '}');
  return (struct nm_text){ name, end ? (size_t)(end - name) : 0 };
}

/* Matches one path against one pattern, segment by segment; fills the parameters of `out`. */
static bool matches(const char *pattern, struct nm_text path, struct nm_http_match *out)
{
  struct nm_text wanted, segment, name;
  /* most routes are another one, and say so with their first letters */
  for (size_t i = 0; pattern[i] != '\0' && pattern[i] != '{'; i++)
    if (i == path.len || pattern[i] != path.ptr[i]) return false;
  wanted = nm_text_from(pattern);
  out->param_count = 0;
  for (;;) {
    bool more_wanted = nm_text_cut(wanted, '/', &name, &wanted);
    bool more_there = nm_text_cut(path, '/', &segment, &path);
    if (name.len > 0 && name.ptr[0] == '{') {
      if (segment.len == 0 || !nm_expect(out->param_count < NM_HTTP_PARAMS_MAX)) return false;
      out->names[out->param_count] = name.ptr + 1;
      out->values[out->param_count++] = segment;
    } else if (!nm_text_equal(name, segment)) {
      return false;
    }
    if (more_wanted != more_there) return false;
    if (!more_wanted) return true;
  }
}

void nm_http_match(const struct nm_http_route *routes, struct nm_text path, unsigned method,
                   struct nm_http_match *out)
{
  bool is_any = nm_text_equal(path, NM_TEXT("*"));
  *out = (struct nm_http_match){ 0 };
  for (const struct nm_http_route *route = routes; route->pattern; route++) {
    struct nm_http_match found;
    if (!is_any && !matches(route->pattern, path, &found)) continue;
    unsigned methods = route->methods;
    if (methods & NM_HTTP_GET) methods |= NM_HTTP_HEAD;
    out->methods |= methods;
    if (is_any || out->route || !(methods & method)) continue;

    out->route = route;
    out->param_count = found.param_count;
    for (unsigned i = 0; i < found.param_count; i++) {
      out->names[i] = found.names[i];
      out->values[i] = found.values[i];
    }
  }
}

void nm_http_allow_text(char out[NM_HTTP_ALLOW_MAX_BYTES], unsigned methods)
{
  snprintf(out, NM_HTTP_ALLOW_MAX_BYTES, "%s%s%s%s%sOPTIONS",
           methods & NM_HTTP_GET ? "GET, " : "", methods & NM_HTTP_HEAD ? "HEAD, " : "",
           methods & NM_HTTP_POST ? "POST, " : "", methods & NM_HTTP_PUT ? "PUT, " : "",
           methods & NM_HTTP_DELETE ? "DELETE, " : "");
}

bool nm_http_type_is_one_of(const char *types, struct nm_text type)
{
  struct nm_text rest = nm_text_from(types), one;
  while (rest.len > 0) {
    nm_text_cut(rest, '|', &one, &rest);
    if (nm_text_equal_nocase(one, type)) return true;
  }
  return false;
}
