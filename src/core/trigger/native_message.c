#include "core/trigger/projection.h"
#include "native_priv.h"

/*
 * From a message to an ESP's event: who it is about, what it is called there, and
 * what it is worth.
 *
 * Identifiers come from the profile itself, whatever the subscription's fields say:
 * without one the ESP cannot take the event at all. An amount is an order's only where
 * the message is about the order: a segment that somebody entered by buying is not
 * worth the purchase once more.
 *
 * Where nobody can be found the words that say so are frozen in the body's place:
 * the delivery ends with them, once, and stands in the log for who asks why nothing
 * came.
 */

enum {
    NAME_BYTES_MAX = 4096, /* a template's text with what it names */
};

static struct str text_of(struct arena *arena, const struct message *message, const char *path)
{
    struct message_name name;
    const char *unused = NULL;
    struct buf buf;
    buf_init(&buf, arena, NAME_BYTES_MAX);
    if (message->profile == NULL || !message_name_resolve(str_from_z(path), NULL, &name, &unused)) {
        return (struct str){ NULL, 0 };
    }
    message_add_text(arena, &buf, message, &name);
    return buf_str(&buf);
}

static struct str metric_of(struct arena *arena, const struct projection *projection,
                            const struct message *message)
{
    struct buf buf;
    buf_init(&buf, arena, NAME_BYTES_MAX);
    template_add_text(arena, &buf, &projection->metric, message);
    return buf_str(&buf);
}

static bool has_value(const struct message *message)
{
    return str_starts_with(message->topic, STR("order.")) && message->event != NULL &&
           message->event->has_amount && message->event->currency.size > 0;
}

bool native_write(struct arena *arena, const struct projection *projection,
                  const struct message *message, struct str data, struct rendition *out_rendition)
{
    struct native_rendition made = { .target = { NULL, 0 } };
    struct native_notification notification = {
        .id = message->id,
        .topic = message->topic,
        .at_ms = message->at_ms,
        .email = text_of(arena, message, "profile.email"),
        .phone = text_of(arena, message, "profile.phone"),
        .external_id = text_of(arena, message, "profile.external_id"),
        .metric = metric_of(arena, projection, message),
        .data_json = data,
        .is_test = message->is_test,
        .has_value = has_value(message),
    };
    if (notification.has_value) {
        notification.value_minor = message->event->amount_minor;
        notification.currency = message->event->currency;
    }
    switch (
        native_render(arena, projection->native, projection->settings_json, &notification, &made)) {
    case NATIVE_RENDERED:
        break;
    case NATIVE_NOBODY:
        made.body = native_nobody_words(arena, projection->native, projection->settings_json);
        break;
    case NATIVE_NO_MEMORY:
        return false;
    }
    *out_rendition = (struct rendition){ .target = made.target, .body = made.body };
    return !arena_is_full(arena);
}
