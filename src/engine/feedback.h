/* feedback.h - tells Optimove what became of each run, once, when nothing changes it any more. */
#pragma once

#include "engine/internal.h"

struct nm_feedback {
  struct nm_book *book;
  struct nm_alarm alarm;
  bool is_running;
  int failures; /* calls in a row that did not do */
};

void nm_feedback_open(struct nm_feedback *feedback, struct nm_book *book);

/* A run has ended, the daemon started, the tenant was saved: looks whose time has come. */
void nm_feedback_soon(struct nm_feedback *feedback);
