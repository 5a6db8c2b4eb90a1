#include <string.h>

#include "base/limits.h"
#include "canonical_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * The bodies that carry our own events: one item, an array of them, or a line each
 * (NDJSON), and the envelope of a Standard Webhooks delivery.
 *
 * The content says which it is (contract 8): a first line that is a whole object with
 * another after it is nothing else.
 *
 * Invariant: a request whose sender reads the answer is taken whole or refused with
 * every fault listed, unless it asked for the good items alone.
 */

enum {
    ERRORS_BYTES_MAX = 128 * 1024,
};

/* --- requests ------------------------------------------------------------- */

/* A first line that is a whole object with another object after it: one
 * document cannot look like that. */
static bool is_ndjson(struct str body)
{
    struct str line = { NULL, 0 };
    struct str rest = { NULL, 0 };
    if (!str_split(str_trim(body), '\n', &line, &rest)) {
        return false;
    }
    return str_starts_with(line, STR("{")) && str_ends_with(str_trim(line), STR("}")) &&
           str_starts_with(str_trim(rest), STR("{"));
}

static size_t line_count(struct str body)
{
    size_t count = 1;
    for (size_t i = 0; i < body.size; i++) {
        count += body.data[i] == '\n';
    }
    return count;
}

static enum status too_many(struct problem *problem)
{
    return problem_set(problem, STATUS_LIMIT, "limit-reached", "more than %u events in one request",
                       LIMIT_EVENTS_PER_REQUEST);
}

/* A custom source may say that nothing is signed. */
static bool is_unsigned(const struct platform *platform, const struct source *source)
{
    return platform_signature(platform, source)->algorithm == SIGNATURE_BEARER;
}

static void begin(struct reading *reading, enum trust trust, int64_t received_at_ms,
                  size_t capacity)
{
    const struct platform *platform = platform_find(reading->source->platform);
    draft_init(&reading->draft, reading->arena, reading->source, trust, received_at_ms,
               reading->default_key, capacity);
    if (platform != NULL && is_unsigned(platform, reading->source)) {
        reading->draft.provenance = PROVENANCE_NONE;
    }
    reading->items = ARENA_NEW_ARRAY(reading->arena, capacity + 1, size_t);
    buf_init(&reading->errors, reading->arena, ERRORS_BYTES_MAX);
    jsonw_begin(&reading->errors_json, &reading->errors);
    jsonw_open_array(&reading->errors_json);
}

static enum status read_lines(struct reading *reading, enum trust trust, struct str body,
                              int64_t received_at_ms, struct problem *problem)
{
    size_t lines = line_count(body);
    begin(reading, trust, received_at_ms,
          lines < LIMIT_EVENTS_PER_REQUEST ? lines : LIMIT_EVENTS_PER_REQUEST);
    reading->is_list = true;
    struct str rest = body;
    for (bool more = true; more && !arena_is_full(reading->arena);) {
        struct str line = rest;
        more = str_split(rest, '\n', &line, &rest);
        line = str_trim(line);
        if (line.size == 0) {
            continue;
        }
        if (reading->item_index == LIMIT_EVENTS_PER_REQUEST) {
            return too_many(problem);
        }
        struct problem fault = { .type = "" };
        json_t *root CLEANUP(border_free_at) = border_parse(line, &fault);
        if (root == NULL) {
            canonical_fault(reading, "", NO_KEY, NULL, fault.detail);
            reading->item_index++;
        } else {
            canonical_item(reading, root);
        }
    }
    return STATUS_OK;
}

static enum status read_tree(struct reading *reading, enum trust trust, json_t *root,
                             int64_t received_at_ms, struct problem *problem)
{
    reading->is_list = json_is_array(root);
    if (json_array_size(root) > LIMIT_EVENTS_PER_REQUEST) {
        return too_many(problem);
    }
    begin(reading, trust, received_at_ms, reading->is_list ? json_array_size(root) : 1);
    if (!reading->is_list) {
        canonical_item(reading, root);
        return STATUS_OK;
    }
    for (size_t i = 0; i < json_array_size(root) && !arena_is_full(reading->arena); i++) {
        canonical_item(reading, json_array_get(root, i));
    }
    return STATUS_OK;
}

static enum status read_body(struct reading *reading, enum trust trust, struct str body,
                             int64_t received_at_ms, struct problem *problem)
{
    if (is_ndjson(body)) {
        return read_lines(reading, trust, body, received_at_ms, problem);
    }
    json_t *root CLEANUP(border_free_at) = border_parse(body, problem);
    return root == NULL ? STATUS_INVALID : read_tree(reading, trust, root, received_at_ms, problem);
}

static enum status reading_problem(const struct reading *reading, struct problem *problem)
{
    problem_set(problem, STATUS_INVALID, "invalid-event", "%zu fault%s in %zu event%s; %s: %s",
                reading->error_count, reading->error_count == 1 ? "" : "s", reading->item_index,
                reading->item_index == 1 ? "" : "s", reading->first_pointer, reading->first_detail);
    problem_point(problem, "%s", reading->first_pointer);
    return STATUS_INVALID;
}

