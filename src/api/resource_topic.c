#include "api/topic_example.h"
#include "api/topic_message.h"
#include "base/instant.h"
#include "core/event/event.h"
#include "core/trigger/projection.h"
#include "core/trigger/subscription.h"
#include "resource_priv.h"
#include "store/trigger_store.h"

/*
 * GET /v1/topics: what can be subscribed to, with a JSON Schema (2020-12) and
 * an example of each.
 *
 * The envelope is one schema for all; a topic adds its object. Schemas name
 * what is promised and allow more, because v1 may add members.
 */

#define INSTANT_SCHEMA "{\"type\":\"string\",\"format\":\"date-time\"}"
#define INSTANT_OR_NULL_SCHEMA "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define ID_SCHEMA "{\"type\":\"string\",\"format\":\"uuid\"}"
#define TEXT_OR_NULL_SCHEMA "{\"type\":[\"string\",\"null\"]}"

static const char PROFILE_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"id\"],\"properties\":{\"id\":" ID_SCHEMA
    ",\"email\":" TEXT_OR_NULL_SCHEMA ",\"phone\":" TEXT_OR_NULL_SCHEMA
    ",\"external_id\":" TEXT_OR_NULL_SCHEMA ",\"first_name\":" TEXT_OR_NULL_SCHEMA
    ",\"last_name\":" TEXT_OR_NULL_SCHEMA ",\"locale\":" TEXT_OR_NULL_SCHEMA
    ",\"time_zone\":" TEXT_OR_NULL_SCHEMA ",\"lifecycle\":" TEXT_OR_NULL_SCHEMA
    ",\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"
    ",\"segments\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"
    ",\"tiers\":{\"type\":\"object\"},\"orders\":{\"type\":\"object\",\"properties\":{"
    "\"count\":{\"type\":\"integer\"},\"revenue\":{\"type\":\"number\"},"
    "\"average_value\":{\"type\":[\"number\",\"null\"]},\"currency\":{\"type\":\"string\"},"
    "\"last_at\":" INSTANT_OR_NULL_SCHEMA "}},\"consent\":{\"type\":\"object\"}}}";

/* Of lifecycle, tier, tag and segment alike; the first has no name, the last two
 * have no values. */
static const char VERDICT_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"rule_version\",\"since\"],\"properties\":{"
    "\"name\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"}"
    ",\"from\":" TEXT_OR_NULL_SCHEMA ",\"to\":" TEXT_OR_NULL_SCHEMA ",\"rule_version\":{\"type\":"
    "\"integer\"},\"since\":" INSTANT_SCHEMA ",\"until\":" INSTANT_OR_NULL_SCHEMA
    ",\"previous_since\":" INSTANT_OR_NULL_SCHEMA "}}";

static const char MERGE_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"id\",\"from_id\",\"into_id\"],\"properties\":{"
    "\"id\":" ID_SCHEMA ",\"from_id\":" ID_SCHEMA ",\"into_id\":" ID_SCHEMA
    ",\"because\":{\"type\":\"object\",\"properties\":{\"kind\":{\"type\":\"string\"}}}}}";

static const char SOURCE_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"platform\",\"last_accepted_at\","
    "\"expected_silence\"],\"properties\":{\"id\":" ID_SCHEMA
    ",\"name\":{\"type\":\"string\"},\"platform\":{\"type\":\"string\"}"
    ",\"last_accepted_at\":" INSTANT_SCHEMA ",\"expected_silence\":{\"type\":\"string\"}}}";

static const char SUBSCRIPTION_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"status\",\"failing_since\"],"
    "\"properties\":{\"id\":" ID_SCHEMA ",\"name\":{\"type\":\"string\"},\"status\":{\"type\":"
    "\"string\"},\"reason\":" TEXT_OR_NULL_SCHEMA ",\"failing_since\":" INSTANT_OR_NULL_SCHEMA
    ",\"failing_percent\":{\"type\":[\"integer\",\"null\"]}"
    ",\"disabled_from\":" INSTANT_OR_NULL_SCHEMA "}}";

