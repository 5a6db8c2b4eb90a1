#undef NDEBUG

#include "seeds.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t number_given(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given != NULL ? strtoull(given, NULL, 10) : otherwise;
}

struct seeds seeds_of(uint64_t count)
{
    struct seeds seeds = { .first = 1,
                           .last = count,
                           .is_chosen = getenv("SHOPBELL_SEED") != NULL };
    seeds.step = number_given("SHOPBELL_SEED_STEP", 1);
    assert(seeds.step > 0);
    if (seeds.is_chosen) {
        seeds.first = seeds.last = number_given("SHOPBELL_SEED", 1);
    }
    seeds.count = (size_t)((seeds.last - seeds.first) / seeds.step + 1);
    return seeds;
}
