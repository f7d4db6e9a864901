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

/* Runs the command that argv names; `serve` runs the daemon and gives the exit code. */
int nm_cli_main(int argc, char **argv, int (*serve)(const struct nm_settings *settings));
