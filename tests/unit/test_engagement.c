#include "payload.h"

/* Email service providers: their words become the same few events. */

#define NOTIFICATION "5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77"

static enum normalise_verdict take(struct payload *payload, const char *platform, const char *body)
{
    payload->platform = platform_find(str_from_z(platform));
    return payload_take(payload, NULL, 0, str_from_z(body));
}

#define MAIL "\"email\":\"Jane@Example.com\""
#define CIO(metric, more)                                                                      \
    "{\"metric\":\"" metric "\",\"object_type\":\"email\",\"event_id\":\"e\",\"timestamp\":1," \
    "\"data\":{\"recipient\":\"jane@example.com\",\"identifiers\":{\"id\":\"7\"}" more "}}"
#define SPARK(type, more)                                                                    \
    "[{\"msys\":{\"message_event\":{\"type\":\"" type "\",\"rcpt_to\":\"jane@example.com\"," \
    "\"event_id\":\"1\"" more "}}}]"
#define RESEND(type, more)                                                              \
    "{\"type\":\"" type "\",\"created_at\":\"2026-11-18T10:00:00Z\",\"data\":{\"to\":[" \
    "\"Jane <jane@example.com>\"]" more "}}"
#define POSTMARK(type, more) \
    "{\"RecordType\":\"" type "\",\"Recipient\":\"jane@example.com\",\"MessageID\":\"m\"" more "}"
#define MAILGUN(event, more)                                                                  \
    "{\"signature\":{\"token\":\"t\"},\"event-data\":{\"event\":\"" event "\",\"recipient\":" \
    "\"jane@example.com\"" more "}}"
#define KLAVIYO(topic, more)                                                                   \
    "{\"data\":[{\"external_id\":\"x1\",\"topic\":\"event:klaviyo." topic "\",\"payload\":{"   \
    "\"data\":{\"type\":\"event\",\"attributes\":{\"datetime\":\"2026-11-18T10:00:00+00:00\"," \
    "\"event_properties\":{\"Subject\":\"Hi\"" more "}},\"relationships\":{\"profile\":{"      \
    "\"data\":{\"type\":\"profile\",\"id\":\"01H\"}}}},\"included\":[{\"type\":\"metric\"},{"  \
    "\"type\":\"profile\",\"attributes\":{" MAIL "}}]}}],\"meta\":{}}"
#define MAILERSEND(type)                                                                           \
    "{\"type\":\"activity." type "\",\"data\":{\"id\":\"a1\",\"email\":{\"recipient\":{" MAIL "}}" \
    "}}"

struct word {
    const char *why;
    const char *platform;
    const char *body;
    enum event_type type; /* 0: nothing is kept */
    const char *consent;  /* of the channel e-mail; "" is no word about it */
    const char *bounce;   /* JSON; "" where it is no member */
    bool act;
};

