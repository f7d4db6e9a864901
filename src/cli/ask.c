/* ask.c - one request to the daemon, over its admin socket or its admin listener. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/internal.h"

enum {
  ANSWER_MAX_BYTES = 64 * 1024 * 1024,
  ASK_TIMEOUT_S = 60,
  PATH_MAX_BYTES = 4096,
  TOKEN_MAX_BYTES = 256
};

static const char default_config[] = "config/netmove.lua";

const char *nm_cli_settings_path(const struct nm_invocation *invocation)
{
  if (invocation->config)
    return invocation->config;
  return access(default_config, F_OK) == 0 ? default_config : "";
}

struct nm_settings *nm_cli_settings(struct nm_invocation *invocation)
{
  struct nm_problems problems = { .arena = invocation->arena };
  struct nm_settings *settings = NULL;
  const char *path = nm_cli_settings_path(invocation);
  if (nm_settings_load(&settings, nm_text_from(path), &problems)) {
    nm_cli_print_problems(stderr, &problems, false);
    return NULL;
  }
  return settings;
}

/* ---- whom to ask ----------------------------------------------------------------------------- */

/* Where the daemon is and how to get in. */
struct peer {
  struct nm_text base;   /* "http://netmove" over the socket, else the --url */
  struct nm_text socket; /* empty: by --url */
  struct nm_text token;  /* "Authorization: Bearer nm_..."; empty: none */
};

/* "http://127.0.0.1:9090", "http://[::1]:9090", "http://localhost"; never what only begins so, as
 * 127.0.0.1.example.com and localhost:9090@example.com do. */
static bool is_loopback(struct nm_text url)
{
  static const char *const hosts[] = { "http://127.0.0.1", "http://localhost", "http://[::1]" };
  if (memchr(url.ptr, '@', url.len)) return false;
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    size_t len = strlen(hosts[i]);
    if (!nm_text_starts_with(url, nm_text_from(hosts[i]))) continue;
    if (url.len == len || url.ptr[len] == ':' || url.ptr[len] == '/') return true;
  }
  return false;
}

static int read_token(struct nm_invocation *invocation, struct nm_text *out)
{
  char bytes[TOKEN_MAX_BYTES];
  const char *token = getenv("NETMOVE_TOKEN");
  if (invocation->token_file) {
    FILE *file = fopen(invocation->token_file, "re");
    size_t len = file ? fread(bytes, 1, sizeof bytes - 1, file) : 0;
    bool is_read = file && !ferror(file);
    if (file)
      fclose(file);
    if (!is_read) {
      fprintf(stderr, "netmove %s: --token-file %s cannot be read: %s\n", invocation->command->name,
              invocation->token_file, strerror(errno));
      return NM_CLI_COULD_NOT;
    }
    bytes[len] = '\0';
    bytes[strcspn(bytes, "\r\n")] = '\0';
    token = bytes;
  }
  if (!token || token[0] == '\0' || strpbrk(token, "\r\n")) {
    fprintf(stderr,
            "netmove %s: --url asks for a token: put it into NETMOVE_TOKEN, or name its file"
            " with --token-file (netmove token create, on the daemon's machine, makes one)\n",
            invocation->command->name);
    return NM_CLI_COULD_NOT;
  }
  *out = nm_arena_printf(invocation->arena, "Authorization: Bearer %s", token);
  return NM_CLI_DONE;
}

