#include "core/trigger/projection.h"

#include "base/limits.h"
#include "core/trigger/envelope.h"
#include "message_priv.h"
#include "native_priv.h"
#include "scan_priv.h"

/*
 * Reading what a subscription wants to be sent, and putting it together.
 *
 * Invariant: names of a list are sorted by their steps and none is part of
 * another, so one walk opens each object once. The profile's id is always among
 * them: a receiver that does not know whom a message is about can do nothing with
 * it. Who wants nothing of ours says [] and a map.
 *
 * A body over the limit is written again, thin: ids only, and `truncated`. The
 * receiver that wants the rest asks for it by id; a message that is refused by
 * every proxy on the way would help nobody.
 *
 * CloudEvents: `sequence` is its extension of that name, a text that sorts as the
 * number does. What else our envelope says has no place there.
 */

enum {
    /* A body is built in one buffer; beyond this even the thin form is hopeless. */
    RENDER_BYTES_MAX = 8 * 1024 * 1024,
    /* Envelope and profile; reserved at once, for growing copies. */
    RENDER_BYTES_TYPICAL = 1536,
    TARGET_BYTES_MAX = 2048,
};

static const struct projection by_default = { .fields = PROJECTION_DEFAULT };

/* --- parsing: fields --------------------------------------------------------- */

static enum status fail(struct projection_error *error, const char *member, struct str found,
                        struct str detail, const char *suggestion)
{
    *error = (struct projection_error){
        .member = member,
        .error = rule_error_at(found, 0, found.size, detail, "a name", suggestion),
    };
    return STATUS_INVALID;
}

static int compare_steps(const struct message_name *a, const struct message_name *b)
{
    for (size_t i = 0; i < a->step_count && i < b->step_count; i++) {
        int order = str_compare(a->steps[i], b->steps[i]);
        if (order != 0) {
            return order;
        }
    }
    return (a->step_count > b->step_count) - (a->step_count < b->step_count);
}

static bool is_part_of(const struct message_name *part, const struct message_name *whole)
{
    for (size_t i = 0; i < whole->step_count; i++) {
        if (i >= part->step_count || !str_equal(part->steps[i], whole->steps[i])) {
            return false;
        }
    }
    return true;
}

/* In place; a hundred at most. */
static size_t sort_names(struct message_name *names, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct message_name name = names[i];
        size_t k = i;
        for (; k > 0 && compare_steps(&names[k - 1], &name) > 0; k--) {
            names[k] = names[k - 1];
        }
        names[k] = name;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !is_part_of(&names[i], &names[kept - 1])) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

static enum status refuse_name(struct arena *arena, struct str name, const char *nearest,
                               struct projection_error *error)
{
    struct str shown = str_take_text(name, 100);
    struct str detail = nearest != NULL
                            ? str_printf(arena, "no name is called \"%.*s\"; did you mean \"%s\"?",
                                         STR_ARG(shown), nearest)
                            : str_printf(arena, "no name is called \"%.*s\"", STR_ARG(shown));
    return fail(error, "fields", name, detail, nearest);
}

static enum status resolve_names(struct arena *arena, const struct rule_vocabulary *known,
                                 const struct rule_value *texts, struct message_name *names,
                                 struct projection_error *error)
{
    for (size_t i = 0; i < texts->list.count; i++) {
        const struct rule_value *item = &texts->list.items[i];
        const char *nearest = NULL;
        if (item->type != RULE_TEXT) {
            return fail(error, "fields", (struct str){ NULL, 0 },
                        STR("fields is one of default, thin, full, changed, or a list of names"),
                        NULL);
        }
        if (!message_name_resolve(item->text, known, &names[i], &nearest)) {
            return refuse_name(arena, item->text, nearest, error);
        }
    }
    return STATUS_OK;
}

