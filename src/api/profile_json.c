#include <jansson.h>

#include "api/mask.h"
#include "base/instant.h"
#include "core/event/event.h"
#include "profile_priv.h"

/*
 * A profile as contract 5 shows it.
 *
 * Columns are shown as they stand; what moves with time (scores, cycles, until
 * when a verdict holds) is evaluated at the moment of asking: profile_insight.c.
 */

bool profile_is_masked(const struct resource_request *request)
{
    return !resource_may(request, SCOPE_PII);
}

static struct str masked_or(bool is_masked, struct arena *arena,
                            struct str (*mask)(struct arena *arena, struct str text),
                            struct str text)
{
    return is_masked && text.size > 0 ? mask(arena, text) : text;
}

static struct str json_or(bool is_masked, struct arena *arena, struct str json,
                          struct str otherwise)
{
    if (json.size == 0) {
        return otherwise;
    }
    return is_masked ? mask_json(arena, json) : json;
}

static void write_average(struct jsonw *json, const struct profile_view *view, struct str currency)
{
    if (view->orders_count == 0) {
        jsonw_put_null(json, "average_value");
        return;
    }
    /* Rounded half away from zero, as money is everywhere. */
    int64_t half = view->orders_count / 2;
    int64_t sum = view->orders_gross_minor;
    jsonw_put_money(json, "average_value",
                    (sum >= 0 ? sum + half : sum - half) / view->orders_count, currency);
}

static void write_orders(struct jsonw *json, const struct profile_view *view,
                         const struct profile *profile, struct str currency, int64_t now_ms,
                         bool history_complete)
{
    jsonw_key(json, "orders");
    jsonw_open(json);
    jsonw_put_i64(json, "count", view->orders_count);
    jsonw_put_money(json, "revenue", view->orders_gross_minor, currency);
    write_average(json, view, currency);
    jsonw_put_money(json, "largest_value", view->orders_largest_minor, currency);
    jsonw_put_money(json, "refunded", view->orders_refunded_minor, currency);
    jsonw_put_str(json, "currency", currency);
    jsonw_put_instant(json, "first_at", view->orders_first_at_ms);
    jsonw_put_instant(json, "last_at", view->orders_last_at_ms);
    insight_write_cycle(json, profile, now_ms);
    jsonw_put_i64(json, "foreign_count", view->orders_foreign_count);
    jsonw_put_bool(json, "history_complete", history_complete);
    jsonw_close(json);
}

static void write_names(struct jsonw *json, const char *key, const struct str *names, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, names[i]);
    }
    jsonw_close_array(json);
}

static void write_body(struct jsonw *json, const struct resource_request *request,
                       const struct profile_view *view, const struct profile *profile,
                       const struct profile_reader *reader, bool history_complete)
{
    struct arena *arena = request->arena;
    bool is_masked = profile_is_masked(request);
    jsonw_put_id(json, "id", view->id);
    jsonw_put_i64(json, "sequence", view->sequence);
    jsonw_put_instant(json, "as_of", request->now_ms);
    jsonw_put_bool(json, "masked", is_masked);
    jsonw_put_bool(json, "identified", view->identified);
    jsonw_put_str_or_null(json, "email", masked_or(is_masked, arena, mask_email, view->email));
    jsonw_put_str_or_null(json, "phone", masked_or(is_masked, arena, mask_phone, view->phone));
    jsonw_put_str_or_null(json, "external_id", view->external_id);
    jsonw_put_instant(json, "created_at", view->created_at_ms);
    jsonw_put_instant(json, "updated_at", view->updated_at_ms);
    jsonw_put_instant(json, "first_seen_at", view->first_seen_at_ms);
    jsonw_put_instant(json, "last_seen_at", view->last_seen_at_ms);
    jsonw_put_instant(json, "signed_up_at", view->signed_up_at_ms);
    jsonw_put_str_or_null(json, "lifecycle", view->lifecycle);
    write_names(json, "tags", view->tags, view->tag_count);
    write_names(json, "segments", view->segments, view->segment_count);
    jsonw_put_raw(json, "tiers", view->tiers_json.size > 0 ? view->tiers_json : STR("{}"));
    insight_write_rfm(json, profile, reader);
    write_orders(json, view, profile, reader->workspace->currency, request->now_ms,
                 history_complete);
    jsonw_put_raw(json, "cart", json_or(is_masked, arena, view->cart_json, STR("null")));
    insight_write_engagement(json, profile, request->now_ms);
    insight_write_habits(json, profile, reader);
    jsonw_put_raw(json, "traits", json_or(is_masked, arena, view->traits_json, STR("{}")));
    jsonw_put_raw(json, "preferences",
                  json_or(is_masked, arena, view->preferences_json, STR("{}")));
    jsonw_put_raw(json, "consent", view->consent_json.size > 0 ? view->consent_json : STR("{}"));
}