static const struct word WORDS[] = {
    { "SendGrid: open", "sendgrid", "[{\"event\":\"open\"," MAIL "}]", EVENT_EMAIL_OPENED, "", "",
      true },
    { "SendGrid: Apple's prefetch", "sendgrid",
      "[{\"event\":\"open\",\"sg_machine_open\":true," MAIL "}]", EVENT_EMAIL_OPENED, "", "",
      false },
    { "SendGrid: no machine", "sendgrid",
      "[{\"event\":\"open\",\"sg_machine_open\":false," MAIL "}]", EVENT_EMAIL_OPENED, "", "",
      true },
    { "SendGrid: bounce", "sendgrid", "[{\"event\":\"bounce\",\"type\":\"bounce\"," MAIL "}]",
      EVENT_EMAIL_BOUNCED, "\"invalid\"", "\"hard\"", false },
    { "SendGrid: blocked", "sendgrid", "[{\"event\":\"bounce\",\"type\":\"blocked\"," MAIL "}]",
      EVENT_EMAIL_BOUNCED, "", "\"soft\"", false },
    { "SendGrid: dropped", "sendgrid", "[{\"event\":\"dropped\"," MAIL "}]", EVENT_EMAIL_BOUNCED,
      "", "\"dropped\"", false },
    { "SendGrid: spam", "sendgrid", "[{\"event\":\"spamreport\"," MAIL "}]", EVENT_EMAIL_COMPLAINED,
      "\"unsubscribed\"", "", true },
    { "SendGrid: unsubscribe", "sendgrid", "[{\"event\":\"unsubscribe\"," MAIL "}]",
      EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"", "", true },
    { "SendGrid: out of a group", "sendgrid",
      "[{\"event\":\"group_unsubscribe\",\"asm_group_id\":9," MAIL "}]", EVENT_EMAIL_UNSUBSCRIBED,
      "\"unsubscribed\"", "", true },
    { "SendGrid: back in, which grants nothing", "sendgrid",
      "[{\"event\":\"group_resubscribe\",\"asm_group_id\":9," MAIL "}]", EVENT_PREFERENCE_UPDATED,
      "", "", false },
    { "SendGrid: processed", "sendgrid", "[{\"event\":\"processed\"," MAIL "}]", 0, "", "", false },
    { "Mailgun: delivered", "mailgun", MAILGUN("delivered", ""), EVENT_EMAIL_DELIVERED, "", "",
      false },
    { "Mailgun: opened", "mailgun", MAILGUN("opened", ",\"client-info\":{\"bot\":\"\"}"),
      EVENT_EMAIL_OPENED, "", "", true },
    { "Mailgun: opened by a bot", "mailgun",
      MAILGUN("opened", ",\"client-info\":{\"bot\":\"apple\"}"), EVENT_EMAIL_OPENED, "", "",
      false },
    { "Mailgun: given up, and why is not told", "mailgun",
      MAILGUN("failed", ",\"severity\":\"permanent\",\"reason\":\"old\""), EVENT_EMAIL_BOUNCED, "",
      "", false },
    { "Mailgun: on its own list", "mailgun",
      MAILGUN("failed", ",\"severity\":\"permanent\",\"reason\":\"suppress-bounce\""),
      EVENT_EMAIL_BOUNCED, "", "\"dropped\"", false },
    { "Mailgun: complained", "mailgun", MAILGUN("complained", ""), EVENT_EMAIL_COMPLAINED,
      "\"unsubscribed\"", "", true },
    { "Postmark: hard", "postmark", POSTMARK("Bounce", ",\"Type\":\"HardBounce\""),
      EVENT_EMAIL_BOUNCED, "\"invalid\"", "\"hard\"", false },
    { "Postmark: soft", "postmark", POSTMARK("Bounce", ",\"Type\":\"Transient\""),
      EVENT_EMAIL_BOUNCED, "", "\"soft\"", false },
    { "Postmark: unsubscribed by an answer", "postmark",
      POSTMARK("Bounce", ",\"Type\":\"Unsubscribe\""), EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"",
      "", true },
    { "Postmark: an answering machine", "postmark",
      POSTMARK("Bounce", ",\"Type\":\"AutoResponder\""), 0, "", "", false },
    { "Postmark: unsubscribed", "postmark",
      POSTMARK("SubscriptionChange", ",\"SuppressSending\":true,\"Origin\":\"Recipient\","
                                     "\"SuppressionReason\":\"ManualSuppression\""),
      EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"", "", true },
    { "Postmark: suppressed by the shop", "postmark",
      POSTMARK("SubscriptionChange", ",\"SuppressSending\":true,\"Origin\":\"Customer\","
                                     "\"SuppressionReason\":\"ManualSuppression\""),
      EVENT_CONSENT_UPDATED, "\"unsubscribed\"", "", false },
    { "Postmark: taken back by the shop, which is no consent", "postmark",
      POSTMARK("SubscriptionChange", ",\"SuppressSending\":false,\"Origin\":\"Customer\""), 0, "",
      "", false },
    { "Brevo: first open", "brevo", "{\"event\":\"unique_opened\"," MAIL "}", EVENT_EMAIL_OPENED,
      "", "", true },
    { "Brevo: Apple's proxy", "brevo", "{\"event\":\"unique_proxy_open\"," MAIL "}",
      EVENT_EMAIL_OPENED, "", "", false },
    { "Brevo: unsubscribed", "brevo", "{\"event\":\"unsubscribed\"," MAIL "}",
      EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"", "", true },
    { "Brevo: invalid", "brevo", "{\"event\":\"invalid_email\"," MAIL "}", EVENT_EMAIL_BOUNCED,
      "\"invalid\"", "\"hard\"", false },
    { "SparkPost: no such recipient", "sparkpost", SPARK("bounce", ",\"bounce_class\":\"10\""),
      EVENT_EMAIL_BOUNCED, "\"invalid\"", "\"hard\"", false },
    { "SparkPost: mailbox full", "sparkpost", SPARK("bounce", ",\"bounce_class\":\"22\""),
      EVENT_EMAIL_BOUNCED, "", "\"soft\"", false },
    { "SparkPost: blocked as spam", "sparkpost", SPARK("bounce", ",\"bounce_class\":\"51\""),
      EVENT_EMAIL_BOUNCED, "", "", false },
    { "SparkPost: a prefetch", "sparkpost",
      SPARK("open", ",\"user_agent_parsed\":{\"is_prefetched\":true}"), EVENT_EMAIL_OPENED, "", "",
      false },
    { "SparkPost: the first of two pixels", "sparkpost", SPARK("initial_open", ""), 0, "", "",
      false },
    { "SparkPost: a ping", "sparkpost", "[{\"msys\":{}}]", 0, "", "", false },
    { "Customer.io: opened", "customerio", CIO("opened", ",\"prefetched\":false"),
      EVENT_EMAIL_OPENED, "", "", true },
    { "Customer.io: prefetched", "customerio", CIO("opened", ",\"prefetched\":true"),
      EVENT_EMAIL_OPENED, "", "", false },
    { "Customer.io: a scanner's click", "customerio",
      CIO("clicked", ",\"machine\":true,\"href\":\"https://x.example\""), EVENT_EMAIL_CLICKED, "",
      "", false },
    { "Customer.io: bounced, who knows how", "customerio", CIO("bounced", ""), EVENT_EMAIL_BOUNCED,
      "", "", false },
    { "Customer.io: spammed", "customerio", CIO("spammed", ""), EVENT_EMAIL_COMPLAINED,
      "\"unsubscribed\"", "", true },
    { "Customer.io: the attribute was set", "customerio",
      "{\"metric\":\"unsubscribed\",\"object_type\":\"customer\",\"event_id\":\"e\",\"data\":{"
      "\"email_address\":\"jane@example.com\"}}",
      EVENT_CONSENT_UPDATED, "\"unsubscribed\"", "", false },
    { "Customer.io: a metric of tomorrow", "customerio", CIO("teleported", ""), 0, "", "", false },
    { "Mailjet: hard", "mailjet", "{\"event\":\"bounce\",\"hard_bounce\":true," MAIL "}",
      EVENT_EMAIL_BOUNCED, "\"invalid\"", "\"hard\"", false },
    { "Mailjet: blocked", "mailjet", "{\"event\":\"blocked\"," MAIL "}", EVENT_EMAIL_BOUNCED, "",
      "\"dropped\"", false },
    { "MailerSend: hard", "mailersend", MAILERSEND("hard_bounced"), EVENT_EMAIL_BOUNCED,
      "\"invalid\"", "\"hard\"", false },
    { "MailerSend: clicked", "mailersend", MAILERSEND("clicked"), EVENT_EMAIL_CLICKED, "", "",
      true },
    { "MailerSend: opened, the first time again", "mailersend", MAILERSEND("opened_unique"), 0, "",
      "", false },
    { "Resend: bounced for now", "resend",
      RESEND("email.bounced", ",\"bounce\":{\"type\":\"Transient\"}"), EVENT_EMAIL_BOUNCED, "",
      "\"soft\"", false },
    { "Resend: bounced for good", "resend",
      RESEND("email.bounced", ",\"bounce\":{\"type\":\"Permanent\"}"), EVENT_EMAIL_BOUNCED,
      "\"invalid\"", "\"hard\"", false },
    { "Resend: opened by one of two", "resend",
      "{\"type\":\"email.opened\",\"data\":{\"to\":[\"a@x.example\",\"b@x.example\"]}}", 0, "", "",
      false },
    { "Resend: unsubscribed", "resend",
      "{\"type\":\"contact.updated\",\"data\":{" MAIL ",\"unsubscribed\":true}}",
      EVENT_CONSENT_UPDATED, "\"unsubscribed\"", "", false },
    { "Resend: another change of a contact", "resend",
      "{\"type\":\"contact.updated\",\"data\":{" MAIL ",\"unsubscribed\":false}}", 0, "", "",
      false },
    { "Klaviyo: opened", "klaviyo", KLAVIYO("opened_email", ""), EVENT_EMAIL_OPENED, "", "", true },
    { "Klaviyo: opened by Apple", "klaviyo", KLAVIYO("opened_email", ",\"machine_open\":true"),
      EVENT_EMAIL_OPENED, "", "", false },
    { "Klaviyo: hard", "klaviyo", KLAVIYO("bounced_email", ",\"Bounce Type\":\"Hard\""),
      EVENT_EMAIL_BOUNCED, "\"invalid\"", "\"hard\"", false },
    { "Klaviyo: bounced", "klaviyo", KLAVIYO("bounced_email", ""), EVENT_EMAIL_BOUNCED, "", "",
      false },
    { "Klaviyo: unsubscribed", "klaviyo", KLAVIYO("unsubscribed_from_email_marketing", ""),
      EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"", "", true },
    { "Klaviyo: subscribed", "klaviyo", KLAVIYO("subscribed_to_email_marketing", ""),
      EVENT_CONSENT_UPDATED, "\"subscribed\"", "", false },
    { "Klaviyo: no more text messages", "klaviyo", KLAVIYO("unsubscribed_from_sms_marketing", ""),
      EVENT_CONSENT_UPDATED, "", "", false },
    { "Klaviyo: a topic of the shop's own", "klaviyo", KLAVIYO("viewed_product", ""), 0, "", "",
      false },
    { "Mailchimp: unsubscribed", "mailchimp",
      "type=unsubscribe&data%5Baction%5D=unsub&data[reason]=manual&data[email]=Jane%40Example.com",
      EVENT_EMAIL_UNSUBSCRIBED, "\"unsubscribed\"", "", true },
    { "Mailchimp: complained", "mailchimp",
      "type=unsubscribe&data[reason]=abuse&data[email]=jane@example.com", EVENT_EMAIL_COMPLAINED,
      "\"unsubscribed\"", "", true },
    { "Mailchimp: deleted by the shop", "mailchimp",
      "type=unsubscribe&data[action]=delete&data[email]=jane@example.com", EVENT_CONSENT_UPDATED,
      "\"unsubscribed\"", "", false },
    { "Mailchimp: subscribed", "mailchimp", "type=subscribe&data[email]=jane@example.com",
      EVENT_CONSENT_UPDATED, "\"subscribed\"", "", false },
    { "Mailchimp: cleaned", "mailchimp",
      "type=cleaned&data[reason]=hard&data[email]=jane@example.com", EVENT_EMAIL_BOUNCED,
      "\"invalid\"", "\"hard\"", false },
    { "Mailchimp: a campaign", "mailchimp", "type=campaign&data[id]=1", 0, "", "", false },
    { "Mandrill: a click", "mandrill",
      "mandrill_events=%5B%7B%22event%22:%22click%22,%22msg%22:%7B%22email%22:"
      "%22jane@example.com%22%7D%7D%5D",
      EVENT_EMAIL_CLICKED, "", "", true },
    { "Mandrill: a list of its own", "mandrill",
      "mandrill_events=[{\"type\":\"whitelist\",\"action\":\"add\"}]", 0, "", "", false },
};

