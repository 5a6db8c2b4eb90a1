#include "core/rule/name.h"

#include <assert.h>

#include "base/compiler.h"

/*
 * The one table of names.
 *
 * Invariant: entry i is attribute i + 1, so a lookup by attribute is an index
 * and a missing entry fails the first test that walks the table. Look-up by
 * path is a walk too: some forty names, and only when a rule is saved.
 *
 * The purchase cycle and the RFM quintiles belong to ORDERS: an order that
 * comes or goes is all that moves them, but for rfm.recency, which time moves.
 *
 * A name that does not exist gets advice in this order: the name that is spelt
 * nearly so; the one name that ends in it ("country" is traits.country); the
 * open family whose first word is spelt nearly so ("trait.vip").
 */

#define NAME(attribute_, path_, type_, part_, title_)                                   \
    {                                                                                   \
        .path = (path_), .title = (title_), .attribute = (attribute_), .type = (type_), \
        .part = (part_)                                                                 \
    }
#define NAME_RANKED(attribute_, path_, type_, part_, title_)                            \
    {                                                                                   \
        .path = (path_), .title = (title_), .attribute = (attribute_), .type = (type_), \
        .part = (part_), .has_percentile = true                                         \
    }
#define NAME_TIMED(attribute_, path_, type_, part_, title_)                             \
    {                                                                                   \
        .path = (path_), .title = (title_), .attribute = (attribute_), .type = (type_), \
        .part = (part_), .time_moves = true                                             \
    }

