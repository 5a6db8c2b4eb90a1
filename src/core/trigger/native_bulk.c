#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "core/trigger/native.h"

/*
 * Several notifications in one call.
 *
 * Only to those ESPs that take a list and say of each whether they took it: from one
 * that answers a list with "queued" (Klaviyo's jobs, HubSpot) nobody would learn that the
 * ninth of a hundred was malformed, which alone ends with the ESP's own words. Iterable
 * names the people it refused and not the places, and two of a list may be about one.
 *
 * What is in the list is frozen as it would be sent alone, and joined without being
 * read: a body's head and tail go, the list's come.
 *
 * Limits (2026): Braze takes 75 events and 4 MB, and tells of those it skipped in
 * "errors" by "index"; Customer.io 500 KB, and answers 207 with "batch_index". Neither
 * changes its mind about one: a member that was refused is given up, and may be replayed.
 * A list that is refused as a whole (400) is malformed as a whole, and ends as one.
 */

static const struct native_bulk bulks[NATIVE_COUNT] = {
    [NATIVE_CUSTOMERIO] = { .members_max = 1000,
                            .bytes_max = 500000,
                            .target = "/api/v2/batch",
                            .list_head = "{\"batch\":[",
                            .list_tail = "]}",
                            .alone_head = "",
                            .alone_tail = "",
                            .place_member = "batch_index",
                            .words_member = "message" },
    [NATIVE_BRAZE] = { .members_max = 75,
                       .bytes_max = (size_t)1024 * 1024,
                       .target = "",
                       .list_head = "{\"events\":[",
                       .list_tail = "]}",
                       .alone_head = "{\"events\":[",
                       .alone_tail = "]}",
                       .place_member = "index",
                       .words_member = "type" },
};

const struct native_bulk *native_bulk(enum native_format format)
{
    assert(format < NATIVE_COUNT);
    return bulks[format].members_max > 0 ? &bulks[format] : NULL;
}

bool native_join(struct arena *arena, const struct native_bulk *bulk, const struct str *bodies,
                 size_t count, struct native_rendition *out_call)
{
    size_t head = strlen(bulk->alone_head);
    size_t tail = strlen(bulk->alone_tail);
    size_t size = strlen(bulk->list_head) + strlen(bulk->list_tail) + count;
    struct buf buf;
    for (size_t i = 0; i < count; i++) {
        assert(bodies[i].size >= head + tail);
        size += bodies[i].size;
    }
    buf_init(&buf, arena, size);
    buf_reserve(&buf, size);
    buf_add_z(&buf, bulk->list_head);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_add_char(&buf, ',');
        }
        buf_add_str(&buf, str_drop(str_take(bodies[i], bodies[i].size - tail), head));
    }
    buf_add_z(&buf, bulk->list_tail);
    if (buf.failed) {
        return false;
    }
    *out_call =
        (struct native_rendition){ .target = str_from_z(bulk->target), .body = buf_str(&buf) };
    return true;
}
