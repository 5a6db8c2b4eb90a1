#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/*
 * Every limit, with its reason. A limit that a user can set has its default
 * here; a test stands at each limit and one past it.
 */

/* Bodies. Shopify's own staff speak of "upwards of a megabyte" and publish no
 * maximum; 5 MiB takes a thousand-line order. API documents are small. */
#define LIMIT_HOOK_BODY_BYTES (5u * 1024 * 1024)
#define LIMIT_EVENTS_BODY_BYTES (5u * 1024 * 1024)
/* Of one request whose events are quarantined one by one: each keeps the body, for
 * a replay, until this much of it is kept. */
#define LIMIT_QUARANTINED_BYTES (16u * 1024 * 1024)
#define LIMIT_API_BODY_BYTES (256u * 1024)
/* The SDKs' batches end at 500 KB; a compressed one may grow to 4 MiB, and beyond
 * 64 KiB to a hundred times its size. */
#define LIMIT_SDK_BODY_BYTES (1024u * 1024)
#define LIMIT_SDK_INFLATED_BYTES (4u * 1024 * 1024)
#define LIMIT_INFLATE_FREE_BYTES (64u * 1024)
#define LIMIT_INFLATE_RATIO 100u
/* All bodies in flight together: what a process may hold for its senders. */
#define LIMIT_IN_FLIGHT_BYTES (256u * 1024 * 1024)

/* Connections: fits LimitNOFILE=65536 and 8192 * 24 KiB = 192 MiB at worst. */
#define LIMIT_CONNECTIONS 8192u
#define LIMIT_CONNECTIONS_PER_ADDRESS 1024u
#define LIMIT_CONNECTION_MEMORY_BYTES (24u * 1024)
#define LIMIT_HEADERS_MS 10000
#define LIMIT_BODY_MS 10000
#define LIMIT_BODY_MS_PER_64K 1000
#define LIMIT_IDLE_S 15u
/* A body that is refused is read and thrown away, since a connection closed with
 * bytes unread is reset, and a reset overtakes the answer. 16 MiB is three times
 * the largest body taken anywhere: who goes on beyond it is not about to read.
 * The time is that of a body's start: a slow sender gains nothing by being
 * refused. 256 sockets so kept cost 256 descriptors and no memory to speak of. */
#define LIMIT_DISCARD_BYTES (16u * 1024 * 1024)
#define LIMIT_LINGER_MS 10000
#define LIMIT_LINGERING 256u
#define LIMIT_TARGET_BYTES 8192u
#define LIMIT_QUERY_PARAMETERS 64u
#define LIMIT_HEADERS 100u

/* Sender deadlines: 4 s is inside Shopify's and Customer.io's 5 s and 4 s;
 * WooCommerce waits 60 s and never repeats, so it gets 50 s. */
#define LIMIT_ANSWER_MS 4000
#define LIMIT_ANSWER_WOOCOMMERCE_MS 50000

/* JSON. Real payloads nest 12 deep at most; jansson recurses, so depth is
 * stack. */
#define LIMIT_JSON_DEPTH 64u
#define LIMIT_EVENTS_PER_REQUEST 10000u
#define LIMIT_IDENTIFIERS_PER_EVENT 16u
#define LIMIT_PROPERTIES_BYTES (64u * 1024)
#define LIMIT_TEXT_BYTES 1024u /* one trait, name, or identifier value */
#define LIMIT_DEDUP_KEY_BYTES 128u
#define LIMIT_TRAITS_PER_PROFILE 256u

/* Intake: 512 events or 2 MiB a batch keeps a commit under 100 ms on two
 * cores; a lane holds at most four batches before it says 503. */
#define LIMIT_BATCH_EVENTS 512u
#define LIMIT_BATCH_BYTES (2u * 1024 * 1024)
#define LIMIT_QUEUE_EVENTS 16384u
#define LIMIT_ARENA_REQUEST_BYTES (64u * 1024 * 1024)
#define LIMIT_ARENA_BATCH_BYTES (256u * 1024 * 1024)
#define LIMIT_BATCH_RETRIES 8u
#define LIMIT_OWNER_RELOADS 3u

/* A history that may be read within an ingest transaction (correctness 11). */
#define LIMIT_HOT_HISTORY_FACTS 500u
/* Events of a batch for each of which histories may be read, two round trips a
 * time: a tenth of what its senders wait for. */
#define LIMIT_HOT_RECALLS 64

