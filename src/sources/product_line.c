#include <stdlib.h>

#include "base/instant.h"
#include "base/limits.h"
#include "import_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * A product as people write it: {"product_id": "77", "name": ..., "variants":
 * [...]}, with "updated_at" and "deleted" if need be. It is the properties of
 * product.updated, so it is written as that event and judged by the one reader
 * of events. Without updated_at it is what holds now.
 */

enum {
    /* Each product with the members that make an event of it. */
    PRODUCTS_BYTES_MAX = 3 * LIMIT_EVENTS_BODY_BYTES
};

static bool is_deletion(const json_t *product)
{
    return json_is_true(json_object_get(product, "deleted"));
}

struct str product_line_event(struct arena *arena, json_t *product, struct str product_id)
{
    struct str at = border_text(product, "updated_at");
    json_t *copy CLEANUP(border_free_at) = json_copy(product);
    json_t *event CLEANUP(border_free_at) = json_object();
    if (copy == NULL || event == NULL) {
        return (struct str){ NULL, 0 };
    }
    bool is_made = json_object_set_new(event, "type",
                                       json_string(is_deletion(product) ? "product.deleted"
                                                                        : "product.updated")) == 0;
    if (product_id.size > 0) {
        is_made =
            is_made && json_object_set_new(copy, "product_id",
                                           json_stringn(product_id.data, product_id.size)) == 0;
    }
    if (at.size > 0) {
        is_made = is_made &&
                  json_object_set_new(event, "occurred_at", json_stringn(at.data, at.size)) == 0;
    }
    (void)json_object_del(copy, "updated_at");
    (void)json_object_del(copy, "deleted");
    is_made = is_made && json_object_set(event, "properties", copy) == 0;
    return is_made ? border_dump(arena, event, LIMIT_EVENTS_BODY_BYTES) : (struct str){ NULL, 0 };
}

/* What is no object stands as null, so that it is refused in its place. */
static void add_line(struct buf *buf, struct arena *arena, struct str line)
{
    struct problem ignored = { .type = "" };
    json_t *root CLEANUP(border_free_at) = border_parse(line, &ignored);
    struct str event = { NULL, 0 };
    if (json_is_object(root)) {
        event = product_line_event(arena, root, (struct str){ NULL, 0 });
    }
    buf_add_str(buf, event.size > 0 ? event : STR("null"));
}

enum status canonical_products_parse(struct arena *arena, const struct source *source,
                                     struct str body, int64_t received_at_ms, bool skip,
                                     struct canonical_batch *out_batch, struct problem *problem)
{
    struct buf buf;
    bool is_first = true;
    buf_init(&buf, arena, PRODUCTS_BYTES_MAX);
    buf_add_char(&buf, '[');
    while (body.size > 0) {
        struct str line = body;
        struct str rest = { NULL, 0 };
        (void)str_split(body, '\n', &line, &rest);
        body = rest;
        if (str_trim(line).size == 0) {
            continue;
        }
        if (!is_first) {
            buf_add_char(&buf, ',');
        }
        is_first = false;
        add_line(&buf, arena, str_trim(line));
    }
    buf_add_char(&buf, ']');
    if (buf.failed) {
        return problem_set(problem, STATUS_LIMIT, "body-too-large",
                           "too many products for one request");
    }
    return canonical_parse(arena, source, buf_str(&buf), received_at_ms, skip, out_batch, problem);
}

enum status canonical_product_parse(struct arena *arena, const struct source *source,
                                    struct str body, struct str product_id, int64_t received_at_ms,
                                    struct canonical_batch *out_batch, struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(body, problem);
    if (root == NULL) {
        return STATUS_INVALID;
    }
    if (!json_is_object(root)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product is a JSON object");
    }
    struct str event = product_line_event(arena, root, product_id);
    if (event.size == 0) {
        return problem_set(problem, STATUS_LIMIT, "body-too-large", "the product is too large");
    }
    return canonical_parse(arena, source, event, received_at_ms, false, out_batch, problem);
}
