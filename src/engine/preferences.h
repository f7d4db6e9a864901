/* preferences.h - tells Optimove who wants no more messages on a channel. */
#pragma once

#include "engine/internal.h"

struct nm_preferences {
  struct nm_book *book;
  struct nm_alarm alarm;
  bool is_running, is_wanted;
  int failures; /* in a row */
};

void nm_preferences_open(struct nm_preferences *preferences, struct nm_book *book);

/* There may be somebody; waits a moment for company. */
void nm_preferences_soon(struct nm_preferences *preferences);