static void words_become_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        const struct word *word = &WORDS[i];
        struct payload payload;
        payload_begin(&payload, word->platform);
        enum normalise_verdict verdict = take(&payload, word->platform, word->body);
        if (word->type == 0) {
            assert_row(verdict == NORMALISE_IGNORED, word->why);
            payload_end(&payload);
            continue;
        }
        assert_row(verdict == NORMALISE_EVENTS, word->why);
        assert_row(payload.normalised.event_count == 1, word->why);
        payload_check_events(&payload);
        const struct event *event = &payload.normalised.events[0];
        struct str bounce = payload_member(payload.arena, event->properties_json, "bounce");
        assert_row(event->type == word->type, word->why);
        assert_row(event->act == word->act, word->why);
        assert_row(str_equal_z(payload_fact(event, FACT_CONSENT, "email"), word->consent),
                   word->why);
        assert_row(str_equal_z(bounce, word->bounce), word->why);
        assert_row(str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("jane@example.com")),
                   word->why);
        bool is_machine = str_equal(
            payload_member(payload.arena, event->properties_json, "machine"), STR("true"));
        bool may_be_act = event_type_info(word->type)->act && word->type != EVENT_CONSENT_UPDATED &&
                          word->type != EVENT_PREFERENCE_UPDATED;
        assert_row(is_machine == (may_be_act && !word->act), word->why);
        payload_end(&payload);
    }
}

