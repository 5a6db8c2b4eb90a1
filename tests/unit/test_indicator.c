#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "core/profile/indicator.h"
#include "unit.h"

enum {
    ARENA_BYTES = 4 * 1024 * 1024,
    ACTS_KEPT = 64,
    ORDERS_KEPT = 32,
};

/* 2026-11-22T14:03:07.000Z, a Sunday */
#define NOW_MS INT64_C(1795356187000)
#define HALF_LIFE_MS (14 * INSTANT_DAY_MS)
#define POINT INT64_C(1000000)

struct fixture {
    struct arena *arena;
    struct indicators indicators;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.arena = arena_create(ARENA_BYTES);
    indicators_init(&fixture.indicators);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_destroy(fixture->arena);
    return 0;
}

static struct event mail(enum event_type type, int64_t at_ms, uint8_t id)
{
    return (struct event){
        .type = type, .occurred_at_ms = at_ms, .act = true, .id = { .bytes = { [7] = id } }
    };
}

static bool add(struct fixture *fixture, enum event_type type, int64_t at_ms, uint8_t id)
{
    struct event event = mail(type, at_ms, id);
    bool failed = false;
    bool is_news = indicators_add_event(fixture->arena, &fixture->indicators, &event, &failed);
    assert_false(failed);
    return is_news;
}

static struct order order_at(const char *ref, int64_t at_ms, const char *body)
{
    return (struct order){ .source_id = { .bytes = { 1 } },
                           .order_ref = str_from_z(ref),
                           .placed_at_ms = at_ms,
                           .has_body = true,
                           .body_json = str_from_z(body) };
}

static void place(struct fixture *fixture, const char *ref, int64_t at_ms, const char *body)
{
    struct order order = order_at(ref, at_ms, body);
    assert_true(indicators_add_order(fixture->arena, &fixture->indicators, &order));
}

static void cancel(struct fixture *fixture, const char *ref, int64_t at_ms)
{
    struct order order = order_at(ref, at_ms, "{}");
    assert_true(indicators_remove_order(fixture->arena, &fixture->indicators, &order));
}

/* Orders "0" to count - 1, a day apart, the last one at NOW_MS. */
static void place_many(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        const char *ref = str_printf(fixture->arena, "%d", i).data;
        place(fixture, ref, NOW_MS - (count - 1 - i) * INSTANT_DAY_MS, "{}");
    }
}

/* ---- engagement ---- */

static void only_mail_of_people_counts(void **state)
{
    struct fixture *fixture = *state;
    int64_t score = -1;
    assert_false(add(fixture, EVENT_PRODUCT_VIEWED, NOW_MS, 1));
    assert_false(add(fixture, EVENT_EMAIL_DELIVERED, NOW_MS, 2));
    assert_false(add(fixture, EVENT_EMAIL_UNSUBSCRIBED, NOW_MS, 3));
    bool failed = false;
    struct event machine = mail(EVENT_EMAIL_OPENED, NOW_MS, 4);
    machine.act = false;
    assert_false(indicators_add_event(fixture->arena, &fixture->indicators, &machine, &failed));
    assert_false(engagement_score(&fixture->indicators, NOW_MS, &score));
    assert_int_equal(score, -1);
    assert_int_equal(fixture->indicators.last_opened_at_ms, INSTANT_NONE);
    int64_t until_ms = 0;
    assert_null(engagement_level(&fixture->indicators, NOW_MS, &until_ms));
    assert_true(until_ms == INSTANT_NEVER);
    assert_true(engagement_crossing(&fixture->indicators, NOW_MS, POINT, true) == INSTANT_NEVER);
}