static int find_peer(struct nm_invocation *invocation, struct peer *peer)
{
  *peer = (struct peer){ .base = NM_TEXT("http://netmove") };
  if (invocation->url) {
    struct nm_text url = nm_text_from(invocation->url);
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
      url.len--;
    if (!nm_text_starts_with(url, NM_TEXT("https://")) &&
        !nm_text_starts_with(url, NM_TEXT("http://"))) {
      fprintf(stderr, "netmove %s: --url %s: expected https://HOST:PORT, as admin.listen has it\n",
              invocation->command->name, invocation->url);
      return NM_CLI_WRONG_USAGE;
    }
    if (!nm_text_starts_with(url, NM_TEXT("https://")) && !is_loopback(url)) {
      fprintf(stderr,
              "netmove %s: --url %s: a token is not sent in the clear to another machine; use "
              "https://\n",
              invocation->command->name, invocation->url);
      return NM_CLI_WRONG_USAGE;
    }
    peer->base = url;
    return read_token(invocation, &peer->token);
  }
  struct nm_settings *settings = nm_cli_settings(invocation);
  if (!settings)
    return NM_CLI_COULD_NOT;
  peer->socket = nm_arena_copy(invocation->arena, settings->admin_socket);
  nm_settings_destroy(settings);
  return NM_CLI_DONE;
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct question {
  const char *method;
  struct nm_text url;
  struct nm_text body;     /* ptr NULL: none */
  struct nm_text if_match; /* the header's line; empty: none */
};

struct reading {
  long status;
  struct nm_buffer body;
  struct nm_arena *arena;
  struct nm_text etag;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *data)
{
  struct reading *reading = data;
  return nm_buffer_append(&reading->body, bytes, size * count) ? 0 : size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *data)
{
  struct reading *reading = data;
  struct nm_text name, value, line = { bytes, size * count };
  while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == '\n'))
    line.len--;
  nm_text_cut(line, ':', &name, &value);
  if (nm_text_equal_nocase(name, NM_TEXT("ETag")))
    reading->etag = nm_arena_copy(reading->arena, nm_text_trim(value));
  return size * count;
}

static void aim(CURL *easy, const struct nm_invocation *invocation, const struct peer *peer)
{
  if (peer->socket.len > 0)
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, peer->socket.ptr);
  if (invocation->ca)
    curl_easy_setopt(easy, CURLOPT_CAINFO, invocation->ca);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)ASK_TIMEOUT_S);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *line)
{
  struct curl_slist *more = curl_slist_append(headers, line);
  nm_require(more != NULL);
  return more;
}

static CURLcode perform(const struct nm_invocation *invocation, const struct peer *peer,
                        const struct question *question, struct reading *out)
{
  CURL *easy = curl_easy_init();
  nm_require(easy != NULL);
  struct curl_slist *headers = add_header(NULL, "Expect:");
  if (question->body.ptr)
    headers = add_header(headers, "Content-Type: application/json");
  if (peer->token.len > 0)
    headers = add_header(headers, peer->token.ptr);
  if (question->if_match.len > 0)
    headers = add_header(headers, question->if_match.ptr);
  aim(easy, invocation, peer);
  curl_easy_setopt(easy, CURLOPT_URL, question->url.ptr);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, question->method);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, out);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  if (question->body.ptr) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)question->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, question->body.ptr);
  }
  CURLcode code = curl_easy_perform(easy);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &out->status);
  curl_slist_free_all(headers);
  curl_easy_cleanup(easy);
  return code;
}

static void say_unreached(const struct nm_invocation *invocation, const struct peer *peer,
                          CURLcode code)
{
  const char *name = invocation->command->name;
  struct nm_text where = peer->socket.len > 0 ? peer->socket : peer->base;
  if (code == CURLE_COULDNT_CONNECT && peer->socket.len > 0)
    fprintf(stderr,
            "netmove %s: no daemon answers on %s; start one with `netmove serve`, or name "
            "its settings with --config\n",
            name, where.ptr);
  else if (code == CURLE_COULDNT_CONNECT)
    fprintf(stderr, "netmove %s: nothing answers at %.*s: is that the daemon's admin.listen?\n",
            name, NM_TEXT_ARG(where));
  else if (code == CURLE_PEER_FAILED_VERIFICATION)
    fprintf(stderr,
            "netmove %s: the certificate of %.*s is not accepted; --ca FILE names who signed "
            "it\n",
            name, NM_TEXT_ARG(where));
  else
    fprintf(stderr, "netmove %s: the daemon on %.*s did not answer: %s\n", name, NM_TEXT_ARG(where),
            curl_easy_strerror(code));
}

