#include "core/rule/statistic.h"

/*
 * Thresholds are looked up, never computed here (correctness 20): a workspace
 * has a handful of attributes with a handful of percents each, so the walk is
 * shorter than a hash.
 */

static const struct statistic *find(const struct statistics *statistics,
                                    enum rule_attribute attribute)
{
    if (statistics == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < statistics->count; i++) {
        const struct statistic *statistic = &statistics->items[i];
        if (statistic->attribute == attribute) {
            return statistic->n >= STATISTIC_COUNT_MIN ? statistic : NULL;
        }
    }
    return NULL;
}

bool statistics_percentile(const struct statistics *statistics, enum rule_attribute attribute,
                           int64_t percent, int64_t *out_threshold)
{
    const struct statistic *statistic = find(statistics, attribute);
    if (statistic == NULL) {
        return false;
    }
    for (size_t i = 0; i < statistic->count; i++) {
        if (statistic->percents[i] == percent) {
            *out_threshold = statistic->thresholds[i];
            return true;
        }
    }
    return false;
}

int statistics_quintile(const struct statistics *statistics, enum rule_attribute attribute,
                        int64_t value)
{
    int quintile = 1;
    for (int64_t percent = 20; percent <= 80; percent += 20) {
        int64_t threshold = 0;
        if (!statistics_percentile(statistics, attribute, percent * RULE_NUMBER_ONE, &threshold)) {
            return 0;
        }
        quintile += value > threshold;
    }
    return quintile;
}
