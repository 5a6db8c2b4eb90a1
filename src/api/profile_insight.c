#include "base/instant.h"
#include "base/money.h"
#include "core/profile/indicator.h"
#include "core/rule/statistic.h"
#include "core/rule/verdict.h"
#include "profile_priv.h"

/*
 * The part of a profile that no column holds: what its facts say at this
 * moment. Scores fade and cycles run while nobody writes, so they are evaluated
 * when asked, from the same state that rules read, and by the same functions.
 *
 * Verdicts are shown as they were decided, with their `since`; `until` is asked
 * of the rule. A verdict whose rule this profile does not stand at any more is
 * not shown: the sweep is about to bring the profile up.
 */

struct profile *profile_of_view(struct arena *arena, const struct profile_view *view)
{
    struct profile *profile = ARENA_NEW(arena, struct profile);
    if (profile == NULL) {
        return NULL;
    }
    profile_init(profile, view->id, view->created_at_ms);
    if (!profile_state_decode(arena, view->state, profile)) {
        return NULL;
    }
    int64_t version = view->ruleset_version;
    profile->sequence = view->sequence;
    profile->updated_at_ms = view->updated_at_ms;
    profile->first_seen_at_ms = view->first_seen_at_ms;
    profile->last_seen_at_ms = view->last_seen_at_ms;
    profile->signed_up_at_ms = view->signed_up_at_ms;
    profile->identified = view->identified;
    profile->needs_history = version <= 0;
    profile->ruleset_version = version < 0 ? -version : version;
    profile->statistics_version = view->statistics_version;
    profile->cart_json = view->cart_json;
    profile->orders = (struct profile_orders){
        .count = view->orders_count,
        .foreign_count = view->orders_foreign_count,
        .gross_minor = view->orders_gross_minor,
        .refunded_minor = view->orders_refunded_minor,
        .largest_minor = view->orders_largest_minor,
        .first_at_ms = view->orders_first_at_ms,
        .last_at_ms = view->orders_last_at_ms,
    };
    return profile;
}

static void put_instant_or_null(struct jsonw *json, const char *key, int64_t ms)
{
    jsonw_put_instant(json, key, ms == INSTANT_NEVER ? INSTANT_NONE : ms);
}

static void put_text_or_null(struct jsonw *json, const char *key, const char *text)
{
    if (text != NULL) {
        jsonw_put_z(json, key, text);
    } else {
        jsonw_put_null(json, key);
    }
}

/* The quintile of an attribute, as rules see it. */
static int quintile_of(const struct profile *profile, const struct profile_reader *reader,
                       enum rule_attribute attribute)
{
    const struct statistics *statistics = reader->workspace->statistics;
    int64_t value = 0;
    if (statistics == NULL || profile->orders.count == 0) {
        return 0;
    }
    switch (attribute) {
    case RULE_ORDERS_LAST_AT:
        value = profile->orders.last_at_ms;
        break;
    case RULE_ORDERS_COUNT:
        value = profile->orders.count * RULE_NUMBER_ONE;
        break;
    default:
        if (!rule_number_from_minor(profile->orders.gross_minor,
                                    (int)money_decimals(reader->workspace->currency), &value)) {
            return 0;
        }
        break;
    }
    return statistics_quintile(statistics, attribute, value);
}

void insight_write_rfm(struct jsonw *json, const struct profile *profile,
                       const struct profile_reader *reader)
{
    int recency = profile != NULL ? quintile_of(profile, reader, RULE_ORDERS_LAST_AT) : 0;
    if (recency == 0) {
        jsonw_put_null(json, "rfm");
        return;
    }
    jsonw_key(json, "rfm");
    jsonw_open(json);
    jsonw_put_i64(json, "recency", recency);
    jsonw_put_i64(json, "frequency", quintile_of(profile, reader, RULE_ORDERS_COUNT));
    jsonw_put_i64(json, "monetary", quintile_of(profile, reader, RULE_ORDERS_REVENUE));
    jsonw_close(json);
}

static void put_number(struct jsonw *json, const char *key, int64_t number)
{
    char text[32];
    size_t size = rule_number_format(number, text);
    jsonw_put_raw(json, key, (struct str){ text, size });
}

