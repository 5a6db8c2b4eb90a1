#include "base/instant.h"
#include "check_priv.h"

/*
 * Are the interests stored those that the facts say? The facts are folded anew by the
 * same core, under no origin, as the stored rows were joined; then both are walked by
 * key.
 *
 * Not compared: a profile whose facts retention has folded (what is left says too
 * little), an interest whose facts are all old enough to be gone, and what was seen
 * of the stock beyond what facts say (the catalogue may have told).
 */

static void fold_facts(const struct check_interests *check, struct interest_list *list)
{
    for (size_t i = 0; i < check->side->event_count; i++) {
        interest_add_event(list, ID_ZERO, &check->side->events[i]);
    }
    for (size_t i = 0; i < check->side->order_count; i++) {
        struct order order = *check->side->orders[i];
        order.origin_id = ID_ZERO;
        interest_add_order(list, &order);
    }
    interest_fold(list);
}

static struct str instant_text(struct arena *arena, int64_t at_ms)
{
    char text[INSTANT_TEXT_SIZE];
    if (at_ms == INSTANT_NONE) {
        return STR("none");
    }
    instant_format(at_ms, text);
    return str_dup(arena, str_from_z(text));
}

static void differ_in(const struct check_interests *check, const struct interest_key *key,
                      const char *what, struct str stored, struct str folded)
{
    if (!str_equal(stored, folded)) {
        check->differ(check->user,
                      str_printf(check->arena, "interest in %.*s/%.*s: %s",
                                 STR_ARG(key->product_id), STR_ARG(key->variant_id), what),
                      stored, folded);
    }
}

static struct str price_text(struct arena *arena, const struct interest *interest)
{
    return str_printf(arena, "%lld %.*s", (long long)interest->price_minor,
                      STR_ARG(interest->currency));
}

static void compare(const struct check_interests *check, const struct interest_key *key,
                    const struct interest *stored, const struct interest *folded)
{
    struct arena *arena = check->arena;
    const struct {
        const char *what;
        int64_t stored_ms;
        int64_t folded_ms;
    } instants[] = {
        { "viewed_at", stored->viewed_at_ms, folded->viewed_at_ms },
        { "price_seen_at", stored->price_seen_at_ms, folded->price_seen_at_ms },
        { "carted_at", stored->carted_at_ms, folded->carted_at_ms },
        { "wished_at", stored->wished_at_ms, folded->wished_at_ms },
        { "unwished_at", stored->unwished_at_ms, folded->unwished_at_ms },
        { "bought_at", stored->bought_at_ms, folded->bought_at_ms },
        { "out_of_stock_seen_at", stored->out_of_stock_seen_at_ms,
          stored->out_of_stock_seen_at_ms > folded->out_of_stock_seen_at_ms
              ? stored->out_of_stock_seen_at_ms
              : folded->out_of_stock_seen_at_ms },
    };
    for (size_t i = 0; i < ARRAY_COUNT(instants); i++) {
        if (instants[i].stored_ms != instants[i].folded_ms) {
            differ_in(check, key, instants[i].what, instant_text(arena, instants[i].stored_ms),
                      instant_text(arena, instants[i].folded_ms));
        }
    }
    differ_in(check, key, "view_count", str_printf(arena, "%lld", (long long)stored->view_count),
              str_printf(arena, "%lld", (long long)folded->view_count));
    differ_in(check, key, "price_seen", price_text(arena, stored), price_text(arena, folded));
}

static bool is_kept(const struct check_interests *check, const struct interest *interest)
{
    int64_t newest_ms = interest_newest_ms(interest);
    return newest_ms != INSTANT_NONE && newest_ms >= check->folded_before_ms;
}

void check_interests(const struct check_interests *check)
{
    struct interest_list list = { .arena = check->arena };
    struct interest nothing;
    size_t s = 0;
    size_t f = 0;
    if (check->side->base_count > 0) {
        return;
    }
    interest_init(&nothing);
    fold_facts(check, &list);
    while (s < check->stored_count || f < list.count) {
        bool is_folded_next = s == check->stored_count;
        bool is_stored_next = f == list.count;
        int order = is_folded_next ? 1
                    : is_stored_next
                        ? -1
                        : interest_key_compare(&check->stored[s].row.key, &list.rows[f]->key);
        const struct interest *is = order <= 0 ? &check->stored[s].row.facts : &nothing;
        const struct interest *should = order >= 0 ? &list.rows[f]->facts : &nothing;
        if (is_kept(check, is) || is_kept(check, should)) {
            compare(check, order <= 0 ? &check->stored[s].row.key : &list.rows[f]->key, is, should);
        }
        s += order <= 0 ? 1 : 0;
        f += order >= 0 ? 1 : 0;
    }
}