static enum status parse_list(struct arena *arena, const struct projection_text *text,
                              struct projection *projection, struct projection_error *error)
{
    struct rule_value texts = rule_value_from_json(arena, text->fields);
    const char *unused = NULL;
    if (texts.type != RULE_LIST || texts.list.count > PROJECTION_NAMES_MAX) {
        return fail(
            error, "fields", (struct str){ NULL, 0 },
            str_printf(arena, "fields is a list of at most %d names", (int)PROJECTION_NAMES_MAX),
            NULL);
    }
    struct message_name *names = ARENA_NEW_ARRAY(arena, texts.list.count + 1, struct message_name);
    if (names == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = resolve_names(arena, text->names, &texts, names, error);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = texts.list.count;
    if (count > 0 && message_name_resolve(STR("profile.id"), NULL, &names[count], &unused)) {
        count++;
    }
    projection->fields = PROJECTION_LIST;
    projection->names = names;
    projection->name_count = sort_names(names, count);
    return STATUS_OK;
}

/* The profile of contract 5 in its order. Identities, memberships and links are not
 * at hand when a message is made. */
static const char *const full_paths[] = {
    "profile.id",
    "profile.sequence",
    "profile.identified",
    "profile.email",
    "profile.phone",
    "profile.external_id",
    "profile.created_at",
    "profile.first_seen_at",
    "profile.last_seen_at",
    "profile.signed_up_at",
    "profile.lifecycle",
    "profile.tags",
    "profile.segments",
    "profile.tiers",
    "profile.rfm.recency",
    "profile.rfm.frequency",
    "profile.rfm.monetary",
    "profile.orders.count",
    "profile.orders.revenue",
    "profile.orders.net",
    "profile.orders.average_value",
    "profile.orders.largest_value",
    "profile.orders.refunded",
    "profile.orders.currency",
    "profile.orders.first_at",
    "profile.orders.last_at",
    "profile.orders.cycle_days",
    "profile.orders.cycle_stage",
    "profile.orders.next_expected_at",
    "profile.orders.foreign_count",
    "profile.cart",
    "profile.engagement.score",
    "profile.engagement.level",
    "profile.engagement.last_opened_at",
    "profile.engagement.last_clicked_at",
    "profile.habits.top_weekday",
    "profile.habits.top_hour",
    "profile.habits.top_platform",
    "profile.habits.top_channel",
    "profile.traits",
    "profile.preferences",
    "profile.consent",
};

static enum status parse_full(struct arena *arena, struct projection *projection)
{
    struct message_name *names =
        ARENA_NEW_ARRAY(arena, ARRAY_COUNT(full_paths), struct message_name);
    if (names == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < ARRAY_COUNT(full_paths); i++) {
        const char *unused = NULL;
        if (!message_name_resolve(str_from_z(full_paths[i]), NULL, &names[i], &unused)) {
            return STATUS_BROKEN; /* a name of ours that is none: test_projection.c */
        }
    }
    projection->fields = PROJECTION_FULL;
    projection->names = names;
    projection->name_count = ARRAY_COUNT(full_paths);
    return STATUS_OK;
}

static const char *const words[] = {
    [PROJECTION_DEFAULT] = "default",
    [PROJECTION_THIN] = "thin",
    [PROJECTION_FULL] = "full",
    [PROJECTION_CHANGED] = "changed",
};

static enum status parse_fields(struct arena *arena, const struct projection_text *text,
                                struct projection *projection, struct projection_error *error)
{
    if (scan_is_array(text->fields)) {
        return parse_list(arena, text, projection, error);
    }
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_equal_z(text->fields, words[i])) {
            projection->fields = (enum projection_fields)i;
            return i == PROJECTION_FULL ? parse_full(arena, projection) : STATUS_OK;
        }
    }
    const char *nearest = str_nearest(text->fields, words, ARRAY_COUNT(words));
    return fail(error, "fields", text->fields,
                STR("fields is one of default, thin, full, changed, or a list of names"), nearest);
}

/* --- parsing: map and format ------------------------------------------------- */

/* What `data` has already, or may have tomorrow: one member, one meaning. */
static bool is_taken(struct str key)
{
    static const char *const objects[] = { "profile", "changed",  "segment",   "tag",
                                           "tier",    "merge",    "event",     "transition",
                                           "trigger", "interest", "lifecycle", "notification" };
    for (size_t i = 0; i < ARRAY_COUNT(objects); i++) {
        if (str_equal_z(key, objects[i])) {
            return true;
        }
    }
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT; type++) {
        struct str name = str_from_z(event_type_info((enum event_type)type)->name);
        struct str head = name;
        struct str tail = { NULL, 0 };
        (void)str_split(name, '.', &head, &tail);
        if (str_equal(key, head)) {
            return true;
        }
    }
    return false;
}

