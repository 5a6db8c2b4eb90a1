#ifndef TESTS_PROPERTY_SEEDS_H
#define TESTS_PROPERTY_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which worlds a program draws: from `first` to `last`, every `step`th. */
struct seeds {
    uint64_t first;
    uint64_t last;
    uint64_t step;
    size_t count;
    bool is_chosen; /* one, by hand: it need not show everything */
};

/* Of `count`: all of them; every SHOPBELL_SEED_STEPth in a build so slow that what it
 * looks for must show in fewer; or SHOPBELL_SEED alone. */
struct seeds seeds_of(uint64_t count);

#endif
