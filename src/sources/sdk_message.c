#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "draft_priv.h"
#include "sdk_priv.h"
#include "sources/json_border.h"

/*
 * One message of an analytics SDK as an item of contract 8.
 *
 * The item then goes through canonical.c like any other event, so money,
 * orders, columns and limits have one reader; what differs is that here the
 * sender is a page, which reads no pointers: a detail that is wrong leaves that
 * detail out, and only a message that says nothing of use is refused.
 *
 * When it happened: the sender's clock may be a year ahead, but it knows how
 * long ago something was when it was sent. So the instant is our own clock less
 * (sentAt - timestamp), as correctness 13 asks; without sentAt the timestamp
 * stands, never later than the arrival.
 *
 * Which message: messageId, which the SDKs keep over their retries. A message
 * without one that says when it happened is known by its own bytes; one that says
 * neither, by when and where in its batch it came too, so that two are two.
 *
 * Invariant: nothing of a message names a customer but userId, anonymousId,
 * previousId, and email and phone among its traits or form fields. A cart's or
 * an order's id is not taken as an identity from a page: they may be small
 * numbers, and the next visitor's is one more.
 */

struct message {
    const struct sdk_request *request;
    struct arena *arena;
    const json_t *root;
    const json_t *context;
    json_t *properties; /* ours to change, or NULL */
    json_t *item;
    enum event_type type;
    const char *platform; /* "web", "ios", "android", or NULL */
};

/* --- small readers -------------------------------------------------------- */

static json_t *text_value(struct str text)
{
    return json_stringn(text.data != NULL ? text.data : "", text.size);
}

static void put_text(json_t *object, const char *key, struct str text)
{
    if (text.size > 0) {
        json_object_set_new(object, key, text_value(text));
    }
}

/* An object of the item, made when it is first needed. */
static json_t *part_of(const struct message *message, const char *name)
{
    json_t *part = json_object_get(message->item, name);
    if (part == NULL) {
        part = json_object();
        json_object_set_new(message->item, name, part);
    }
    return part;
}

/* camelCase as the SDKs write, or snake_case as older ones did. */
static struct str id_of(const struct message *message, const char *camel, const char *snake)
{
    struct str id = border_id(message->arena, message->root, camel);
    return id.size > 0 ? id : border_id(message->arena, message->root, snake);
}

static bool contains(struct str text, const char *part)
{
    struct str wanted = str_from_z(part);
    for (size_t i = 0; i + wanted.size <= text.size; i++) {
        if (str_equal_nocase(str_take(str_drop(text, i), wanted.size), wanted)) {
            return true;
        }
    }
    return false;
}

/* --- where and when ------------------------------------------------------- */

static const char *platform_of(const struct message *message)
{
    struct str system = border_text(border_object(message->context, "os"), "name");
    struct str device = border_text(border_object(message->context, "device"), "type");
    struct str library = border_text(border_object(message->context, "library"), "name");
    if (contains(device, "ios") || contains(library, "ios") || contains(library, "swift") ||
        contains(system, "ios")) {
        return "ios";
    }
    if (contains(device, "android") || contains(library, "android") ||
        contains(library, "kotlin")) {
        return "android";
    }
    bool is_web = message->request->is_page || contains(library, "analytics.js") ||
                  contains(library, "analytics-next") || contains(library, "npm:next") ||
                  str_equal(border_text(message->root, "channel"), STR("browser"));
    return is_web ? "web" : NULL;
}

static int64_t instant_of(const json_t *object, const char *key)
{
    int64_t ms = INSTANT_NONE;
    struct str text = border_text(object, key);
    return text.size > 0 && instant_parse(text, true, &ms, NULL) ? ms : INSTANT_NONE;
}

static void put_instant(const struct message *message)
{
    int64_t at_ms = instant_of(message->root, "originalTimestamp");
    int64_t sent_ms = instant_of(message->root, "sentAt");
    at_ms = at_ms != INSTANT_NONE ? at_ms : instant_of(message->root, "timestamp");
    sent_ms = sent_ms != INSTANT_NONE ? sent_ms : message->request->sent_at_ms;
    if (at_ms == INSTANT_NONE) {
        return;
    }
    if (sent_ms != INSTANT_NONE) {
        at_ms = message->request->received_at_ms - (sent_ms - at_ms);
    }
    char text[INSTANT_TEXT_SIZE];
    instant_format(event_clamp_instant(at_ms, message->request->received_at_ms), text);
    json_object_set_new(message->item, "occurred_at", json_string(text));
}