void profile_write_summary(struct jsonw *json, const struct resource_request *request,
                           const struct profile_view *view, const struct profile_reader *reader)
{
    jsonw_open(json);
    write_body(json, request, view, profile_of_view(request->arena, view), reader, false);
    jsonw_close(json);
}

static const char *trust_name(int64_t trust)
{
    return trust >= TRUST_SIGNED ? "signed" : trust == TRUST_KEYED ? "keyed" : "public";
}

static void write_identities(struct jsonw *json, const struct resource_request *request,
                             const struct profile_whole *whole)
{
    bool is_masked = profile_is_masked(request);
    jsonw_key(json, "identities");
    jsonw_open_array(json);
    for (size_t i = 0; i < whole->identity_count; i++) {
        const struct identity_view *identity = &whole->identities[i];
        struct str value = identity->value;
        if (is_masked) {
            value = mask_identity(request->arena, identity->kind, value);
        }
        jsonw_open(json);
        jsonw_put_str(json, "kind", identity->kind);
        jsonw_put_str(json, "value", value);
        jsonw_put_str_or_null(json, "source", identity->source);
        jsonw_put_z(json, "trust", trust_name(identity->trust));
        jsonw_put_instant(json, "first_seen_at", identity->first_seen_at_ms);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

/* Which rules decided, and whether newer ones are on their way to it. */
static void write_rules(struct jsonw *json, const struct profile_view *view,
                        const struct profile_reader *reader)
{
    int64_t version = view->ruleset_version;
    int64_t newest = reader->newest != NULL ? reader->newest->version : 0;
    jsonw_key(json, "rules");
    jsonw_open(json);
    jsonw_put_i64(json, "version", version < 0 ? -version : version);
    jsonw_put_bool(json, "stale", version < newest);
    jsonw_close(json);
}

static void write_links(struct jsonw *json, struct arena *arena, struct id profile_id)
{
    static const char *const NAMES[] = { "timeline", "orders", "merges" };
    char id[ID_TEXT_SIZE];
    id_format(profile_id, id);
    jsonw_key(json, "links");
    jsonw_open(json);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        jsonw_put_str(json, NAMES[i], str_printf(arena, "/v1/profiles/%s/%s", id, NAMES[i]));
    }
    jsonw_close(json);
}

void profile_write_json(struct jsonw *json, const struct resource_request *request,
                        const struct profile_whole *whole, const struct profile_reader *reader)
{
    const struct profile *profile = profile_of_view(request->arena, &whole->view);
    jsonw_open(json);
    write_body(json, request, &whole->view, profile, reader, whole->history_complete);
    write_identities(json, request, whole);
    insight_write_memberships(json, request->arena, profile, reader, request->now_ms);
    jsonw_key(json, "merged_from");
    jsonw_open_array(json);
    for (size_t i = 0; i < whole->origin_count; i++) {
        if (!id_equal(whole->origins[i], whole->view.id)) {
            jsonw_id(json, whole->origins[i]);
        }
    }
    jsonw_close_array(json);
    write_rules(json, &whole->view, reader);
    if (!id_is_zero(whole->requested_id)) {
        jsonw_put_id(json, "requested_id", whole->requested_id);
    }
    write_links(json, request->arena, whole->view.id);
    jsonw_close(json);
}