static const char ENVELOPE_SCHEMA[] =
    "\"id\":" ID_SCHEMA ",\"timestamp\":" INSTANT_SCHEMA ",\"recorded_at\":" INSTANT_SCHEMA
    ",\"expires_at\":" INSTANT_OR_NULL_SCHEMA ",\"workspace\":{\"type\":\"string\"}"
    ",\"sequence\":{\"type\":\"integer\"},\"test\":{\"type\":\"boolean\"}"
    ",\"truncated\":{\"type\":\"boolean\"}"
    ",\"cause\":{\"type\":\"object\",\"required\":[\"kind\"],\"properties\":{"
    "\"kind\":{\"type\":\"string\"},\"event_id\":" ID_SCHEMA ",\"event_type\":{\"type\":\"string\"}"
    ",\"source\":" TEXT_OR_NULL_SCHEMA ",\"occurred_at\":" INSTANT_SCHEMA
    ",\"due_at\":" INSTANT_SCHEMA "}}";

struct topic_row {
    struct str name; /* of the example: a custom topic has an example's name */
    const char *shown;
    const char *title;
    struct str object; /* empty: data has the profile alone */
    const char *object_schema;
    bool is_event;
    bool is_of_service; /* data has no profile */
    bool act;
    const struct trigger *trigger; /* that rings with it; NULL: it is built in */
};

static void write_data_schema(struct buf *buf, const struct topic_row *row)
{
    if (row->is_of_service) {
        buf_printf(buf,
                   ",\"data\":{\"type\":\"object\",\"required\":[\"%.*s\"],\"properties\":{"
                   "\"%.*s\":%s",
                   STR_ARG(row->object), STR_ARG(row->object), row->object_schema);
        return;
    }
    buf_add_z(buf, ",\"data\":{\"type\":\"object\",\"required\":[\"profile\"],\"properties\":{");
    buf_printf(buf, "\"profile\":%s", PROFILE_SCHEMA);
    if (row->object.size > 0) {
        buf_printf(buf, ",\"%.*s\":%s", STR_ARG(row->object), row->object_schema);
    }
}

static void write_schema(struct jsonw *json, const struct topic_row *row)
{
    struct buf *buf = json->buf;
    jsonw_key(json, "schema");
    /* Written by hand: jsonw would need thirty calls for the same text. */
    jsonw_raw(json, STR("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                        "\"type\":\"object\",\"required\":[\"id\",\"type\",\"timestamp\",\"data\"],"
                        "\"properties\":{"));
    buf_add_z(buf, ENVELOPE_SCHEMA);
    if (row->is_event && str_starts_with(row->name, STR("custom."))) {
        buf_add_z(buf, ",\"type\":{\"type\":\"string\",\"pattern\":\"^custom\\\\.\"}");
    } else {
        buf_printf(buf, ",\"type\":{\"const\":\"%.*s\"}", STR_ARG(row->name));
    }
    write_data_schema(buf, row);
    buf_add_z(buf, "}}}}");
}

static struct str example_of(struct arena *arena, const struct topic_row *row,
                             const struct topic_example *example)
{
    struct topic_message made;
    struct rendition rendition = { .body = { NULL, 0 } };
    if (row->trigger == NULL) {
        return topic_example_write(arena, row->name, example);
    }
    return topic_message_init(&made, row->name, example) &&
                   projection_render(arena, NULL, &made.message, &rendition)
               ? rendition.body
               : STR("null");
}

