#include <pthread.h>

#include "base/instant.h"
#include "unit.h"

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        bool has_offset;
        int64_t ms;
        const char *why;
    } rows[] = {
        { "2026-11-22T14:03:07.120Z", true, true, 1795356187120, "our own form" },
        { "2026-11-22T14:03:07Z", true, true, 1795356187000, "no fraction" },
        { "2026-11-22t14:03:07z", true, true, 1795356187000, "lower case" },
        { "2026-11-22 14:03:07Z", true, true, 1795356187000, "a space for the T" },
        { "2026-11-22T14:03:07.1Z", true, true, 1795356187100, "one digit is tenths" },
        { "2026-11-22T14:03:07.1209999999999999999999Z", true, true, 1795356187120, "cut" },
        { "2026-11-22T14:03:07+05:30", true, true, 1795336387000, "east is earlier" },
        { "2026-11-22T08:33:07-05:30", true, true, 1795356187000, "west is later" },
        { "2026-11-22T14:03:07-00:00", true, true, 1795356187000, "unknown offset is UTC" },
        { "2026-11-22T14:03:07", true, false, 1795356187000, "read as UTC" },
        { "1969-12-31T23:59:59.999Z", true, true, -1, "before 1970" },
        { "1969-12-31T23:59:59.9999Z", true, true, -1, "cut towards the past" },
        { "2024-02-29T12:00:00Z", true, true, 1709208000000, "leap day" },
        { "2000-02-29T00:00:00Z", true, true, 951782400000, "leap century" },
        { "2016-12-31T23:59:60Z", true, true, 1483228800000, "leap second" },
        { "0001-01-01T00:00:00Z", true, true, -62135596800000, "the first" },
        { "9999-12-31T23:59:59.999Z", true, true, 253402300799999, "the last" },
        { "0000-12-31T23:59:59Z", false, false, 0, "year zero" },
        { "0001-01-01T00:00:00+00:01", false, false, 0, "before the first" },
        { "9999-12-31T23:59:59-00:01", false, false, 0, "behind the last" },
        { "2023-02-29T12:00:00Z", false, false, 0, "no leap year" },
        { "1900-02-29T12:00:00Z", false, false, 0, "no leap century" },
        { "2026-13-01T00:00:00Z", false, false, 0, "month 13" },
        { "2026-00-01T00:00:00Z", false, false, 0, "month 0" },
        { "2026-04-31T00:00:00Z", false, false, 0, "April 31" },
        { "2026-04-00T00:00:00Z", false, false, 0, "day 0" },
        { "2026-04-01T24:00:00Z", false, false, 0, "hour 24" },
        { "2026-04-01T23:60:00Z", false, false, 0, "minute 60" },
        { "2026-04-01T23:59:61Z", false, false, 0, "second 61" },
        { "2026-04-01T23:59:59.Z", false, false, 0, "point without digits" },
        { "2026-04-01T23:59:59,5Z", false, false, 0, "comma" },
        { "2026-04-01T23:59Z", false, false, 0, "no seconds" },
        { "2026-04-01", false, false, 0, "date alone" },
        { "2026-4-1T00:00:00Z", false, false, 0, "short digits" },
        { "2026-04-01T00:00:00+0530", false, false, 0, "offset without colon" },
        { "2026-04-01T00:00:00+24:00", false, false, 0, "offset of a day" },
        { "2026-04-01T00:00:00+05:60", false, false, 0, "offset minute 60" },
        { "2026-04-01T00:00:00Zx", false, false, 0, "something behind it" },
        { " 2026-04-01T00:00:00Z", false, false, 0, "something before it" },
        { "+026-04-01T00:00:00Z", false, false, 0, "sign for a digit" },
        { "1795356187120", false, false, 0, "a number" },
        { "", false, false, 0, "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t ms = 77;
        bool had_offset = !rows[i].has_offset;
        struct str text = str_from_z(rows[i].text);
        assert_row(instant_parse(text, false, &ms, &had_offset) == rows[i].good, rows[i].why);
        assert_row(ms == (rows[i].good ? rows[i].ms : 77), rows[i].why);
        assert_row(!rows[i].good || had_offset == rows[i].has_offset, rows[i].why);
        bool strict = rows[i].good && rows[i].has_offset;
        assert_row(instant_parse(text, true, &ms, NULL) == strict, rows[i].why);
    }
}

