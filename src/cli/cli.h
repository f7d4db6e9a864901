/* cli.h - the commands of `netmove`. */
#pragma once

#include "config/config.h"

/* Exit codes (contract.md). */
enum {
  NM_CLI_DONE = 0,
  NM_CLI_NOT_RIGHT = 1,   /* the thing asked about is not right */
  NM_CLI_WRONG_USAGE = 2,
  NM_CLI_COULD_NOT = 3,   /* no daemon, no file */
};

/* While `serve` runs: reads the same file and options again.  Gives *out; problems say what is
 * wrong. */
NM_MUST_CHECK int nm_cli_settings_again(struct nm_settings **out, struct nm_problems *problems);

/* Runs the command that argv names; `serve` runs the daemon and gives the exit code. */
int nm_cli_main(int argc, char **argv, int (*serve)(const struct nm_settings *settings));
