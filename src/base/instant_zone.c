#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/instant.h"

/*
 * Local time of a named zone, from the system's TZif files (RFC 8536).
 *
 * Problem: some shops send local wall-clock time and a zone in their
 * settings. The C library answers for one zone per process (TZ), and changing
 * that is not thread-safe, so the files are read here: the 64-bit block for
 * the past, the POSIX rule in the footer for times beyond its end.
 *
 * Invariant: a zone's offset before its first transition is that of type 0;
 * transitions rise strictly; what fails any check of the format is "no such
 * zone", because a wrong offset would be worse than a refusal. What was read
 * is never freed nor changed, so a zone is a value that anyone may keep; the
 * mutex guards only the list of them. Rejected: setenv and mktime (races); a
 * zone library (one more dependency for 300 lines); evicting (the pure core
 * holds zones, and asks for no file again); a list without a limit (names come
 * from configuration, but a limit costs nothing).
 */

#define ZONE_DIRECTORY "/usr/share/zoneinfo/"

enum {
    ZONE_NAME_SIZE = 64,
    ZONES_MAX = 1024,                /* some 600 names exist, of at most 4 KiB each */
    ZONE_FILE_BYTES_MAX = 64 * 1024, /* the largest of 2026 has 4 KiB */
    ZONE_OFFSET_S_MAX = 26 * 3600,   /* RFC 8536: -25 h < offset < 26 h */
    TZIF_HEADER_SIZE = 44,
    TZIF_TYPE_SIZE = 6,
    DAY_S = 86400,
};

/* One switch of a footer's rule: "M3.5.0/2", "J60", "59". */
struct zone_date {
    enum {
        ZONE_DATE_MONTH,
        ZONE_DATE_JULIAN,
        ZONE_DATE_DAY
    } kind;
    int month;
    int week;
    int day;
    int64_t time_s;
};

struct zone_rule {
    bool exists;
    bool has_summer;
    int64_t winter_offset_s; /* east of Greenwich */
    int64_t summer_offset_s;
    struct zone_date begin;
    struct zone_date end;
};

struct zone {
    char name[ZONE_NAME_SIZE];
    size_t count;
    int64_t *at_s;     /* owned; instants of the transitions */
    int64_t *offset_s; /* behind at_s in the same allocation; from then on */
    int64_t first_offset_s;
    struct zone_rule rule;
};

static struct {
    pthread_mutex_t mutex;
    struct zone *zones[ZONES_MAX];
    size_t count;
} known = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- the footer ---- */

static bool take_char(struct str *text, char c)
{
    if (text->size == 0 || text->data[0] != c) {
        return false;
    }
    *text = str_drop(*text, 1);
    return true;
}

