#ifndef SOURCES_DELIVERY_PRIV_H
#define SOURCES_DELIVERY_PRIV_H

/*
 * A delivery whose body is one JSON object that says for itself what it is
 * about: what most shops beside Shopify and WooCommerce send. An adapter is a
 * form (where topic, id, time and shop stand) and a table of topics.
 */

#include <jansson.h>

#include "draft_priv.h"
#include "sources/platform.h"

struct delivery {
    struct arena *arena;
    const struct source *source;
    const struct inbound *inbound;
    const json_t *root;
    struct str topic;   /* as the platform says it */
    struct str id;      /* the sender's own, which a repeat keeps; empty: none */
    struct str shop_id; /* whose it is; empty: does not say */
    int64_t at_ms;      /* when it happened; INSTANT_NONE: does not say */
    enum provenance provenance;
    struct str dedup_key;
};

struct delivery_topic;

/* Makes the events of a delivery, in a draft that has room for `room` of the
 * topic. STATUS_INVALID: the body is not what its topic promises. */
typedef enum status delivery_take_fn(const struct delivery *delivery,
                                     const struct delivery_topic *topic, struct draft *draft,
                                     struct problem *problem);

struct delivery_topic {
    const char *name; /* NULL ends the table */
    delivery_take_fn *take;
    enum event_type type; /* for `take` to read, as are the rest */
    const char *custom;   /* "custom.<name>" of EVENT_CUSTOM */
    const char *more;     /* what else this platform's function wants to know */
};

struct delivery_form {
    const struct delivery_topic *topics;
    /* Fills topic, id, shop_id, at_ms and provenance from the root and the
     * headers. Borrowed text will do. */
    void (*read_head)(struct delivery *delivery);
    /* The most events that one delivery brings; NULL: one. */
    size_t (*room)(const json_t *root);
};

/* normalise() of such a platform. */
enum normalise_verdict delivery_normalise(const struct delivery_form *form, struct arena *arena,
                                          const struct source *source,
                                          const struct inbound *inbound,
                                          struct normalised *out_normalised,
                                          struct problem *problem);

/* settings.shop_id of platforms whose key is not one shop's alone; NULL in
 * source->adapter when it is not set. For struct platform's parse_settings. */
enum status delivery_parse_settings(struct arena *arena, struct str settings_json,
                                    struct source *source, struct problem *problem);
/* The settings of such a platform that has no more than that. */
extern const char *const delivery_settings[];

/* An event of the topic's type, of which the payload has nothing but the name of
 * a resource. `part` tells it from others of the delivery. */
struct event *delivery_thin_event(const struct delivery *delivery,
                                  const struct delivery_topic *topic, struct draft *draft,
                                  const char *part);
/* The event of a topic, which says more than that. */
struct event *delivery_event(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, const char *part);

/* Whole seconds since 1970, of a member; INSTANT_NONE when it is none. */
int64_t delivery_seconds(const json_t *object, const char *key);

/* {"order_id":"250"}, of an id; for facts that are little more. */
struct str delivery_named(struct arena *arena, const char *key, struct str id);

#endif