static const struct rule_name_info names[] = {
    NAME(RULE_EMAIL, "email", RULE_TEXT, RULE_PART_IDENTITY, "Email address"),
    NAME(RULE_PHONE, "phone", RULE_TEXT, RULE_PART_IDENTITY, "Phone number, international"),
    NAME(RULE_EXTERNAL_ID, "external_id", RULE_TEXT, RULE_PART_IDENTITY,
         "The customer's id in your own systems"),
    NAME(RULE_IDENTIFIED, "identified", RULE_BOOL, RULE_PART_IDENTITY,
         "Known by more than a browser: an id, an email or a phone"),
    NAME(RULE_CREATED_AT, "created_at", RULE_INSTANT, RULE_PART_SEEN,
         "When this profile was created here"),
    NAME(RULE_FIRST_SEEN_AT, "first_seen_at", RULE_INSTANT, RULE_PART_SEEN,
         "When the customer was first seen"),
    NAME(RULE_LAST_SEEN_AT, "last_seen_at", RULE_INSTANT, RULE_PART_SEEN,
         "When the customer last acted"),
    NAME(RULE_SIGNED_UP_AT, "signed_up_at", RULE_INSTANT, RULE_PART_SEEN,
         "When the customer account was created"),
    NAME(RULE_LIFECYCLE, "lifecycle", RULE_TEXT, RULE_PART_VERDICTS,
         "The stage that the lifecycle rule says"),
    NAME(RULE_TAGS, "tags", RULE_LIST, RULE_PART_VERDICTS, "Names of the tags that hold"),
    NAME(RULE_SEGMENTS, "segments", RULE_LIST, RULE_PART_VERDICTS,
         "Names of the segments the customer is in"),
    NAME(RULE_TIER, "tiers.<name>", RULE_TEXT, RULE_PART_VERDICTS, "The value of a tier rule"),
    NAME_TIMED(RULE_RFM_RECENCY, "rfm.recency", RULE_NUMBER, RULE_PART_ORDERS,
               "Quintile of the last order's age: 5 is the most recent"),
    NAME(RULE_RFM_FREQUENCY, "rfm.frequency", RULE_NUMBER, RULE_PART_ORDERS,
         "Quintile of the number of orders: 5 is the most"),
    NAME(RULE_RFM_MONETARY, "rfm.monetary", RULE_NUMBER, RULE_PART_ORDERS,
         "Quintile of revenue: 5 is the most"),
    NAME_RANKED(RULE_ORDERS_COUNT, "orders.count", RULE_NUMBER, RULE_PART_ORDERS,
                "How many orders count"),
    NAME_RANKED(RULE_ORDERS_REVENUE, "orders.revenue", RULE_NUMBER, RULE_PART_ORDERS,
                "Total of the orders that count"),
    NAME_RANKED(RULE_ORDERS_NET, "orders.net", RULE_NUMBER, RULE_PART_ORDERS,
                "Total of the orders that count, less refunds"),
    NAME_RANKED(RULE_ORDERS_AVERAGE_VALUE, "orders.average_value", RULE_NUMBER, RULE_PART_ORDERS,
                "Average value of an order"),
    NAME_RANKED(RULE_ORDERS_LARGEST_VALUE, "orders.largest_value", RULE_NUMBER, RULE_PART_ORDERS,
                "Value of the largest order"),
    NAME(RULE_ORDERS_REFUNDED, "orders.refunded", RULE_NUMBER, RULE_PART_ORDERS,
         "Sum of all refunds"),
    NAME(RULE_ORDERS_FOREIGN_COUNT, "orders.foreign_count", RULE_NUMBER, RULE_PART_ORDERS,
         "Orders in another currency than the workspace's"),
    NAME(RULE_ORDERS_FIRST_AT, "orders.first_at", RULE_INSTANT, RULE_PART_ORDERS,
         "When the first order was placed"),
    NAME_RANKED(RULE_ORDERS_LAST_AT, "orders.last_at", RULE_INSTANT, RULE_PART_ORDERS,
                "When the last order was placed"),
    NAME(RULE_ORDERS_CYCLE_DAYS, "orders.cycle_days", RULE_NUMBER, RULE_PART_ORDERS,
         "Median days between orders"),
    NAME_TIMED(RULE_ORDERS_CYCLE_STAGE, "orders.cycle_stage", RULE_TEXT, RULE_PART_ORDERS,
               "Where in the purchase cycle: early, due, overdue"),
    NAME(RULE_ORDERS_NEXT_EXPECTED_AT, "orders.next_expected_at", RULE_INSTANT, RULE_PART_ORDERS,
         "When the next order is expected"),
    NAME(RULE_CART_UPDATED_AT, "cart.updated_at", RULE_INSTANT, RULE_PART_CART,
         "When the cart last changed"),
    NAME(RULE_CART_VALUE, "cart.value", RULE_NUMBER, RULE_PART_CART, "Value of the cart"),
    NAME(RULE_CART_ITEMS_COUNT, "cart.items_count", RULE_NUMBER, RULE_PART_CART,
         "How many items are in the cart"),
    NAME(RULE_CART_CATEGORIES, "cart.categories", RULE_LIST, RULE_PART_CART,
         "Categories of the products in the cart"),
    NAME(RULE_CART_PRODUCT_IDS, "cart.product_ids", RULE_LIST, RULE_PART_CART,
         "Ids of the products in the cart"),
    NAME_TIMED(RULE_ENGAGEMENT_SCORE, "engagement.score", RULE_NUMBER, RULE_PART_ENGAGEMENT,
               "Engagement with mail; halves every 14 days"),
    NAME_TIMED(RULE_ENGAGEMENT_LEVEL, "engagement.level", RULE_TEXT, RULE_PART_ENGAGEMENT,
               "Engagement with mail: high, medium, low"),
    NAME(RULE_ENGAGEMENT_LAST_OPENED_AT, "engagement.last_opened_at", RULE_INSTANT,
         RULE_PART_ENGAGEMENT, "When an email was last opened"),
    NAME(RULE_ENGAGEMENT_LAST_CLICKED_AT, "engagement.last_clicked_at", RULE_INSTANT,
         RULE_PART_ENGAGEMENT, "When a link in an email was last clicked"),
    NAME(RULE_HABITS_TOP_WEEKDAY, "habits.top_weekday", RULE_TEXT, RULE_PART_HABITS,
         "The weekday of most orders, in the workspace's zone: monday to sunday"),
    NAME(RULE_HABITS_TOP_HOUR, "habits.top_hour", RULE_NUMBER, RULE_PART_HABITS,
         "The hour of most orders, in the workspace's zone: 0 to 23"),
    NAME(RULE_HABITS_TOP_PLATFORM, "habits.top_platform", RULE_TEXT, RULE_PART_HABITS,
         "The platform of most orders: web, ios, android, pos, api"),
    NAME(RULE_HABITS_TOP_CHANNEL, "habits.top_channel", RULE_TEXT, RULE_PART_HABITS,
         "The channel of most orders"),
    NAME(RULE_TRAIT, "traits.<key>", RULE_NULL, RULE_PART_TRAITS, "A trait of the customer"),
    NAME(RULE_PREFERENCE, "preferences.<key>", RULE_NULL, RULE_PART_PREFERENCES,
         "A declared preference"),
    NAME(RULE_CONSENT, "consent.<channel>", RULE_TEXT, RULE_PART_CONSENT,
         "Consent by channel (email, sms, push, tracking, sale): subscribed, pending, "
         "unsubscribed, never, invalid"),
    NAME(RULE_PROPERTY, "event.<property>", RULE_NULL, RULE_PART_EVENT,
         "A property of the event, in filters and triggers"),
    NAME(RULE_EVENT_TYPE, "event.type", RULE_TEXT, RULE_PART_EVENT,
         "The type of the event that caused it; null by time alone"),
    NAME(RULE_EVENT_SOURCE, "event.source", RULE_TEXT, RULE_PART_EVENT,
         "The name of the source that told of it"),
    NAME(RULE_TRANSITION_RULE, "transition.rule", RULE_TEXT, RULE_PART_TRANSITION,
         "The rule whose verdict changed; null when none did"),
    NAME(RULE_TRANSITION_KIND, "transition.kind", RULE_TEXT, RULE_PART_TRANSITION,
         "Its kind: tag, segment, lifecycle, tier"),
    NAME(RULE_TRANSITION_FROM, "transition.from", RULE_TEXT, RULE_PART_TRANSITION,
         "What it said before; of a tag or segment \"true\" or null"),
    NAME(RULE_TRANSITION_TO, "transition.to", RULE_TEXT, RULE_PART_TRANSITION,
         "What it says now; of a tag or segment \"true\" or null"),
    NAME(RULE_INTEREST_VIEWED_AT, "interest.viewed_at", RULE_INSTANT, RULE_PART_INTEREST,
         "When the customer last looked at the product"),
    NAME(RULE_INTEREST_VIEW_COUNT, "interest.view_count", RULE_NUMBER, RULE_PART_INTEREST,
         "How often the customer looked at it"),
    NAME(RULE_INTEREST_OUT_OF_STOCK_SEEN_AT, "interest.out_of_stock_seen_at", RULE_INSTANT,
         RULE_PART_INTEREST, "When the customer last saw it sold out"),
    NAME(RULE_INTEREST_PRICE_SEEN, "interest.price_seen", RULE_NUMBER, RULE_PART_INTEREST,
         "The price the customer last saw; null if it was in another currency"),
    NAME(RULE_INTEREST_CARTED_AT, "interest.carted_at", RULE_INSTANT, RULE_PART_INTEREST,
         "When it was last put into the cart or seen there"),
    NAME(RULE_INTEREST_WISHED_AT, "interest.wished_at", RULE_INSTANT, RULE_PART_INTEREST,
         "When it came on the wish list; null if it was taken off since"),
    NAME(RULE_INTEREST_BOUGHT_AT, "interest.bought_at", RULE_INSTANT, RULE_PART_INTEREST,
         "When the customer last bought it, by an order that counts"),
    NAME(RULE_INTEREST_SUBSTITUTE_BOUGHT_AT, "interest.substitute_bought_at", RULE_INSTANT,
         RULE_PART_INTEREST,
         "When another variant, a declared substitute or one of its category was bought"),
    NAME(RULE_INTEREST_WAITING, "interest.waiting", RULE_BOOL, RULE_PART_INTEREST,
         "Saw it sold out, and bought neither it nor a substitute since"),
    NAME(RULE_PRODUCT_PRODUCT_ID, "product.product_id", RULE_TEXT, RULE_PART_INTEREST,
         "The product's id in its shop"),
    NAME(RULE_PRODUCT_VARIANT_ID, "product.variant_id", RULE_TEXT, RULE_PART_INTEREST,
         "The variant's; null where all variants are meant"),
    NAME(RULE_PRODUCT_SKU, "product.sku", RULE_TEXT, RULE_PART_INTEREST, "Its SKU"),
    NAME(RULE_PRODUCT_NAME, "product.name", RULE_TEXT, RULE_PART_INTEREST, "Its name"),
    NAME(RULE_PRODUCT_CATEGORY, "product.category", RULE_LIST, RULE_PART_INTEREST,
         "The path of its category, the widest first"),
    NAME(RULE_PRODUCT_BRAND, "product.brand", RULE_TEXT, RULE_PART_INTEREST, "Its brand"),
    NAME(RULE_PRODUCT_PRICE, "product.price", RULE_NUMBER, RULE_PART_INTEREST,
         "Its price now, in its own currency"),
    NAME(RULE_PRODUCT_COMPARE_AT_PRICE, "product.compare_at_price", RULE_NUMBER, RULE_PART_INTEREST,
         "Its price before a reduction"),
    NAME(RULE_PRODUCT_CURRENCY, "product.currency", RULE_TEXT, RULE_PART_INTEREST,
         "The currency of its prices"),
    NAME(RULE_PRODUCT_STOCK, "product.stock", RULE_NUMBER, RULE_PART_INTEREST,
         "Pieces in stock; null where they are not counted"),
};
_Static_assert(ARRAY_COUNT(names) == RULE_ATTRIBUTE_COUNT - 1, "each attribute has a name");