static bool take_number(struct str *text, uint64_t max, int *out_value)
{
    size_t digits = 0;
    while (digits < text->size && text->data[digits] >= '0' && text->data[digits] <= '9') {
        digits++;
    }
    uint64_t value = 0;
    if (!str_to_u64(str_take(*text, digits), &value) || value > max) {
        return false;
    }
    *text = str_drop(*text, digits);
    *out_value = (int)value;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool take_name(struct str *text)
{
    if (take_char(text, '<')) {
        ptrdiff_t end = str_find(*text, '>', 0);
        if (end < 3) {
            return false;
        }
        *text = str_drop(*text, (size_t)end + 1);
        return true;
    }
    size_t size = 0;
    while (size < text->size && is_letter(text->data[size])) {
        size++;
    }
    *text = str_drop(*text, size);
    return size >= 3;
}

/* "[+-]h[h[h]][:mm[:ss]]"; up to 167 hours, as version 3 files may say. */
static bool take_time(struct str *text, int64_t *out_s)
{
    bool negative = take_char(text, '-');
    if (!negative) {
        (void)take_char(text, '+');
    }
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (!take_number(text, 167, &hours)) {
        return false;
    }
    if (take_char(text, ':')) {
        if (!take_number(text, 59, &minutes)) {
            return false;
        }
        if (take_char(text, ':') && !take_number(text, 59, &seconds)) {
            return false;
        }
    }
    int64_t total_s = (int64_t)hours * 3600 + (int64_t)minutes * 60 + seconds;
    *out_s = negative ? -total_s : total_s;
    return true;
}

static bool take_date(struct str *text, struct zone_date *out_date)
{
    struct zone_date date = { .kind = ZONE_DATE_DAY, .time_s = INT64_C(2) * 3600 };
    bool good = false;
    if (!take_char(text, ',')) {
        return false;
    }
    if (take_char(text, 'M')) {
        date.kind = ZONE_DATE_MONTH;
        good = take_number(text, 12, &date.month) && date.month >= 1 && take_char(text, '.') &&
               take_number(text, 5, &date.week) && date.week >= 1 && take_char(text, '.') &&
               take_number(text, 6, &date.day);
    } else if (take_char(text, 'J')) {
        date.kind = ZONE_DATE_JULIAN;
        good = take_number(text, 365, &date.day) && date.day >= 1;
    } else {
        good = take_number(text, 365, &date.day);
    }
    if (good && take_char(text, '/')) {
        good = take_time(text, &date.time_s);
    }
    if (good) {
        *out_date = date;
    }
    return good;
}

/* "CEST,M3.5.0,M10.5.0/3": an hour ahead of winter unless it says otherwise. */
static bool take_summer(struct str *text, struct zone_rule *rule)
{
    if (!take_name(text)) {
        return false;
    }
    int64_t west_s = -rule->winter_offset_s - 3600;
    if (text->size > 0 && text->data[0] != ',' && !take_time(text, &west_s)) {
        return false;
    }
    rule->has_summer = true;
    rule->summer_offset_s = -west_s;
    return take_date(text, &rule->begin) && take_date(text, &rule->end);
}

/* "CET-1CEST,M3.5.0,M10.5.0/3"; an empty footer is a zone without a rule. */
static bool parse_rule(struct str text, struct zone_rule *out_rule)
{
    struct zone_rule rule = { 0 };
    if (text.size > 0) {
        int64_t west_s = 0;
        if (!take_name(&text) || !take_time(&text, &west_s)) {
            return false;
        }
        rule.exists = true;
        rule.winter_offset_s = -west_s;
    }
    if (text.size > 0 && (!take_summer(&text, &rule) || text.size > 0)) {
        return false;
    }
    *out_rule = rule;
    return true;
}

/* Counted without February 29, so that day 60 is always March 1. */
static int64_t day_without_leap(int year, int day)
{
    int common_year = 0;
    int month = 0;
    int of_month = 0;
    instant_civil_from_days(day - 1, &common_year, &month, &of_month); /* 1970 had none */
    return instant_days_from_civil(year, month, of_month);
}

/* The n-th such weekday of a month, 5 meaning the last. */
static int64_t day_of_week(int year, const struct zone_date *date)
{
    int64_t first = instant_days_from_civil(year, date->month, 1);
    int64_t next = date->month == 12 ? instant_days_from_civil(year + 1, 1, 1)
                                     : instant_days_from_civil(year, date->month + 1, 1);
    int64_t first_weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (date->day - first_weekday + 7) % 7 + 7 * (int64_t)(date->week - 1);
    return day < next ? day : day - 7;
}

/* Seconds since 1970, by the wall clock, of a switch in a year. */
static int64_t date_in_year(const struct zone_date *date, int year)
{
    int64_t day = 0;
    switch (date->kind) {
    case ZONE_DATE_DAY:
        day = instant_days_from_civil(year, 1, 1) + date->day;
        break;
    case ZONE_DATE_JULIAN:
        day = day_without_leap(year, date->day);
        break;
    case ZONE_DATE_MONTH:
        day = day_of_week(year, date);
        break;
    }
    return day * DAY_S + date->time_s;
}

static int64_t rule_offset(const struct zone_rule *rule, int64_t utc_s)
{
    if (!rule->has_summer) {
        return rule->winter_offset_s;
    }
    int64_t local_s = utc_s + rule->winter_offset_s;
    int64_t days = local_s / DAY_S - (local_s % DAY_S < 0);
    int year = 0;
    int month = 0;
    int day = 0;
    instant_civil_from_days(days, &year, &month, &day);
    int64_t begin_s = date_in_year(&rule->begin, year) - rule->winter_offset_s;
    int64_t end_s = date_in_year(&rule->end, year) - rule->summer_offset_s;
    bool summer =
        begin_s < end_s ? utc_s >= begin_s && utc_s < end_s : utc_s >= begin_s || utc_s < end_s;
    return summer ? rule->summer_offset_s : rule->winter_offset_s;
}

/* ---- the file ---- */

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_i64(const uint8_t *bytes)
{
    return (int64_t)((uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4));
}

struct tzif_header {
    size_t utc_count;
    size_t standard_count;
    size_t leap_count;
    size_t time_count;
    size_t type_count;
    size_t char_count;
};

/* False unless there is a header of version 2 or later with sane counts. */
static bool read_header(struct str file, struct tzif_header *out_header)
{
    if (file.size < TZIF_HEADER_SIZE || !str_starts_with(file, STR("TZif")) || file.data[4] < '2') {
        return false;
    }
    const uint8_t *counts = (const uint8_t *)file.data + 20;
    struct tzif_header header = {
        .utc_count = read_u32(counts),
        .standard_count = read_u32(counts + 4),
        .leap_count = read_u32(counts + 8),
        .time_count = read_u32(counts + 12),
        .type_count = read_u32(counts + 16),
        .char_count = read_u32(counts + 20),
    };
    if (header.utc_count > 256 || header.standard_count > 256 || header.leap_count > 1024 ||
        header.time_count > ZONE_FILE_BYTES_MAX || header.type_count > 256 ||
        header.char_count > ZONE_FILE_BYTES_MAX) {
        return false;
    }
    *out_header = header;
    return true;
}

static size_t block_size(const struct tzif_header *header, size_t time_size)
{
    return header->time_count * (time_size + 1) + header->type_count * TZIF_TYPE_SIZE +
           header->char_count + header->leap_count * (time_size + 4) + header->standard_count +
           header->utc_count;
}

/* Copies times and offsets; false when they contradict the format. */
static bool read_transitions(const struct tzif_header *header, const uint8_t *block,
                             struct zone *zone)
{
    const uint8_t *indexes = block + header->time_count * 8;
    const uint8_t *types = indexes + header->time_count;
    for (size_t i = 0; i < header->type_count; i++) {
        int32_t offset_s = (int32_t)read_u32(types + i * TZIF_TYPE_SIZE);
        if (offset_s < -ZONE_OFFSET_S_MAX || offset_s > ZONE_OFFSET_S_MAX) {
            return false;
        }
    }
    zone->first_offset_s = (int32_t)read_u32(types);
    for (size_t i = 0; i < header->time_count; i++) {
        zone->at_s[i] = read_i64(block + i * 8);
        if (indexes[i] >= header->type_count || (i > 0 && zone->at_s[i] <= zone->at_s[i - 1])) {
            return false;
        }
        zone->offset_s[i] = (int32_t)read_u32(types + indexes[i] * (size_t)TZIF_TYPE_SIZE);
    }
    return true;
}

static void zone_destroy(struct zone *zone)
{
    if (zone != NULL) {
        free(zone->at_s);
        free(zone);
    }
}

/* The block of 64-bit times with its header, and the rule behind it. */
struct tzif_parts {
    struct tzif_header header;
    const uint8_t *block;
    struct str rule;
};

static bool split_file(struct str file, struct tzif_parts *out_parts)
{
    struct tzif_parts parts = { 0 };
    if (!read_header(file, &parts.header)) {
        return false;
    }
    /* The first block has 32-bit times, for readers of version 1. */
    file = str_drop(file, TZIF_HEADER_SIZE + block_size(&parts.header, 4));
    if (!read_header(file, &parts.header) || parts.header.type_count == 0 ||
        parts.header.leap_count > 0) {
        return false;
    }
    size_t size = block_size(&parts.header, 8);
    struct str block = str_drop(file, TZIF_HEADER_SIZE);
    struct str footer = str_drop(block, size);
    if (block.size < size || !take_char(&footer, '\n') ||
        !str_split(footer, '\n', &parts.rule, &footer)) {
        return false;
    }
    parts.block = (const uint8_t *)block.data;
    *out_parts = parts;
    return true;
}

static struct zone *zone_parse(struct str file)
{
    struct tzif_parts parts = { 0 };
    if (!split_file(file, &parts)) {
        return NULL;
    }
    struct zone *zone = calloc(1, sizeof(*zone));
    if (zone == NULL) {
        return NULL;
    }
    size_t count = parts.header.time_count;
    zone->at_s = calloc(2 * count + 1, sizeof(*zone->at_s));
    if (zone->at_s == NULL) {
        free(zone);
        return NULL;
    }
    zone->count = count;
    zone->offset_s = zone->at_s + count;
    if (!parse_rule(parts.rule, &zone->rule) ||
        !read_transitions(&parts.header, parts.block, zone)) {
        zone_destroy(zone);
        return NULL;
    }
    return zone;
}

/* 0 also for a file that is missing, unreadable or too large. */
static size_t read_file(const char *path, uint8_t *bytes, size_t capacity)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    size_t size = 0;
    ssize_t got = 0;
    do {
        got = read(file, bytes + size, capacity - size);
        size += got > 0 ? (size_t)got : 0;
    } while (got > 0 && size < capacity);
    close(file);
    return got == 0 && size < capacity ? size : 0;
}

