/* query.h - looking: lists and things for people and the API. */
#pragma once

#include "json/json.h"
#include "store/verbs/request.h"

enum nm_store_query_kind {
  /* things and numbers */
  NM_QUERY_SHOW = 1,   /* args {id}: whatever has this id, with its event, messages, attempts */
  NM_QUERY_RUN = 3,    /* args {id}: with holds by reason and messages by state */
  NM_QUERY_STATUS = 4, /* {waiting_events, waiting_messages, oldest_waiting_ms, held, dead, ...} */
  NM_QUERY_EVENT = 5,  /* args {id}: one event with its body, for explain */
  NM_QUERY_SHAPE = 7,  /* what waits, by tenant and destination: [{tenant_id, destination, kind,
                        * total, and counts by age below 5, 10, ... 1280 minutes and above}] */
  NM_QUERY_MADE = 9,   /* args {tenant_id, since_ms}: {singles, recipients}, for the guard */
  NM_QUERY_OWNER = 25, /* args {ids:[...], tenant_id}: {are_all}: all of them are that tenant's */
  /* lists, newest first: args {tenant_id?, limit, before?} and what they name */
  NM_QUERY_QUEUE = 0,  /* held events and runs, held and dead messages, dead updates:
                        * [{id, kind, tenant_id, at, state, reason, ...}] */
  NM_QUERY_RUNS = 2,
  NM_QUERY_GENERATIONS = 6, /* the latest activated first, without their source */
  NM_QUERY_ERASURES = 8,    /* {id?}: jobs, without who it is */
  NM_QUERY_AUDIT = 20,      /* the audit log */
  NM_QUERY_EVENTS = 21,     /* {state?, customer?}: events without their bodies */
  NM_QUERY_MESSAGES = 22,   /* {state?, customer?} */
  NM_QUERY_UPDATES = 23,    /* {state?, customer?} */
  NM_QUERY_PROFILES = 24,   /* {tenant_id, limit, after?}: by ext_id */
};

/* Ids in the answer are text.  Cut at one second. */
struct nm_store_query {
  struct nm_store_request request;
  enum nm_store_query_kind kind;
  const json_t *args; /* borrows; NULL = none */
  json_t *answer;     /* gives: an object, or of lists an array */
};