/* Families whose second word is free. */
static const struct {
    struct str prefix;
    enum rule_attribute attribute;
} families[] = {
    { { "tiers.", 6 }, RULE_TIER },
    { { "traits.", 7 }, RULE_TRAIT },
    { { "preferences.", 12 }, RULE_PREFERENCE },
};

static const char *const consents[] = {
    "consent.email", "consent.sms", "consent.push", "consent.tracking", "consent.sale",
};

/* Traits that every shop has (contract 5): for advice only. */
static const char *const common_traits[] = {
    "traits.first_name", "traits.last_name",   "traits.birth_date", "traits.gender",
    "traits.locale",     "traits.time_zone",   "traits.country",    "traits.region",
    "traits.city",       "traits.postal_code",
};

static const struct {
    const char *name;
    enum rule_type type;
} properties[] = {
    { "product_id", RULE_TEXT },
    { "variant_id", RULE_TEXT },
    { "sku", RULE_TEXT },
    { "name", RULE_TEXT },
    { "category", RULE_TEXT },
    { "brand", RULE_TEXT },
    { "price", RULE_NUMBER },
    { "compare_at_price", RULE_NUMBER },
    { "quantity", RULE_NUMBER },
    { "currency", RULE_TEXT },
    { "url", RULE_TEXT },
    { "image_url", RULE_TEXT },
    { "in_stock", RULE_BOOL },
    { "order_id", RULE_TEXT },
    { "number", RULE_TEXT },
    { "total", RULE_NUMBER },
    { "net", RULE_NUMBER },
    { "subtotal", RULE_NUMBER },
    { "discount", RULE_NUMBER },
    { "shipping", RULE_NUMBER },
    { "tax", RULE_NUMBER },
    { "revenue", RULE_NUMBER },
    { "coupon", RULE_TEXT },
    { "channel", RULE_TEXT },
    { "location", RULE_TEXT },
    { "query", RULE_TEXT },
    { "cart_id", RULE_TEXT },
    { "checkout_id", RULE_TEXT },
    { "recovery_url", RULE_TEXT },
    { "occurred_at", RULE_INSTANT },
    { "context.platform", RULE_TEXT },
    { "context.locale", RULE_TEXT },
    { "context.user_agent", RULE_TEXT },
    { "context.page_url", RULE_TEXT },
    { "context.referrer", RULE_TEXT },
    { "context.campaign.source", RULE_TEXT },
    { "context.campaign.medium", RULE_TEXT },
    { "context.campaign.name", RULE_TEXT },
};