static void acts_weigh_and_fade(void **state)
{
    struct fixture *fixture = *state;
    int64_t score = 0;
    assert_true(add(fixture, EVENT_EMAIL_OPENED, NOW_MS, 1));
    assert_true(engagement_score(&fixture->indicators, NOW_MS, &score));
    assert_int_equal(score, POINT);
    assert_true(add(fixture, EVENT_EMAIL_CLICKED, NOW_MS, 2));
    static const struct {
        int64_t age_ms;
        int64_t score;
        const char *why;
    } rows[] = {
        { 0, 4 * POINT, "an open and a click" },
        { -1000, 4 * POINT, "a clock that is behind sees no more" },
        { HALF_LIFE_MS, 2 * POINT, "half after 14 days, exactly" },
        { 2 * HALF_LIFE_MS, POINT, "a quarter after 28" },
        { 20 * HALF_LIFE_MS, 4, "each share is rounded: 0.95 and 2.86 millionths" },
        { 21 * HALF_LIFE_MS, 1, "0.48 is nothing, 1.43 is one" },
        { 23 * HALF_LIFE_MS, 0, "nothing is left" },
        { 1000 * HALF_LIFE_MS, 0, "nor ever after" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(engagement_score(&fixture->indicators, NOW_MS + rows[i].age_ms, &score),
                   rows[i].why);
        assert_row(score == rows[i].score, rows[i].why);
    }
}

/* The table against the formula; floats are good enough to find a wrong row. */
static void follows_the_curve(void **state)
{
    struct fixture *fixture = *state;
    assert_true(add(fixture, EVENT_EMAIL_OPENED, NOW_MS, 1));
    int64_t before = POINT + 1;
    double worst = 0;
    for (int64_t age_ms = 0; age_ms < 3 * HALF_LIFE_MS; age_ms += 7 * INSTANT_MINUTE_MS + 1) {
        int64_t score = 0;
        assert_true(engagement_score(&fixture->indicators, NOW_MS + age_ms, &score));
        double exact = 1e6 * exp2(-(double)age_ms / (double)HALF_LIFE_MS);
        double error = fabs((double)score - exact);
        worst = error > worst ? error : worst;
        assert_true(score <= before);
        before = score;
    }
    if (worst > 1.8) {
        fail_msg("off by %f millionths", worst);
    }
}

static void only_the_newest_acts_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    assert_true(add(fixture, EVENT_EMAIL_OPENED, NOW_MS - INSTANT_DAY_MS, 200));
    for (uint8_t i = 0; i < ACTS_KEPT; i++) {
        assert_int_equal(indicators->act_count, i + 1);
        assert_true(add(fixture, EVENT_EMAIL_CLICKED, NOW_MS, i));
    }
    assert_int_equal(indicators->act_count, ACTS_KEPT);
    for (size_t i = 0; i < ACTS_KEPT; i++) {
        assert_true(indicators->acts[i].is_click);
        assert_int_equal(indicators->acts[i].id, ACTS_KEPT - 1 - i);
    }
    /* The open fell out, but it was the last one. */
    assert_true(indicators->last_opened_at_ms == NOW_MS - INSTANT_DAY_MS);
    assert_false(add(fixture, EVENT_EMAIL_OPENED, NOW_MS - 2 * INSTANT_DAY_MS, 1));
    assert_true(add(fixture, EVENT_EMAIL_OPENED, NOW_MS - 1, 1));
    assert_true(indicators->last_opened_at_ms == NOW_MS - 1);
    assert_true(indicators->acts[ACTS_KEPT - 1].is_click);
    /* One that is there already is no news. */
    assert_false(add(fixture, EVENT_EMAIL_CLICKED, NOW_MS, 5));
    assert_int_equal(indicators->act_count, ACTS_KEPT);
}

static void a_crossing_is_exact(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    for (uint8_t i = 0; i < 5; i++) {
        assert_true(add(fixture, EVENT_EMAIL_CLICKED, NOW_MS - i * INSTANT_HOUR_MS, i));
    }
    static const int64_t thresholds[] = { 14 * POINT, 10 * POINT, 3 * POINT, 1234567, 5, 1 };
    for (size_t i = 0; i < ARRAY_COUNT(thresholds); i++) {
        for (int or_equal = 0; or_equal < 2; or_equal++) {
            int64_t before = 0;
            int64_t after = 0;
            int64_t at_ms = engagement_crossing(indicators, NOW_MS, thresholds[i], or_equal);
            assert_true(at_ms > NOW_MS && at_ms < INSTANT_NEVER);
            assert_true(engagement_score(indicators, at_ms - 1, &before));
            assert_true(engagement_score(indicators, at_ms, &after));
            if (or_equal) {
                assert_true(before >= thresholds[i] && after < thresholds[i]);
            } else {
                assert_true(before > thresholds[i] && after <= thresholds[i]);
            }
            /* From there on it stays below. */
            assert_true(engagement_crossing(indicators, at_ms, thresholds[i], or_equal) ==
                        INSTANT_NEVER);
        }
    }
    assert_true(engagement_crossing(indicators, NOW_MS, 16 * POINT, true) == INSTANT_NEVER);
    assert_true(engagement_crossing(indicators, NOW_MS, 0, true) == INSTANT_NEVER);
    assert_true(engagement_crossing(indicators, NOW_MS, 0, false) < INSTANT_NEVER);
    assert_true(engagement_crossing(indicators, NOW_MS, -1, false) == INSTANT_NEVER);
}