/* What cannot be read is kept for a person, never refused. */
static void says_what_it_cannot_read(void **state)
{
    (void)state;
    static const struct {
        const char *platform;
        const char *body;
        const char *detail;
    } rows[] = {
        { "sendgrid", "[{\"email\":\"jane@example.com\"}]", "no element says what happened" },
        { "sendgrid", "[{\"event\":\"open\"}]", "no event names an address" },
        { "sendgrid", "[{\"event\":\"open\",\"email\":\"nobody\"}]", "no event names an address" },
        { "brevo", "{}", "no element says what happened" },
        { "mailgun", "{}", "no event-data in it" },
        { "klaviyo", "{\"data\":{}}", "no list of events in it" },
        { "mailchimp", "a=b", "the form has no type" },
        { "mailchimp", "type=%FF", "the form is not UTF-8" },
        { "mailchimp", "type=profile", "no event names an address" },
        { "mailchimp", "type=%", "the body is no form" },
        { "mandrill", "{}", "no form with mandrill_events" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        assert_row(take(&payload, rows[i].platform, rows[i].body) == NORMALISE_UNREADABLE,
                   rows[i].body);
        assert_row(str_equal_z(str_from_z(payload.problem.detail), rows[i].detail), rows[i].body);
        payload_end(&payload);
    }
}

/* The id of our notification, wherever the provider gives it back. */
static void finds_what_comes_back(void **state)
{
    (void)state;
#define GIVEN "\"shopbell_notification_id\":\"" NOTIFICATION "\""
#define GIVEN_WITHIN "{\\\"shopbell_notification_id\\\": \\\"" NOTIFICATION "\\\"}"
    static const struct {
        const char *platform;
        const char *body;
        bool is_found;
    } rows[] = {
        { "sendgrid", "[{\"event\":\"open\"," MAIL "," GIVEN "}]", true },
        { "sendgrid", "[{\"event\":\"open\"," MAIL ",\"shopbell_notification_id\":\"x\"}]", false },
        { "mailgun", MAILGUN("opened", ",\"user-variables\":{" GIVEN "}"), true },
        { "postmark", POSTMARK("Open", ",\"Metadata\":{" GIVEN "}"), true },
        { "brevo", "{\"event\":\"opened\"," MAIL ",\"X-Mailin-custom\":\"" GIVEN_WITHIN "\"}",
          true },
        { "brevo",
          "{\"event\":\"opened\"," MAIL ",\"X-Mailin-custom\":\"other\",\"tags\":["
          "\"a\",\"shopbell_notification_id=" NOTIFICATION "\"]}",
          true },
        { "sparkpost", SPARK("open", ",\"rcpt_meta\":{" GIVEN "}"), true },
        { "mandrill",
          "mandrill_events=[{\"event\":\"open\",\"msg\":{" MAIL ",\"metadata\":{" GIVEN "}}}]",
          true },
        { "mailjet", "{\"event\":\"open\"," MAIL ",\"Payload\":\"" GIVEN_WITHIN "\"}", true },
        { "mailjet", "{\"event\":\"open\"," MAIL ",\"CustomID\":\"" NOTIFICATION "\"}", false },
        { "mailersend",
          "{\"type\":\"activity.opened\",\"data\":{\"id\":\"1\",\"email\":{\"tags\":["
          "\"shopbell_notification_id:" NOTIFICATION "\"],\"recipient\":{" MAIL "}}}}",
          true },
        { "resend", RESEND("email.opened", ",\"tags\":{" GIVEN "}"), true },
        { "resend",
          RESEND("email.opened", ",\"tags\":[{\"name\":\"shopbell_notification_id\",\"value\":"
                                 "\"" NOTIFICATION "\"}]"),
          true },
        { "klaviyo", KLAVIYO("opened_email", "," GIVEN), true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        assert_row(take(&payload, rows[i].platform, rows[i].body) == NORMALISE_EVENTS,
                   rows[i].body);
        struct str id = payload_member(payload.arena, payload.normalised.events[0].properties_json,
                                       "notification_id");
        assert_row(str_equal_z(id, rows[i].is_found ? "\"" NOTIFICATION "\"" : ""), rows[i].body);
        payload_end(&payload);
    }
}

/* A repeated batch may be cut otherwise; a first open is the open that it is the
 * first of; two clicks of one second on two links are two. */
static void an_event_has_one_key(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *platform;
        const char *first;
        const char *second;
        bool is_same;
    } rows[] = {
        { "by its own id", "sendgrid", "[{\"event\":\"open\",\"sg_event_id\":\"a\"," MAIL "}]",
          "[{\"event\":\"open\",\"sg_event_id\":\"a\"," MAIL
          "},{\"event\":\"click\",\"sg_event_id\":\"b\"," MAIL "}]",
          true },
        { "by what it says", "mailjet",
          "[{\"event\":\"open\",\"time\":1794999900,\"MessageID\":1," MAIL "}]",
          "{\"event\":\"open\",\"time\":1794999900,\"MessageID\":1," MAIL "}", true },
        { "the first open", "brevo",
          "{\"event\":\"unique_opened\",\"ts_epoch\":1794999900123,\"message-id\":\"m\"," MAIL "}",
          "{\"event\":\"opened\",\"ts_epoch\":1794999900123,\"message-id\":\"m\"," MAIL "}", true },
        { "two links", "mailjet",
          "[{\"event\":\"click\",\"time\":1794999900,\"MessageID\":1,\"url\":\"a\"," MAIL "}]",
          "[{\"event\":\"click\",\"time\":1794999900,\"MessageID\":1,\"url\":\"b\"," MAIL "}]",
          false },
        { "two seconds", "mailjet",
          "[{\"event\":\"open\",\"time\":1794999900,\"MessageID\":1," MAIL "}]",
          "[{\"event\":\"open\",\"time\":1794999901,\"MessageID\":1," MAIL "}]", false },
        { "no time: as new as its delivery", "mailjet",
          "[{\"event\":\"open\",\"MessageID\":1," MAIL "}]",
          "[{\"event\":\"open\",\"MessageID\":1, " MAIL "}]", false },
        { "Mailgun's token, whatever is told under it", "mailgun", MAILGUN("opened", ""),
          MAILGUN("opened", ",\"id\":\"another\""), true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        assert_row(take(&payload, rows[i].platform, rows[i].first) == NORMALISE_EVENTS,
                   rows[i].why);
        struct id first = payload.normalised.events[0].id;
        assert_row(take(&payload, rows[i].platform, rows[i].second) == NORMALISE_EVENTS,
                   rows[i].why);
        assert_row(id_equal(first, payload.normalised.events[0].id) == rows[i].is_same,
                   rows[i].why);
        payload_end(&payload);
    }
}

/* fired_at has no zone: UTC, unless the source says which. */
static void mailchimp_changes_a_customer(void **state)
{
    (void)state;
    static const char body[] =
        "type=upemail&fired_at=2026-11-18+10%3A00%3A00&data%5Bold_email%5D=zoe%40example.com&"
        "data%5Bnew_email%5D=anna%40example.com&data%5Bmerges%5D%5BFNAME%5D=Zo%C3%AB&"
        "data[merges][LNAME]=O%27Hara+Smith";
    static const struct {
        const char *settings;
        const char *at;
    } rows[] = { { "{}", "2026-11-18T10:00:00Z" },
                 { "{\"time_zone\":\"Europe/Paris\"}", "2026-11-18T09:00:00Z" } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "mailchimp");
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(rows[i].settings), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        assert_int_equal(take(&payload, "mailchimp", body), NORMALISE_EVENTS);
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_CUSTOMER_UPDATED, 0);
        assert_true(event->occurred_at_ms == payload_ms(rows[i].at));
        assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("anna@example.com"));
        assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 1), STR("zoe@example.com"));
        assert_str_equal(payload_fact(event, FACT_TRAIT, "email"), STR("\"anna@example.com\""));
        assert_str_equal(payload_fact(event, FACT_TRAIT, "first_name"), STR("\"Zoë\""));
        assert_str_equal(payload_fact(event, FACT_TRAIT, "last_name"), STR("\"O'Hara Smith\""));
        payload_end(&payload);
    }
    struct payload payload;
    payload_begin(&payload, "mailchimp");
    assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                             STR("{\"signed\":\"yes\"}"), &payload.source,
                                             &payload.problem),
                     STATUS_INVALID);
    payload_end(&payload);
}

/* The one public sample of Mandrill is the JSON, not the form around it. */
static void mandrill_reads_its_form(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "mandrill");
    struct str events = payload_read(payload.arena, "mandrill/anymail_send.json");
    struct str body = str_printf(payload.arena, "mandrill_events=%.*s", STR_ARG(events));
    assert_int_equal(payload_take(&payload, NULL, 0, body), NORMALISE_IGNORED);
    assert_str_equal(payload.normalised.topic, STR("send"));
    payload_end(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_events),          cmocka_unit_test(says_what_it_cannot_read),
        cmocka_unit_test(finds_what_comes_back),        cmocka_unit_test(an_event_has_one_key),
        cmocka_unit_test(mailchimp_changes_a_customer), cmocka_unit_test(mandrill_reads_its_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
