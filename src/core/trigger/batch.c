#include "core/trigger/batch.h"

#include "base/buf.h"
#include "base/jsonw.h"

/*
 * A batch is known by what it is made of.
 *
 * Its id is the hash of its members and of how often each was tried before: a
 * repeat of the same attempt, by whomever and after whatever crash, is the same
 * message to the receiver, while members that were rejected and come again in the
 * same company are another one, or the receiver would take them for a repeat and
 * throw them away. Rejected: the members' ids alone, for exactly that reason.
 *
 * The members are embedded as they would be sent alone, byte for byte.
 */

struct id batch_id(struct id subscription_id, const struct delivery_member *members, size_t count)
{
    struct id_hash hash;
    id_hash_begin(&hash, "batch");
    id_hash_add_id(&hash, subscription_id);
    for (size_t i = 0; i < count; i++) {
        id_hash_add_id(&hash, members[i].notification_id);
        id_hash_add_i64(&hash, members[i].attempt);
    }
    return id_hash_end(&hash);
}

size_t batch_overhead(size_t member_count)
{
    return 512 + member_count;
}

bool batch_body(struct arena *arena, const struct batch_envelope *envelope,
                const struct str *bodies, size_t count, struct str *out_body)
{
    size_t size = batch_overhead(count) + envelope->workspace.size;
    for (size_t i = 0; i < count; i++) {
        size += bodies[i].size;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, size);
    buf_reserve(&buf, size);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "id", envelope->id);
    jsonw_put_str(&json, "type", STR(BATCH_TOPIC));
    jsonw_put_instant(&json, "timestamp", envelope->frozen_at_ms);
    jsonw_put_str(&json, "workspace", envelope->workspace);
    jsonw_put_bool(&json, "test", false);
    jsonw_key(&json, "data");
    jsonw_open(&json);
    jsonw_put_i64(&json, "count", (int64_t)count);
    jsonw_key(&json, "notifications");
    jsonw_open_array(&json);
    for (size_t i = 0; i < count; i++) {
        jsonw_raw(&json, bodies[i]);
    }
    jsonw_close_array(&json);
    jsonw_close(&json);
    jsonw_close(&json);
    if (buf.failed) {
        return false;
    }
    *out_body = buf_str(&buf);
    return true;
}