static enum status check_key(struct arena *arena, const struct projection *projection,
                             struct str key, struct projection_error *error)
{
    bool is_empty_list = projection->fields == PROJECTION_LIST && projection->name_count == 0;
    if (key.size == 0 || key.size > PROJECTION_KEY_BYTES_MAX) {
        return fail(
            error, "map", key,
            str_printf(arena, "a member's name has 1 to %d bytes", (int)PROJECTION_KEY_BYTES_MAX),
            NULL);
    }
    if (!is_empty_list && is_taken(key)) {
        return fail(error, "map", key,
                    str_printf(arena,
                               "data has a member \"%.*s\" already; with \"fields\": [] all "
                               "names are free",
                               STR_ARG(key)),
                    NULL);
    }
    return STATUS_OK;
}

static enum status parse_member(struct arena *arena, const struct projection_text *text,
                                struct projection_member *out_member,
                                struct projection_error *error, const struct str *value_json)
{
    struct rule_value value = rule_value_from_json(arena, *value_json);
    struct projection_error failed = { .member = "map" };
    if (value.type != RULE_TEXT) {
        return fail(error, "map", *value_json, STR("a template is a text, as \"{profile.email}\""),
                    NULL);
    }
    enum status status =
        template_parse(arena, value.text, text->names, &out_member->value, &failed.error);
    if (status == STATUS_INVALID) {
        *error = failed;
    }
    return status;
}

/* An event's name at the ESP, and no property. */
static bool is_metric_of(const struct projection *projection, struct str key)
{
    return projection->format == PROJECTION_NATIVE && str_equal(key, STR("metric"));
}

static enum status parse_map(struct arena *arena, const struct projection_text *text,
                             struct projection *projection, struct projection_error *error)
{
    struct str rest =
        scan_is_object(text->map_json) ? str_drop(text->map_json, 1) : (struct str){ NULL, 0 };
    struct projection_member *members = NULL;
    struct str quoted = { NULL, 0 };
    struct str value = { NULL, 0 };
    while (scan_next_member(&rest, &quoted, &value)) {
        if (members == NULL) {
            members = ARENA_NEW_ARRAY(arena, PROJECTION_MEMBERS_MAX, struct projection_member);
        }
        struct rule_value key = rule_value_from_json(arena, quoted);
        if (members == NULL || key.type != RULE_TEXT) {
            return STATUS_LIMIT;
        }
        if (projection->member_count == PROJECTION_MEMBERS_MAX) {
            return fail(
                error, "map", key.text,
                str_printf(arena, "map has at most %d members", (int)PROJECTION_MEMBERS_MAX), NULL);
        }
        struct projection_member *member = &members[projection->member_count];
        member->key = key.text;
        bool is_metric = is_metric_of(projection, key.text);
        enum status status = check_key(arena, projection, key.text, error);
        if (status == STATUS_OK) {
            status = parse_member(arena, text, member, error, &value);
        }
        if (status != STATUS_OK) {
            error->name = key.text;
            return status;
        }
        if (is_metric) {
            projection->metric = member->value;
        } else {
            projection->member_count++;
        }
    }
    projection->members = members;
    if (projection->fields == PROJECTION_LIST && projection->name_count == 0 &&
        projection->member_count == 0) {
        return fail(error, "fields", (struct str){ NULL, 0 },
                    STR("fields is empty and map adds nothing: name at least one"), NULL);
    }
    return STATUS_OK;
}

static enum status parse_format(const struct projection_text *text, struct projection *projection,
                                struct projection_error *error)
{
    static const char *const formats[] = {
        [PROJECTION_SHOPBELL] = "shopbell",
        [PROJECTION_CLOUDEVENTS] = "cloudevents",
        [PROJECTION_CLOUDEVENTS_BINARY] = "cloudevents_binary",
    };
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        if (str_equal_z(text->format, formats[i])) {
            projection->format = (enum projection_format)i;
            return STATUS_OK;
        }
    }
    projection->native = native_from_name(text->format);
    if (projection->native != NATIVE_NONE) {
        projection->format = PROJECTION_NATIVE;
        projection->settings_json = text->settings_json;
        return STATUS_OK;
    }
    return fail(error, "format", text->format, STR("no format is called so"),
                str_nearest(text->format, formats, ARRAY_COUNT(formats)));
}