static void no_prefix_of_an_instant_is_one(void **state)
{
    (void)state;
    struct str text = STR("2026-11-22T14:03:07.120+05:30");
    for (size_t size = 0; size < text.size; size++) {
        int64_t ms = 0;
        assert_false(instant_parse(str_take(text, size), true, &ms, NULL));
    }
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { 1795356187120, "2026-11-22T14:03:07.120Z" },
        { INSTANT_FIRST_MS, "2000-01-01T00:00:00.000Z" },
        { -62135596800000, "0001-01-01T00:00:00.000Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" },
        { INSTANT_NONE, "0001-01-01T00:00:00.000Z" },
        { INSTANT_NEVER, "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[INSTANT_TEXT_SIZE];
        instant_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void text_and_back(void **state)
{
    (void)state;
    for (int64_t ms = -62135596800000; ms < 253402300800000; ms += 98765432101) {
        char text[INSTANT_TEXT_SIZE];
        int64_t again = 0;
        instant_format(ms, text);
        assert_true(instant_parse(str_from_z(text), true, &again, NULL));
        assert_int_equal(again, ms);
    }
}

/* Each day of 1600 years follows the day before it. */
static void counts_days(void **state)
{
    (void)state;
    static const int lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t days = instant_days_from_civil(1200, 1, 1);
    assert_int_equal(instant_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(instant_days_from_civil(2000, 3, 1), 11017);
    for (int year = 1200; year < 2800; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= lengths[month - 1] + (leap && month == 2); day++) {
                int back[3] = { 0 };
                instant_civil_from_days(days, &back[0], &back[1], &back[2]);
                assert_true(instant_days_from_civil(year, month, day) == days);
                assert_true(back[0] == year && back[1] == month && back[2] == day);
                days++;
            }
        }
    }
}

static void reads_local_time(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int64_t local_ms;
        int64_t utc_ms;
        const char *why;
    } rows[] = {
        { "Europe/Paris", 1782907200000, 1782900000000, "summer" },
        { "Europe/Paris", 1767268800000, 1767265200000, "winter" },
        { "Europe/Paris", 1767268800007, 1767265200007, "milliseconds stay" },
        { "Europe/Paris", 1774751400000, 1774747800000, "02:30 of March 29 moves on" },
        { "Europe/Paris", 1792895400000, 1792888200000, "the first 02:30 of October 25" },
        { "Europe/Paris", 2855908800000, 2855901600000, "beyond the file's last transition" },
        { "Europe/Paris", -2208988800000, -2208989361000, "local mean time" },
        { "Europe/Paris", -2208988800001, -2208989361001, "milliseconds before 1970" },
        { "America/New_York", 1793496600000, 1793511000000, "the first 01:30, west" },
        { "Asia/Kolkata", 1767225600000, 1767205800000, "half an hour" },
        { "America/Sao_Paulo", 2524608000000, 2524618800000, "abolished its summer" },
        { "Australia/Lord_Howe", 2682374400000, 2682334800000, "half an hour of summer, south" },
        { "America/Nuuk", 2540246400000, 2540250000000, "a rule with a negative time" },
        { "Asia/Jerusalem", 2847528000000, 2847517200000, "a rule with 26 hours" },
        { "Pacific/Apia", 1325246400000, 1325282400000, "a whole day was skipped" },
        { "Africa/Casablanca", 4102444800000, 4102441200000, "a rule without summer" },
        { "UTC", 1767225600000, 1767225600000, "no offset" },
        { "Etc/GMT+5", 1767225600000, 1767243600000, "a sign in the name" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t utc_ms = 77;
        assert_row(instant_from_local(rows[i].local_ms, rows[i].zone, &utc_ms), rows[i].why);
        assert_row(utc_ms == rows[i].utc_ms, rows[i].why);
    }
}

static void tells_the_offset_of_an_instant(void **state)
{
    (void)state;
    const int64_t half_hour_ms = 30 * INSTANT_MINUTE_MS;
    static const int64_t SPRING_MS = 1774746000000; /* 2026-03-29T01:00:00Z */
    static const int64_t AUTUMN_MS = 1792890000000; /* 2026-10-25T01:00:00Z */
    const struct {
        const char *zone;
        int64_t at_ms;
        int64_t offset_ms;
        const char *why;
    } rows[] = {
        { "Europe/Paris", SPRING_MS - 1, INSTANT_HOUR_MS, "the last of winter" },
        { "Europe/Paris", SPRING_MS, 2 * INSTANT_HOUR_MS, "the first of summer" },
        { "Europe/Paris", AUTUMN_MS - 1, 2 * INSTANT_HOUR_MS, "the last of summer" },
        { "Europe/Paris", AUTUMN_MS, INSTANT_HOUR_MS, "the first of winter" },
        { "Europe/Paris", 2855901600000, 2 * INSTANT_HOUR_MS, "beyond the file's last transition" },
        { "Europe/Paris", -2208989361001, 561000, "local mean time, before 1970" },
        { "America/New_York", 1793512799999, -4 * INSTANT_HOUR_MS, "west, the last of summer" },
        { "America/New_York", 1793512800000, -5 * INSTANT_HOUR_MS, "west, the first of winter" },
        { "Asia/Kolkata", 1767205800000, 11 * half_hour_ms, "half an hour" },
        { "Australia/Lord_Howe", 2682334800000, 22 * half_hour_ms, "half an hour of summer" },
        { "UTC", 1767225600000, 0, "no offset" },
        { "Europe/Atlantis", SPRING_MS, 0, "no such zone" },
        { "", SPRING_MS, 0, "no name" },
        { NULL, SPRING_MS, 0, "no text" },
        { "Europe/Paris", INSTANT_NONE, 0, "no instant" },
        { "Europe/Paris", INSTANT_NEVER, 0, "never" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(instant_zone_offset_ms(instant_zone(rows[i].zone), rows[i].at_ms) ==
                       rows[i].offset_ms,
                   rows[i].why);
    }
}

static void refuses_what_is_no_zone(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "Europe",
        "Europe/Atlantis",
        "europe/paris/",
        "/usr/share/zoneinfo/UTC",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "Europe/Paris ",
        "Europe/Par\nis",
        "tzdata.zi",
        "zone.tab",
        "right/UTC/UTC",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        int64_t utc_ms = 77;
        assert_row(!instant_zone_exists(names[i]), names[i]);
        assert_row(!instant_from_local(0, names[i], &utc_ms), names[i]);
        assert_int_equal(utc_ms, 77);
    }
    assert_false(instant_zone_exists(NULL));
    int64_t utc_ms = 0;
    assert_false(instant_from_local(INSTANT_NONE, "UTC", &utc_ms));
    assert_false(instant_from_local(INSTANT_NEVER, "UTC", &utc_ms));
    assert_true(instant_zone_exists("Europe/Paris"));
}

/* More zones than the cache holds, from several threads at once. */
static void *ask_many_zones(void *failures)
{
    static const char *const signs[] = { "+", "-" };
    for (int turn = 0; turn < 20; turn++) {
        for (int hours = 1; hours <= 12; hours++) {
            for (int west = 0; west < 2; west++) {
                char zone[32];
                int64_t utc_ms = 0;
                snprintf(zone, sizeof(zone), "Etc/GMT%s%d", signs[!west], hours);
                int64_t offset_ms = (west ? hours : -hours) * INSTANT_HOUR_MS;
                if (!instant_from_local(0, zone, &utc_ms) || utc_ms != offset_ms) {
                    ++*(int *)failures;
                }
            }
        }
    }
    return NULL;
}

static void answers_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    int failures[ARRAY_COUNT(threads)] = { 0 };
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many_zones, &failures[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

static void outlives_its_cache(void **state)
{
    (void)state;
    static const char *const cities[] = {
        "Africa/Abidjan",      "Africa/Accra",         "Africa/Algiers",    "Africa/Bissau",
        "Africa/Cairo",        "Africa/Casablanca",    "Africa/Ceuta",      "Africa/El_Aaiun",
        "Africa/Juba",         "Africa/Johannesburg",  "Africa/Khartoum",   "Africa/Lagos",
        "Africa/Maputo",       "Africa/Monrovia",      "Africa/Nairobi",    "Africa/Ndjamena",
        "Africa/Sao_Tome",     "Africa/Tripoli",       "Africa/Tunis",      "Africa/Windhoek",
        "America/Adak",        "America/Anchorage",    "America/Araguaina", "America/Asuncion",
        "America/Bahia",       "America/Barbados",     "America/Belem",     "America/Belize",
        "America/Boa_Vista",   "America/Bogota",       "America/Boise",     "America/Cancun",
        "America/Caracas",     "America/Cayenne",      "America/Chicago",   "America/Chihuahua",
        "America/Cuiaba",      "America/Danmarkshavn", "America/Dawson",    "America/Denver",
        "America/Detroit",     "America/Edmonton",     "America/Eirunepe",  "America/El_Salvador",
        "America/Fortaleza",   "America/Glace_Bay",    "America/Goose_Bay", "America/Grand_Turk",
        "America/Guatemala",   "America/Guayaquil",    "America/Guyana",    "America/Halifax",
        "America/Havana",      "America/Hermosillo",   "America/Inuvik",    "America/Iqaluit",
        "America/Jamaica",     "America/Juneau",       "America/La_Paz",    "America/Lima",
        "America/Los_Angeles", "America/Maceio",       "America/Managua",   "America/Manaus",
        "America/Martinique",  "America/Matamoros",    "America/Mazatlan",  "America/Menominee",
        "America/Merida",      "America/Mexico_City",
    };
    assert_true(ARRAY_COUNT(cities) > 64);
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < ARRAY_COUNT(cities); i++) {
            assert_row(instant_zone_exists(cities[i]), cities[i]);
        }
    }
    int64_t utc_ms = 0;
    assert_true(instant_from_local(1782907200000, "Europe/Paris", &utc_ms));
    assert_int_equal(utc_ms, 1782900000000);
}