static int judge(struct nm_invocation *invocation, const struct nm_cli_answer *answer)
{
  const json_t *error = json_object_get(answer->body, "error");
  struct nm_text message = nm_json_string(error, "message");
  if (answer->status >= 200 && answer->status < 300)
    return NM_CLI_DONE;
  fprintf(stderr, "netmove %s: %.*s\n", invocation->command->name,
          NM_TEXT_ARG(message.len > 0 ? message : NM_TEXT("the daemon could not answer")));
  return answer->status == 400 || answer->status == 404 || answer->status == 409 ||
                 answer->status == 412
             ? NM_CLI_NOT_RIGHT
             : NM_CLI_COULD_NOT;
}

static int ask(struct nm_invocation *invocation, const char *method, struct nm_text path,
               const json_t *body, struct nm_text if_match, struct nm_cli_answer *answer)
{
  struct peer peer;
  struct question question = { .method = method };
  struct reading reading = { .arena = invocation->arena };
  *answer = (struct nm_cli_answer){ .status = 0 };

  int rc = find_peer(invocation, &peer);
  if (rc)
    return rc;
  question.url = nm_arena_printf(invocation->arena, "%.*s/api/v1%.*s", NM_TEXT_ARG(peer.base),
                                 NM_TEXT_ARG(path));
  if (!question.url.ptr || question.url.len > PATH_MAX_BYTES) {
    fprintf(stderr, "netmove %s: the arguments are too long\n", invocation->command->name);
    return NM_CLI_WRONG_USAGE;
  }
  if (if_match.len > 0)
    question.if_match =
        nm_arena_printf(invocation->arena, "If-Match: %.*s", NM_TEXT_ARG(if_match));
  if (body)
    question.body = nm_json_text(invocation->arena, body);
  nm_buffer_init(&reading.body, ANSWER_MAX_BYTES);
  CURLcode code = perform(invocation, &peer, &question, &reading);
  if (code != CURLE_OK) {
    say_unreached(invocation, &peer, code);
    nm_buffer_deinit(&reading.body);
    return NM_CLI_COULD_NOT;
  }
  answer->status = (int)reading.status;
  answer->etag = reading.etag;
  if (reading.body.len > 0 && nm_json_parse_any(&answer->body, nm_buffer_text(&reading.body), NULL))
    answer->body = NULL;
  nm_buffer_deinit(&reading.body);
  return NM_CLI_DONE;
}

int nm_cli_ask_if(struct nm_invocation *invocation, const char *method, struct nm_text path,
                  const json_t *body, struct nm_text if_match, struct nm_cli_answer *answer)
{
  int code = ask(invocation, method, path, body, if_match, answer);
  return code == NM_CLI_DONE ? judge(invocation, answer) : code;
}

int nm_cli_look(struct nm_invocation *invocation, struct nm_text path, struct nm_cli_answer *answer)
{
  int code = ask(invocation, "GET", path, NULL, NM_TEXT(""), answer);
  return code == NM_CLI_DONE && answer->status != 404 ? judge(invocation, answer) : code;
}

int nm_cli_ask(struct nm_invocation *invocation, const char *method, struct nm_text path,
               const json_t *body, struct nm_cli_answer *answer)
{
  return nm_cli_ask_if(invocation, method, path, body, NM_TEXT(""), answer);
}

bool nm_cli_confirm(const struct nm_invocation *invocation, bool is_said, const char *question)
{
  char line[16] = "";
  if (is_said)
    return true;
  if (!isatty(STDIN_FILENO)) {
    fprintf(stderr, "netmove %s: %s  Say --yes if so.\n", invocation->command->name, question);
    return false;
  }
  fprintf(stderr, "%s  Type yes: ", question);
  if (fgets(line, sizeof line, stdin) && strcmp(line, "yes\n") == 0)
    return true;
  fprintf(stderr, "Nothing was done.\n");
  return false;
}