enum status projection_parse(struct arena *arena, const struct projection_text *text,
                             struct projection *out_projection, struct projection_error *out_error)
{
    struct projection projection = { .is_masked = text->is_masked };
    enum status status = parse_format(text, &projection, out_error);
    if (status == STATUS_OK) {
        status = parse_fields(arena, text, &projection, out_error);
    }
    if (status == STATUS_OK) {
        status = parse_map(arena, text, &projection, out_error);
    }
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        *out_projection = projection;
    }
    return status;
}

bool projection_is_default(const struct projection *projection)
{
    return projection->fields == PROJECTION_DEFAULT && projection->format == PROJECTION_SHOPBELL &&
           projection->member_count == 0 && !projection->is_masked;
}

static bool tells_default_only(const struct template *template)
{
    for (size_t i = 0; i < template->part_count; i++) {
        if (template->parts[i].is_name && !template->parts[i].name.is_default) {
            return false;
        }
    }
    return true;
}

bool projection_is_within_default(const struct projection *projection)
{
    if (projection->fields == PROJECTION_FULL || !tells_default_only(&projection->metric)) {
        return false;
    }
    for (size_t i = 0; i < projection->name_count; i++) {
        if (!projection->names[i].is_default) {
            return false;
        }
    }
    for (size_t i = 0; i < projection->member_count; i++) {
        if (!tells_default_only(&projection->members[i].value)) {
            return false;
        }
    }
    return true;
}

/* --- rendering --------------------------------------------------------------- */

struct rendering {
    struct arena *arena;
    const struct projection *projection;
    const struct message *message;
    bool is_truncated;
};

static void write_data(const struct rendering *rendering, struct jsonw *json)
{
    jsonw_open(json);
    message_write_data(rendering->arena, json, rendering->projection, rendering->message,
                       rendering->is_truncated);
    jsonw_close(json);
}

static void write_shopbell(const struct rendering *rendering, struct buf *buf)
{
    const struct message *message = rendering->message;
    struct jsonw json;
    jsonw_begin(&json, buf);
    envelope_open(&json, &(struct envelope){ .id = message->id,
                                             .type = message->topic,
                                             .at_ms = message->at_ms,
                                             .recorded_at_ms = message->recorded_at_ms,
                                             .expires_at_ms = message->expires_at_ms,
                                             .workspace = message->workspace,
                                             .sequence = message->sequence,
                                             .test = message->is_test });
    if (rendering->is_truncated) {
        jsonw_put_bool(&json, "truncated", true);
    }
    message_write_cause(&json, message);
    jsonw_key(&json, "data");
    write_data(rendering, &json);
    jsonw_close(&json);
}

enum {
    SEQUENCE_DIGITS = 19 /* of the greatest int64 */
};

/* A text that sorts as the number does: what CloudEvents' extension asks for. */
static struct str sequence_text(const struct message *message, char *text)
{
    int64_t rest = message->sequence;
    for (size_t i = SEQUENCE_DIGITS; i > 0; i--) {
        text[i - 1] = "0123456789"[rest % 10];
        rest /= 10;
    }
    return (struct str){ text, SEQUENCE_DIGITS };
}

static void write_cloudevent(const struct rendering *rendering, struct buf *buf)
{
    const struct message *message = rendering->message;
    struct arena *arena = rendering->arena;
    char sequence[SEQUENCE_DIGITS];
    struct jsonw json;
    jsonw_begin(&json, buf);
    jsonw_open(&json);
    jsonw_put_z(&json, "specversion", "1.0");
    jsonw_put_id(&json, "id", message->id);
    jsonw_put_str(&json, "source",
                  str_printf(arena, "/workspaces/%.*s", STR_ARG(message->workspace)));
    jsonw_put_str(&json, "type", str_printf(arena, "shopbell.%.*s", STR_ARG(message->topic)));
    jsonw_put_id(&json, "subject", message->profile->id);
    jsonw_put_instant(&json, "time", message->at_ms);
    jsonw_put_z(&json, "datacontenttype", "application/json");
    jsonw_put_str(&json, "sequence", sequence_text(message, sequence));
    if (rendering->is_truncated) {
        jsonw_put_bool(&json, "truncated", true);
    }
    jsonw_key(&json, "data");
    write_data(rendering, &json);
    jsonw_close(&json);
}

