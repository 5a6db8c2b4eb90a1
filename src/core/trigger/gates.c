#include "core/trigger/gates.h"

#include "base/md5.h"

/*
 * Gates, one function each.
 *
 * A customer's caps slide: the newest instants are kept, as many as the cap counts,
 * and the oldest of them says when the next may ring. The cap over everybody counts
 * up to a thousand million, so it has windows instead, one after the other: in any
 * period as long as a window at most twice the cap rings, and never more than the
 * cap in one window.
 */

enum {
    MINUTES_PER_DAY = 1440,
    HOLDOUT_BYTES_MAX = 3 * ID_TEXT_SIZE
};

const char *trigger_outcome_name(enum trigger_outcome outcome)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_OPEN] = "open",
        [OUTCOME_WAITING] = "waiting",
        [OUTCOME_NOTIFIED] = "notified",
        [OUTCOME_FILTERED] = "filtered",
        [OUTCOME_UNHEARD] = "unheard",
        [OUTCOME_NO_CONSENT] = "no_consent",
        [OUTCOME_EXPIRED] = "expired",
        [OUTCOME_QUIET] = "quiet",
        [OUTCOME_COOLED_DOWN] = "cooled_down",
        [OUTCOME_CAPPED] = "capped",
        [OUTCOME_HELD_OUT] = "held_out",
        [OUTCOME_STALE] = "stale",
        [OUTCOME_UNDONE] = "undone",
    };
    return names[outcome];
}

/* --- quiet hours ------------------------------------------------------------- */

/* A local instant as UTC: of two the first; one that the clock skips moves on. */
static int64_t from_local(const struct zone *zone, int64_t local_ms)
{
    int64_t before_ms = instant_zone_offset_ms(zone, local_ms - INSTANT_DAY_MS);
    int64_t after_ms = instant_zone_offset_ms(zone, local_ms + INSTANT_DAY_MS);
    int64_t by_after_ms = local_ms - after_ms;
    bool is_before = instant_zone_offset_ms(zone, local_ms - before_ms) == before_ms ||
                     instant_zone_offset_ms(zone, by_after_ms) != after_ms;
    return is_before ? local_ms - before_ms : by_after_ms;
}

static int64_t floor_days(int64_t ms)
{
    int64_t days = ms / INSTANT_DAY_MS;
    return ms % INSTANT_DAY_MS < 0 ? days - 1 : days;
}

int64_t gates_quiet_until_ms(const struct trigger_quiet *quiet, const struct zone *zone,
                             int64_t at_ms)
{
    if (!quiet->is_set) {
        return INSTANT_NONE;
    }
    int64_t local_ms = at_ms + instant_zone_offset_ms(zone, at_ms);
    int64_t day = floor_days(local_ms);
    int64_t minute = (local_ms - day * INSTANT_DAY_MS) / INSTANT_MINUTE_MS;
    bool is_over_night = quiet->from_minute > quiet->to_minute;
    bool is_evening = minute >= quiet->from_minute;
    bool is_morning = minute < quiet->to_minute;
    if (is_over_night ? !is_evening && !is_morning : !is_evening || !is_morning) {
        return INSTANT_NONE;
    }
    int64_t end_day = is_over_night && is_evening ? day + 1 : day;
    int64_t end_ms =
        from_local(zone, end_day * INSTANT_DAY_MS + quiet->to_minute * INSTANT_MINUTE_MS);
    /* The clock was put back over the end: the first of two is gone already. */
    return end_ms > at_ms ? end_ms : INSTANT_NONE;
}

/* --- held out ---------------------------------------------------------------- */