static void put_key(const struct message *message)
{
    struct str key = id_of(message, "messageId", "message_id");
    struct str body = { NULL, 0 };
    struct str when = STR("message");
    if (key.size == 0) {
        body = border_dump(message->arena, message->root, LIMIT_SDK_INFLATED_BYTES);
    }
    if (key.size == 0 && json_object_get(message->item, "occurred_at") == NULL) {
        when = str_printf(message->arena, "%lld/%zu", (long long)message->request->received_at_ms,
                          message->request->ordinal);
    }
    put_text(message->item, "id", draft_dedup_key(message->arena, key, when, body));
}

static void put_campaign(const struct message *message, json_t *context)
{
    static const char *const names[] = { "source", "medium", "name", "term", "content" };
    const json_t *campaign = border_object(message->context, "campaign");
    json_t *ours = json_object();
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        put_text(ours, names[i], draft_cut(border_text(campaign, names[i])));
    }
    if (json_object_size(ours) > 0) {
        json_object_set(context, "campaign", ours);
    }
    border_free(ours);
}

/* Contract 2's names. The address is truncated by whoever reads the item. */
static void put_context(const struct message *message)
{
    const struct sdk_request *request = message->request;
    const json_t *page = border_object(message->context, "page");
    json_t *context = part_of(message, "context");
    if (message->platform != NULL) {
        json_object_set_new(context, "platform", json_string(message->platform));
    }
    struct str locale = border_text(message->context, "locale");
    put_text(context, "locale", draft_cut(locale));
    put_text(context, "page_url", draft_cut(border_text(page, "url")));
    put_text(context, "referrer", draft_cut(border_text(page, "referrer")));
    put_campaign(message, context);
    if (request->refuses_sale) {
        json_object_set_new(context, "gpc", json_true());
        return; /* neither where the visitor is nor with what */
    }
    struct str address = border_text(message->context, "ip");
    struct str agent = border_text(message->context, "userAgent");
    agent = agent.size > 0 ? agent : border_text(message->context, "user_agent");
    put_text(context, "ip", address.size > 0 ? address : request->address);
    put_text(context, "user_agent", draft_cut(agent.size > 0 ? agent : request->user_agent));
}

/* --- who ------------------------------------------------------------------ */

static void put_person(const struct message *message, const json_t *traits)
{
    json_t *identities = part_of(message, "identities");
    struct str email = border_text(traits, "email");
    if (email.size > 0) {
        put_text(identities, "email", email);
    }
    struct str phone = border_text(traits, "phone");
    if (phone.size > 0) {
        put_text(identities, "phone", phone);
    }
}

static void put_identities(const struct message *message, bool is_alias)
{
    json_t *identities = part_of(message, "identities");
    struct str anonymous = id_of(message, "anonymousId", "anonymous_id");
    struct str previous = id_of(message, "previousId", "previous_id");
    put_text(identities, "external_id", id_of(message, "userId", "user_id"));
    put_text(identities, "anonymous_id", is_alias && previous.size > 0 ? previous : anonymous);
    put_person(message, border_object(message->context, "traits"));
    put_person(message, border_object(message->root, "traits"));
}

/* --- what it says of the customer ----------------------------------------- */

static bool fits_a_fact(const struct message *message, const json_t *value)
{
    return border_dump(message->arena, value, LIMIT_TEXT_BYTES).size > 0;
}

static void put_fact(const struct message *message, const char *part, const char *key,
                     json_t *value)
{
    json_t *copy = json_deep_copy(value);
    if (copy != NULL && fits_a_fact(message, value)) {
        json_object_set_new(part_of(message, part), key, copy);
    } else {
        json_decref(copy);
    }
}

static bool is_identity_name(struct str name)
{
    return str_equal(name, STR("email")) || str_equal(name, STR("phone")) ||
           str_equal(name, STR("id")) || str_equal(name, STR("user_id")) ||
           str_equal(name, STR("external_id")) || str_equal(name, STR("anonymous_id"));
}

/* Under our name and NUL-terminated; NULL for one that cannot be said here. */
static const char *fact_name(const struct message *message, const char *theirs)
{
    struct str snake = sdk_snake(message->arena, str_from_z(theirs));
    const char *ours = sdk_trait_name(snake);
    if (ours != NULL || snake.size == 0 || is_identity_name(snake)) {
        return ours;
    }
    return str_dup_z(message->arena, snake);
}

static void put_traits(const struct message *message, json_t *traits);

static void put_address(const struct message *message, json_t *address)
{
    struct str country = border_text(address, "country");
    struct str region = border_text(address, "state");
    region = region.size > 0 ? region : border_text(address, "region");
    json_t *flat = json_copy(address);
    json_object_del(flat, "state");
    json_object_del(flat, "region");
    put_text(flat, "region", draft_region(message->arena, country, region));
    put_traits(message, flat);
    json_decref(flat);
}