static void write_binary(const struct rendering *rendering, struct buf *buf)
{
    struct jsonw json;
    jsonw_begin(&json, buf);
    write_data(rendering, &json);
}

static struct str binary_target(const struct rendering *rendering)
{
    const struct message *message = rendering->message;
    struct buf buf;
    char id[ID_TEXT_SIZE];
    char at[INSTANT_TEXT_SIZE];
    char sequence[SEQUENCE_DIGITS];
    buf_init(&buf, rendering->arena, TARGET_BYTES_MAX);
    id_format(message->id, id);
    instant_format(message->at_ms, at);
    buf_add_z(&buf, "content-type: application/json\nce-specversion: 1.0\n");
    buf_printf(&buf, "ce-id: %s\nce-source: /workspaces/%.*s\nce-type: shopbell.%.*s\n", id,
               STR_ARG(message->workspace), STR_ARG(message->topic));
    id_format(message->profile->id, id);
    buf_printf(&buf, "ce-subject: %s\n", id);
    struct str shown = sequence_text(message, sequence);
    buf_printf(&buf, "ce-time: %s\nce-sequence: %.*s\n", at, STR_ARG(shown));
    if (rendering->is_truncated) {
        buf_add_z(&buf, "ce-truncated: true\n");
    }
    return buf_str(&buf);
}

static void write_body(const struct rendering *rendering, struct buf *buf)
{
    switch (rendering->projection->format) {
    case PROJECTION_SHOPBELL:
        write_shopbell(rendering, buf);
        break;
    case PROJECTION_CLOUDEVENTS:
        write_cloudevent(rendering, buf);
        break;
    case PROJECTION_CLOUDEVENTS_BINARY:
    case PROJECTION_NATIVE:
        write_binary(rendering, buf);
        break;
    }
}

static struct str target_of(const struct rendering *rendering)
{
    switch (rendering->projection->format) {
    case PROJECTION_SHOPBELL:
    case PROJECTION_NATIVE:
        break;
    case PROJECTION_CLOUDEVENTS:
        return STR("content-type: application/cloudevents+json\n");
    case PROJECTION_CLOUDEVENTS_BINARY:
        return binary_target(rendering);
    }
    return (struct str){ NULL, 0 };
}

static size_t object_size(const struct message *message)
{
    bool has_object = message->event != NULL && message->transition == NULL &&
                      message->merge == NULL && !str_starts_with(message->topic, STR("profile."));
    return has_object ? message->event->properties_json.size : 0;
}

bool projection_render(struct arena *arena, const struct projection *projection,
                       const struct message *message, struct rendition *out_rendition)
{
    struct message own = *message;
    struct rendering rendering = {
        .arena = arena,
        .projection = projection != NULL ? projection : &by_default,
        .message = &own,
    };
    own.is_masked = own.is_masked || rendering.projection->is_masked;
    struct buf buf;
    buf_init(&buf, arena, RENDER_BYTES_MAX);
    buf_reserve(&buf, RENDER_BYTES_TYPICAL + object_size(message));
    write_body(&rendering, &buf);
    bool is_native = rendering.projection->format == PROJECTION_NATIVE;
    if (is_native && !buf.failed) {
        return native_write(arena, rendering.projection, &own, buf_str(&buf), out_rendition);
    }
    if (!buf.failed && buf.size > (size_t)LIMIT_DELIVERY_BODY_BYTES) {
        buf_reset(&buf);
        rendering.is_truncated = true;
        write_body(&rendering, &buf);
    }
    if (buf.failed || arena_is_full(arena)) {
        return false;
    }
    *out_rendition = (struct rendition){ .target = target_of(&rendering), .body = buf_str(&buf) };
    return !arena_is_full(arena);
}
