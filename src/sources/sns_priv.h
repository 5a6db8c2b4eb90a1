#ifndef SOURCES_SNS_PRIV_H
#define SOURCES_SNS_PRIV_H

/*
 * Amazon SNS as an envelope: what the platforms behind it share. The signature,
 * the confirmation of the subscription, and the message inside.
 */

#include "platform_priv.h"

/* Their signature_spec, the headers to keep, and their settings. */
#define SNS_SIGNATURE                                                    \
    {                                                                    \
        .algorithm = SIGNATURE_RSA_SHA256, .encoding = SIGNATURE_BASE64, \
        .key_form = SIGNATURE_KEY_FETCHED, .syntax = SIGNATURE_ALONE,    \
        .read_claim = sns_read_claim,                                    \
    }
extern const char *const sns_headers[];

enum signature_verdict sns_read_claim(struct arena *arena, const struct source *source,
                                      const struct inbound *inbound, struct signature_claim *claim);

/* settings.topic_arns: without it nobody is believed, for SNS signs for everybody. */
enum status sns_parse_settings(struct arena *arena, struct str settings_json, struct source *source,
                               struct problem *problem);

/* What the envelope carries: NORMALISE_EVENTS and *out_message, or the verdict to
 * return (HANDSHAKE for a confirmation, IGNORED for a farewell, UNREADABLE). Fills
 * in the delivery's dedup key. */
struct sns_message {
    struct str text;
    int64_t at_ms; /* when SNS took it */
};
enum normalise_verdict sns_open(struct arena *arena, const struct inbound *inbound,
                                struct normalised *out_normalised, struct sns_message *out_message,
                                struct problem *problem);

/* The way in through SNS, as part of a setup: steps behind the platform's own, what
 * to paste, and the one warning. */
#define SNS_STEPS                                                                         \
    "PATCH /v1/sources/%s {\"settings\":{\"topic_arns\":[\"<the topic's ARN>\"]}}: only " \
    "these are believed",                                                                 \
        "Run the line below; Shopbell confirms the subscription by itself",               \
        "Leave raw message delivery off: it drops the signature"
void sns_write_paste(struct buf *paste, const struct source *source, struct str webhook_url,
                     struct str secret);
extern const char *const sns_warnings[];

#endif