static enum status arena_problem(struct problem *problem)
{
    return problem_set(problem, STATUS_LIMIT, "body-too-large",
                       "the events of this request need more memory than one request may have");
}

/* What the reading holds, as the answer to a request. */
static enum status finish(struct reading *reading, bool on_error_skip,
                          struct canonical_batch *out_batch, struct problem *problem)
{
    jsonw_close_array(&reading->errors_json);
    struct normalised normalised = { .event_count = 0 };
    if (draft_finish(&reading->draft, &normalised) == NORMALISE_FULL) {
        return arena_problem(problem);
    }
    struct canonical_batch batch = {
        .events = normalised.events,
        .event_count = normalised.event_count,
        .errors_json = reading->error_count > 0 ? buf_str(&reading->errors) : STR(""),
        .error_count = reading->error_count,
        .items = reading->items,
        .is_list = reading->is_list,
    };
    if (reading->error_count > 0 && !on_error_skip) {
        batch.event_count = 0;
        *out_batch = batch; /* the errors are the answer's */
        return reading_problem(reading, problem);
    }
    *out_batch = batch;
    return STATUS_OK;
}

static enum trust trust_of(const struct source *source)
{
    const struct platform *platform = platform_find(source->platform);
    return platform == NULL || is_unsigned(platform, source) ? TRUST_KEYED : platform->trust;
}

enum status canonical_parse(struct arena *arena, const struct source *source, struct str body,
                            int64_t received_at_ms, bool on_error_skip,
                            struct canonical_batch *out_batch, struct problem *problem)
{
    struct reading reading = {
        .arena = arena,
        .source = source,
        .default_at_ms = INSTANT_NONE,
    };
    enum status status = read_body(&reading, trust_of(source), body, received_at_ms, problem);
    return status == STATUS_OK ? finish(&reading, on_error_skip, out_batch, problem) : status;
}

enum status canonical_take(struct arena *arena, const struct source *source, json_t *items,
                           int64_t received_at_ms, bool forgives, struct canonical_batch *out_batch,
                           struct problem *problem)
{
    struct reading reading = {
        .arena = arena,
        .source = source,
        .default_at_ms = INSTANT_NONE,
        .forgives = forgives,
    };
    enum status status = read_tree(&reading, trust_of(source), items, received_at_ms, problem);
    return status == STATUS_OK ? finish(&reading, forgives, out_batch, problem) : status;
}

/* --- a Standard Webhooks delivery ----------------------------------------- */

/* {"type":..., "timestamp":..., "data":{...}}: the envelope's words stand in
 * where the item has none of its own. */
static bool is_envelope(json_t *root)
{
    return json_is_object(json_object_get(root, "data")) &&
           json_is_string(json_object_get(root, "type"));
}

static enum normalise_verdict read_delivery(struct reading *reading, enum trust trust,
                                            const struct inbound *inbound,
                                            struct normalised *out_normalised,
                                            struct problem *problem)
{
    enum status status = STATUS_OK;
    if (is_ndjson(inbound->body)) {
        status = read_lines(reading, trust, inbound->body, inbound->received_at_ms, problem);
    } else {
        json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
        if (root == NULL) {
            return NORMALISE_UNREADABLE;
        }
        json_t *items = root;
        if (is_envelope(root)) {
            items = json_object_get(root, "data");
            reading->default_type = str_dup(reading->arena, border_text(root, "type"));
            reading->default_at_ms = border_instant(root, "timestamp", NULL);
            out_normalised->topic = reading->default_type;
            if (json_object_get(items, "type") == NULL &&
                event_type_from_name(reading->default_type) == 0) {
                return NORMALISE_IGNORED;
            }
        }
        status = read_tree(reading, trust, items, inbound->received_at_ms, problem);
    }
    if (arena_is_full(reading->arena)) {
        return NORMALISE_FULL;
    }
    if (status != STATUS_OK) {
        return NORMALISE_UNREADABLE;
    }
    if (reading->error_count > 0) {
        reading_problem(reading, problem);
        return NORMALISE_UNREADABLE;
    }
    return NORMALISE_EVENTS;
}

enum normalise_verdict canonical_normalise(struct arena *arena, const struct source *source,
                                           const struct inbound *inbound,
                                           struct normalised *out_normalised,
                                           struct problem *problem)
{
    struct str webhook_id = str_trim(inbound_header(inbound, "webhook-id"));
    if (webhook_id.size == 0) {
        webhook_id = str_trim(inbound_header(inbound, "svix-id"));
    }
    struct reading reading = {
        .arena = arena,
        .source = source,
        .default_at_ms = INSTANT_NONE,
        .default_key = draft_dedup_key(arena, webhook_id, STR(""), inbound->body),
    };
    *out_normalised = (struct normalised){
        .topic = STR("event"),
        .dedup_key = reading.default_key,
    };
    enum normalise_verdict verdict =
        read_delivery(&reading, trust_of(source), inbound, out_normalised, problem);
    if (verdict == NORMALISE_EVENTS) {
        verdict = draft_finish(&reading.draft, out_normalised);
    }
    return verdict;
}