static void put_traits(const struct message *message, json_t *traits)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(traits, key, value)
    {
        const char *name = fact_name(message, key);
        if (name == NULL) {
            continue;
        }
        if (strcmp(name, "address") == 0 && json_is_object(value)) {
            put_address(message, value);
        } else {
            put_fact(message, "traits", name, value);
        }
    }
}

/* What a person writes into a form about themselves is a trait; every other
 * answer is a preference. */
static bool is_personal(const char *name)
{
    static const char *const names[] = { "first_name", "last_name",  "birth_date", "gender",
                                         "locale",     "time_zone",  "country",    "region",
                                         "city",       "postal_code" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_unanswered(const json_t *value)
{
    return (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static void put_answers(const struct message *message, json_t *answers)
{
    const char *key = NULL;
    json_t *value = NULL;
    put_person(message, answers);
    json_object_foreach(answers, key, value)
    {
        const char *name = fact_name(message, key);
        if (name != NULL && !is_unanswered(value)) {
            put_fact(message, is_personal(name) ? "traits" : "preferences", name, value);
        }
    }
}

static json_t *answers_of(const struct message *message)
{
    static const char *const names[] = { "fields", "answers", "preferences" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        json_t *answers = border_object(message->properties, names[i]);
        if (answers != NULL) {
            return answers;
        }
    }
    return message->type == EVENT_PREFERENCE_UPDATED ? message->properties : NULL;
}

/* {"email": "unsubscribed", "tracking": false}, as such or under "consent". */
static void put_consent(const struct message *message)
{
    json_t *said = border_object(message->properties, "consent");
    const char *key = NULL;
    json_t *value = NULL;
    said = said != NULL ? said : message->properties;
    json_object_foreach(said, key, value)
    {
        json_t *state = json_is_true(value)    ? json_string("subscribed")
                        : json_is_false(value) ? json_string("unsubscribed")
                                               : json_incref(value);
        json_object_set_new(part_of(message, "consent"), key, state);
    }
}

static void put_facts(const struct message *message, bool is_identify)
{
    if (is_identify) {
        put_traits(message, border_object(message->root, "traits"));
    }
    if (message->type == EVENT_FORM_SUBMITTED || message->type == EVENT_PREFERENCE_UPDATED) {
        put_answers(message, answers_of(message));
    }
    if (message->type == EVENT_CONSENT_UPDATED) {
        put_consent(message);
    }
    if (message->type == EVENT_EMAIL_UNSUBSCRIBED || message->type == EVENT_EMAIL_COMPLAINED) {
        json_object_set_new(part_of(message, "consent"), "email", json_string("unsubscribed"));
    }
    if (message->request->refuses_sale) {
        json_object_set_new(part_of(message, "consent"), "sale", json_string("unsubscribed"));
    }
}

/* --- what happened -------------------------------------------------------- */

/* "usd" is meant as USD; what is no currency is left out. */
static void mend_currency(const struct message *message)
{
    struct str text = border_text(message->properties, "currency");
    char upper[3] = "";
    for (size_t i = 0; i < sizeof(upper) && text.size == sizeof(upper); i++) {
        upper[i] = text.data[i];
        if (upper[i] >= 'a' && upper[i] <= 'z') {
            upper[i] = (char)(upper[i] - 'a' + 'A');
        }
    }
    struct str currency = { upper, text.size == sizeof(upper) ? sizeof(upper) : 0 };
    if (json_object_get(message->properties, "currency") == NULL) {
        return;
    }
    json_object_del(message->properties, "currency");
    if (money_currency_is_valid(currency)) {
        put_text(message->properties, "currency", currency);
    }
}

static bool has_money(const struct message *message, const char *key)
{
    int64_t minor = 0;
    struct str currency = border_text(message->properties, "currency");
    currency = currency.size > 0 ? currency : message->request->source->currency;
    return border_money(message->properties, key, currency, &minor) && minor >= 0;
}

/* The specification asks for revenue or value where an order says no total. */
static void mend_total(const struct message *message)
{
    static const char *const others[] = { "value", "revenue" };
    for (size_t i = 0; i < ARRAY_COUNT(others) && !has_money(message, "total"); i++) {
        if (has_money(message, others[i])) {
            json_object_set(message->properties, "total",
                            json_object_get(message->properties, others[i]));
        }
    }
}

/* An order's number is small and the next one's is one more: alone it names nobody. */
static bool names_a_person(const struct message *message)
{
    const json_t *traits = border_object(message->context, "traits");
    return id_of(message, "userId", "user_id").size > 0 ||
           id_of(message, "anonymousId", "anonymous_id").size > 0 ||
           border_text(traits, "email").size > 0;
}

/* An order's event that cannot be counted is kept as what its page calls it. */
static bool may_count(const struct message *message)
{
    bool needs_total =
        message->type != EVENT_ORDER_CANCELLED && message->type != EVENT_ORDER_FULFILLED;
    struct str ref = border_id(message->arena, message->properties, "order_id");
    struct str normal = { NULL, 0 };
    return message->request->source->counts_orders && names_a_person(message) &&
           identity_normalise(message->arena, IDENTITY_ORDER, ref, &normal) &&
           (!needs_total || has_money(message, "total"));
}

/* False when the event has no name that could be one. */
static bool put_type(struct message *message, struct str event)
{
    struct str snake = sdk_snake(message->arena, event);
    message->type = sdk_event_type(snake);
    if (event_type_is_of_order(message->type)) {
        mend_total(message);
        message->type = may_count(message) ? message->type : EVENT_CUSTOM;
    }
    message->type = message->type == 0 ? EVENT_CUSTOM : message->type;
    if (message->type != EVENT_CUSTOM) {
        put_text(message->item, "type", str_from_z(event_type_info(message->type)->name));
        return true;
    }
    put_text(message->item, "type", str_printf(message->arena, "custom.%.*s", STR_ARG(snake)));
    json_object_set_new(message->item, "act", json_boolean(message->platform != NULL));
    return snake.size > 0;
}

static bool put_properties(const struct message *message, const char *name_from)
{
    struct str name = border_text(message->root, name_from);
    if (name.size > 0 && json_object_get(message->properties, "name") == NULL) {
        put_text(message->properties, "name", draft_cut(name));
    }
    return json_object_set(message->item, "properties", message->properties) == 0;
}

static const struct {
    const char *kind;
    const char *event; /* NULL: the message says */
} KINDS[] = {
    { "track", NULL },    { "page", "page_viewed" }, { "screen", "screen_viewed" },
    { "group", "group" }, { "identify", "" }, /* a customer's record, as a shop would restate it */
    { "alias", "" },
};

static bool take_kind(struct message *message, struct str kind, const char **out_why)
{
    size_t at = 0;
    while (at < ARRAY_COUNT(KINDS) && !str_equal_z(kind, KINDS[at].kind)) {
        at++;
    }
    if (at == ARRAY_COUNT(KINDS)) {
        *out_why = "a message is track, identify, page, screen, group or alias";
        return false;
    }
    const char *event = KINDS[at].event;
    if (event != NULL && event[0] == '\0') {
        message->type = EVENT_CUSTOMER_UPDATED;
        json_object_set_new(message->item, "type", json_string("customer.updated"));
    } else {
        struct str name = event != NULL ? str_from_z(event) : border_text(message->root, "event");
        if (!put_type(message, name)) {
            *out_why = "a track needs the name of its event";
            return false;
        }
    }
    if (str_equal(kind, STR("group"))) {
        put_text(message->properties, "group_id", id_of(message, "groupId", "group_id"));
    }
    put_identities(message, str_equal(kind, STR("alias")));
    put_facts(message, str_equal(kind, STR("identify")));
    bool is_view = str_equal(kind, STR("page")) || str_equal(kind, STR("screen"));
    return put_properties(message, is_view ? "name" : "");
}

/* The message's own properties, or a group's traits. */
static json_t *copy_properties(const json_t *root, bool is_group)
{
    json_t *properties = border_object(root, is_group ? "traits" : "properties");
    return properties != NULL ? json_copy(properties) : json_object();
}

json_t *sdk_item(const struct sdk_request *request, const json_t *message, const char **out_why)
{
    if (!json_is_object(message)) {
        *out_why = "a message is a JSON object";
        return NULL;
    }
    struct str kind = border_text(message, "type");
    kind = kind.size > 0 ? kind : border_text(message, "action");
    kind = kind.size > 0 ? kind : request->kind;
    const json_t *context = border_object(message, "context");
    json_t *properties CLEANUP(border_free_at) =
        copy_properties(message, str_equal(kind, STR("group")));
    struct message reading = {
        .request = request,
        .arena = request->arena,
        .root = message,
        .context = context != NULL ? context : border_object(request->defaults, "context"),
        .properties = properties,
        .item = json_object(),
    };
    reading.platform = platform_of(&reading);
    mend_currency(&reading);
    put_instant(&reading);
    put_key(&reading);
    put_context(&reading);
    if (!take_kind(&reading, kind, out_why)) {
        border_free(reading.item);
        return NULL;
    }
    return reading.item;
}