/* Letters, digits and "_+-/" only, so that no name leaves the directory. */
static bool name_is_valid(struct str name)
{
    if (name.size == 0 || name.size >= ZONE_NAME_SIZE || name.data[0] == '/') {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '+' && c != '-' &&
            c != '/') {
            return false;
        }
    }
    return true;
}

static struct zone *zone_load(struct str name)
{
    char path[sizeof(ZONE_DIRECTORY) + ZONE_NAME_SIZE] = ZONE_DIRECTORY;
    memcpy(path + sizeof(ZONE_DIRECTORY) - 1, name.data, name.size);
    uint8_t *bytes = malloc(ZONE_FILE_BYTES_MAX);
    if (bytes == NULL) {
        return NULL;
    }
    size_t size = read_file(path, bytes, ZONE_FILE_BYTES_MAX);
    struct zone *zone = zone_parse((struct str){ (const char *)bytes, size });
    free(bytes);
    if (zone != NULL) {
        memcpy(zone->name, name.data, name.size);
    }
    return zone;
}

/* Under the mutex. */
static const struct zone *zone_find(struct str name)
{
    for (size_t i = 0; i < known.count; i++) {
        if (str_equal_z(name, known.zones[i]->name)) {
            return known.zones[i];
        }
    }
    struct zone *zone = known.count < ZONES_MAX ? zone_load(name) : NULL;
    if (zone != NULL) {
        known.zones[known.count++] = zone;
    }
    return zone;
}

