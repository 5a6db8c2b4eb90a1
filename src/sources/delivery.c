#include <string.h>

#include "base/limits.h"
#include "delivery_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * From a body that says for itself what it is, to its topic's function.
 *
 * Invariant: the same four questions are answered the same way for every such
 * platform. Is it JSON? Else it is quarantined. Whose shop is it? One app's key
 * signs for all the shops that installed it, so where the settings name a shop,
 * another shop's delivery is refused as a wrong signature is, and nothing of it
 * is kept in this workspace. What topic? One that is not in the table is ignored.
 * Have we had it? The sender's own id says so; where there is none, topic and
 * bytes do.
 *
 * Thin events (the name of a resource, and nothing of what is in it) are facts
 * all the same: when, about which order or customer. They are marked, their raw
 * bodies are kept as all are, and whatever reads the resource later finds its
 * name there. Rejected: guessing the amount or the customer of an order from
 * another delivery; ignoring them (a shop that sends nothing else would look
 * silent).
 */

static struct str kept_text(struct arena *arena, struct str text)
{
    return str_is_text(text) ? str_dup(arena, draft_cut(text)) : STR("");
}

static const struct delivery_topic *find_topic(const struct delivery_topic *topics, struct str name)
{
    for (; topics->name != NULL; topics++) {
        if (str_equal_z(name, topics->name)) {
            return topics;
        }
    }
    return NULL;
}

static bool is_foreign(const struct delivery *delivery)
{
    const struct str *own = delivery->source->adapter;
    return own != NULL && own->size > 0 && !str_equal(*own, delivery->shop_id);
}

static enum normalise_verdict take(const struct delivery_form *form,
                                   const struct delivery *delivery,
                                   struct normalised *out_normalised, struct problem *problem)
{
    const struct delivery_topic *topic = find_topic(form->topics, delivery->topic);
    if (topic == NULL) {
        return NORMALISE_IGNORED;
    }
    struct draft draft;
    draft_init(&draft, delivery->arena, delivery->source,
               delivery->provenance == PROVENANCE_NONE ? TRUST_KEYED : TRUST_SIGNED,
               delivery->inbound->received_at_ms, delivery->dedup_key,
               form->room != NULL ? form->room(delivery->root) : 1);
    draft.provenance = delivery->provenance;
    enum status status = topic->take(delivery, topic, &draft, problem);
    if (arena_is_full(delivery->arena)) {
        return NORMALISE_FULL;
    }
    return status == STATUS_OK ? draft_finish(&draft, out_normalised) : NORMALISE_UNREADABLE;
}

enum normalise_verdict delivery_normalise(const struct delivery_form *form, struct arena *arena,
                                          const struct source *source,
                                          const struct inbound *inbound,
                                          struct normalised *out_normalised,
                                          struct problem *problem)
{
    struct delivery delivery = {
        .arena = arena,
        .source = source,
        .inbound = inbound,
        .at_ms = INSTANT_NONE,
        .provenance = PROVENANCE_FULL,
    };
    *out_normalised = (struct normalised){ .event_count = 0 };
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    delivery.root = root;
    if (json_is_object(root)) {
        form->read_head(&delivery);
    }
    delivery.topic = kept_text(arena, delivery.topic);
    delivery.dedup_key = draft_dedup_key(arena, delivery.id, delivery.topic, inbound->body);
    if (arena_is_full(arena)) {
        return NORMALISE_FULL;
    }
    if (is_foreign(&delivery)) {
        return NORMALISE_FOREIGN;
    }
    out_normalised->topic = delivery.topic;
    out_normalised->dedup_key = delivery.dedup_key;
    if (delivery.topic.size == 0) {
        problem_set(problem, STATUS_INVALID, "invalid-event",
                    "the body is no JSON object that says what it is about");
        return NORMALISE_UNREADABLE;
    }
    return take(form, &delivery, out_normalised, problem);
}

const char *const delivery_settings[] = { "shop_id", "time_zone", "currency", "allowed_addresses",
                                          NULL };

enum status delivery_parse_settings(struct arena *arena, struct str settings_json,
                                    struct source *source, struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, problem);
    const json_t *value = json_object_get(settings, "shop_id");
    source->adapter = NULL;
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    struct str *shop_id = ARENA_NEW(arena, struct str);
    struct str text = border_id_of(arena, value);
    if (text.size == 0 || text.size > LIMIT_NAME_BYTES) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "the shop's id at the platform is needed, as its webhooks say it");
        problem_point(problem, "#/settings/shop_id");
        return STATUS_INVALID;
    }
    if (shop_id != NULL) {
        *shop_id = text;
        source->adapter = shop_id;
    }
    return STATUS_OK;
}

struct event *delivery_event(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, const char *part)
{
    struct event *event =
        draft_event(draft, topic->type, STR(""), str_from_z(part), delivery->at_ms);
    if (event != NULL && topic->custom != NULL) {
        event->name = str_from_z(topic->custom);
    }
    return event;
}

struct event *delivery_thin_event(const struct delivery *delivery,
                                  const struct delivery_topic *topic, struct draft *draft,
                                  const char *part)
{
    struct event *event = delivery_event(delivery, topic, draft, part);
    if (event != NULL) {
        event->is_thin = true;
    }
    return event;
}

int64_t delivery_seconds(const json_t *object, const char *key)
{
    int64_t seconds = 0;
    bool is_one = border_integer(object, key, &seconds) && seconds > 0 && seconds <= UINT32_MAX;
    return is_one ? seconds * INSTANT_SECOND_MS : INSTANT_NONE;
}

struct str delivery_named(struct arena *arena, const char *key, struct str id)
{
    return str_printf(arena, "{\"%s\":%.*s}", key, STR_ARG(draft_json_text(arena, draft_cut(id))));
}
