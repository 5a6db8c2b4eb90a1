#include "core/trigger/envelope.h"

#include "base/instant.h"

/*
 * The envelope of contract 3, in one place: bells of customers, alarms of the
 * service and the examples of GET /v1/topics must not come to differ in it.
 */

void envelope_open(struct jsonw *json, const struct envelope *envelope)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", envelope->id);
    jsonw_put_str(json, "type", envelope->type);
    jsonw_put_instant(json, "timestamp", envelope->at_ms);
    jsonw_put_instant(json, "recorded_at", envelope->recorded_at_ms);
    bool expires = envelope->expires_at_ms > 0 && envelope->expires_at_ms != INSTANT_NEVER;
    jsonw_put_instant(json, "expires_at", expires ? envelope->expires_at_ms : INSTANT_NONE);
    jsonw_put_str(json, "workspace", envelope->workspace);
    jsonw_put_i64(json, "sequence", envelope->sequence);
    jsonw_put_bool(json, "test", envelope->test);
}
