#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/limits.h"
#include "draft_priv.h"
#include "sns_priv.h"
#include "sources/json_border.h"

/*
 * Amazon SNS over HTTPS, in front of SES, commercetools and whatever else.
 *
 * SNS signs for every customer of Amazon with the same keys, so a valid signature
 * says only that some topic of somebody said this. Which topics are ours is the
 * source's setting (topic_arns), and a source without it believes none.
 *
 * The signed bytes are lines made of certain members in a fixed order, and the
 * certificate stands at an address inside the message: both are read before
 * anything is proven, and nothing else is. The host of that address must be SNS's
 * own, by pattern; what does not fit is refused, never fetched. Rejected:
 * following the order of Amazon's JavaScript library, which leaves Token out of
 * UnsubscribeConfirmation; the Java library signs it in, and its vectors verify.
 *
 * Raw message delivery drops envelope and signature: it is refused as malformed.
 */

enum {
    TOPICS_MAX = 32,
    LINES_BYTES_MAX = 512 * 1024, /* SNS carries at most 256 KiB; escapes do not count */
};

const char *const sns_headers[] = { "x-amz-sns-message-type", "x-amz-sns-topic-arn", NULL };

/* --- where its keys and confirmations stand -------------------------------- */

/* ^sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?$ */
static bool is_sns_host(struct str host)
{
    struct str rest = host;
    if (!str_starts_with(rest, STR("sns."))) {
        return false;
    }
    rest = str_drop(rest, 4);
    size_t size = 0;
    while (size < rest.size &&
           ((rest.data[size] >= 'a' && rest.data[size] <= 'z') ||
            (rest.data[size] >= '0' && rest.data[size] <= '9') || rest.data[size] == '-')) {
        size++;
    }
    rest = str_drop(rest, size);
    return size >= 3 &&
           (str_equal(rest, STR(".amazonaws.com")) || str_equal(rest, STR(".amazonaws.com.cn")));
}

/* https://<sns host>/..., without user, port or fragment. */
static bool is_sns_url(struct str url)
{
    struct str rest = str_drop(url, sizeof("https://") - 1);
    struct str host = { NULL, 0 };
    struct str path = { NULL, 0 };
    return str_starts_with(url, STR("https://")) && url.size <= LIMIT_TEXT_BYTES &&
           str_find(url, '#', 0) < 0 && str_split(rest, '/', &host, &path) && is_sns_host(host);
}

/* --- the claim -------------------------------------------------------------- */

static bool add_line(struct buf *lines, const json_t *root, const char *name, bool may_lack)
{
    const json_t *value = json_object_get(root, name);
    if (value == NULL && may_lack) {
        return true;
    }
    if (!json_is_string(value)) {
        return false;
    }
    buf_add_z(lines, name);
    buf_add_z(lines, "\n");
    buf_add_str(lines, (struct str){ json_string_value(value), json_string_length(value) });
    buf_add_z(lines, "\n");
    return true;
}

static bool write_lines(struct buf *lines, const json_t *root)
{
    bool is_notification = str_equal(border_text(root, "Type"), STR("Notification"));
    return add_line(lines, root, "Message", false) && add_line(lines, root, "MessageId", false) &&
           (is_notification ? add_line(lines, root, "Subject", true)
                            : add_line(lines, root, "SubscribeURL", false)) &&
           add_line(lines, root, "Timestamp", false) &&
           (is_notification || add_line(lines, root, "Token", false)) &&
           add_line(lines, root, "TopicArn", false) && add_line(lines, root, "Type", false) &&
           !lines->failed;
}

static bool is_own_topic(const struct source *source, struct str arn)
{
    const char *const *topics = source->adapter;
    for (; topics != NULL && *topics != NULL; topics++) {
        if (str_equal_z(arn, *topics)) {
            return true;
        }
    }
    return false;
}