static void write_topic(struct page *page, const struct topic_row *row)
{
    struct jsonw *json = &page->json;
    struct topic_example example = {
        .at_ms = INT64_C(1795356187120), /* an instant of the contract's pages */
        .workspace = STR("aurora"),
    };
    struct id id = ID_ZERO;
    (void)id_parse(STR("5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77"), &id);
    example.id = id;
    jsonw_open(json);
    jsonw_put_z(json, "topic", row->shown);
    jsonw_put_z(json, "title", row->title);
    jsonw_put_z(json, "kind",
                row->is_event          ? "event"
                : row->is_of_service   ? "operational"
                : row->trigger != NULL ? "trigger"
                                       : "derived");
    jsonw_put_bool(json, "act", row->act);
    jsonw_put_str_or_null(json, "object", row->object);
    write_schema(json, row);
    example.trigger = row->trigger;
    jsonw_put_raw(json, "example", example_of(page->request->arena, row, &example));
    jsonw_close(json);
}

static const char *schema_of(struct str object)
{
    static const struct {
        const char *object;
        const char *schema;
    } known[] = {
        { "merge", MERGE_SCHEMA },
        { "source", SOURCE_SCHEMA },
        { "subscription", SUBSCRIPTION_SCHEMA },
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (str_equal_z(object, known[i].object)) {
            return known[i].schema;
        }
    }
    return VERDICT_SCHEMA;
}

static void write_event_topics(struct page *page)
{
    for (int number = 1; number < EVENT_TYPE_COUNT; number++) {
        enum event_type type = (enum event_type)number;
        const struct event_type_info *info = event_type_info(type);
        if (info->universal) {
            continue;
        }
        struct topic_row row = {
            .name = type == EVENT_CUSTOM ? STR("custom.loyalty_joined") : str_from_z(info->name),
            .shown = info->name,
            .title = info->title,
            .object_schema = "{\"type\":\"object\"}",
            .is_event = true,
            .act = info->act,
        };
        struct str action = { NULL, 0 };
        (void)str_split(row.name, '.', &row.object, &action);
        write_topic(page, &row);
    }
}

static const char TRIGGER_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"version\"],\"properties\":{\"name\":{\"type\":"
    "\"string\"},\"title\":{\"type\":\"string\"},\"version\":{\"type\":\"integer\"}}}";

static bool is_listed(const struct trigger_row *triggers, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (str_equal(triggers[i].definition.topic, triggers[index].definition.topic)) {
            return true;
        }
    }
    return false;
}

/* Those with which the workspace's own triggers ring, each once. */
static enum status write_trigger_topics(struct page *page, struct problem *problem)
{
    const struct resource_request *request = page->request;
    struct trigger_row *triggers = NULL;
    size_t count = 0;
    enum status status =
        trigger_store_list(request->pg, request->arena, request->principal->workspace_id, STR(""),
                           TRIGGERS_MAX, &triggers, &count, problem);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct trigger *trigger = &triggers[i].definition;
        if (is_listed(triggers, i)) {
            continue;
        }
        const struct topic_row row = {
            .name = trigger->topic,
            .shown = str_dup_z(request->arena, trigger->topic),
            .title =
                str_dup_z(request->arena, trigger->title.size > 0 ? trigger->title : trigger->name),
            .object = STR("trigger"),
            .object_schema = TRIGGER_SCHEMA,
            .trigger = trigger,
        };
        if (row.shown == NULL || row.title == NULL) {
            return STATUS_LIMIT;
        }
        write_topic(page, &row);
    }
    return status;
}

enum status resource_topic_list(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    enum status status = page_open(&page, request, "topics", STR(""), problem);
    if (status != STATUS_OK) {
        return status;
    }
    write_event_topics(&page);
    for (size_t i = 0; topic_derived(i) != NULL; i++) {
        const struct topic_info *info = topic_derived(i);
        struct str object = str_from_z(info->object);
        struct topic_row row = {
            .name = str_from_z(info->name),
            .shown = info->name,
            .title = info->title,
            .object = object,
            .object_schema = schema_of(object),
            .is_of_service = topic_is_of_service(str_from_z(info->name)),
        };
        write_topic(&page, &row);
    }
    status = write_trigger_topics(&page, problem);
    return status == STATUS_OK
               ? page_close(&page, (struct str){ NULL, 0 }, -1, true, out_answer, problem)
               : status;
}
