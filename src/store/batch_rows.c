#include <string.h>

#include "batch_priv.h"

/*
 * Rows of profile and orders as values of the core.
 *
 * A row that does not decode is our own fault (another version wrote it, or a
 * bug): STATUS_BROKEN, so that the batch is refused and nothing is overwritten.
 */

static enum status undecodable(struct problem *problem, const char *what)
{
    return problem_set(problem, STATUS_BROKEN, "internal", "a stored %s does not decode", what);
}

/* jsonb text back into the form that adapters give; "null" stays. */
static struct str optional_json(const struct pg_result *result, size_t row, int column)
{
    return pg_is_null(result, row, column) ? ((struct str){ 0 })
                                           : pg_get_jsonb(result, row, column);
}

enum status batch_profile_decode(struct arena *arena, const struct pg_result *result, size_t row,
                                 struct profile **out_profile, struct problem *problem)
{
    struct profile *profile = ARENA_NEW(arena, struct profile);
    if (profile == NULL) {
        return STATUS_LIMIT;
    }
    profile_init(profile, pg_get_id(result, row, 0), pg_get_instant(result, row, 3));
    profile->is_new = false;
    profile->is_dirty = false;
    if (!profile_state_decode(arena, pg_get_bytes(result, row, 21), profile)) {
        return undecodable(problem, "profile");
    }
    profile->merged_into = pg_get_id(result, row, 1);
    profile->sequence = pg_get_i64(result, row, 2);
    profile->updated_at_ms = pg_get_instant(result, row, 4);
    profile->decided_at_ms = pg_get_instant(result, row, 5);
    profile->first_seen_at_ms = pg_get_instant(result, row, 6);
    profile->last_seen_at_ms = pg_get_instant(result, row, 7);
    profile->signed_up_at_ms = pg_get_instant(result, row, 8);
    profile->identified = pg_get_bool(result, row, 9);
    int64_t version = pg_get_i64(result, row, 10);
    profile->needs_history = version < 0;
    profile->ruleset_version = version < 0 ? -version : version;
    profile->stood_at_version = profile->ruleset_version;
    profile->statistics_version = pg_get_i64(result, row, 11);
    profile->due_at_ms =
        pg_is_null(result, row, 12) ? INSTANT_NEVER : pg_get_instant(result, row, 12);
    profile->orders = (struct profile_orders){
        .count = pg_get_i64(result, row, 13),
        .foreign_count = pg_get_i64(result, row, 14),
        .gross_minor = pg_get_i64(result, row, 15),
        .refunded_minor = pg_get_i64(result, row, 16),
        .largest_minor = pg_get_i64(result, row, 17),
        .first_at_ms = pg_get_instant(result, row, 18),
        .last_at_ms = pg_get_instant(result, row, 19),
    };
    profile->cart_json = optional_json(result, row, 20);
    /* Before there were rules: nothing is known of its features. */
    profile->needs_history = profile->needs_history || version == 0;
    *out_profile = profile;
    return STATUS_OK;
}

enum status batch_profiles_decode(struct batch *batch, const struct pg_result *result,
                                  struct profile ***out_profiles, size_t *out_count,
                                  struct problem *problem)
{
    size_t rows = pg_row_count(result);
    struct profile **profiles = ARENA_NEW_ARRAY(batch->arena, rows + 1, struct profile *);
    size_t count = 0;
    if (profiles == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < rows; row++) {
        enum status status =
            batch_profile_decode(batch->arena, result, row, &profiles[count], problem);
        if (status == STATUS_OK) {
            count++;
        } else if (status == STATUS_BROKEN) {
            batch->unreadable++;
        } else {
            return status;
        }
    }
    *out_profiles = profiles;
    *out_count = count;
    return STATUS_OK;
}

static enum order_rank rank_from_name(struct str name)
{
    for (enum order_rank rank = ORDER_OPEN; rank <= ORDER_CANCELLED; rank++) {
        if (str_equal_z(name, order_rank_name(rank))) {
            return rank;
        }
    }
    return ORDER_OPEN;
}

enum status batch_order_decode(struct arena *arena, const struct pg_result *result, size_t row,
                               int first, struct order *order, struct problem *problem)
{
    order->has_body = pg_get_bool(result, row, first);
    order->version_ms = pg_get_instant(result, row, first + 1);
    order->rank = rank_from_name(pg_get_text(result, row, first + 2));
    order->counts = pg_get_bool(result, row, first + 3);
    order->placed_at_ms = pg_get_instant(result, row, first + 4);
    order->number = pg_get_text(result, row, first + 5);
    order->status = pg_get_text(result, row, first + 6);
    order->currency = pg_get_text(result, row, first + 7);
    order->total_minor = pg_get_i64(result, row, first + 8);
    order->cancelled_at_ms = pg_get_instant(result, row, first + 9);
    order->completed = pg_get_bool(result, row, first + 11);
    order->contribution = (struct order_contribution){
        .counted = pg_get_bool(result, row, first + 12),
        .foreign = pg_get_bool(result, row, first + 13),
        .gross_minor = pg_get_i64(result, row, first + 14),
        .refunded_minor = pg_get_i64(result, row, first + 15),
    };
    if (!order_documents_decode(arena, pg_get_bytes(result, row, first + 16), order)) {
        return undecodable(problem, "order");
    }
    order->body_json = optional_json(result, row, first + 17);
    return STATUS_OK;
}