static void levels_say_until_when(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    for (uint8_t i = 0; i < 4; i++) {
        assert_true(add(fixture, EVENT_EMAIL_CLICKED, NOW_MS, i));
    }
    int64_t medium_ms = 0;
    int64_t low_ms = 0;
    int64_t never_ms = 0;
    assert_string_equal(engagement_level(indicators, NOW_MS, &medium_ms), "high");
    assert_string_equal(engagement_level(indicators, medium_ms - 1, NULL), "high");
    assert_string_equal(engagement_level(indicators, medium_ms, &low_ms), "medium");
    /* 3 points are medium still; rounding keeps them for a second or so. */
    assert_true(low_ms > NOW_MS + 2 * HALF_LIFE_MS && low_ms < NOW_MS + 2 * HALF_LIFE_MS + 5000);
    assert_string_equal(engagement_level(indicators, low_ms - 1, NULL), "medium");
    assert_string_equal(engagement_level(indicators, low_ms, &never_ms), "low");
    assert_true(never_ms == INSTANT_NEVER);
}

/* ---- orders ---- */

static void the_stage_turns_at_its_edges(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    int64_t until_ms = 0;
    int64_t median_ms = -1;
    place(fixture, "a", NOW_MS - 1007, "{}");
    place(fixture, "b", NOW_MS - 4, "{}");
    assert_false(cycle_median(indicators, &median_ms));
    assert_null(cycle_stage(indicators, NOW_MS, &until_ms));
    assert_true(until_ms == INSTANT_NEVER && median_ms == -1);
    place(fixture, "c", NOW_MS, "{}");
    /* 1003 and 4: the mean of both, cut. */
    assert_true(cycle_median(indicators, &median_ms));
    assert_int_equal(median_ms, 503);
    static const struct {
        int64_t elapsed_ms;
        const char *stage;
        int64_t until_ms; /* after the last order; 0: never */
        const char *why;
    } rows[] = {
        { -5, "early", 403, "asked about an instant before the last order" },
        { 0, "early", 403, "just bought" },
        { 402, "early", 403, "0.8 of 503 is 402.4" },
        { 403, "due", 755, "the first millisecond beyond" },
        { 754, "due", 755, "1.5 of 503 is 754.5" },
        { 755, "overdue", 0, "more than that" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *stage = cycle_stage(indicators, NOW_MS + rows[i].elapsed_ms, &until_ms);
        int64_t wanted_ms = rows[i].until_ms == 0 ? INSTANT_NEVER : NOW_MS + rows[i].until_ms;
        assert_row(strcmp(stage, rows[i].stage) == 0, rows[i].why);
        assert_row(until_ms == wanted_ms, rows[i].why);
    }
}

/* 1000 ms: 0.8 and 1.5 of it are whole, and belong to due. */
static void whole_edges_belong_to_due(void **state)
{
    struct fixture *fixture = *state;
    place(fixture, "a", NOW_MS - 2000, "{}");
    place(fixture, "b", NOW_MS - 1000, "{}");
    place(fixture, "c", NOW_MS, "{}");
    static const struct {
        int64_t elapsed_ms;
        const char *stage;
    } rows[] = { { 799, "early" }, { 800, "due" }, { 1500, "due" }, { 1501, "overdue" } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_string_equal(cycle_stage(&fixture->indicators, NOW_MS + rows[i].elapsed_ms, NULL),
                            rows[i].stage);
    }
}

static void the_median_is_of_intervals(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t ages_ms[] = { 0, 10, 30, 130, 135 }; /* 10, 20, 100, 5 */
    for (size_t i = 0; i < ARRAY_COUNT(ages_ms); i++) {
        const char *ref = str_printf(fixture->arena, "%zu", i).data;
        place(fixture, ref, NOW_MS - ages_ms[i], "{}");
    }
    int64_t median_ms = 0;
    assert_true(cycle_median(&fixture->indicators, &median_ms));
    assert_int_equal(median_ms, 15);
    cancel(fixture, "4", NOW_MS - 135);
    assert_true(cycle_median(&fixture->indicators, &median_ms));
    assert_int_equal(median_ms, 20);
}

static void orders_of_one_instant_have_no_cycle(void **state)
{
    struct fixture *fixture = *state;
    int64_t median_ms = 0;
    place(fixture, "a", NOW_MS, "{}");
    place(fixture, "b", NOW_MS, "{}");
    place(fixture, "c", NOW_MS, "{}");
    assert_int_equal(fixture->indicators.order_count, 3);
    assert_false(cycle_median(&fixture->indicators, &median_ms));
    assert_null(cycle_stage(&fixture->indicators, NOW_MS, NULL));
}

static void habits_are_the_most_frequent(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    struct habits habits;
    habits_of(indicators, NULL, &habits);
    assert_null(habits.top_weekday);
    assert_int_equal(habits.top_hour, -1);
    assert_int_equal(habits.top_channel.size, 0);

    /* Fridays 23:30 twice and a Monday 09:00, which is the newest. */
    static const int64_t friday_ms = 1794008000000 - 1794008000000 % INSTANT_DAY_MS;
    const int64_t late_ms = 23 * INSTANT_HOUR_MS + 30 * INSTANT_MINUTE_MS;
    int64_t base_ms = friday_ms;
    while (((base_ms / INSTANT_DAY_MS) + 4) % 7 != 5) {
        base_ms += INSTANT_DAY_MS;
    }
    place(fixture, "a", base_ms + late_ms, "{\"channel\":\"pos\",\"location\":\"Paris 11\"}");
    place(fixture, "b", base_ms + 7 * INSTANT_DAY_MS + late_ms,
          "{\"channel\": \"web\", \"platform\": \"ios\"}");
    place(fixture, "c", base_ms + 10 * INSTANT_DAY_MS + 9 * INSTANT_HOUR_MS,
          "{\"channel\":\"pos\",\"location\":36892}");
    habits_of(indicators, NULL, &habits);
    assert_string_equal(habits.top_weekday, "friday");
    assert_int_equal(habits.top_hour, 23);
    assert_str_equal(habits.top_channel, STR("pos"));
    assert_str_equal(habits.top_platform, STR("ios"));
    assert_str_equal(habits.top_place, STR("36892")); /* a tie: the newest */
    habits_of(indicators, instant_zone("Europe/Paris"), &habits);
    assert_string_equal(habits.top_weekday, "saturday");
    assert_int_equal(habits.top_hour, 0);
}

static void weekdays_have_their_names(void **state)
{
    (void)state;
    static const struct {
        int64_t at_ms;
        const char *name;
        int hour;
    } rows[] = {
        { 0, "thursday", 0 },
        { -1, "wednesday", 23 },
        { NOW_MS, "sunday", 14 },
        { NOW_MS + INSTANT_DAY_MS, "monday", 14 },
        { NOW_MS + 2 * INSTANT_DAY_MS, "tuesday", 14 },
        { NOW_MS + 5 * INSTANT_DAY_MS, "friday", 14 },
        { NOW_MS + 6 * INSTANT_DAY_MS, "saturday", 14 },
        { -8 * INSTANT_DAY_MS, "wednesday", 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct indicator_order order = { .at_ms = rows[i].at_ms };
        struct indicators indicators = { .orders = &order, .order_count = 1 };
        struct habits habits;
        habits_of(&indicators, NULL, &habits);
        assert_string_equal(habits.top_weekday, rows[i].name);
        assert_int_equal(habits.top_hour, rows[i].hour);
    }
}

static void reads_where_an_order_was_placed(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *body;
        const char *channel;
        const char *why;
    } rows[] = {
        { "{\"channel\":\"web\"}", "web", "plain" },
        { "{\"products\":[{\"channel\":\"x\"}],\"channel\" : \"web\"}", "web", "not a product's" },
        { "{\"channel\":\"caf\\u00e9 \\\"M\\\"\"}", "caf\xc3\xa9 \"M\"", "escapes" },
        { "{\"channel\":7}", "7", "a number" },
        { "{\"channel\":null}", "", "null is unknown" },
        { "{\"channel\":\"\"}", "", "empty is unknown" },
        { "{\"channel\":{\"a\":1}}", "", "an object is unknown" },
        { "{}", "", "not there" },
        { "", "", "no body" },
        { "{\"channel\":\"we", "", "cut off" },
        { "{\"channel\":\"0123456789012345678901234567890123456789012345678\"}",
          "012345678901234567890123456789012345678901234567", "49 bytes are cut to 48" },
        { "{\"channel\":\"01234567890123456789012345678901234567890123456\xc3\xa9\"}",
          "01234567890123456789012345678901234567890123456", "never within a character" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        indicators_init(&fixture->indicators);
        place(fixture, "a", NOW_MS, rows[i].body);
        assert_row(str_equal_z(fixture->indicators.orders[0].channel, rows[i].channel),
                   rows[i].why);
    }
}

static void an_order_comes_and_goes(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    place_many(fixture, 3);
    cancel(fixture, "1", NOW_MS - INSTANT_DAY_MS);
    assert_int_equal(indicators->order_count, 2);
    assert_true(indicators->orders[1].at_ms == NOW_MS - 2 * INSTANT_DAY_MS);
    assert_false(indicators->is_incomplete);
    cancel(fixture, "unheard of", NOW_MS);
    assert_int_equal(indicators->order_count, 2);
    cancel(fixture, "0", NOW_MS - 2 * INSTANT_DAY_MS);
    cancel(fixture, "2", NOW_MS);
    assert_int_equal(indicators->order_count, 0);
    assert_false(indicators->is_incomplete);
    /* Never placed: never kept. */
    place(fixture, "x", INSTANT_NONE, "{}");
    cancel(fixture, "x", INSTANT_NONE);
    assert_int_equal(indicators->order_count, 0);
}

static void knows_when_it_no_longer_knows(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    place_many(fixture, ORDERS_KEPT);
    assert_true(indicators->dropped_order_ms == INSTANT_NONE);
    int64_t oldest_ms = indicators->orders[ORDERS_KEPT - 1].at_ms;
    place(fixture, "new", NOW_MS + 1, "{}");
    assert_int_equal(indicators->order_count, ORDERS_KEPT);
    assert_true(indicators->dropped_order_ms == oldest_ms);
    assert_false(indicators->is_incomplete);
    /* What was thrown away may go unnoticed. */
    cancel(fixture, "0", oldest_ms);
    assert_false(indicators->is_incomplete);
    cancel(fixture, "new", NOW_MS + 1);
    assert_int_equal(indicators->order_count, ORDERS_KEPT - 1);
    assert_true(indicators->is_incomplete);
    /* It cannot be told whether this one or another is the 32nd. */
    place(fixture, "old", oldest_ms, "{}");
    place(fixture, "older", oldest_ms - 1, "{}");
    assert_int_equal(indicators->order_count, ORDERS_KEPT - 1);
    assert_true(indicators->is_incomplete);
    /* This one can: the list is whole again. */
    place(fixture, "younger", oldest_ms + 1, "{}");
    assert_int_equal(indicators->order_count, ORDERS_KEPT);
    assert_false(indicators->is_incomplete);
}

static void says_when_the_arena_is_full(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(8);
    struct event event = mail(EVENT_EMAIL_OPENED, NOW_MS, 1);
    struct order order = order_at("a", NOW_MS, "{\"channel\":\"web\"}");
    bool failed = false;
    assert_false(indicators_add_event(small, &fixture->indicators, &event, &failed));
    assert_true(failed);
    assert_int_equal(fixture->indicators.act_count, 0);
    assert_true(fixture->indicators.last_opened_at_ms == INSTANT_NONE);
    assert_false(indicators_add_order(small, &fixture->indicators, &order));
    assert_int_equal(fixture->indicators.order_count, 0);
    place_many(fixture, 2);
    struct order kept = order_at("1", NOW_MS, "{}");
    assert_false(indicators_remove_order(small, &fixture->indicators, &kept));
    struct indicators other = fixture->indicators;
    assert_false(indicators_absorb(small, &other, &fixture->indicators));
    assert_int_equal(other.order_count, 2);
}

/* ---- bytes ---- */

static struct str encode(struct fixture *fixture, const struct indicators *indicators)
{
    struct buf buf;
    buf_init(&buf, fixture->arena, 64u * 1024);
    assert_true(indicators_encode(indicators, &buf));
    return buf_str(&buf);
}

static void bytes_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct indicators *indicators = &fixture->indicators;
    assert_int_equal(encode(fixture, indicators).size, 4);
    for (uint8_t i = 0; i < ACTS_KEPT + 3; i++) {
        add(fixture, i < 3 ? EVENT_EMAIL_OPENED : EVENT_EMAIL_CLICKED, NOW_MS + i, i);
    }
    place_many(fixture, ORDERS_KEPT + 1);
    place(fixture, "x", NOW_MS + 5, "{\"channel\":\"web\",\"location\":\"web\"}");
    cancel(fixture, "5", NOW_MS - 27 * INSTANT_DAY_MS);
    assert_true(indicators->is_incomplete);
    struct str bytes = encode(fixture, indicators);
    struct str rest = str_printf(fixture->arena, "%s", "");
    struct buf buf;
    buf_init(&buf, fixture->arena, 64u * 1024);
    buf_add_str(&buf, bytes);
    buf_add_z(&buf, "tail");
    rest = buf_str(&buf);
    struct indicators again;
    assert_true(indicators_decode(fixture->arena, &rest, &again));
    assert_str_equal(rest, STR("tail"));
    assert_true(again.last_opened_at_ms == NOW_MS + 2);
    assert_true(again.last_clicked_at_ms == NOW_MS + ACTS_KEPT + 2);
    assert_true(again.dropped_order_ms == indicators->dropped_order_ms);
    assert_true(again.is_incomplete);
    assert_int_equal(again.order_count, indicators->order_count);
    assert_str_equal(again.orders[0].channel, STR("web"));
    assert_str_equal(again.orders[0].place, STR("web"));
    assert_int_equal(again.orders[0].platform.size, 0);
    assert_int_equal(again.acts[3].id, indicators->acts[3].id);
    assert_str_equal(encode(fixture, &again), bytes);
}

/* A last open that the list shows is not written again: one value, one form. */
static void a_last_open_stands_once(void **state)
{
    struct fixture *fixture = *state;
    for (uint8_t i = 0; i < ACTS_KEPT; i++) {
        add(fixture, EVENT_EMAIL_OPENED, NOW_MS, i);
    }
    struct str bytes = encode(fixture, &fixture->indicators);
    struct buf buf;
    buf_init(&buf, fixture->arena, 64u * 1024);
    buf_add(&buf, "\x01\x01", 2);
    buf_add_str(&buf, str_drop(bytes, 2));
    buf_add_char(&buf, '\0'); /* 1970 */
    struct str rest = buf_str(&buf);
    struct indicators again;
    assert_false(indicators_decode(fixture->arena, &rest, &again));
    assert_true(indicators_decode(fixture->arena, &bytes, &again));
}

static void the_largest_stays_small(void **state)
{
    struct fixture *fixture = *state;
    for (uint8_t i = 0; i < ACTS_KEPT; i++) {
        add(fixture, EVENT_EMAIL_OPENED, NOW_MS - i * 400 * INSTANT_DAY_MS, i);
    }
    for (int i = 0; i < ORDERS_KEPT; i++) {
        char body[400];
        snprintf(body, sizeof(body),
                 "{\"channel\":\"a%060d\",\"platform\":\"b%060d\",\"location\":\"c%060d\"}", i, i,
                 i);
        /* The digits that differ must survive the cut. */
        for (size_t at = 0; body[at] != '\0'; at++) {
            body[at] = body[at] == '0' ? (char)('A' + i) : body[at];
        }
        const char *ref = str_printf(fixture->arena, "%d", i).data;
        place(fixture, ref, NOW_MS - i * 400 * INSTANT_DAY_MS,
              str_dup_z(fixture->arena, str_from_z(body)));
    }
    struct str bytes = encode(fixture, &fixture->indicators);
    assert_true(bytes.size > 6000 && bytes.size < 7000);
}

/* STR, where a constant is needed. */
#define BYTES(literal)                  \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static void impossible_bytes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct str bytes;
        const char *why;
    } rows[] = {
        { BYTES(""), "nothing" },
        { BYTES("\x02\x00\x00\x00"), "another version" },
        { BYTES("\x01\x10\x00\x00"), "an unknown flag" },
        { BYTES("\x01\x00\x00"), "cut" },
        { BYTES("\x01\x00\x7f\x00"), "more acts than bytes" },
        { BYTES("\x01\x08\x00\x00"), "incomplete without having thrown away" },
        { BYTES("\x01\x04\x00\x00\x00"), "one thrown away, the list neither full nor incomplete" },
        { BYTES("\x01\x01\x00\x00\x00"), "a last open where the list was never full" },
        { BYTES("\x01\x00\x02\x02"
                "AAAAAAAA\x00"
                "AAAAAAAA\x00"),
          "the same act twice" },
        { BYTES("\x01\x00\x02\x02"
                "AAAAAAAA\x00"
                "BBBBBBBB\x00"),
          "ids of one instant in the wrong order" },
        { BYTES("\x01\x00\x00\x01\x02"
                "AAAAAAAA\x02\x00\x00"),
          "a text that was not introduced" },
        { BYTES("\x01\x00\x00\x01\x02"
                "AAAAAAAA\x01\x00\x00\x00"),
          "an empty text" },
        { BYTES("\x01\x00\x00\x01\x02"
                "AAAAAAAA\x01\x01x\x02\x01x\x00"),
          "a text introduced twice" },
        { BYTES("\x01\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                "AAAAAAAA\x00\x00\x00"),
          "before the year 1" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str rest = rows[i].bytes;
        struct indicators untouched = { .act_count = 77 };
        assert_row(!indicators_decode(fixture->arena, &rest, &untouched), rows[i].why);
        assert_row(untouched.act_count == 77 && rest.size == rows[i].bytes.size, rows[i].why);
    }
    /* The forms that the refused ones are one step away from. */
    static const struct {
        struct str bytes;
    } good[] = {
        { BYTES("\x01\x00\x02\x02"
                "BBBBBBBB\x00"
                "AAAAAAAA\x00") },
        { BYTES("\x01\x00\x00\x01\x02"
                "AAAAAAAA\x01\x01x\x02\x01y\x01") },
        { BYTES("\x01\x0c\x00\x00\x00") },
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct str rest = good[i].bytes;
        struct indicators read;
        assert_true(indicators_decode(fixture->arena, &rest, &read));
        assert_int_equal(rest.size, 0);
        assert_str_equal(encode(fixture, &read), good[i].bytes);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_mail_of_people_counts),
        TEST(acts_weigh_and_fade),
        TEST(follows_the_curve),
        TEST(only_the_newest_acts_are_kept),
        TEST(a_crossing_is_exact),
        TEST(levels_say_until_when),
        TEST(the_stage_turns_at_its_edges),
        TEST(whole_edges_belong_to_due),
        TEST(the_median_is_of_intervals),
        TEST(orders_of_one_instant_have_no_cycle),
        TEST(habits_are_the_most_frequent),
        TEST(weekdays_have_their_names),
        TEST(reads_where_an_order_was_placed),
        TEST(an_order_comes_and_goes),
        TEST(knows_when_it_no_longer_knows),
        TEST(says_when_the_arena_is_full),
        TEST(bytes_come_back),
        TEST(a_last_open_stands_once),
        TEST(the_largest_stays_small),
        TEST(impossible_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