void insight_write_cycle(struct jsonw *json, const struct profile *profile, int64_t now_ms)
{
    int64_t median_ms = 0;
    if (profile == NULL || !cycle_median(&profile->indicators, &median_ms)) {
        jsonw_put_null(json, "cycle_days");
        jsonw_put_null(json, "cycle_stage");
        jsonw_put_null(json, "next_expected_at");
        return;
    }
    enum {
        TENTHS = 10
    };
    int64_t until_ms = INSTANT_NEVER;
    int64_t tenths = (median_ms * TENTHS + INSTANT_DAY_MS / 2) / INSTANT_DAY_MS;
    put_number(json, "cycle_days", tenths * (RULE_NUMBER_ONE / TENTHS));
    put_text_or_null(json, "cycle_stage", cycle_stage(&profile->indicators, now_ms, &until_ms));
    jsonw_put_instant(json, "next_expected_at", profile->orders.last_at_ms + median_ms);
}

void insight_write_engagement(struct jsonw *json, const struct profile *profile, int64_t now_ms)
{
    int64_t score = 0;
    if (profile == NULL || !engagement_score(&profile->indicators, now_ms, &score)) {
        jsonw_put_null(json, "engagement");
        return;
    }
    enum {
        HUNDREDTH = 10000 /* of a point, in millionths */
    };
    int64_t until_ms = INSTANT_NEVER;
    jsonw_key(json, "engagement");
    jsonw_open(json);
    put_number(json, "score", (score + HUNDREDTH / 2) / HUNDREDTH * HUNDREDTH);
    put_text_or_null(json, "level", engagement_level(&profile->indicators, now_ms, &until_ms));
    jsonw_put_instant(json, "last_opened_at", profile->indicators.last_opened_at_ms);
    jsonw_put_instant(json, "last_clicked_at", profile->indicators.last_clicked_at_ms);
    jsonw_close(json);
}

void insight_write_habits(struct jsonw *json, const struct profile *profile,
                          const struct profile_reader *reader)
{
    if (profile == NULL || profile->indicators.order_count == 0) {
        jsonw_put_null(json, "habits");
        return;
    }
    /* By the rules that decided it: what they read is what is shown. */
    const struct ruleset *ruleset = profile_reader_ruleset(reader, profile->ruleset_version);
    ruleset = ruleset != NULL ? ruleset : reader->newest;
    struct habits habits;
    habits_of(&profile->indicators, ruleset != NULL ? ruleset->zone : NULL, &habits);
    jsonw_key(json, "habits");
    jsonw_open(json);
    put_text_or_null(json, "top_weekday", habits.top_weekday);
    jsonw_put_i64(json, "top_hour", habits.top_hour);
    jsonw_put_str_or_null(json, "top_platform", habits.top_platform);
    jsonw_put_str_or_null(json, "top_channel", habits.top_channel);
    jsonw_put_str_or_null(json, "top_place", habits.top_place);
    jsonw_put_str(json, "time_zone", ruleset != NULL ? ruleset->time_zone : STR("UTC"));
    jsonw_close(json);
}

static void write_membership(struct jsonw *json, const struct rule *rule,
                             const struct verdict *verdict, int64_t until_ms)
{
    enum rule_kind kind = rule->definition.kind;
    jsonw_open(json);
    jsonw_put_str(json, "rule", rule->definition.name);
    jsonw_put_z(json, "kind", rule_kind_name(kind));
    if (kind == RULE_KIND_LIFECYCLE || kind == RULE_KIND_TIER) {
        jsonw_put_str(json, "value", verdict->value);
    } else {
        jsonw_put_bool(json, "value", true);
    }
    jsonw_put_instant(json, "since", verdict->since_ms);
    put_instant_or_null(json, "until", until_ms);
    jsonw_close(json);
}

void insight_write_memberships(struct jsonw *json, struct arena *arena,
                               const struct profile *profile, const struct profile_reader *reader,
                               int64_t now_ms)
{
    const struct ruleset *ruleset =
        profile != NULL ? profile_reader_ruleset(reader, profile->ruleset_version) : NULL;
    jsonw_key(json, "memberships");
    jsonw_open_array(json);
    for (size_t i = 0; ruleset != NULL && i < profile->verdicts.count; i++) {
        const struct verdict *verdict = &profile->verdicts.items[i];
        const struct rule *rule = ruleset_rule_by_slot(ruleset, verdict->slot);
        if (rule == NULL) {
            continue;
        }
        const struct rule_subject subject = {
            .profile = profile,
            .ruleset = ruleset,
            .statistics = reader->workspace->statistics,
            .currency = reader->workspace->currency,
        };
        struct str value = { 0 };
        int64_t until_ms = INSTANT_NEVER;
        (void)rule_verdict(arena, rule, &subject, now_ms, &value, &until_ms);
        write_membership(json, rule, verdict, until_ms);
    }
    jsonw_close_array(json);
}