enum signature_verdict sns_read_claim(struct arena *arena, const struct source *source,
                                      const struct inbound *inbound, struct signature_claim *claim)
{
    struct buf lines;
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, NULL);
    struct str version = border_text(root, "SignatureVersion");
    struct str url = border_text(root, "SigningCertURL");
    buf_init(&lines, arena, LINES_BYTES_MAX);
    if (border_text(root, "Signature").size == 0) {
        return SIGNATURE_HEADER_MISSING;
    }
    /* Before its key is fetched: strangers' topics cost us no call. */
    if (!is_own_topic(source, border_text(root, "TopicArn"))) {
        return SIGNATURE_SHOP_MISMATCH;
    }
    if (!is_sns_url(url) || !str_ends_with(url, STR(".pem")) || !write_lines(&lines, root)) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    if (str_equal(version, STR("1"))) {
        claim->algorithm = SIGNATURE_RSA_SHA1;
    } else if (!str_equal(version, STR("2"))) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->signatures[0] = (struct signature_text){
        .text = str_dup(arena, border_text(root, "Signature")),
        .key_url = str_dup(arena, url),
    };
    claim->signature_count = 1;
    claim->pieces[0] = buf_str(&lines);
    claim->piece_count = 1;
    return arena_is_full(arena) ? SIGNATURE_HEADER_MALFORMED : SIGNATURE_VALID;
}

/* --- settings ---------------------------------------------------------------- */

/* source->adapter is the list, NULL at its end. */
enum status sns_parse_settings(struct arena *arena, struct str settings_json, struct source *source,
                               struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, NULL);
    const json_t *list = json_object_get(settings, "topic_arns");
    size_t count = json_array_size(list);
    const char **topics = ARENA_NEW_ARRAY(arena, count + 1, const char *);
    if (topics == NULL || count > TOPICS_MAX || (list != NULL && !json_is_array(list))) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "a list of at most %d topics is needed", TOPICS_MAX);
        problem_point(problem, "#/settings/topic_arns");
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        struct str arn = str_from_z(json_string_value(json_array_get(list, i)));
        topics[i] = str_dup_z(arena, arn);
        if (!str_starts_with(arn, STR("arn:aws")) || arn.size > LIMIT_TEXT_BYTES) {
            problem_set(problem, STATUS_INVALID, "invalid-field",
                        "a topic looks like arn:aws:sns:eu-west-1:123456789012:name");
            problem_point(problem, "#/settings/topic_arns/%zu", i);
            return STATUS_INVALID;
        }
    }
    source->adapter = topics;
    return STATUS_OK;
}

/* --- the envelope ------------------------------------------------------------ */

enum normalise_verdict sns_open(struct arena *arena, const struct inbound *inbound,
                                struct normalised *out_normalised, struct sns_message *out_message,
                                struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    struct str type = border_text(root, "Type");
    *out_normalised = (struct normalised){
        .topic = str_dup(arena, type),
        .dedup_key = draft_dedup_key(arena, border_text(root, "MessageId"), type, inbound->body),
    };
    if (str_equal(type, STR("SubscriptionConfirmation"))) {
        struct str url = border_text(root, "SubscribeURL");
        if (!is_sns_url(url)) {
            problem_set(problem, STATUS_INVALID, "invalid-event",
                        "SubscribeURL is not an address of SNS");
            return NORMALISE_UNREADABLE;
        }
        out_normalised->handshake.visit_url = str_dup(arena, url);
        return NORMALISE_HANDSHAKE;
    }
    if (!str_equal(type, STR("Notification"))) {
        return NORMALISE_IGNORED;
    }
    const json_t *message = json_object_get(root, "Message");
    *out_message = (struct sns_message){
        .text =
            str_dup(arena, (struct str){ json_string_value(message), json_string_length(message) }),
        .at_ms = border_instant(root, "Timestamp", NULL),
    };
    return arena_is_full(arena) ? NORMALISE_FULL : NORMALISE_EVENTS;
}

void sns_write_paste(struct buf *paste, const struct source *source, struct str webhook_url,
                     struct str secret)
{
    (void)source;
    (void)secret;
    buf_printf(paste,
               "aws sns subscribe --protocol https --topic-arn <the topic's ARN> \\\n"
               "  --notification-endpoint '%.*s'\n",
               STR_ARG(webhook_url));
}

const char *const sns_warnings[] = {
    "This server must be able to call sns.<region>.amazonaws.com, for the keys and to "
    "confirm the subscription.",
    NULL,
};