static void reads_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        bool in_configuration;
        int64_t ms;
        const char *written;
    } rows[] = {
        { "250ms", true, true, 250, "250ms" },
        { "90s", true, true, 90000, "90s" },
        { "30m", true, true, 1800000, "30m" },
        { "24h", true, true, 86400000, "1d" },
        { "7d", true, true, 604800000, "7d" },
        { "2w", true, true, 1209600000, "2w" },
        { "1000ms", true, true, 1000, "1s" },
        { "0s", true, true, 0, "0s" },
        { "0w", true, true, 0, "0s" },
        { "25mo", false, true, INT64_C(25) * 30 * 86400000, "750d" },
        { "9223372036854775807ms", true, true, INT64_MAX, "9223372036854775807ms" },
        { "9223372036854775808ms", false, false, 0, "" },
        { "9223372036854775807s", false, false, 0, "" },
        { "-1s", false, false, 0, "" },
        { "+1s", false, false, 0, "" },
        { "1.5h", false, false, 0, "" },
        { "1h30m", false, false, 0, "" },
        { "1 h", false, false, 0, "" },
        { "10", false, false, 0, "" },
        { "h", false, false, 0, "" },
        { "1y", false, false, 0, "" },
        { "1H", false, false, 0, "" },
        { "", false, false, 0, "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t ms = 77;
        struct str text = str_from_z(rows[i].text);
        assert_row(duration_parse(text, false, &ms) == rows[i].good, rows[i].text);
        assert_row(ms == (rows[i].good ? rows[i].ms : 77), rows[i].text);
        assert_row(duration_parse(text, true, &ms) == rows[i].in_configuration, rows[i].text);
        if (rows[i].in_configuration) {
            char written[24];
            duration_format(rows[i].ms, written);
            assert_int_equal(ms, rows[i].ms);
            assert_string_equal(written, rows[i].written);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(no_prefix_of_an_instant_is_one),
        cmocka_unit_test(formats),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(counts_days),
        cmocka_unit_test(reads_local_time),
        cmocka_unit_test(tells_the_offset_of_an_instant),
        cmocka_unit_test(refuses_what_is_no_zone),
        cmocka_unit_test(answers_threads),
        cmocka_unit_test(outlives_its_cache),
        cmocka_unit_test(reads_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
