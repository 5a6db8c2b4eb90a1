#include "api/topic_message.h"

#include "base/instant.h"

/*
 * The invented customer of the examples, as decisions know customers: so a test
 * goes through the code that renders real messages, whatever the subscription's
 * fields, names and format. What it shows is a sample; what was promised stands in
 * topic_example.c.
 */

#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    } /* STR() is no constant */

static struct profile_fact facts[] = {
    { .kind = FACT_TRAIT, .key = TEXT("email"), .value_json = TEXT("\"jane@example.com\"") },
    { .kind = FACT_TRAIT, .key = TEXT("external_id"), .value_json = TEXT("\"u_1001\"") },
    { .kind = FACT_TRAIT, .key = TEXT("first_name"), .value_json = TEXT("\"Jane\"") },
    { .kind = FACT_TRAIT, .key = TEXT("last_name"), .value_json = TEXT("\"Doe\"") },
    { .kind = FACT_TRAIT, .key = TEXT("locale"), .value_json = TEXT("\"fr-FR\"") },
    { .kind = FACT_TRAIT, .key = TEXT("phone"), .value_json = TEXT("\"+33612345678\"") },
    { .kind = FACT_TRAIT, .key = TEXT("time_zone"), .value_json = TEXT("\"Europe/Paris\"") },
    { .kind = FACT_CONSENT, .key = TEXT("email"), .value_json = TEXT("\"subscribed\"") },
    { .kind = FACT_CONSENT, .key = TEXT("tracking"), .value_json = TEXT("\"subscribed\"") },
};

static const char PROPERTIES[] =
    "{\"order_id\":\"5739001\",\"number\":\"1001\",\"total\":132.50,\"currency\":\"EUR\","
    "\"products\":[{\"product_id\":\"8213868347001\",\"variant_id\":\"44901482850001\","
    "\"sku\":\"TR-42\",\"name\":\"Trail runner\",\"category\":[\"Shoes\"],\"quantity\":1,"
    "\"price\":132.50}]}";

static void make_profile(struct topic_message *made, int64_t now_ms)
{
    static const char id[] = "0198c1f0-7c1e-7b3a-9d55-5f3b2a1c9e10";
    struct id profile_id = ID_ZERO;
    (void)id_parse(str_from_z(id), &profile_id);
    profile_init(&made->profile, profile_id, now_ms - 300 * INSTANT_DAY_MS);
    indicators_init(&made->profile.indicators);
    made->profile.identified = true;
    made->profile.facts = facts;
    made->profile.fact_count = ARRAY_COUNT(facts);
    made->profile.last_seen_at_ms = now_ms;
    made->profile.orders = (struct profile_orders){
        .count = 9,
        .gross_minor = 112491,
        .largest_minor = 31000,
        .first_at_ms = now_ms - 300 * INSTANT_DAY_MS,
        .last_at_ms = now_ms - 20 * INSTANT_DAY_MS,
    };
    made->labels = (struct profile_labels){ .lifecycle = STR("active") };
}

static const struct {
    const char *object;
    enum rule_kind kind;
    struct str name;
    struct str title;
    struct str from; /* of tiers and stages */
    struct str to;
} rules[] = {
    { "segment", RULE_KIND_SEGMENT, TEXT("shoes_three_views"),
      TEXT("Viewed shoes three times in 24 hours"), TEXT(""), TEXT("") },
    { "tag", RULE_KIND_TAG, TEXT("frequent_buyer"), TEXT("Frequent buyer"), TEXT(""), TEXT("") },
    { "tier", RULE_KIND_TIER, TEXT("basket"), TEXT("Basket value"), TEXT("mid"), TEXT("high") },
    { "lifecycle", RULE_KIND_LIFECYCLE, TEXT("lifecycle"), TEXT("Lifecycle"), TEXT("active"),
      TEXT("lapsed") },
};

static void make_transition(struct topic_message *made, const char *object, int64_t now_ms)
{
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        if (!str_equal_z(str_from_z(object), rules[i].object)) {
            continue;
        }
        bool is_gone = str_ends_with(made->message.topic, STR(".removed")) ||
                       str_ends_with(made->message.topic, STR(".left"));
        made->rule.definition = (struct rule_definition){
            .name = rules[i].name, .title = rules[i].title, .kind = rules[i].kind, .version = 1
        };
        made->transition = (struct transition_row){ .rule = &made->rule,
                                                    .had = is_gone || rules[i].from.size > 0,
                                                    .has = !is_gone,
                                                    .from = rules[i].from,
                                                    .to = rules[i].to,
                                                    .at_ms = now_ms };
        made->message.transition = &made->transition;
    }
}

static void make_event(struct topic_message *made, enum event_type type, struct str source,
                       int64_t now_ms)
{
    made->event = (struct event){
        .id = made->message.id,
        .type = type,
        .name = made->message.trigger == NULL ? made->message.topic
                                              : str_from_z(event_type_info(type)->name),
        .occurred_at_ms = now_ms,
        .received_at_ms = now_ms,
        .product_id = STR("8213868347001"),
        .properties_json = str_from_z(PROPERTIES),
    };
    property_view_event(&made->fact, &made->event);
    made->message.event = &made->event;
    made->message.fact = &made->fact;
    made->message.source = source;
    made->message.subject.fact = &made->fact;
    made->message.subject.source = source;
}

static const struct topic_info *derived_topic(struct str topic)
{
    for (size_t i = 0; topic_derived(i) != NULL; i++) {
        if (str_equal_z(topic, topic_derived(i)->name)) {
            return topic_derived(i);
        }
    }
    return NULL;
}

bool topic_message_init(struct topic_message *made, struct str topic,
                        const struct topic_example *example)
{
    const struct topic_info *derived = derived_topic(topic);
    enum event_type type = event_type_from_name(topic);
    bool is_event = type != 0 && !event_type_info(type)->universal;
    if (example->trigger != NULL) {
        type = EVENT_ORDER_COMPLETED;
        is_event = true;
    }
    if (topic_is_of_service(topic) || (derived == NULL && !is_event)) {
        return false;
    }
    *made = (struct topic_message){ .message = { .id = example->id,
                                                 .topic = topic,
                                                 .at_ms = example->at_ms,
                                                 .recorded_at_ms = example->at_ms + 40,
                                                 .expires_at_ms = example->expires_at_ms,
                                                 .workspace = example->workspace,
                                                 .currency = STR("EUR"),
                                                 .sequence = 418,
                                                 .until_ms = INSTANT_NEVER,
                                                 .previous_since_ms = INSTANT_NONE,
                                                 .trigger = example->trigger,
                                                 .is_test = example->test } };
    make_profile(made, example->at_ms);
    made->message.profile = &made->profile;
    made->message.labels = &made->labels;
    made->message.subject =
        (struct rule_subject){ .profile = &made->profile, .currency = STR("EUR") };
    if (!str_equal(topic, STR("lifecycle.changed"))) {
        make_event(made, is_event ? type : EVENT_CUSTOMER_CREATED, STR("shopify_main"),
                   example->at_ms);
    }
    if (derived != NULL && derived->object != NULL) {
        make_transition(made, derived->object, example->at_ms);
    }
    if (str_equal(topic, STR("profile.merged"))) {
        made->merge = (struct identity_decision_row){ .id = example->id,
                                                      .from_id = example->id,
                                                      .into_id = made->profile.id,
                                                      .because = IDENTITY_EMAIL };
        made->message.merge = &made->merge;
    }
    return true;
}
