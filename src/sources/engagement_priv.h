#ifndef SOURCES_ENGAGEMENT_PRIV_H
#define SOURCES_ENGAGEMENT_PRIV_H

/*
 * What became of a mail, as email service providers tell it.
 *
 * They all say the same dozen things in words and member names of their own. So
 * an adapter is a table of words and a table of places (struct
 * engagement_shape), and where its platform is odder than that, one function
 * that looks again at what was read.
 */

#include <jansson.h>

#include "draft_priv.h"
#include "sources/platform.h"

enum engagement_kind {
    ENGAGEMENT_UNKNOWN, /* a word we do not have */
    ENGAGEMENT_NOTHING, /* known, and nothing that is kept: sent, deferred */
    ENGAGEMENT_DELIVERED,
    ENGAGEMENT_OPENED,
    ENGAGEMENT_OPENED_BY_MACHINE,
    ENGAGEMENT_CLICKED,
    ENGAGEMENT_BOUNCED_HARD, /* for good: the address is none */
    ENGAGEMENT_BOUNCED_SOFT,
    ENGAGEMENT_BOUNCED, /* does not say whether for good */
    ENGAGEMENT_DROPPED, /* not even tried: the provider knew better */
    ENGAGEMENT_COMPLAINED,
    ENGAGEMENT_UNSUBSCRIBED, /* by the customer, from a mail or a page */
    /* What the provider's list says now, whoever it was: */
    ENGAGEMENT_LISTED,
    ENGAGEMENT_UNLISTED,
    ENGAGEMENT_INVALID,
    ENGAGEMENT_SMS_LISTED,
    ENGAGEMENT_SMS_UNLISTED,
    /* Back to one of the provider's groups, which takes back no refusal of all. */
    ENGAGEMENT_GROUP_JOINED,
    ENGAGEMENT_KIND_COUNT,
};

/* One event, as read. Text is borrowed from the tree. */
struct engagement {
    enum engagement_kind kind;
    struct str word;
    struct str email;
    struct str customer_id;
    int64_t at_ms;  /* INSTANT_NONE: it does not say */
    struct str key; /* the provider's own id of this event; empty: made of what it says */
    struct str message_id;
    struct str campaign_id;
    struct str campaign;
    struct str subject;
    struct str url;
    struct str reason;
    struct str group;
    struct id notification_id; /* ours, handed over at sending; zero: none came back */
    bool is_machine;           /* prefetched, or a scanner */
};

struct engagement_word {
    const char *word; /* NULL ends */
    enum engagement_kind kind;
};

/*
 * Where it stands. A place is a path of members, "msg/email"; of several, between
 * "|", the first that says something. "." is the item itself, NULL is nowhere.
 *
 * A time is text (local to settings.time_zone unless it says otherwise), or a
 * number of seconds, or of milliseconds where it is too large for seconds.
 */
struct engagement_shape {
    const struct engagement_word *words;
    const char *word;
    const char *email;
    const char *customer_id;
    const char *at;
    const char *key;
    const char *message_id;
    const char *campaign_id;
    const char *campaign;
    const char *subject;
    const char *url;
    const char *reason;
    const char *group;
    const char *machine; /* members that are true, or text that is not empty; all are looked at */
    const char *echo;    /* what the sender of the mail gave with it; all are looked at */
    /* The event of an element, where it is wrapped; NULL: nothing to keep. */
    const json_t *(*unwrap)(const json_t *element);
    /* Looks again at what was read; may change all of it. */
    void (*refine)(struct arena *arena, const json_t *item, struct engagement *said);
};

/* How one delivery is to be believed. */
struct engagement_delivery {
    struct arena *arena;
    const struct source *source;
    enum trust trust;
    enum provenance provenance;
    int64_t received_at_ms;
    struct str body;
    /* Of the delivery, and of an event in it that has no key of its own; empty:
     * both are made of what they say. */
    struct str key;
};
struct engagement_delivery engagement_deliver(const struct platform *platform, struct arena *arena,
                                              const struct source *source,
                                              const struct inbound *inbound);

/* An array of elements, or one. */
enum normalise_verdict engagement_take(const struct engagement_shape *shape,
                                       const struct engagement_delivery *delivery,
                                       const json_t *elements, struct normalised *out_normalised,
                                       struct problem *problem);
/* The same of a body that is such JSON. */
enum normalise_verdict engagement_take_body(const struct engagement_shape *shape,
                                            const struct engagement_delivery *delivery,
                                            struct normalised *out_normalised,
                                            struct problem *problem);

/* One event into the draft; NULL when the arena is full or nobody is named. */
struct event *engagement_draft(struct draft *draft, const struct engagement *said);

/* The value at a place, NULL when nothing stands there. */
const json_t *engagement_at(const json_t *item, const char *place);
/* The same as text, of a string or a number; empty when it is neither. */
struct str engagement_text_at(struct arena *arena, const json_t *item, const char *place);

/* not_covered: how the id of a notification travels with a mail and comes back is
 * said behind the first; the second is of providers where it cannot. */
#define ENGAGEMENT_ECHO "to which of our notifications a mail belongs"
extern const struct setup_gap ENGAGEMENT_NO_ECHO[];

/* What an adapter that refines may need: a word's kind in a second table. */
enum engagement_kind engagement_kind_of(const struct engagement_word *words, struct str word);

/* Who signs nothing is known by a secret, and these are the places for it. */
#define ENGAGEMENT_TOKEN_HEADER "x-shopbell-token"
#define ENGAGEMENT_BY_SECRET                                                        \
    {                                                                               \
        .algorithm = SIGNATURE_BEARER, .key_form = SIGNATURE_KEY_TEXT, .headers = { \
            { .signature = ENGAGEMENT_TOKEN_HEADER }                                \
        }                                                                           \
    }
#define ENGAGEMENT_SECRET_STEP                                                                  \
    "URL = webhook_url as it is shown above, once: its last part is the secret. Or leave that " \
    "part "                                                                                     \
    "out, and give it as the password of Basic authentication, as a Bearer token, or in the "   \
    "header "                                                                                   \
    "X-Shopbell-Token"
#define ENGAGEMENT_SECRET_WARNING                                                      \
    "This sender signs nothing: who knows the secret may speak, and its events carry " \
    "provenance \"none\". Keep the URL out of tickets and logs; a new secret is POST " \
    "/v1/sources/%s/secrets {}."
#define ENGAGEMENT_LOOK_STEP "Send a test, then GET /v1/sources/%s: status is active"

/* Settings that all providers have. NULL-terminated. */
extern const char *const ENGAGEMENT_SETTINGS[];

#endif
