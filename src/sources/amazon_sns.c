#include "base/instant.h"
#include "base/limits.h"
#include "platform_priv.h"
#include "sns_priv.h"

/*
 * Whatever publishes our own events to an Amazon SNS topic: the same items as
 * POST /v1/events, inside SNS's envelope. MessageId is the dedup key.
 */

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct sns_message message = { .at_ms = INSTANT_NONE };
    enum normalise_verdict verdict = sns_open(arena, inbound, out_normalised, &message, problem);
    if (verdict != NORMALISE_EVENTS) {
        return verdict;
    }
    struct inbound_header id = { STR("webhook-id"), out_normalised->dedup_key };
    struct inbound inner = {
        .headers = &id,
        .header_count = 1,
        .body = message.text,
        .received_at_ms = inbound->received_at_ms,
    };
    return canonical_normalise(arena, source, &inner, out_normalised, problem);
}

static const char *const TOPICS[] = { "*", NULL };
static const struct order_status_rule NO_STATUSES[] = { { NULL, ORDER_OPEN, false } };
static const char *const SETTINGS[] = { "topic_arns", "time_zone", "currency", "allowed_addresses",
                                        NULL };

static void write_setup(struct jsonw *json, const struct source *source, struct str webhook_url,
                        struct str secret)
{
    (void)secret;
    jsonw_key(json, "ways");
    jsonw_open_array(json);
    sns_write_way(json, source, webhook_url,
                  "Publish to an SNS topic: the message is one event of POST /v1/events, or an "
                  "array of them");
    jsonw_close_array(json);
    setup_write_topics(json, TOPICS);
    jsonw_key(json, "not_covered");
    jsonw_open_array(json);
    jsonw_close_array(json);
    jsonw_key(json, "warnings");
    jsonw_open_array(json);
    jsonw_z(json,
            "This server must be able to call sns.<region>.amazonaws.com, for the keys and to "
            "confirm the subscription.");
    jsonw_close_array(json);
}

const struct platform platform_amazon_sns = {
    .name = "amazon_sns",
    .title = "Amazon SNS",
    .signature = SNS_SIGNATURE,
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = sns_headers,
    .topics = TOPICS,
    .order_statuses = NO_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"order.completed\"]",
    .parse_settings = sns_parse_settings,
    .normalise = normalise,
    .write_setup = write_setup,
};
