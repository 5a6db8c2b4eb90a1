#ifndef TESTS_PROPERTY_SHOP_STORIES_H
#define TESTS_PROPERTY_SHOP_STORIES_H

/*
 * What shops post about one order of eve@example.com, made up in the shape that
 * each platform documents, and what must come of it in any order of arrival.
 */

#include <stdbool.h>
#include <stddef.h>

enum {
    SHOP_HEADERS_MAX = 3,
    SHOP_DELIVERIES_MAX = 6,
};

enum shop_envelope {
    SHOP_PLAIN,
    SHOP_SNS,   /* a notification of Amazon SNS around it */
    SHOP_TOKEN, /* three envelopes of Wix */
};

struct shop {
    const char *platform;
    const char *order_ref;
    enum shop_envelope envelope;
    const char *headers[SHOP_HEADERS_MAX]; /* names, for the values in each delivery */
    const char *settings;                  /* NULL: none */
    /* Several deliveries tell of one cancellation or shipment, each at a time of its
     * own, and it counts once: it was when the first that came says. */
    bool dates_by_arrival;
};

struct shop_delivery {
    const char *values[SHOP_HEADERS_MAX]; /* NULL: the header is not there */
    const char *body;                     /* JSON with ' for " */
};

enum shop_ending {
    SHOP_COUNTS = 1, /* one order, completed once */
    SHOP_GONE,       /* cancelled or deleted: completed at most once, by what came before */
    SHOP_NAMED,      /* thin deliveries alone: the order has a name and no body */
};

struct shop_story {
    const struct shop *shop;
    const char *name;
    enum shop_ending ending;
    /* "<customer's orders>, <gross> less <refunded>; <status> <total> less <refunded>
     * of <version>", and ", n shipped". */
    const char *outcome;
    struct shop_delivery deliveries[SHOP_DELIVERIES_MAX]; /* as they happened; body NULL ends */
};

extern const struct shop_story shop_stories[];
extern const size_t shop_story_count;

#endif