static const char *const kinds[] = {
    [RULE_KIND_TAG] = "tag",
    [RULE_KIND_SEGMENT] = "segment",
    [RULE_KIND_LIFECYCLE] = "lifecycle",
    [RULE_KIND_TIER] = "tier",
};

const char *rule_kind_name(enum rule_kind kind)
{
    assert(kind >= RULE_KIND_TAG);
    assert(kind <= RULE_KIND_TIER);
    return kinds[kind];
}

enum rule_kind rule_kind_from_name(struct str name)
{
    for (int kind = RULE_KIND_TAG; kind <= RULE_KIND_TIER; kind++) {
        if (str_equal_z(name, kinds[kind])) {
            return (enum rule_kind)kind;
        }
    }
    return 0;
}

const struct rule_name_info *rule_name_info(enum rule_attribute attribute)
{
    assert(attribute < RULE_ATTRIBUTE_COUNT);
    return attribute == RULE_ATTRIBUTE_NONE ? NULL : &names[attribute - 1];
}

const struct rule_name_info *rule_name_at(size_t index)
{
    return index < ARRAY_COUNT(names) ? &names[index] : NULL;
}

static bool resolve_open(struct str path, struct rule_name *out_name)
{
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        if (str_starts_with(path, families[i].prefix) && path.size > families[i].prefix.size) {
            *out_name = (struct rule_name){ families[i].attribute,
                                            str_drop(path, families[i].prefix.size) };
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(consents); i++) {
        if (str_equal_z(path, consents[i])) {
            *out_name = (struct rule_name){ RULE_CONSENT, str_drop(path, STR("consent.").size) };
            return true;
        }
    }
    return false;
}

