#include "base/buf.h"
#include "base/jsonw.h"
#include "base/str.h"
#include "sources/platform.h"

/*
 * The `setup` of a source: what a person does to connect a shop or a provider.
 *
 * Every platform says it in lists of lines (struct setup); here they become JSON,
 * the same members in the same order for all. Only what is pasted somewhere may
 * need the source's address or its secret, so only that is a function.
 */

enum {
    LINE_BYTES_MAX = 4096,
    PASTE_BYTES_MAX = 16384 /* the topics, the address and a secret */
};

static void write_line(struct jsonw *json, struct str source_name, struct str line)
{
    struct buf text;
    struct str head = line;
    buf_init(&text, NULL, LINE_BYTES_MAX);
    for (struct str rest = line; str_split(rest, '%', &head, &rest); line = rest) {
        buf_add_str(&text, head);
        buf_add_str(&text, source_name);
        rest = str_drop(rest, 1); /* the "s" */
    }
    buf_add_str(&text, line);
    jsonw_str(json, buf_str(&text));
    buf_finish(&text);
}

static void write_lines(struct jsonw *json, const char *key, struct str source_name,
                        const char *const *lines)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (; lines != NULL && *lines != NULL; lines++) {
        write_line(json, source_name, str_from_z(*lines));
    }
    jsonw_close_array(json);
}

static void write_gaps(struct jsonw *json, const struct setup_gap *gap)
{
    jsonw_key(json, "not_covered");
    jsonw_open_array(json);
    for (; gap != NULL && gap->what != NULL; gap++) {
        jsonw_open(json);
        jsonw_put_z(json, "what", gap->what);
        jsonw_put_z(json, "how", gap->how);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

void platform_write_setup(const struct platform *platform, struct jsonw *json,
                          const struct source *source, struct str webhook_url, struct str secret)
{
    jsonw_key(json, "ways");
    jsonw_open_array(json);
    for (const struct setup_way *way = platform->setup.ways; way->way != NULL; way++) {
        jsonw_open(json);
        jsonw_put_z(json, "way", way->way);
        write_lines(json, "steps", source->name, way->steps);
        if (way->paste != NULL) {
            jsonw_put_z(json, "paste", way->paste);
        }
        if (way->write_paste != NULL) {
            struct buf paste;
            buf_init(&paste, NULL, PASTE_BYTES_MAX);
            way->write_paste(&paste, source, webhook_url, secret);
            jsonw_put_str(json, "paste", buf_str(&paste));
            buf_finish(&paste);
        }
        jsonw_close(json);
    }
    jsonw_close_array(json);
    jsonw_key(json, "topics");
    jsonw_open_array(json);
    for (const char *const *topic = platform->topics; *topic != NULL; topic++) {
        jsonw_z(json, *topic);
    }
    jsonw_close_array(json);
    write_gaps(json, platform->setup.gaps);
    write_lines(json, "warnings", source->name, platform->setup.warnings);
}
