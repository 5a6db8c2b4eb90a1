#ifndef SOURCES_PLATFORM_H
#define SOURCES_PLATFORM_H

/*
 * One file per platform: a verify spec plus a payload -> events function,
 * registered in one table, so that the next platform is an afternoon.
 *
 * A normaliser is a total function of bytes: it never fails in a way that makes
 * a shop repeat or drop a webhook. Unknown topics are ignored, signed but
 * unreadable bodies are quarantined with a reason. Everything it returns lives
 * in the arena. jansson stays inside.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "base/status.h"
#include "core/event/event.h"
#include "core/signature.h"
#include "core/source.h"

enum normalise_verdict {
    NORMALISE_EVENTS,     /* zero or more events */
    NORMALISE_IGNORED,    /* a topic we do not take */
    NORMALISE_HANDSHAKE,  /* a question about us, answered by normalised.handshake */
    NORMALISE_UNREADABLE, /* quarantine; problem says why */
    NORMALISE_FULL,       /* the arena is full */
    NORMALISE_FOREIGN,    /* of another shop than this source's: refused, nothing is kept */
};

/* The answer to a request that is no delivery: a ping, a challenge, a
 * registration. Nothing of it reaches a profile. */
struct handshake {
    unsigned http_status;     /* 0: 200 with the answer of contract 8, all ignored */
    const char *content_type; /* static */
    struct str body;
    /* This address is fetched before the answer goes out, and the answer is 503
     * when that fails (SNS's SubscribeURL). The platform has pinned its host. */
    struct str visit_url;
    /* A secret that both sides now know: stored before the answer goes out
     * (Shopware's registration). Empty: none. */
    struct str new_secret;
    const char *new_secret_label;
    int64_t new_secret_lives_ms; /* 0: until somebody removes it */
    const char *drops_label;     /* secrets of this label go when the new one comes; or NULL */
};

struct normalised {
    struct event *events; /* ids, source, trust, received_at filled in */
    size_t event_count;
    struct str topic;     /* as the platform says it */
    struct str dedup_key; /* of the delivery */
    struct handshake handshake;
};

/* One row of "which topic and status makes an order count" (issue 2.3). */
struct order_status_rule {
    const char *status; /* the platform's own word */
    enum order_rank rank;
    bool counts; /* by default; settings.order_completed_when overrides */
};

/* How a shop or a provider is connected: the `setup` object of contract 7 beside
 * the topics, as data. In lines, "%s" is the source's name. */
struct setup_way {
    const char *way;          /* "admin", "api"; NULL ends */
    const char *const *steps; /* NULL-terminated */
    const char *paste;        /* a text to paste, or NULL */
    /* The same where it needs the address or a secret (empty unless shown once);
     * or NULL. */
    void (*write_paste)(struct buf *paste, const struct source *source, struct str webhook_url,
                        struct str secret);
};
struct setup_gap {
    const char *what; /* NULL ends */
    const char *how;
};
struct setup {
    const struct setup_way *ways;
    const struct setup_gap *gaps; /* not_covered; NULL: none */
    const char *const *warnings;  /* NULL-terminated; NULL: none */
};

struct delivery_form;
struct engagement_shape;

struct platform {
    const char *name;                /* "shopify" */
    const char *title;               /* "Shopify" */
    struct signature_spec signature; /* algorithm 0: takes no webhooks */
    enum trust trust;
    enum provenance provenance;
    bool makes_secret; /* we make it (WooCommerce, Standard Webhooks); else the platform does */
    int64_t answer_ms; /* how long the sender waits for our answer, less a margin */
    int64_t dedup_horizon_ms; /* its longest repeat */
    int64_t expected_silence_ms;
    /* Request headers worth keeping with the raw body beside those of the
     * signature, for a later replay: what the adapter reads. NULL-terminated, or
     * NULL. */
    const char *const *headers;
    const char *const *topic_headers; /* where the topic stands, preferred first; or NULL */
    const char *const *topics;        /* NULL-terminated: what setup subscribes to */
    const struct order_status_rule *order_statuses; /* status NULL ends */
    const char *const *settings;                    /* names of its own; NULL-terminated */
    const char *default_order_completed_when;       /* shown by the source, JSON text */