/* Is it told with a message, and no part of a profile? */
static bool is_told(const struct rule_name_info *info)
{
    return (1u << info->part & RULE_PARTS_TOLD) != 0;
}

static bool is_pattern(const char *path)
{
    return str_find(str_from_z(path), '<', 0) >= 0;
}

static struct str first_word(struct str path)
{
    ptrdiff_t dot = str_find(path, '.', 0);
    return dot < 0 ? path : str_take(path, (size_t)dot);
}

/* Does `path` end in ".word"? */
static bool ends_in_word(const char *path, struct str word)
{
    struct str whole = str_from_z(path);
    return whole.size > word.size && str_ends_with(whole, word) &&
           whole.data[whole.size - word.size - 1] == '.';
}

static const char *nearest_spelling(struct str path)
{
    const char *paths[ARRAY_COUNT(names) + ARRAY_COUNT(consents)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (!is_pattern(names[i].path) && !is_told(&names[i])) {
            paths[count++] = names[i].path;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(consents); i++) {
        paths[count++] = consents[i];
    }
    return str_nearest(path, paths, count);
}

static const char *nearest_ending(struct str word)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (ends_in_word(names[i].path, word) && !is_told(&names[i])) {
            return names[i].path;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(common_traits); i++) {
        if (ends_in_word(common_traits[i], word)) {
            return common_traits[i];
        }
    }
    return NULL;
}

static const char *nearest_family(struct str path)
{
    static const char *const words[] = { "tiers", "traits", "preferences", "consent" };
    static const char *const patterns[] = { "tiers.<name>", "traits.<key>", "preferences.<key>",
                                            "consent.<channel>" };
    struct str word = first_word(path);
    const char *nearest = str_nearest(word, words, ARRAY_COUNT(words));
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (nearest == words[i]) {
            return patterns[i];
        }
    }
    return NULL;
}

bool rule_name_resolve(struct str path, struct rule_name *out_name, const char **out_nearest)
{
    struct str prefix = STR("profile.");
    if (str_starts_with(path, prefix)) {
        path = str_drop(path, prefix.size);
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (str_equal_z(path, names[i].path) && !is_pattern(names[i].path) && !is_told(&names[i])) {
            *out_name = (struct rule_name){ .attribute = names[i].attribute };
            return true;
        }
    }
    if (resolve_open(path, out_name)) {
        return true;
    }
    const char *nearest = nearest_spelling(path);
    nearest = nearest != NULL ? nearest : nearest_ending(path);
    *out_nearest = nearest != NULL ? nearest : nearest_family(path);
    return false;
}

/* Among the names of some parts. */
static bool resolve_among(uint32_t parts, struct str path, struct rule_name *out_name,
                          const char **out_nearest)
{
    const char *paths[ARRAY_COUNT(names)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if ((1u << names[i].part & parts) == 0 || is_pattern(names[i].path)) {
            continue;
        }
        if (str_equal_z(path, names[i].path)) {
            *out_name = (struct rule_name){ .attribute = names[i].attribute };
            return true;
        }
        paths[count++] = names[i].path;
    }
    *out_nearest = str_nearest(path, paths, count);
    return false;
}

bool rule_name_resolve_told(struct str path, struct rule_name *out_name, const char **out_nearest)
{
    return resolve_among(1u << RULE_PART_EVENT | 1u << RULE_PART_TRANSITION, path, out_name,
                         out_nearest);
}

bool rule_name_resolve_interest(struct str path, struct rule_name *out_name,
                                const char **out_nearest)
{
    return resolve_among(1u << RULE_PART_INTEREST, path, out_name, out_nearest);
}

enum rule_type rule_property_type(struct str property)
{
    for (size_t i = 0; i < ARRAY_COUNT(properties); i++) {
        if (str_equal_z(property, properties[i].name)) {
            return properties[i].type;
        }
    }
    return RULE_NULL;
}
