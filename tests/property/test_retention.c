#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "seeds.h"

/*
 * What retention drops was folded first (correctness 7): a world that loses its
 * old facts again and again says what its twin says that keeps them all. Of
 * every customer as stored, folded anew, as of any instant since the cut, and
 * after every merge was taken back.
 *
 * The worlds are those of test_hydrate, with facts that come weeks late, many
 * of them for a time long dropped. Half of them are drawn without merges, since
 * then nothing may differ but that facts are gone; half read no history while
 * they decide.
 */

enum {
    SEEDS = 200,
    BATCH_MAX = 6,
    STEP_MAX = 5,
    MOMENTS = 6,
};

struct twins {
    uint64_t seed;
    uint64_t state; /* of what only one of them does */
    struct world *whole;
    struct world *dropping;
    int64_t before_ms; /* the latest cut */
    size_t dropped;
    size_t unmerged;
    size_t moments;
};

static uint32_t draw_cut(struct twins *twins, uint32_t below)
{
    twins->state = twins->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((twins->state >> 33) % below);
}

static struct generator *open_twin(struct twins *twins, struct world *world)
{
    struct generator *generator = ARENA_NEW(world->arena, struct generator);
    assert(generator != NULL);
    *generator = (struct generator){ .seed = twins->seed,
                                     .state = twins->seed * 0x9e3779b97f4a7c15u + 1,
                                     .world = world,
                                     .is_plain = twins->seed % 4 == 0 };
    draw_rules(generator);
    draw_events(generator);
    world->history_max = twins->seed % 2 == 0 ? 500 : 0;
    return generator;
}

static void drop_some(struct twins *twins)
{
    struct world *world = twins->dropping;
    int64_t before_ms = world->now_ms - draw_cut(twins, 60) * INSTANT_DAY_MS;
    if (before_ms > twins->before_ms) {
        twins->before_ms = before_ms;
    }
    twins->dropped += world_drop(world, twins->before_ms, 1 + draw_cut(twins, STEP_MAX));
}

static void apply(struct twins *twins)
{
    struct generator *a = open_twin(twins, twins->whole);
    struct generator *b = open_twin(twins, twins->dropping);
    assert(a->count == b->count);
    for (size_t done = 0; done < a->count;) {
        size_t size = 1 + draw(a, BATCH_MAX);
        size = size < a->count - done ? size : a->count - done;
        twins->whole->now_ms = a->events[done + size - 1]->received_at_ms;
        twins->dropping->now_ms = twins->whole->now_ms;
        world_apply(twins->whole, a->events + done, size);
        world_apply(twins->dropping, b->events + done, size);
        done += size;
        if (draw_cut(twins, 12) == 0) {
            drop_some(twins);
        }
    }
    drop_some(twins);
}

/* --- comparing ------------------------------------------------------------------ */

static void rehydrate(struct world *world)
{
    for (size_t i = 0; i < world->profile_count; i++) {
        world->profiles[i]->needs_history = true;
    }
    world_hydrate(world);
}

static size_t differ(const struct twins *twins, const char *when, struct str whole,
                     struct str dropping)
{
    if (str_equal(whole, dropping)) {
        return 0;
    }
    printf("seed %llu, %s\n--- whole\n%.*s\n--- dropping\n%.*s\n", (unsigned long long)twins->seed,
           when, STR_ARG(whole), STR_ARG(dropping));
    return 1;
}

static size_t compare_states(struct twins *twins, const char *when)
{
    return differ(twins, when, world_state(twins->whole), world_state(twins->dropping));
}

static size_t compare_features(const struct twins *twins, const struct profile *whole,
                               const struct profile *dropping, int64_t at_ms)
{
    const struct ruleset *ruleset = world_newest_rules(twins->whole);
    size_t differences = 0;
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        const struct feature *feature = &ruleset->features[i];
        if (!feature_equal(twins->whole->arena, feature,
                           feature_find(&whole->features, feature->number),
                           feature_find(&dropping->features, feature->number), at_ms)) {
            printf("seed %llu, feature %.*s\n", (unsigned long long)twins->seed,
                   STR_ARG(feature->text));
            differences++;
        }
    }
    return differences;
}