static int64_t offset_at(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0;
    size_t high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at_s[middle] <= utc_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == zone->count && zone->rule.exists) {
        return rule_offset(&zone->rule, utc_s);
    }
    return low == 0 ? zone->first_offset_s : zone->offset_s[low - 1];
}

/* Around a switch the offsets of the days before and after are the two
 * candidates. The earlier one wins if it holds, which is the first of two
 * ambiguous instants; if neither holds the time was skipped, and counting on
 * with the old offset moves it past the gap. */
static int64_t utc_of_local(const struct zone *zone, int64_t local_s)
{
    int64_t before_s = offset_at(zone, local_s - DAY_S);
    int64_t after_s = offset_at(zone, local_s + DAY_S);
    bool before_holds = offset_at(zone, local_s - before_s) == before_s;
    bool after_holds = offset_at(zone, local_s - after_s) == after_s;
    return local_s - (!before_holds && after_holds ? after_s : before_s);
}

/* Ten thousand years either way: no sum of them can overflow. */
static bool is_near(int64_t ms)
{
    const int64_t limit_ms = 3652500 * INSTANT_DAY_MS;
    return ms >= -limit_ms && ms <= limit_ms;
}

static int64_t seconds_of(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

const struct zone *instant_zone(const char *name)
{
    struct str text = str_from_z(name);
    if (!name_is_valid(text)) {
        return NULL;
    }
    pthread_mutex_lock(&known.mutex);
    const struct zone *found = zone_find(text);
    pthread_mutex_unlock(&known.mutex);
    return found;
}

bool instant_from_local(int64_t local_ms, const char *zone, int64_t *out_ms)
{
    const struct zone *found = instant_zone(zone);
    if (found == NULL || !is_near(local_ms)) {
        return false;
    }
    int64_t local_s = seconds_of(local_ms);
    *out_ms = utc_of_local(found, local_s) * 1000 + (local_ms - local_s * 1000);
    return true;
}

bool instant_zone_exists(const char *zone)
{
    return instant_zone(zone) != NULL;
}

int64_t instant_zone_offset_ms(const struct zone *zone, int64_t at_ms)
{
    return zone == NULL || !is_near(at_ms) ? 0 : offset_at(zone, seconds_of(at_ms)) * 1000;
}
