/* ask.c - one request to the daemon over its admin socket. */
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/internal.h"

enum { ANSWER_MAX_BYTES = 64 * 1024 * 1024, ASK_TIMEOUT_S = 60, PATH_MAX_BYTES = 4096 };

static const char default_config[] = "config/netmove.lua";

const char *nm_cli_settings_path(const struct nm_invocation *invocation)
{
  if (invocation->config) return invocation->config;
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

static size_t on_bytes(char *bytes, size_t size, size_t count, void *data)
{
  return nm_buffer_append(data, bytes, size * count) ? 0 : size * count;
}

struct nm_text nm_cli_escape(struct nm_arena *arena, struct nm_text text)
{
  char *escaped = curl_easy_escape(NULL, text.ptr, (int)text.len);
  struct nm_text out = nm_arena_copy(arena, nm_text_from(escaped ? escaped : ""));
  curl_free(escaped);
  return out;
}

static CURLcode perform(const char *socket, const char *method, const char *url,
                        struct nm_text body, struct nm_buffer *out, long *status)
{
  CURL *easy = curl_easy_init();
  nm_require(easy != NULL);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Expect:");
  curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)ASK_TIMEOUT_S);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
  if (body.ptr) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.ptr);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  }
  CURLcode code = curl_easy_perform(easy);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
  curl_slist_free_all(headers);
  curl_easy_cleanup(easy);
  return code;
}

static int judge(struct nm_invocation *invocation, const struct nm_cli_answer *answer)
{
  const json_t *error = json_object_get(answer->body, "error");
  struct nm_text message = nm_json_string(error, "message");
  if (answer->status >= 200 && answer->status < 300) return NM_CLI_DONE;
  fprintf(stderr, "netmove %s: %.*s\n", invocation->command->name,
          NM_TEXT_ARG(message.len > 0 ? message : NM_TEXT("the daemon could not answer")));
  return answer->status == 400 || answer->status == 404 || answer->status == 409
             ? NM_CLI_NOT_RIGHT
             : NM_CLI_COULD_NOT;
}

int nm_cli_ask(struct nm_invocation *invocation, const char *method, struct nm_text path,
               const json_t *body, struct nm_cli_answer *answer)
{
  char url[PATH_MAX_BYTES];
  struct nm_buffer out;
  long status = 0;
  *answer = (struct nm_cli_answer){ 0, NULL };

  struct nm_settings *settings = nm_cli_settings(invocation);
  if (!settings) return NM_CLI_COULD_NOT;
  struct nm_text socket = nm_arena_copy(invocation->arena, settings->admin_socket);
  nm_settings_destroy(settings);
  if (snprintf(url, sizeof url, "http://netmove/api/v1%.*s", NM_TEXT_ARG(path)) >= (int)sizeof url) {
    fprintf(stderr, "netmove %s: the arguments are too long\n", invocation->command->name);
    return NM_CLI_WRONG_USAGE;
  }
  struct nm_text text = body ? nm_json_text(invocation->arena, body) : (struct nm_text){ NULL, 0 };
  nm_buffer_init(&out, ANSWER_MAX_BYTES);
  CURLcode code = perform(socket.ptr, method, url, text, &out, &status);
  if (code != CURLE_OK) {
    if (code == CURLE_COULDNT_CONNECT)
      fprintf(stderr, "netmove %s: no daemon answers on %s; start one with `netmove serve`, or name "
                      "its settings with --config\n", invocation->command->name, socket.ptr);
    else
      fprintf(stderr, "netmove %s: the daemon on %s did not answer: %s\n",
              invocation->command->name, socket.ptr, curl_easy_strerror(code));
    nm_buffer_deinit(&out);
    return NM_CLI_COULD_NOT;
  }
  answer->status = (int)status;
  if (out.len > 0 && nm_json_parse_any(&answer->body, nm_buffer_text(&out), NULL))
    answer->body = NULL;
  nm_buffer_deinit(&out);
  return judge(invocation, answer);
}