/* Identity (correctness 3 and 8). */
#define LIMIT_IDENTITIES_PER_KIND 50u
#define LIMIT_MERGES_PER_PROFILE 100u

/* A visit to the shop's pages ends with so long a silence; the next event begins
 * another. What web analytics have agreed on. */
#define LIMIT_SESSION_SILENCE_MS (30 * 60000LL)

/* Delivery. */
#define LIMIT_DELIVERY_BODY_BYTES (256u * 1024)
/* A batch of a hundred ordinary messages is 140 KiB; receivers' own limits begin at 1 MiB. */
#define LIMIT_DELIVERY_BATCH_BYTES (1024u * 1024)
#define LIMIT_DELIVERY_ANSWER_BYTES 8192u
/* An answer to a batch may name each of a thousand members with a reason. */
#define LIMIT_DELIVERY_BATCH_ANSWER_BYTES (256u * 1024)
#define LIMIT_DELIVERY_TIMEOUT_MS 15000
#define LIMIT_DELIVERY_CONNECT_MS 5000
#define LIMIT_DELIVERY_LEASE_MS 60000
#define LIMIT_DELIVERY_QUEUE 8192u /* handed over in memory, not yet started */
/* Transfers at once per sender thread; half of them is for endpoints that were never
 * heard, so that a thousand that hang leave room for the others. */
#define LIMIT_DELIVERY_ACTIVE 2048u
/* Twenty thousand a second are 160 claims of so many; each is a matter of milliseconds
 * then, which claims of 500 beside busy analysts are not. */
#define LIMIT_DELIVERY_CLAIM 128u
#define LIMIT_ENDPOINT_CONCURRENCY 8u

/* Configuration objects of a workspace. */
#define LIMIT_WORKSPACES 10000u
#define LIMIT_SOURCES 200u
#define LIMIT_SECRETS_PER_SOURCE 8u
/* A secret that a handshake replaced: our answer to it may be lost. */
#define LIMIT_SECRET_OVERLAP_MS INT64_C(86400000)
#define LIMIT_SUBSCRIPTIONS 1000u
#define LIMIT_KEYS 1000u
#define LIMIT_TOPICS_PER_SUBSCRIPTION 50u
#define LIMIT_NAME_BYTES 63u

/* How a source is served. The end of our life is written every 5 s, so that a
 * gap of 15 is one and no slow moment of the database looks like it. */
#define LIMIT_UPTIME_BEAT_MS 5000
#define LIMIT_UPTIME_GAP_MS 15000
#define LIMIT_GAPS_SHOWN_MS (7 * 86400000LL)
/* The longest silence that a source may be expected to keep. */
#define LIMIT_SILENCE_MS (366 * 86400000LL)
/* A source is called failing when nothing was accepted for four times as long
 * as usual, but not before this: a shop's own quiet quarter of an hour. */
#define LIMIT_FAILING_AFTER_MS (15 * 60000LL)

/* Tracking plans. A schema is a program of somebody else's on the thread that takes
 * webhooks, so its worst is bounded before it is taken: events have 64 KiB of
 * properties, some 30,000 values at most, and 256 parts of a schema for each are
 * under a second. Where the engine compares all with all (uniqueItems) or tries
 * again and again (patternProperties), the value is bounded instead. */
#define LIMIT_SCHEMAS 500u
#define LIMIT_SCHEMA_BYTES (64u * 1024)
#define LIMIT_SCHEMA_VISITS 256u /* parts that judge one value */
#define LIMIT_SCHEMA_STACK \
    128u /* parts within each other; a thread that takes webhooks has 1 MiB */
/* To compile follows references as far as they go: 64 KiB hold some 3,000. */
#define LIMIT_SCHEMA_COMPILE_STACK_BYTES (64u * 1024 * 1024)
#define LIMIT_SCHEMA_PATTERN_BYTES 256u
#define LIMIT_SCHEMA_SUBJECT_BYTES LIMIT_TEXT_BYTES
#define LIMIT_SCHEMA_NAME_BYTES 128u
#define LIMIT_SCHEMA_UNIQUE_ITEMS 256u
#define LIMIT_SCHEMA_ENUM_VALUES 1000u
#define LIMIT_SCHEMA_VIOLATIONS 20u /* told of one event */

/* Pages. */
#define LIMIT_PAGE_DEFAULT 50u
#define LIMIT_PAGE_MAX 1000u

#endif
