#include "base/instant.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/*
 * Instants and durations as text.
 *
 * Invariant: only integers, and no call into the C library's calendar, whose
 * answers depend on TZ. Dates are counted in days from 1970-01-01 by eras of
 * 400 years (H. Hinnant's algorithms), exact for every year of four digits.
 * Time zones by name are in instant_zone.c.
 */

#define YEAR_FIRST_MS INT64_C(-62135596800000) /* 0001-01-01T00:00:00.000Z */
#define YEAR_LAST_MS INT64_C(253402300799999)  /* 9999-12-31T23:59:59.999Z */

enum {
    DAYS_PER_ERA = 146097,
    DAYS_TO_1970 = 719468, /* from 0000-03-01 */
};

struct reader {
    struct str left;
    bool failed;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int read_digits(struct reader *reader, size_t count)
{
    uint64_t value = 0;
    if (reader->left.size < count || !str_to_u64(str_take(reader->left, count), &value)) {
        reader->failed = true;
        return 0;
    }
    reader->left = str_drop(reader->left, count);
    return (int)value;
}

/* Takes one character if it is one of `set`; '\0' if not. */
static char read_one_of(struct reader *reader, const char *set)
{
    if (reader->left.size == 0 || reader->left.data[0] == '\0' ||
        strchr(set, reader->left.data[0]) == NULL) {
        return '\0';
    }
    char taken = reader->left.data[0];
    reader->left = str_drop(reader->left, 1);
    return taken;
}

static void expect(struct reader *reader, const char *set)
{
    if (read_one_of(reader, set) == '\0') {
        reader->failed = true;
    }
}

static int days_in_month(int year, int month)
{
    static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int64_t read_date(struct reader *reader)
{
    int year = read_digits(reader, 4);
    expect(reader, "-");
    int month = read_digits(reader, 2);
    expect(reader, "-");
    int day = read_digits(reader, 2);
    if (reader->failed || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month)) {
        reader->failed = true;
        return 0;
    }
    return instant_days_from_civil(year, month, day) * INSTANT_DAY_MS;
}

static int64_t read_fraction(struct reader *reader)
{
    if (read_one_of(reader, ".") == '\0') {
        return 0;
    }
    int64_t ms = 0;
    int64_t weight = 100;
    size_t count = 0;
    for (char c = read_one_of(reader, "0123456789"); c != '\0';
         c = read_one_of(reader, "0123456789")) {
        ms += weight * (c - '0');
        weight /= 10;
        count++;
    }
    reader->failed = reader->failed || count == 0;
    return ms;
}

static int64_t read_time(struct reader *reader)
{
    int hour = read_digits(reader, 2);
    expect(reader, ":");
    int minute = read_digits(reader, 2);
    expect(reader, ":");
    int second = read_digits(reader, 2);
    /* A leap second is the first instant of the next minute, as for POSIX. */
    if (hour > 23 || minute > 59 || second > 60) {
        reader->failed = true;
    }
    return hour * INSTANT_HOUR_MS + minute * INSTANT_MINUTE_MS + second * INSTANT_SECOND_MS +
           read_fraction(reader);
}

static int64_t read_offset(struct reader *reader, bool *out_found)
{
    if (read_one_of(reader, "Zz") != '\0') {
        *out_found = true;
        return 0;
    }
    char sign = read_one_of(reader, "+-");
    if (sign == '\0') {
        *out_found = false;
        return 0;
    }
    int hour = read_digits(reader, 2);
    expect(reader, ":");
    int minute = read_digits(reader, 2);
    if (hour > 23 || minute > 59) {
        reader->failed = true;
    }
    int64_t offset = hour * INSTANT_HOUR_MS + minute * INSTANT_MINUTE_MS;
    *out_found = true;
    return sign == '-' ? -offset : offset;
}

bool instant_parse(struct str text, bool needs_offset, int64_t *out_ms, bool *out_had_offset)
{
    struct reader reader = { .left = text };
    int64_t ms = read_date(&reader);
    expect(&reader, "Tt ");
    ms += read_time(&reader);
    bool had_offset = false;
    ms -= read_offset(&reader, &had_offset);

    if (reader.failed || reader.left.size > 0 || (needs_offset && !had_offset) ||
        ms < YEAR_FIRST_MS || ms > YEAR_LAST_MS) {
        return false;
    }
    *out_ms = ms;
    if (out_had_offset != NULL) {
        *out_had_offset = had_offset;
    }
    return true;
}

static void put_digits(char *text, int value, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

void instant_format(int64_t ms, char *text)
{
    ms = ms < YEAR_FIRST_MS ? YEAR_FIRST_MS : ms > YEAR_LAST_MS ? YEAR_LAST_MS : ms;
    int64_t days = floor_div(ms, INSTANT_DAY_MS);
    int of_day_ms = (int)(ms - days * INSTANT_DAY_MS);
    int year = 0;
    int month = 0;
    int day = 0;
    instant_civil_from_days(days, &year, &month, &day);

    memcpy(text, "0000-00-00T00:00:00.000Z", INSTANT_TEXT_SIZE);
    put_digits(text, year, 4);
    put_digits(text + 5, month, 2);
    put_digits(text + 8, day, 2);
    put_digits(text + 11, of_day_ms / (int)INSTANT_HOUR_MS, 2);
    put_digits(text + 14, of_day_ms / (int)INSTANT_MINUTE_MS % 60, 2);
    put_digits(text + 17, of_day_ms / (int)INSTANT_SECOND_MS % 60, 2);
    put_digits(text + 20, of_day_ms % (int)INSTANT_SECOND_MS, 3);
}

int64_t instant_days_from_civil(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

void instant_civil_from_days(int64_t days, int *out_year, int *out_month, int *out_day)
{
    int64_t shifted = days + DAYS_TO_1970;
    int64_t era = floor_div(shifted, DAYS_PER_ERA);
    int64_t of_era = shifted - era * DAYS_PER_ERA;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_PER_ERA - 1)) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march_month = (5 * of_year + 2) / 153;
    *out_day = (int)(of_year - (153 * march_month + 2) / 5 + 1);
    *out_month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *out_year = (int)(year + era * 400 + (*out_month <= 2));
}

static const struct duration_unit {
    struct str name;
    int64_t ms;
} duration_units[] = {
    { { "ms", 2 }, 1 },
    { { "s", 1 }, INSTANT_SECOND_MS },
    { { "m", 1 }, INSTANT_MINUTE_MS },
    { { "h", 1 }, INSTANT_HOUR_MS },
    { { "d", 1 }, INSTANT_DAY_MS },
    { { "w", 1 }, 7 * INSTANT_DAY_MS },
};

static int64_t unit_ms(struct str name, bool allow_months)
{
    for (size_t i = 0; i < ARRAY_COUNT(duration_units); i++) {
        if (str_equal(name, duration_units[i].name)) {
            return duration_units[i].ms;
        }
    }
    return allow_months && str_equal(name, STR("mo")) ? 30 * INSTANT_DAY_MS : 0;
}

bool duration_parse(struct str text, bool allow_months, int64_t *out_ms)
{
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    int64_t count = 0;
    int64_t unit = unit_ms(str_drop(text, digits), allow_months);
    int64_t ms = 0;
    if (unit == 0 || !str_to_i64(str_take(text, digits), &count) ||
        __builtin_mul_overflow(count, unit, &ms)) {
        return false;
    }
    *out_ms = ms;
    return true;
}

void duration_format(int64_t ms, char *text)
{
    assert(ms >= 0);
    if (ms == 0) {
        memcpy(text, "0s", 3);
        return;
    }
    int shortest = INT_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(duration_units); i++) {
        const struct duration_unit *unit = &duration_units[i];
        if (ms % unit->ms != 0) {
            continue;
        }
        int64_t count = ms / unit->ms;
        int length = snprintf(NULL, 0, "%lld%s", (long long)count, unit->name.data);
        /* On a tie the smaller unit stays: "7d" says more than "1w". */
        if (length < shortest) {
            shortest = length;
            snprintf(text, 24, "%lld%s", (long long)count, unit->name.data);
        }
    }
}