bool gates_holds_out(const struct trigger *trigger, struct id workspace_id, struct id profile_id)
{
    const struct id ids[] = { workspace_id, trigger->id, profile_id };
    char text[HOLDOUT_BYTES_MAX];
    char hex[MD5_HEX_SIZE];
    uint64_t share = 0;
    if (trigger->holdout == 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char *part = text + i * ID_TEXT_SIZE;
        id_format(ids[i], part);
        part[ID_TEXT_SIZE - 1] = '/';
    }
    md5_hex((struct str){ text, sizeof(text) - 1 }, hex);
    for (size_t i = 0; i < 8; i++) {
        share = share * 16 + (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    }
    return share * 1000000 < (uint64_t)trigger->holdout << 32;
}

/* --- what was rung ------------------------------------------------------------- */

struct id rung_trigger_id(struct id trigger_id, enum trigger_mode mode)
{
    struct id_hash hash;
    if (mode != TRIGGER_DRAFT) {
        return trigger_id;
    }
    id_hash_begin(&hash, "draft");
    id_hash_add_id(&hash, trigger_id);
    return id_hash_end(&hash);
}

struct rung rung_none(void)
{
    return (struct rung){ .last_at_ms = INSTANT_NONE, .window_at_ms = INSTANT_NONE };
}

bool rung_join(struct arena *arena, struct rung *rung, const struct rung *other)
{
    size_t count = rung->recent_count + other->recent_count;
    int64_t *recent = ARENA_NEW_ARRAY(arena, count + 1, int64_t);
    size_t a = 0;
    size_t b = 0;
    if (recent == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool is_ours = b == other->recent_count ||
                       (a < rung->recent_count && rung->recent[a] <= other->recent[b]);
        recent[i] = is_ours ? rung->recent[a++] : other->recent[b++];
    }
    rung->recent = recent;
    rung->recent_count = count;
    rung->count += other->count;
    rung->last_at_ms = rung->last_at_ms > other->last_at_ms ? rung->last_at_ms : other->last_at_ms;
    return true;
}

bool rung_add(struct arena *arena, struct rung *rung, int64_t at_ms, size_t keep, int64_t window_ms)
{
    const struct rung one = {
        .last_at_ms = at_ms, .count = 1, .recent = &at_ms, .recent_count = keep > 0 ? 1 : 0
    };
    if (!rung_join(arena, rung, &one)) {
        return false;
    }
    size_t over = rung->recent_count > keep ? rung->recent_count - keep : 0;
    rung->recent += over;
    rung->recent_count -= over;
    if (window_ms > 0) {
        bool is_new = rung->window_at_ms == INSTANT_NONE || at_ms - rung->window_at_ms >= window_ms;
        rung->window_at_ms = is_new ? at_ms : rung->window_at_ms;
        rung->window_count = is_new ? 1 : rung->window_count + 1;
    }
    return true;
}

bool rung_is_full(const struct rung *rung, struct trigger_cap cap, int64_t at_ms)
{
    int64_t count = 0;
    for (size_t i = rung->recent_count; i > 0; i--) {
        count += at_ms - rung->recent[i - 1] < cap.per_ms ? 1 : 0;
    }
    return count >= cap.count;
}

bool rung_window_is_full(const struct rung *rung, struct trigger_cap cap, int64_t at_ms)
{
    bool is_open = rung->window_at_ms != INSTANT_NONE && at_ms - rung->window_at_ms < cap.per_ms;
    return is_open && rung->window_count >= cap.count;
}

/* --- asking ------------------------------------------------------------------ */

static bool is_cooling(const struct rung *rung, int64_t cooldown_ms, int64_t at_ms)
{
    return rung != NULL && rung->last_at_ms != INSTANT_NONE &&
           at_ms - rung->last_at_ms < cooldown_ms;
}

enum trigger_outcome gates_ask(const struct trigger *trigger, const struct gates_record *record,
                               int64_t at_ms, bool is_held_out)
{
    const struct rung *of_cooldown =
        trigger->cooldown_per == TRIGGER_PER_PROFILE ? record->profile : record->part;
    if (trigger->once && record->profile != NULL && record->profile->count > 0) {
        return OUTCOME_COOLED_DOWN;
    }
    if (trigger->cooldown_ms > 0 && is_cooling(of_cooldown, trigger->cooldown_ms, at_ms)) {
        return OUTCOME_COOLED_DOWN;
    }
    if (trigger->profile_cap.count > 0 && record->profile != NULL &&
        rung_is_full(record->profile, trigger->profile_cap, at_ms)) {
        return OUTCOME_CAPPED;
    }
    if (record->channel != NULL && record->channel_cap.count > 0 &&
        rung_is_full(record->channel, record->channel_cap, at_ms)) {
        return OUTCOME_CAPPED;
    }
    if (record->total != NULL && rung_window_is_full(record->total, trigger->total_cap, at_ms)) {
        return OUTCOME_CAPPED;
    }
    return is_held_out ? OUTCOME_HELD_OUT : OUTCOME_NOTIFIED;
}
