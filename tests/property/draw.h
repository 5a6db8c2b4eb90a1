#ifndef TESTS_PROPERTY_DRAW_H
#define TESTS_PROPERTY_DRAW_H

/*
 * Worlds drawn by a seed: rules out of a pool with every aggregate and form,
 * and the events of a few customers over a hundred days, in order of arrival.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world.h"

enum {
    DRAW_CUSTOMERS = 5,
    DRAW_ORDERS = 12,
    DRAW_EVENTS = 260,
    DRAW_EVENTS_MAX = 640,
};

struct generator {
    uint64_t seed;
    uint64_t state;
    struct world *world;
    bool is_plain; /* nothing is taken back and nobody merges */
    struct event *events[DRAW_EVENTS_MAX];
    size_t count;
};

struct generator *generator_open(struct world *world, uint64_t seed);
uint32_t draw(struct generator *generator, uint32_t below);
/* The next version of the world's rules. */
void draw_rules(struct generator *generator);
/* Ascending by received_at; some of them late, some of them twice. */
void draw_events(struct generator *generator);

#endif
