#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/money.h"
#include "core/trigger/native.h"
#include "golden.h"
#include "shared_payload.h"

/*
 * The body that each ESP gets of each notification of notifications.case,
 * compared with native/<esp>.golden:
 *
 *   = order.completed: why          the notification
 *   target /3.0/lists/...           if it has a path of its own
 *   {"data":...}                    the body, or "nobody: why"
 *
 * SHOPBELL_GOLDEN_WRITE=klaviyo (or =all) writes what comes now; git shows the
 * difference. The vendors' own models read the same files in tests/sdk.
 */

enum {
    FILE_BYTES_MAX = 1024 * 1024,
    PATH_SIZE = 512,
};

static const char *const usual_settings[NATIVE_COUNT] = {
    [NATIVE_KLAVIYO] = "{}",
    [NATIVE_CUSTOMERIO] = "{\"site_id\":\"s1te\"}",
    [NATIVE_BRAZE] = "{\"cluster\":\"fra-02\"}",
    [NATIVE_MAILCHIMP] = "{\"data_center\":\"us6\",\"list\":\"a1b2c3d4e5\"}",
    [NATIVE_BREVO] = "{}",
    [NATIVE_ITERABLE] = "{}",
    [NATIVE_HUBSPOT] = "{\"event\":\"pe1234567_shopbell\"}",
};

static struct str next_line(struct str *text)
{
    struct str line = *text;
    if (str_split(*text, '\n', &line, text)) {
        return line;
    }
    *text = (struct str){ NULL, 0 };
    return line;
}

static void read_value(struct native_notification *notification, struct str text)
{
    struct str amount = { NULL, 0 };
    bool is_pair = str_split(text, ' ', &amount, &notification->currency);
    assert(is_pair && str_to_i64(amount, &notification->value_minor));
    notification->has_value = true;
}

static void read_settings(struct str text, enum native_format format, struct str *settings)
{
    struct str name = { NULL, 0 };
    struct str json = { NULL, 0 };
    bool is_pair = str_split(text, ' ', &name, &json);
    assert(is_pair && native_from_name(name) != NATIVE_NONE);
    if (native_from_name(name) == format) {
        *settings = json;
    }
}

static void read_line(struct str line, enum native_format format,
                      struct native_notification *notification, struct str *settings)
{
    struct str key = line;
    struct str value = { NULL, 0 };
    (void)str_split(line, ' ', &key, &value);
    if (str_equal(key, STR("topic"))) {
        notification->topic = value;
    } else if (str_equal(key, STR("at"))) {
        bool is_instant = instant_parse(value, true, &notification->at_ms, NULL);
        assert(is_instant);
    } else if (str_equal(key, STR("email"))) {
        notification->email = value;
    } else if (str_equal(key, STR("phone"))) {
        notification->phone = value;
    } else if (str_equal(key, STR("external_id"))) {
        notification->external_id = value;
    } else if (str_equal(key, STR("metric"))) {
        notification->metric = value;
    } else if (str_equal(key, STR("value"))) {
        read_value(notification, value);
    } else if (str_equal(key, STR("data"))) {
        notification->data_json = value;
    } else if (str_equal(key, STR("settings"))) {
        read_settings(value, format, settings);
    } else {
        assert(key.size == 0 || key.data[0] == '#');
    }
}

static void tell(struct arena *arena, enum native_format format, struct str settings,
                 const struct native_notification *notification, struct buf *out)
{
    struct native_rendition rendition = { .target = { NULL, 0 } };
    switch (native_render(arena, format, settings, notification, &rendition)) {
    case NATIVE_RENDERED:
        if (rendition.target.size > 0) {
            buf_printf(out, "target %.*s\n", STR_ARG(rendition.target));
        }
        buf_add_str(out, rendition.body);
        buf_add_char(out, '\n');
        break;
    case NATIVE_NOBODY:
        buf_printf(out, "nobody: %.*s\n", STR_ARG(native_nobody_words(arena, format, settings)));
        break;
    case NATIVE_NO_MEMORY:
        buf_add_z(out, "no memory\n");
        break;
    }
}

/* All notifications in one ESP's words. */
static struct str run(struct arena *arena, enum native_format format, struct str text)
{
    struct buf out;
    buf_init(&out, arena, FILE_BYTES_MAX);
    while (text.size > 0) {
        struct str line = next_line(&text);
        if (!str_starts_with(line, STR("= "))) {
            continue;
        }
        struct native_notification notification = { .topic = { NULL, 0 } };
        struct str settings = str_from_z(usual_settings[format]);
        bool is_id = id_parse(STR("5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77"), &notification.id);
        assert(is_id);
        buf_printf(&out, "%.*s\n", STR_ARG(line));
        while (text.size > 0 && text.data[0] != '=') {
            read_line(next_line(&text), format, &notification, &settings);
        }
        tell(arena, format, settings, &notification, &out);
        buf_add_char(&out, '\n');
    }
    assert(!out.failed);
    return buf_str(&out);
}

static void show_difference(const char *name, struct str expected, struct str actual)
{
    while (expected.size > 0 || actual.size > 0) {
        struct str left = next_line(&expected);
        struct str right = next_line(&actual);
        if (!str_equal(left, right)) {
            printf("%s\n- %.*s\n+ %.*s\n", name, STR_ARG(left), STR_ARG(right));
            return;
        }
    }
}

static bool check(struct arena *arena, const char *folder, enum native_format format,
                  struct str text)
{
    char path[PATH_SIZE];
    const char *name = native_info(format)->name;
    struct str expected = { NULL, 0 }; /* of an ESP that has no file yet */
    snprintf(path, sizeof(path), "%s/%s.golden", folder, name);
    (void)shared_file_read(arena, path, &expected);
    struct str actual = run(arena, format, text);
    if (str_equal(expected, actual)) {
        return true;
    }
    show_difference(name, expected, actual);
    return golden_rewrite(path, actual);
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    char path[PATH_SIZE];
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    snprintf(path, sizeof(path), "%s/notifications.case", argv[1]);
    struct str text = { NULL, 0 };
    bool was_read = shared_file_read(arena, path, &text);
    assert(was_read && text.size > 0);
    int failed = 0;
    for (int format = NATIVE_NONE + 1; format < NATIVE_COUNT; format++) {
        failed += !check(arena, argv[1], (enum native_format)format, text);
    }
    arena_destroy(arena);
    return failed == 0 ? 0 : 1;
}