    /* The whole 200 of a delivery that was taken, where the sender reads it
     * (Adobe Commerce waits for an operation); NULL: contract 8. JSON. */
    const char *accepted_json;

    /* Is this the platform's unsigned handshake? Then true, and what to answer.
     * Called before verification, for GET too; may be NULL. It authenticates
     * nothing, so its answer holds nothing that the asker did not bring. */
    bool (*greet)(struct arena *arena, const struct source *source, const struct inbound *inbound,
                  struct handshake *out_handshake);
    /* Signed GET requests are handshakes that normalise answers. Else a GET that
     * greet does not know is refused. */
    bool takes_get;
    /* After the signature: does the sender named in the headers belong to this
     * source? NULL: nothing to compare. */
    bool (*is_own_shop)(const struct source *source, const struct inbound *inbound);
    /* What a delivery says, in one of three ways: a table of topics of one JSON
     * object (delivery_priv.h), a table of words of engagement (engagement_priv.h),
     * or a function. */
    const struct delivery_form *delivery;
    const struct engagement_shape *engagement;
    enum normalise_verdict (*normalise)(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem);
    /* Settings of this platform alone, after the common ones were parsed. It may
     * set source->adapter and source->signature. NULL: there are none. */
    enum status (*parse_settings)(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem);
    struct setup setup;
};

/* A delivery's events; *out_normalised is filled in as far as the verdict says. */
enum normalise_verdict platform_normalise(const struct platform *platform, struct arena *arena,
                                          const struct source *source,
                                          const struct inbound *inbound,
                                          struct normalised *out_normalised,
                                          struct problem *problem);

/* Members of the `setup` object (ways, topics, not_covered, warnings), into an open
 * one. secret is empty unless shown once. */
void platform_write_setup(const struct platform *platform, struct jsonw *json,
                          const struct source *source, struct str webhook_url, struct str secret);

/* How this source's deliveries prove themselves: the platform's way, unless its
 * settings say another. */
const struct signature_spec *platform_signature(const struct platform *platform,
                                                const struct source *source);

/* Names of the settings that its sources take: its own, then those of every
 * source. NULL past the end. */
const char *platform_setting_at(const struct platform *platform, size_t index);

/* NULL when there is none. The table is static. */
const struct platform *platform_find(struct str name);
const struct platform *platform_at(size_t index); /* NULL past the end */

/* Checks a source's settings (JSON object text) for its platform; fills the
 * parsed members of *source (currency, time_zone, shop_domain,
 * order_completed_when) from it. STATUS_INVALID with a pointer. */
NODISCARD enum status platform_parse_settings(struct arena *arena, const struct platform *platform,
                                              struct str settings_json, struct source *source,
                                              struct problem *problem);

/* POST /v1/events (contract 8): one object, an array, or NDJSON (by content).
 * Each item becomes an event or an error; `errors_json` is the rendered errors
 * array of problem+json ("" when none). With on_error_skip, the good ones are
 * kept and the errors are listed; else any error gives STATUS_INVALID, with
 * error_count and errors_json filled in and no events (the one case in which
 * an output is set on failure: it is the answer's `errors`; both are zero when
 * the body could not be read at all). The Standard Webhooks source carries the
 * same items in its `data`. */
struct canonical_batch {
    struct event *events;
    size_t event_count;
    struct str errors_json;
    size_t error_count;
    const size_t *items; /* which item of the request each event was; or NULL */
    bool is_list;        /* else the request was one item */
};
NODISCARD enum status canonical_parse(struct arena *arena, const struct source *source,
                                      struct str body, int64_t received_at_ms, bool on_error_skip,
                                      struct canonical_batch *out_batch, struct problem *problem);

/* Products as POST /v1/products/bulk takes them, one JSON object a line, as events
 * product.updated and, with "deleted": true, product.deleted. Errors as above. */
NODISCARD enum status canonical_products_parse(struct arena *arena, const struct source *source,
                                               struct str body, int64_t received_at_ms,
                                               bool on_error_skip,
                                               struct canonical_batch *out_batch,
                                               struct problem *problem);
/* One, whose id is given. */
NODISCARD enum status canonical_product_parse(struct arena *arena, const struct source *source,
                                              struct str body, struct str product_id,
                                              int64_t received_at_ms,
                                              struct canonical_batch *out_batch,
                                              struct problem *problem);

#endif
