/* links: rules
 * rules.c - what an event costs in its rules, and what tenants' rules cost together.
 *
 *   rules run FILE COUNT       COUNT events 11, from their bytes to effects: reading, conversion in
 * and out, limits on; prints {"us":..} of CPU time an event rules own FILE COUNT       the same
 * with two lines of a basket in each rules tenants FILE COUNT   loads and proves FILE, each time
 * another, for COUNT tenants that then serve an event each, and once more as a reload does (the old
 * one goes when the new one is proven); prints CPU times and memory
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/event.h"
#include "rules/rules.h"

#define FIRST_EVENT                                                                                \
  "{\"EventTypeID\":11,\"CampaignID\":7,\"ChannelID\":459,\"TemplateID\":1201,"                   \
  "\"CustomerID\":\"C1\",\"TimeStamp\":\"2030-01-01 10:00:00\"}"

enum { TENANTS_MAX = 10000, SOURCE_MAX_BYTES = 256 * 1024 };

static char source[SOURCE_MAX_BYTES];

static _Noreturn void fail(const char *what, const char *why)
{
  fprintf(stderr, "rules: %s: %s\n", what, why);
  exit(3);
}

static double clock_s(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct nm_text read_source(const char *path)
{
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, "cannot be read");
  struct nm_text text = { source, fread(source, 1, sizeof source, file) };
  fclose(file);
  return text;
}

static struct nm_rules *load(struct nm_text text)
{
  struct nm_rules *rules = NULL;
  struct nm_problems problems = { .arena = nm_arena_create(1024 * 1024) };
  if (nm_rules_load(&rules, NM_TEXT("rules/bench.lua"), text, &problems))
    fail("does not load", problems.first ? problems.first->text.ptr : "");
  nm_arena_destroy(problems.arena);
  return rules;
}

/* As the engine holds it: what the front door read stands beside the bytes. */
static size_t one_event(struct nm_rules *rules, struct nm_text body, struct nm_text customer)
{
  const struct nm_rules_moment moment = { .now_ms = 1700000000000 };
  const struct nm_event event = { .kind = NM_EVENT_CAMPAIGN, .type = NM_EVENT_TYPE_SINGLE,
                                  .channel_id = 459, .template_id = 1201, .campaign = NM_TEXT("7"),
                                  .customer = customer, .stamp = NM_TEXT("2030-01-01 10:00:00"),
                                  .body = body };
  struct nm_arena *arena = nm_arena_create(4 * 1024 * 1024);
  struct nm_effects effects = { 0 };
  struct nm_error err = { 0 };
  if (nm_rules_serve(rules, &event, NULL, &moment, arena, &effects, &err)) fail("event", err.text);
  if (effects.count != 1 || effects.items[0].kind != NM_EFFECT_SEND) fail("event", "is not sent");
  size_t len = effects.items[0].content.len;
  nm_arena_destroy(arena);
  return len;
}

static void run(struct nm_rules *rules, int64_t count, const char *more)
{
  char body[512];
  size_t bytes = 0;
  double began = clock_s(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < count; i++) {
    int len = snprintf(body, sizeof body,
                       "{\"EventTypeID\":11,\"CampaignID\":7,\"ChannelID\":459,\"TemplateID\":1201,"
                       "\"CustomerID\":\"C%" PRId64 "\",\"TimeStamp\":\"2030-01-01 10:00:00\","
                       "\"attributes\":{\"first_name\":\"Ada\"%s}}", i, more);
    const char *customer = strstr(body, "\"C") + 1;
    bytes += one_event(rules, (struct nm_text){ body, (size_t)len },
                       (struct nm_text){ customer, strcspn(customer, "\"") });
  }
  double us = (clock_s(CLOCK_PROCESS_CPUTIME_ID) - began) * 1e6 / (double)count;
  printf("{\"us\":%.4f,\"bytes\":%zu}\n", us, bytes);
}

static int64_t resident_bytes(void)
{
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*s %ld", &pages) != 1) fail("/proc/self/statm", "cannot be read");
  fclose(file);
  return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* Every tenant's file is another one. */
static struct nm_rules *load_another(struct nm_text text, int64_t number)
{
  char *copy = malloc(text.len + 64);
  if (!copy) fail("tenants", "no memory");
  int len = snprintf(copy, text.len + 64, "local number = %" PRId64 "\n%.*s", number,
                     NM_TEXT_ARG(text));
  struct nm_rules *rules = load((struct nm_text){ copy, (size_t)len });
  free(copy);
  return rules;
}

static double kib_each(int64_t before, int64_t count)
{
  return (double)(resident_bytes() - before) / 1024 / (double)count;
}

/* All are loaded, each serves an event, all are loaded anew, each serves an event again; the
 * slowest event is the one that opened its tenant's state. */
static void tenants(struct nm_text text, int64_t count)
{
  static struct nm_rules *rules[TENANTS_MAX];
  if (count > TENANTS_MAX) fail("tenants", "too many");
  nm_rules_destroy(load(text)); /* what all share is paid for */
  int64_t before = resident_bytes();
  double began = clock_s(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < count; i++) rules[i] = load_another(text, i);
  double load_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - began;
  double idle_kib = kib_each(before, count), longest = 0;
  for (int64_t i = 0; i < count; i++) {
    double at = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    (void)one_event(rules[i], NM_TEXT(FIRST_EVENT), NM_TEXT("C1"));
    double took = clock_s(CLOCK_PROCESS_CPUTIME_ID) - at;
    if (took > longest) longest = took;
  }
  double tenant_kib = kib_each(before, count);
  began = clock_s(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < count; i++) {
    struct nm_rules *fresh = load_another(text, count + i);
    nm_rules_destroy(rules[i]);
    rules[i] = fresh;
  }
  double reload_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - began;
  for (int64_t i = 0; i < count; i++)
    (void)one_event(rules[i], NM_TEXT(FIRST_EVENT), NM_TEXT("C1"));
  printf("{\"load_s\":%.4f,\"reload_s\":%.4f,\"longest_ms\":%.3f,\"idle_kib\":%.1f,"
         "\"tenant_kib\":%.1f,\"after_reload_kib\":%.1f}\n", load_s, reload_s, longest * 1000,
         idle_kib, tenant_kib, kib_each(before, count));
  for (int64_t i = 0; i < count; i++) nm_rules_destroy(rules[i]);
}

int main(int argc, char **argv)
{
  int64_t count = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
  if (count <= 0) {
    fprintf(stderr, "usage: rules run|own|tenants FILE COUNT\n");
    return 2;
  }
  struct nm_text text = read_source(argv[2]);
  if (strcmp(argv[1], "tenants") == 0) {
    tenants(text, count);
  } else {
    struct nm_rules *rules = load(text);
    bool is_own = strcmp(argv[1], "own") == 0;
    run(rules, count,
        is_own ? ",\"lines\":[{\"price\":59.9,\"quantity\":2},{\"price\":10,\"quantity\":1}]" : "");
    nm_rules_destroy(rules);
  }
  return 0;
}
