#ifndef BASE_INSTANT_H
#define BASE_INSTANT_H

/*
 * Instants are integer milliseconds UTC since 1970, truncated at the border
 * (correctness 13): one tick decides whether "older than 60 d" is true, so C
 * and SQL must agree on it. Durations are milliseconds; a "d" is 86,400 s.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define INSTANT_NONE INT64_MIN
#define INSTANT_NEVER INT64_MAX
#define INSTANT_SECOND_MS INT64_C(1000)
#define INSTANT_MINUTE_MS (60 * INSTANT_SECOND_MS)
#define INSTANT_HOUR_MS (60 * INSTANT_MINUTE_MS)
#define INSTANT_DAY_MS (24 * INSTANT_HOUR_MS)
/* Facts claim no time before this (correctness 10): 2000-01-01T00:00:00Z. */
#define INSTANT_FIRST_MS INT64_C(946684800000)
/* The end of a list without one, which PostgreSQL still takes: the year 9999. */
#define INSTANT_LAST_MS INT64_C(253370764800000)

enum {
    INSTANT_TEXT_SIZE = 25
}; /* "2026-11-22T14:03:07.120Z" and NUL */

/* RFC 3339; digits beyond milliseconds are cut; a space for the T is taken.
 * With needs_offset an instant without "Z" or "+hh:mm" is refused; without,
 * it is read as UTC and *out_had_offset (may be NULL) says so. False when it
 * is not an instant of the years 1 to 9999. */
bool instant_parse(struct str text, bool needs_offset, int64_t *out_ms, bool *out_had_offset);

/* Writes INSTANT_TEXT_SIZE bytes, NUL included. */
void instant_format(int64_t ms, char *text);

/* Days since 1970-01-01 of a civil date of the Gregorian calendar, and back. */
int64_t instant_days_from_civil(int year, int month, int day);
void instant_civil_from_days(int64_t days, int *out_year, int *out_month, int *out_day);

/* Local wall-clock time in an IANA zone ("Europe/Paris") to UTC, by the
 * system's zone files; ambiguous times take the first, skipped ones move on.
 * False when the zone is unknown. Thread-safe; zones are cached. */
bool instant_from_local(int64_t local_ms, const char *zone, int64_t *out_ms);
bool instant_zone_exists(const char *zone);

/* A zone as a value: what is read once may be handed to code that reads no
 * file. NULL for one that is unknown. It stays as it is until the process
 * ends; so does a zone whose file is replaced meanwhile. */
struct zone;
const struct zone *instant_zone(const char *name);
/* What local time is ahead of UTC at an instant: 7,200,000 in a Paris summer. 0
 * for NULL, and beyond ten thousand years. */
int64_t instant_zone_offset_ms(const struct zone *zone, int64_t at_ms);

/* "90s" "30m" "24h" "7d" "2w", also "250ms" and, with allow_months, "25mo"
 * (30 d each, configuration only). False on anything else. */
bool duration_parse(struct str text, bool allow_months, int64_t *out_ms);
/* The shortest such text ("7d" rather than "1w"), into at least 24 bytes. The
 * duration is not negative. */
void duration_format(int64_t ms, char *text);

#endif
