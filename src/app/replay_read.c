#include <jansson.h>

#include "api/plan.h"
#include "core/signature.h"
#include "replay_priv.h"
#include "sources/platform.h"
#include "sources/sdk.h"

/*
 * A stored delivery is what an adapter wants of a request: a body and the headers
 * that were kept because the adapter reads them. It was verified when it came, and
 * is not verified again: keys have been changed since, and timestamps are old.
 *
 * What was posted to /v1/events is stored beside what came to a source's address,
 * without headers and under the topic "events"; no adapter is asked about it.
 */

static struct str text_in(struct arena *arena, const json_t *value)
{
    return str_dup(arena, str_from_z(json_string_value(value)));
}

static bool inbound_restore(struct arena *arena, const struct stored_delivery *delivery,
                            struct inbound *out_inbound)
{
    json_t *root = json_loadb(delivery->headers_json.data, delivery->headers_json.size, 0, NULL);
    size_t count = json_object_size(root);
    struct inbound_header *headers = ARENA_NEW_ARRAY(arena, count + 1, struct inbound_header);
    const char *name = NULL;
    json_t *value = NULL;
    size_t filled = 0;
    json_object_foreach(root, name, value)
    {
        if (headers != NULL) {
            headers[filled++] = (struct inbound_header){ .name = str_dup(arena, str_from_z(name)),
                                                         .value = text_in(arena, value) };
        }
    }
    json_decref(root);
    *out_inbound = (struct inbound){
        .headers = headers,
        .header_count = filled,
        .body = delivery->body,
        .received_at_ms = delivery->received_at_ms,
    };
    return !arena_is_full(arena);
}

bool replay_is_webhook(const struct source *source, struct str topic, struct str headers_json)
{
    const struct platform *platform = platform_find(source->platform);
    bool is_posted = str_equal(topic, STR("events")) && str_equal(headers_json, STR("{}"));
    return !is_posted && platform != NULL && platform_signature(platform, source)->algorithm != 0;
}

static enum reading give(struct arena *arena, struct event *events, size_t count,
                         struct event ***out_events, size_t *out_count)
{
    struct event **list = ARENA_NEW_ARRAY(arena, count + 1, struct event *);
    if (list == NULL) {
        return READ_FULL;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = &events[i];
    }
    *out_events = list;
    *out_count = count;
    return count > 0 ? READ_EVENTS : READ_IGNORED;
}

static enum reading fail(struct arena *arena, const struct problem *problem, struct str *out_why)
{
    *out_why = str_dup(arena, str_from_z(problem->detail));
    return arena_is_full(arena) ? READ_FULL : READ_UNREADABLE;
}

/* The API's own items, or an SDK's messages. */
static enum reading read_posted(struct arena *arena, const struct source *source,
                                const struct inbound *inbound, struct event ***out_events,
                                size_t *out_count, struct str *out_why)
{
    struct canonical_batch batch = { .event_count = 0 };
    struct problem problem = { .type = "" };
    bool is_sdk = inbound_header(inbound, SDK_HEADER_KIND).size > 0;
    enum status status = is_sdk ? sdk_read(arena, source, inbound, &batch, &problem)
                                : canonical_parse(arena, source, inbound->body,
                                                  inbound->received_at_ms, true, &batch, &problem);
    return status == STATUS_OK ? give(arena, batch.events, batch.event_count, out_events, out_count)
                               : fail(arena, &problem, out_why);
}

enum reading replay_read(struct arena *arena, const struct registry_snapshot *snapshot,
                         const struct stored_delivery *delivery, struct event ***out_events,
                         size_t *out_count, struct str *out_why)
{
    struct inbound inbound;
    struct normalised normalised = { .event_count = 0 };
    struct problem problem = { .type = "" };
    const struct source *source = snapshot_source(snapshot, delivery->source_id);
    if (source == NULL || source->deleted) {
        *out_why = STR("the source has been deleted, or its settings do not parse");
        return READ_UNREADABLE;
    }
    if (!inbound_restore(arena, delivery, &inbound)) {
        return READ_FULL;
    }
    if (!replay_is_webhook(source, delivery->topic, delivery->headers_json)) {
        return read_posted(arena, source, &inbound, out_events, out_count, out_why);
    }
    switch (platform_normalise(platform_find(source->platform), arena, source, &inbound,
                               &normalised, &problem)) {
    case NORMALISE_EVENTS:
        return give(arena, normalised.events, normalised.event_count, out_events, out_count);
    case NORMALISE_UNREADABLE:
        return fail(arena, &problem, out_why);
    case NORMALISE_FOREIGN:
        *out_why = STR("it is of another shop than the one that the settings name");
        return READ_UNREADABLE;
    case NORMALISE_FULL:
        return READ_FULL;
    case NORMALISE_IGNORED:
    case NORMALISE_HANDSHAKE:
        break;
    }
    return READ_IGNORED;
}

enum reading replay_follow_plan(struct arena *arena, const struct registry_workspace *workspace,
                                struct id source_id, struct event *const *events, size_t count,
                                struct str *out_why)
{
    for (size_t i = 0; workspace != NULL && i < count; i++) {
        if (plan_fault(arena, workspace, source_id, events[i], out_why) != STATUS_OK) {
            return READ_FULL;
        }
        if (out_why->size > 0) {
            return READ_UNREADABLE;
        }
    }
    return READ_EVENTS;
}