static struct str verdicts_text(struct world *world, const struct profile *profile)
{
    struct buf buf;
    buf_init(&buf, world->arena, 65536);
    for (size_t i = 0; i < profile->verdicts.count; i++) {
        const struct verdict *verdict = &profile->verdicts.items[i];
        buf_printf(&buf, "%u=%.*s ", (unsigned)verdict->slot, STR_ARG(verdict->value));
    }
    return buf_str(&buf);
}

static size_t compare_moment(struct twins *twins, const struct profile *stored, int64_t at_ms)
{
    const struct profile *other = NULL;
    for (size_t i = 0; i < twins->dropping->profile_count; i++) {
        if (id_equal(twins->dropping->profiles[i]->id, stored->id)) {
            other = twins->dropping->profiles[i];
        }
    }
    assert(other != NULL);
    const struct profile *whole = world_hydrated_as_of(twins->whole, stored, at_ms);
    const struct profile *dropping = world_hydrated_as_of(twins->dropping, other, at_ms);
    if (whole == NULL || dropping == NULL) {
        assert(whole == NULL && dropping == NULL);
        return 0;
    }
    twins->moments++;
    return differ(twins, "as of", verdicts_text(twins->whole, whole),
                  verdicts_text(twins->dropping, dropping)) +
           compare_features(twins, whole, dropping, at_ms);
}

/* The last instant before the cut is the first that can be asked for. */
static size_t compare_moments(struct twins *twins)
{
    size_t differences = 0;
    for (size_t i = 0; i < twins->whole->profile_count; i++) {
        const struct profile *profile = twins->whole->profiles[i];
        int64_t span_ms = twins->whole->now_ms - twins->before_ms;
        for (int64_t k = 0; k < MOMENTS && id_is_zero(profile->merged_into); k++) {
            int64_t at_ms = twins->before_ms - 1 + span_ms * k / MOMENTS;
            differences += compare_moment(twins, profile, at_ms);
        }
    }
    return differences;
}

static size_t compare_early(struct twins *twins)
{
    size_t told = 0;
    for (size_t i = 0; i < twins->dropping->base_count; i++) {
        struct profile_base base = { .origin_id = twins->dropping->bases[i].origin_id };
        bool decoded = base_decode(twins->dropping->arena, twins->dropping->bases[i].bytes, &base);
        assert(decoded);
        for (size_t k = 0; k < twins->dropping->profile_count; k++) {
            const struct profile *profile = twins->dropping->profiles[k];
            if (id_equal(profile->id, base.origin_id) && id_is_zero(profile->merged_into)) {
                told += world_hydrated_as_of(twins->dropping, profile, base.before_ms - 2) != NULL;
            }
        }
    }
    return told;
}

static size_t take_back_merges(struct twins *twins)
{
    size_t differences = 0;
    for (size_t i = twins->whole->decision_count; i-- > 0 && differences == 0;) {
        if (twins->whole->decisions[i].kind != IDENTITY_MERGED || twins->whole->undone[i]) {
            continue;
        }
        bool whole = world_unmerge_edge(twins->whole, i);
        bool dropping = world_unmerge_edge(twins->dropping, i);
        assert(whole == dropping);
        twins->unmerged += whole ? 1 : 0;
        differences += compare_states(twins, "after a merge was taken back");
    }
    return differences;
}

static size_t run(uint64_t seed, struct twins *totals)
{
    struct twins twins = { .seed = seed,
                           .state = seed * 77 + 5,
                           .whole = world_open(),
                           .dropping = world_open(),
                           .before_ms = INSTANT_NONE };
    apply(&twins);
    rehydrate(twins.whole);
    rehydrate(twins.dropping);
    size_t differences = compare_states(&twins, "folded anew");
    differences += compare_moments(&twins) + compare_early(&twins);
    differences += take_back_merges(&twins);
    rehydrate(twins.whole);
    rehydrate(twins.dropping);
    differences += compare_states(&twins, "in the end");
    totals->dropped += twins.dropped;
    totals->unmerged += twins.unmerged;
    totals->moments += twins.moments;
    world_close(twins.whole);
    world_close(twins.dropping);
    return differences;
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    struct twins totals = { 0 };
    size_t differences = 0;
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        differences += run(seed, &totals);
    }
    printf("%zu seeds, %zu facts dropped, %zu moments, %zu merges taken back, %zu differences\n",
           seeds.count, totals.dropped, totals.moments, totals.unmerged, differences);
    assert(totals.dropped > 0);
    assert(seeds.is_chosen || (totals.moments > 0 && totals.unmerged > 0));
    return differences > 0;
}
