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
  NM_HTTP_PIECE_BYTES = 256 * 1024, /* of a body that is read in pieces */
  NM_HTTP_DRAIN_MAX_BYTES = 16 * 1024 * 1024, /* read and thrown away after a refusal */
  NM_HTTP_DRAIN_MAX_MS = 5 * 1000,
  NM_HTTP_REFUSED_BODY_MAX_BYTES = 64 * 1024, /* read to its end so that the connection can stay */
  NM_HTTP_PROGRESS_MIN_BYTES = 64 * 1024,     /* in a timeout, to be given another one */
  NM_HTTP_BODIES_MAX_BYTES = 256 * 1024 * 1024, /* of all requests of a server at once; then 503 */
  NM_HTTP_REQUEST_ARENA_MAX_BYTES = 16 * 1024 * 1024,
  NM_HTTP_CONNECTIONS_MAX = 16384,
  NM_HTTP_HANDSHAKE_TIMEOUT_MS = 10 * 1000,
  NM_HTTP_HEAD_TIMEOUT_MS = 30 * 1000,
  NM_HTTP_BODY_TIMEOUT_MS = 60 * 1000,
  NM_HTTP_WRITE_TIMEOUT_MS = 30 * 1000,
  NM_HTTP_IDLE_TIMEOUT_MS = 75 * 1000,
  NM_HTTP_ADMIN_CONNECTIONS_MAX = 64,      /* of each: admin's address, admin's socket */
  NM_HTTP_REQUESTS_MAX = 4096,             /* waiting for their answers; then 503 */
  NM_HTTP_FULL_HEAD_MS = 1000,             /* no room: who has said nothing whole for so long */
  NM_HTTP_FULL_BODY_MS = 5 * 1000,         /* no room: who is so slow to send or to read */
  NM_NET_OTHER_FILES_MIN = 256,            /* for files, clients and operators */
  NM_TLS_FILE_MAX_BYTES = 256 * 1024,      /* certificates with their chain, keys, CAs */
  NM_TLS_LOOK_MS = 5 * 1000,               /* between two looks at them */
  NM_TLS_TICKET_KEY_MS = 3600 * 1000,
  NM_TLS_UNSENT_MAX_BYTES = 64 * 1024,     /* above it nothing more is read */
  NM_TLS_OUT_MAX_BYTES = 256 * 1024,       /* what one call of OpenSSL may write */
  NM_HTTP_STOP_GRACE_MS = 1000, /* at the end idle connections may still bring what is on its way */

  /* JSON */
  NM_JSON_DEPTH_MAX = 64,

  /* log */
  NM_LOG_LINE_MAX_BYTES = 4096,
  NM_LOG_BUFFER_MAX_BYTES = 1024 * 1024,  /* waiting to be written; two of them */
  NM_LOG_BUFFER_KEPT_BYTES = 128 * 1024,  /* of it for warnings and errors alone */
  NM_LOG_REPEATED_LINES_MAX = 50,         /* of one place and level in a window; then counted */
  NM_LOG_REPEATED_WINDOW_MS = 10 * 1000,
  NM_LOG_PERSONAL_MIN_BYTES = 7,          /* with a digit: an id, a telephone number */
  NM_LOG_FLUSH_MAX_MS = 2 * 1000,         /* at the end; then whoever reads stderr is too slow */

  /* events */
  NM_EVENT_ID_TEXT_MAX_BYTES = 256, /* CampaignID, CustomerID, extId and the like */
  NM_EVENT_DEDUP_WINDOW_MS = 48 * 3600 * 1000,
  NM_EVENT_SINGLE_DEDUP_WINDOW_MS = 60 * 1000, /* 11 without TimeStamp */

  /* store */
  NM_STORE_MAILBOX_MAX = 8192,   /* requests waiting for the writer */
  NM_STORE_GROUP_MAX = 1024,     /* requests in one commit */
  NM_STORE_READER_MAILBOX_MAX = 256,
  NM_STORE_QUERY_ROWS_MAX = 1000,
  NM_STORE_GENERATIONS_MAX = 10, /* latest ones kept of each tenant, beside those that runs use */
  NM_STORE_QUERY_MAX_MS = 1000,
  NM_STORE_TAKE_MAX = 4096,      /* events in one take */
  NM_STORE_GROUP_MAX_MS = 50,    /* after that a commit waits for no further request */
  NM_STORE_FRESH_MAX_BYTES = 8 * 1024 * 1024, /* of new rows handed on from memory; the rest is read */
  NM_STORE_RECENT_MAX = 6 * 1024 * 1024, /* identities of events kept in memory, 32 bytes each */
  NM_STORE_PAGE_MAX_BYTES = 64 * 1024 * 1024,  /* a page of recipients, before compression */
  NM_STORE_CHECK_MAX_BYTES = 256 * 1024 * 1024, /* larger files are not checked after a crash */
  NM_STORE_WAL_STEP_MAX_PAGES = 2048,    /* 8 MiB between two checkpoints */
  NM_STORE_WAL_MAX_PAGES = 16 * 1024,    /* above 64 MiB the log is made to start again */
  NM_STORE_TOMBSTONE_MS = 48 * 3600 * 1000,

  /* retention */
  NM_RETENTION_EVENTS_DAYS = 30,
  NM_RETENTION_DEAD_DAYS = 90,
  NM_RETENTION_AUDIT_DAYS = 365,

  /* settings and tenants as code; values that leave Lua at once */
  NM_SCRIPT_VALUES_MAX = 50000,
  NM_SCRIPT_TABLE_PLACES_MAX = 65536,              /* places, for insert, remove, sort, concat */
  NM_SCRIPT_PATTERN_TEXT_MAX_BYTES = 4096,  /* for patterns with several repetitions */
  NM_DATA_FILE_MAX_BYTES = 256 * 1024,
  NM_SECRET_MAX_BYTES = 64 * 1024,

  /* rules */
  NM_RULES_SOURCE_MAX_BYTES = 256 * 1024,
  NM_RULES_LIBRARIES_MAX = 32,                     /* that one tenant's file uses, by others too */
  NM_RULES_BUNDLE_MAX_BYTES = 512 * 1024,          /* a tenant's file and its libraries together */
  NM_RULES_STATE_MAX_BYTES = 8 * 1024 * 1024,
  NM_RULES_CALL_INSTRUCTIONS_MAX = 1000000,
  NM_RULES_CALL_CPU_MAX_MS = 20,
  NM_RULES_LOAD_CPU_MAX_MS = 500,
  NM_RULES_SLEEP_MS = 10 * 60 * 1000, /* without an event, then a tenant's state is closed */
  NM_RULES_PROVER_REST_MS = 10 * 1000, /* without a file to prove, then that state is closed */
  NM_RULES_EFFECTS_MAX = 200,
  NM_RULES_FILES_MAX = 4096,

  NM_HOOK_BATCH_EVENTS_MAX = 10000, /* events in one POST of hook events */
  NM_API_ANSWER_MAX_BYTES = 32 * 1024 * 1024,
  NM_API_RETRY_IDS_MAX = 10000,     /* ids in one `queue retry` */
  NM_API_TOKENS_MAX = 1000,
  NM_API_TOKENS_ARENA_MAX_BYTES = 4 * 1024 * 1024,
  NM_READY_DISK_MIN_BYTES = 64 * 1024 * 1024, /* less than that is left: not ready */

  /* who may call */
  NM_LOGIN_PROMPT_REFUSALS_MAX = 3,  /* of one address, given at once; the next ones wait */
  NM_LOGIN_DELAY_FIRST_MS = 250,     /* doubling */
  NM_LOGIN_DELAY_MAX_MS = 5 * 1000,
  NM_LOGIN_FORGET_MS = 10 * 60 * 1000,
  NM_LOGIN_ADDRESSES_MAX = 4096,     /* whose failures are counted */
  NM_LOGIN_WAITING_REFUSALS_MAX = 1024,           /* at once; then the first is given early */
  NM_LOGIN_WAITING_MAX_BYTES = 16 * 1024 * 1024,  /* of their requests' bodies */
  NM_INBOUND_RETRY_AFTER_MAX_MS = 3600 * 1000,

  /* tenants */
  NM_TENANT_NAME_MAX_BYTES = 64, /* names of tenants and providers, which stand in paths and file names */
  NM_TENANT_APP_KEY_MAX_BYTES = 128,
  NM_TENANT_TEXT_MAX_BYTES = 32 * 1024, /* one value; a service account's JSON is the longest */
  NM_TENANT_DOCUMENT_MAX_BYTES = 1024 * 1024,
  NM_TENANT_PROVIDERS_MAX = 32,
  NM_TENANT_LIST_MAX = 1000, /* channels, params, hooks */

  /* profiles */
  NM_PROFILE_MAX_BYTES = 64 * 1024, /* one profile as it is stored */
  NM_PROFILE_DEVICES_MAX = 50,
  NM_PROFILE_ATTRIBUTES_MAX = 500,
  NM_PROFILES_BULK_MAX_BYTES = 2000 * 1000 * 1000, /* of one POST; read in pieces */
  NM_PROFILES_BULK_ERRORS_MAX = 100, /* told by their line; the others are counted */
  NM_PROFILES_ENDED_BULKS_MAX = 20,      /* of those that ended, told by /api/v1/imports */
  NM_PROFILES_BATCH_LINES = 128,     /* loaded, merged and saved together */
  NM_PROFILE_TOKEN_MAX_BYTES = 4096, /* a web push subscription is the longest */

  /* engine */
  NM_RUN_PAGE_ROWS_MAX = 10000,
  NM_RUN_AHEAD_MESSAGES_MAX = 50000, /* expanded ahead of the drain, for each lane */
  NM_LANE_LEASE_MAX = 2000,          /* messages of one lane held in memory */
  NM_RUN_AHEAD_MESSAGES = 5000,      /* where a run rests, as long as its channel has so much to do */
  NM_RUN_AHEAD_MS = 30 * 1000,       /* and no more than so long at the lane's rate */
  NM_RUN_SLICE_ROWS_MAX = 1000,      /* rows expanded in one transaction */
  NM_RUN_GENTLE_ROWS_MAX = 200,      /* and so many while single messages come, which wait behind it */
  NM_RUN_GENTLE_TURN_MAX_MS = 1,     /* and turns so long */
  NM_RUN_GENTLE_MESSAGES_MAX = 250,    /* and so many in one send */
  NM_RUN_GENTLE_MS = 10 * 1000,      /* so long after the last of them */
  NM_RUN_FETCH_BUDGET_MS = 24 * 3600 * 1000, /* after that a run whose recipients cannot be had failed */
  NM_RUN_REPEAT_WINDOW_MS = 12 * 3600 * 1000, /* a second 13 of a campaign and channel is held */
  NM_ENGINE_TAKE_MAX = 256,          /* events planned together */
  NM_ENGINE_LEASED_MAX = 40000,      /* messages of all lanes held in memory */
  NM_ENGINE_TURN_MAX_MS = 4,         /* work of one kind in one turn of the loop */
  NM_RETRY_AFTER_MAX_MS = 24 * 3600 * 1000,
  NM_RETRY_ATTEMPTS_MIN = 2,         /* a message gets so many, however long the first of them took */
  NM_LANE_AUTH_PAUSE_MS = 60 * 1000, /* after a refused key */
  NM_UPDATES_GATHER_MS = 200,        /* updates of a tenant wait so long for company */

  /* outbound HTTP */
  NM_CLIENT_URL_MAX_BYTES = 16 * 1024,
  NM_CLIENT_HEAD_MAX_BYTES = 64 * 1024, /* of an answer, with all its interim heads */
  NM_CLIENT_RETRY_AFTER_MAX_MS = 24 * 3600 * 1000,

  /* Optimove: 50 calls in 10 s for a key, 1,000 customers a call, 10 attributes a customer
   * (developer.optimove.com, rate limits and UpdateCustomerAttributes) */
  NM_OPTIMOVE_CALLS_MAX = 50,
  NM_OPTIMOVE_CALLS_WINDOW_MS = 10 * 1000,
  NM_OPTIMOVE_UPDATE_CUSTOMERS_MAX = 1000,
  NM_OPTIMOVE_UPDATE_ATTRIBUTES_MAX = 10,
  NM_OPTIMOVE_TEMPLATES_MAX = 100,
  NM_OPTIMOVE_CALLBACK_TIMEOUT_MS = 10 * 60 * 1000,
  NM_OPTIMOVE_CALL_TIMEOUT_MS = 30 * 1000,    /* of a call, but for pages of recipients */
  NM_OPTIMOVE_METRICS_MAX = 100,              /* rows of UpdateCampaignMetrics */
  NM_OPTIMOVE_PREFERENCES_MAX = 50000,        /* customers of SetCustomerChannelPreference */
  NM_METRICS_AFTER_MS = 3600 * 1000,          /* from a run's end to its figures */
  NM_CATCH_UP_SOON_MS = 30 * 1000,            /* after the listeners were looked at */
  NM_CATCH_UP_AFTER_MS = 10 * 60 * 1000,      /* so long a campaign's notice may be on its way */
  NM_CATCH_UP_CAMPAIGNS_MAX = 10000,          /* of a channel and two days */
  NM_CONNECTOR_CHECK_EVERY_MS = 3600 * 1000,  /* between two looks for drift of listeners */

  /* the process */
  NM_STOP_MAX_MS = 30 * 1000,        /* then it ends with work in flight */
  NM_HANDOVER_PREPARE_MAX_MS = 10 * 1000, /* so long a new program may take to read its settings */
  NM_HANDOVER_READY_MAX_MS = 60 * 1000,   /* and so long to serve, once it has the store */
  NM_FILES_MAX = 1024 * 1024,        /* descriptors that are asked for, where the system allows more */

  /* control */
  NM_CONTROL_MAILBOX_MAX = 64,
  NM_CONNECTOR_APPLY_MAX_MS = 40 * 1000,
};
