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
static const char *const SETTINGS[] = { "topic_arns", "time_zone", "currency", "allowed_addresses",
                                        NULL };

static const char *const STEPS[] = {
    "Publish to an SNS topic: the message is one event of POST /v1/events, or an "
    "array of them",
    SNS_STEPS,
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "sns", .steps = STEPS, .write_paste = sns_write_paste },
    { .way = NULL },
};

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
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"order.completed\"]",
    .parse_settings = sns_parse_settings,
    .normalise = normalise,
    .setup = { .ways = WAYS, .warnings = sns_warnings },
};
