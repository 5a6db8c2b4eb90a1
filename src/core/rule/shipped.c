#include "base/compiler.h"
#include "core/rule/ruleset.h"

/*
 * The rules every workspace starts with (design 7). They are text like any
 * other, so a shop can read, edit and restore them.
 *
 * A profile that never acted has been silent since it was first seen. Tiers say
 * ">" because a value that equals a tercile belongs to the lower tier, and the
 * lowest is asked for by the same threshold, so that without one (under 100
 * orders) nobody has a tier (correctness 20).
 */

/* STR() is no constant. */
#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
#define CASES(array) .cases = (array), .case_count = ARRAY_COUNT(array), .enabled = true

static const struct rule_case lifecycle[] = {
    { TEXT("churned"), TEXT("age(last_seen_at) > 180d"
                            " or (not last_seen_at is set and age(first_seen_at) > 180d)") },
    { TEXT("lapsed"), TEXT("age(last_seen_at) > 60d"
                           " or (not last_seen_at is set and age(first_seen_at) > 60d)") },
    { TEXT("new"), TEXT("age(first_seen_at) < 30d and orders.count < 2") },
    { TEXT("active"), TEXT("true") },
};

static const struct rule_case frequent_buyer[] = {
    { .when = TEXT("count(order.completed within 90d) >= 3") },
};

static const struct rule_case abandoned_cart[] = {
    { .when = TEXT("cart.items_count > 0 and age(cart.updated_at) >= 1h"
                   " and age(cart.updated_at) < 7d") },
};

static const struct rule_case high_engagement[] = {
    { .when = TEXT("engagement.score >= 10") },
};

static const struct rule_case discount_seeker[] = {
    { .when = TEXT("orders.count >= 3 and"
                   " count(order.completed where coupon is set or discount > 0) * 2"
                   " >= orders.count") },
};

static const struct rule_case at_risk[] = {
    { .when = TEXT("orders.cycle_stage = \"overdue\" and lifecycle = \"active\"") },
};

static const struct rule_case basket[] = {
    { TEXT("high"), TEXT("orders.average_value > percentile(orders.average_value, 66.7)") },
    { TEXT("mid"), TEXT("orders.average_value > percentile(orders.average_value, 33.3)") },
    { TEXT("low"), TEXT("orders.average_value <= percentile(orders.average_value, 33.3)") },
};

static const struct rule_definition shipped[] = {
    { .name = TEXT("lifecycle"),
      .title = TEXT("Lifecycle"),
      .kind = RULE_KIND_LIFECYCLE,
      CASES(lifecycle) },
    { .name = TEXT("frequent_buyer"),
      .title = TEXT("Three orders within 90 days"),
      .kind = RULE_KIND_TAG,
      CASES(frequent_buyer) },
    { .name = TEXT("abandoned_cart"),
      .title = TEXT("A cart left for an hour, and not yet a week"),
      .kind = RULE_KIND_TAG,
      CASES(abandoned_cart) },
    { .name = TEXT("high_engagement"),
      .title = TEXT("Reads and clicks a lot of mail"),
      .kind = RULE_KIND_TAG,
      CASES(high_engagement) },
    { .name = TEXT("discount_seeker"),
      .title = TEXT("At least half of three or more orders with a coupon or discount"),
      .kind = RULE_KIND_TAG,
      CASES(discount_seeker) },
    { .name = TEXT("at_risk"),
      .title = TEXT("Active, but overdue for the next order"),
      .kind = RULE_KIND_TAG,
      CASES(at_risk) },
    { .name = TEXT("basket"),
      .title = TEXT("Basket value, by terciles of all orders"),
      .kind = RULE_KIND_TIER,
      .hysteresis = 20000,
      CASES(basket) },
};

const struct rule_definition *rule_shipped(size_t index)
{
    return index < ARRAY_COUNT(shipped) ? &shipped[index] : NULL;
}
