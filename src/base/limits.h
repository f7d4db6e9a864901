/* limits.h - every limit, named, with its unit in its name.  The manual's table is made of it.
 *
 * Those that an operator may change are defaults here and settings in config/netmove.lua.
 */
#pragma once

enum {
  /* front door */
  NM_HTTP_HEAD_MAX_BYTES = 16 * 1024,
  NM_HTTP_HEADERS_MAX = 100,
  NM_HTTP_EVENT_BODY_MAX_BYTES = 64 * 1024,
  NM_HTTP_BATCH_BODY_MAX_BYTES = 8 * 1024 * 1024,
  NM_HTTP_CHUNK_EXTENSIONS_MAX_BYTES = 1024,
  NM_HTTP_DRAIN_MAX_BYTES = 16 * 1024 * 1024, /* read and thrown away after a refusal */
  NM_HTTP_DRAIN_MAX_MS = 5 * 1000,
  NM_HTTP_CONNECTIONS_MAX = 16384,
  NM_HTTP_HEAD_TIMEOUT_MS = 30 * 1000,
  NM_HTTP_BODY_TIMEOUT_MS = 60 * 1000,
  NM_HTTP_WRITE_TIMEOUT_MS = 30 * 1000,
  NM_HTTP_IDLE_TIMEOUT_MS = 75 * 1000,

  /* JSON */
  NM_JSON_DEPTH_MAX = 64,

  /* log */
  NM_LOG_LINE_MAX_BYTES = 4096,

  /* events */
  NM_EVENT_ID_TEXT_MAX_BYTES = 256, /* CampaignID, CustomerID, extId and the like */
  NM_EVENT_DEDUP_WINDOW_MS = 48 * 3600 * 1000,
  NM_EVENT_SINGLE_DEDUP_WINDOW_MS = 60 * 1000, /* 11 without TimeStamp */

  /* store */
  NM_STORE_MAILBOX_MAX = 8192,   /* requests waiting for the writer */
  NM_STORE_GROUP_MAX = 1024,     /* requests in one commit */
  NM_STORE_READER_MAILBOX_MAX = 256,
  NM_STORE_QUERY_ROWS_MAX = 1000,

  /* rules */
  NM_RULES_SOURCE_MAX_BYTES = 256 * 1024,
  NM_RULES_STATE_MAX_BYTES = 8 * 1024 * 1024,
  NM_RULES_CALL_INSTRUCTIONS_MAX = 1000000,
  NM_RULES_CALL_CPU_MAX_MS = 20,
  NM_RULES_LOAD_CPU_MAX_MS = 500,
  NM_RULES_EFFECTS_MAX = 200,

  /* tenants */
  NM_TENANT_NAME_MAX_BYTES = 64, /* names of tenants and providers, which stand in paths and file names */
  NM_TENANT_APP_KEY_MAX_BYTES = 128,
  NM_TENANT_TEXT_MAX_BYTES = 32 * 1024, /* one value; a service account's JSON is the longest */
  NM_TENANT_DOCUMENT_MAX_BYTES = 1024 * 1024,
  NM_TENANT_PROVIDERS_MAX = 32,
  NM_TENANT_LIST_MAX = 1000, /* channels, params, hooks */

  /* engine */
  NM_RUN_PAGE_ROWS_MAX = 10000,
  NM_RUN_AHEAD_MESSAGES_MAX = 50000, /* expanded ahead of the drain, for each lane */
  NM_LANE_LEASE_MAX = 2000,          /* messages of one lane held in memory */

  /* Optimove: 50 calls in 10 s for a key, 1,000 customers a call, 10 attributes a customer
   * (developer.optimove.com, rate limits and UpdateCustomerAttributes) */
  NM_OPTIMOVE_CALLS_MAX = 50,
  NM_OPTIMOVE_CALLS_WINDOW_MS = 10 * 1000,
  NM_OPTIMOVE_UPDATE_CUSTOMERS_MAX = 1000,
  NM_OPTIMOVE_UPDATE_ATTRIBUTES_MAX = 10,
  NM_OPTIMOVE_CALLBACK_TIMEOUT_MS = 10 * 60 * 1000,

  /* control */
  NM_CONTROL_MAILBOX_MAX = 64,
  NM_CONNECTOR_APPLY_MAX_MS = 40 * 1000,
};
