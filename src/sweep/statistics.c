#include "sweep/statistics.h"

#include "base/instant.h"
#include "store/rule_store.h"
#include "store/statistic_store.h"
#include "store/workspace.h"

/*
 * When statistics are computed, and how one instance of several gets to save.
 *
 * Problem: computing takes seconds, so it must not hold a lock; saving must
 * happen once a night, and be in force everywhere at the same version. So the
 * set is computed outside of any transaction, and saved in a short one that
 * begins by raising the workspace's config_version: that locks its row, so of
 * two instances the second waits there, finds that tonight's set exists, and
 * throws its own away.
 *
 * Rejected: a job with a lease (a night lost to a crashed holder is nothing, a
 * table of leases for it would be something), and a fixed period (a shop's
 * orders of the day would be in half of its set).
 */

#define NIGHT_MS (3 * INSTANT_HOUR_MS)
/* Between sets that are computed because rules ask for more: somebody who tries
 * ten thresholds in ten minutes has the table read once or twice. */
#define LACKING_PERIOD_MS (5 * INSTANT_MINUTE_MS)

int64_t statistics_last_night_ms(const char *zone, int64_t now_ms)
{
    int64_t local_ms = now_ms + instant_zone_offset_ms(instant_zone(zone), now_ms);
    int64_t day = local_ms / INSTANT_DAY_MS - (local_ms % INSTANT_DAY_MS < 0);
    int64_t night_ms = day * INSTANT_DAY_MS + NIGHT_MS;
    if (local_ms < night_ms) {
        night_ms -= INSTANT_DAY_MS;
    }
    int64_t utc_ms = night_ms;
    (void)instant_from_local(night_ms, zone, &utc_ms);
    return utc_ms;
}

static bool item_has(const struct statistic *item, int64_t percent)
{
    bool has = item->n == 0; /* of nothing there is no percentile: asking again does not help */
    for (size_t i = 0; i < item->count; i++) {
        has = has || item->percents[i] == percent;
    }
    return has;
}

static bool set_has(const struct statistics *set, enum rule_attribute attribute, int64_t percent)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].attribute == attribute) {
            return item_has(&set->items[i], percent);
        }
    }
    return false;
}

static bool is_lacking(const struct statistics *set, const struct ruleset *ruleset)
{
    bool has_all = true;
    for (size_t i = 0; set != NULL && ruleset != NULL && i < ruleset->percent_count; i++) {
        has_all = has_all && set_has(set, ruleset->percent_attributes[i], ruleset->percents[i]);
    }
    return !has_all;
}

/* By what `set` holds, which is or was in force. */
static enum status is_due(struct pg *pg, struct arena *arena,
                          const struct statistics_refresh *refresh, const struct statistics *set,
                          bool *out_due, struct problem *problem)
{
    const char *zone = str_dup_z(arena, refresh->time_zone);
    if (zone == NULL) {
        return STATUS_LIMIT;
    }
    struct statistic_state state = { 0 };
    enum status status = statistic_store_state(pg, arena, refresh->workspace_id, &state, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (state.computed_at_ms == INSTANT_NONE) {
        *out_due = state.has_enough;
    } else if (state.computed_at_ms < statistics_last_night_ms(zone, refresh->now_ms)) {
        *out_due = true;
    } else {
        *out_due = state.computed_at_ms <= refresh->now_ms - LACKING_PERIOD_MS &&
                   is_lacking(set, refresh->ruleset);
    }
    return STATUS_OK;
}

/* In a transaction, with the workspace's row locked: is it still time, now that
 * nobody else can save? */
static enum status save_next(struct pg *pg, struct arena *arena,
                             const struct statistics_refresh *refresh,
                             struct statistics *statistics, struct problem *problem)
{
    bool is_still_due = false;
    struct statistics newest = { 0 };
    enum status status =
        statistic_store_load(pg, arena, refresh->workspace_id, INT64_MAX, &newest, problem);
    if (status == STATUS_OK) {
        status = is_due(pg, arena, refresh, &newest, &is_still_due, problem);
    }
    if (status != STATUS_OK || !is_still_due) {
        return status;
    }
    statistics->version = newest.version + 1;
    return statistic_store_save(pg, arena, refresh->workspace_id, statistics, refresh->now_ms,
                                problem);
}

/* statistics->version stays 0 when another instance was faster. */
static enum status save_once(struct pg *pg, struct arena *arena,
                             const struct statistics_refresh *refresh,
                             struct statistics *statistics, struct problem *problem)
{
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = workspace_touch(pg, arena, refresh->workspace_id, problem);
    }
    if (status == STATUS_OK) {
        status = save_next(pg, arena, refresh, statistics, problem);
    }
    if (status == STATUS_OK && statistics->version > 0) {
        status = pg_run(pg, arena, &pg_commit, NULL, NULL, problem);
    } else {
        pg_reset(pg);
    }
    return status;
}

enum status statistics_refresh_due(struct pg *pg, struct arena *arena,
                                   const struct statistics_refresh *refresh, int64_t *out_version,
                                   struct problem *problem)
{
    bool due = false;
    enum status status = is_due(pg, arena, refresh, refresh->statistics, &due, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (!due) {
        *out_version = 0;
        return STATUS_OK;
    }
    struct statistic_task task = {
        .workspace_id = refresh->workspace_id,
        .currency = refresh->currency,
        .now_ms = refresh->now_ms,
    };
    if (refresh->ruleset != NULL) {
        task.attributes = refresh->ruleset->percent_attributes;
        task.percents = refresh->ruleset->percents;
        task.percent_count = refresh->ruleset->percent_count;
    }
    struct statistics *statistics = NULL;
    struct statistic_shares shares = { 0 };
    status = statistic_store_compute(pg, arena, &task, &statistics, &shares, problem);
    if (status == STATUS_OK) {
        status = save_once(pg, arena, refresh, statistics, problem);
    }
    size_t deleted = 0;
    if (status == STATUS_OK) {
        status = statistic_store_expire(pg, arena, refresh->workspace_id, refresh->now_ms, &deleted,
                                        problem);
    }
    if (status == STATUS_OK) {
        *out_version = statistics->version;
    }
    return status;
}
