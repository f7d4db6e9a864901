/* gauges.c - what is in memory now, as Prometheus reads it: every lane, breaker, bucket and stage.
 *
 * Labels are names of tenants, providers and hosts, never of campaigns or people; beyond LANES_MAX
 * lanes only sums are given. */
#include <stdarg.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "engine/failover.h"
#include "engine/planner.h"
#include "engine/runs.h"

enum { TEXT_MAX_BYTES = 4 * 1024 * 1024, LANES_MAX = 2000, HOSTS_MAX = 2000 };

struct gauges {
  struct nm_engine *engine;
  struct nm_buffer text;
  bool is_short; /* of memory: nothing is given then */
};

NM_PRINTF(2, 3)
static void put(struct gauges *gauges, const char *format, ...)
{
  va_list args;
  char line[1024];
  va_start(args, format);
  int len = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (len < 0 || (size_t)len >= sizeof line || nm_buffer_append(&gauges->text, line, (size_t)len))
    gauges->is_short = true;
}

static void begin(struct gauges *gauges, const char *family, const char *help)
{
  put(gauges, "# HELP %s %s\n# TYPE %s gauge\n", family, help, family);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

typedef double lane_number(const struct nm_lane *lane);

static double ready_of(const struct nm_lane *lane)
{
  return (double)(lane->singles.count + lane->rest.count);
}

static double behind_of(const struct nm_lane *lane)
{
  return (double)lane->turns.behind;
}

static double fenced_of(const struct nm_lane *lane)
{
  return (double)lane->fenced.count;
}

static double in_flight_of(const struct nm_lane *lane)
{
  return (double)lane->in_flight;
}

static double sends_of(const struct nm_lane *lane)
{
  return (double)lane->send_count;
}

static double allowed_of(const struct nm_lane *lane)
{
  return lane->width.most > 0 ? (double)nm_width_allows(&lane->width) : 0;
}

static double rate_of(const struct nm_lane *lane)
{
  return lane->bucket.per_s;
}

static double tokens_of(const struct nm_lane *lane)
{
  return lane->bucket.per_s > 0 ? lane->bucket.tokens : 0;
}

static double resting_of(const struct nm_lane *lane)
{
  return (double)nm_lane_pause_left_ms(lane) / 1000;
}

static double well_of(const struct nm_lane *lane)
{
  return nm_lane_is_well(lane) ? 1 : 0;
}

static const struct {
  const char *family, *more, *help; /* more: another label of the same family */
  lane_number *number;
} lane_gauges[] = {
  { "netmove_lane_messages", ",place=\"ready\"", "Messages of a lane in memory, by place.",
    ready_of },
  { "netmove_lane_messages", ",place=\"behind\"", "Messages of a lane in memory, by place.",
    behind_of },
  { "netmove_lane_messages", ",place=\"fenced\"", "Messages of a lane in memory, by place.",
    fenced_of },
  { "netmove_lane_messages", ",place=\"in_flight\"", "Messages of a lane in memory, by place.",
    in_flight_of },
  { "netmove_lane_sends", "", "Sends of a lane under way.", sends_of },
  { "netmove_lane_sends_allowed", "",
    "Sends that may be under way, after the provider's answers; 0 = any.", allowed_of },
  { "netmove_lane_rate", "", "Messages a second that a lane may send; 0 = any.", rate_of },
  { "netmove_lane_tokens", "", "Messages that a lane's bucket would let go at once.", tokens_of },
  { "netmove_lane_resting_seconds", "",
    "How much longer a lane rests: throttled, refused or failing.", resting_of },
  { "netmove_lane_well", "",
    "1 where a lane's provider is well, 0 where another one would take over.", well_of },
};

static size_t count_lanes(const struct nm_engine *engine)
{
  size_t count = 0;
  for (size_t i = 0; i < engine->book_count; i++)
    for (const struct nm_lane *lane = engine->books[i]->lanes; lane; lane = nm_lane_next(lane))
      count++;
  return count;
}

static void put_lanes(struct gauges *gauges)
{
  const struct nm_engine *engine = gauges->engine;
  bool is_summed = count_lanes(engine) > LANES_MAX;
  const char *before = "";
  for (size_t g = 0; g < sizeof lane_gauges / sizeof *lane_gauges; g++) {
    double sum = 0;
    if (strcmp(before, lane_gauges[g].family) != 0)
      begin(gauges, lane_gauges[g].family, lane_gauges[g].help);
    before = lane_gauges[g].family;
    for (size_t i = 0; i < engine->book_count; i++)
      for (const struct nm_lane *lane = engine->books[i]->lanes; lane; lane = nm_lane_next(lane)) {
        double number = lane_gauges[g].number(lane);
        sum += number;
        if (!is_summed)
          put(gauges, "%s{tenant=\"%.*s\",provider=\"%.*s\"%s} %.10g\n", before,
              NM_TEXT_ARG(lane->book->tenant->name), NM_TEXT_ARG(lane->name), lane_gauges[g].more,
              number);
      }
    if (is_summed)
      put(gauges, "%s{tenant=\"\",provider=\"\"%s} %.10g\n", before, lane_gauges[g].more, sum);
  }
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void put_hosts(struct gauges *gauges)
{
  size_t count = 0;
  char name[512];
  begin(gauges, "netmove_breaker_open",
        "1 where a host cannot be reached and is tried now and then.");
  for (const struct nm_host *host = gauges->engine->hosts; host && count < HOSTS_MAX;
       host = host->next, count++) {
    size_t len = 0;
    for (const char *at = host->name; *at && len < sizeof name - 1; at++)
      name[len++] = *at == '"' || *at == '\\' || *at == '\n' ? '_' : *at;
    name[len] = '\0';
    put(gauges, "netmove_breaker_open{host=\"%s\"} %d\n", name, host->breaker.open_until_ms != 0);
  }
}

/* ---- runs and stages ------------------------------------------------------------------------- */

static void put_runs(struct gauges *gauges)
{
  enum { STATES = NM_RUN_FAILED + 1 };
  size_t counts[STATES] = { 0 };
  int64_t waiting = 0, unexpanded = 0;
  const struct nm_engine *engine = gauges->engine;
  for (size_t i = 0; i < engine->book_count; i++)
    for (const struct nm_running *run = engine->books[i]->runs; run; run = nm_run_next(run)) {
      const struct nm_run *row = nm_run_row(run);
      if (run->is_gone) continue;
      counts[row->state]++;
      waiting += run->waiting;
      unexpanded += row->rows_fetched - row->made - row->repeated - row->skipped - row->held;
    }
  begin(gauges, "netmove_runs", "Campaign runs that are not over, by state.");
  for (int state = 0; state < STATES; state++)
    if (state != NM_RUN_CANCELLED && state != NM_RUN_DONE)
      put(gauges, "netmove_runs{state=\"%s\"} %zu\n", nm_run_state_name((enum nm_run_state)state),
          counts[state]);
  begin(gauges, "netmove_run_messages_waiting", "Messages of runs that have no end yet.");
  put(gauges, "netmove_run_messages_waiting %lld\n", (long long)waiting);
  begin(gauges, "netmove_run_rows_unexpanded", "Recipients that are here and not looked at yet.");
  put(gauges, "netmove_run_rows_unexpanded %lld\n", (long long)(unexpanded > 0 ? unexpanded : 0));
}

static void put_stages(struct gauges *gauges)
{
  const struct nm_engine *engine = gauges->engine;
  begin(gauges, "netmove_engine_stage", "Work in memory, by stage of the engine.");
  put(gauges, "netmove_engine_stage{stage=\"leased\"} %zu\n", engine->leased);
  put(gauges, "netmove_engine_stage{stage=\"sends\"} %zu\n", engine->sends);
  put(gauges, "netmove_engine_stage{stage=\"store_requests\"} %zu\n", engine->calls_open);
  put(gauges, "netmove_engine_stage{stage=\"optimove_calls\"} %zu\n", engine->calls_out);
  put(gauges, "netmove_engine_stage{stage=\"reconciles\"} %zu\n", engine->reconciles);
  put(gauges, "netmove_engine_stage{stage=\"jobs\"} %zu\n", engine->job_count);
}

void nm_control_metrics(struct nm_engine *engine, struct nm_control *control)
{
  struct gauges gauges = { .engine = engine };
  nm_buffer_init(&gauges.text, TEXT_MAX_BYTES);
  put_lanes(&gauges);
  put_hosts(&gauges);
  put_runs(&gauges);
  put_stages(&gauges);
  if (gauges.is_short) {
    nm_control_answer(control, NM_ENOMEM, NULL);
  } else {
    struct nm_text text = nm_buffer_text(&gauges.text);
    nm_control_answer(control, NM_OK, json_pack("{s:s%}", "text", text.ptr, text.len));
  }
  nm_buffer_deinit(&gauges.text);
}
