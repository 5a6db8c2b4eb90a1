#include <string.h>

#include "base/str.h"
#include "format_priv.h"

/*
 * RFC 3339's dates and times, in one pass over the text.
 *
 * Rejected: valijson's own. It builds a regular expression for every value, which
 * a list of 20,000 turns into seconds, and matches it with a call for every byte: a
 * field of 60,000 digits, which anyone can send, was the end of the stack. What is
 * taken is what it took, years of any length among it; only a '|' is no sign.
 */

static bool take_char(struct str *rest, const char *any)
{
    if (rest->size == 0 || rest->data[0] == '\0' || strchr(any, rest->data[0]) == NULL) {
        return false;
    }
    *rest = str_drop(*rest, 1);
    return true;
}

static bool take_digit(struct str *rest)
{
    return take_char(rest, "0123456789");
}

static bool take_digits(struct str *rest)
{
    bool is_any = false;
    while (take_digit(rest)) {
        is_any = true;
    }
    return is_any;
}

/* Two digits, from `least` to `most`. */
static bool take_pair(struct str *rest, int least, int most, int *out_value)
{
    struct str text = *rest;
    bool is_digit = take_digit(rest);
    if (!is_digit || !take_digit(rest)) {
        return false;
    }
    *out_value = (text.data[0] - '0') * 10 + (text.data[1] - '0');
    return *out_value >= least && *out_value <= most;
}

static bool take_date(struct str *rest)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int month = 0;
    int day = 0;
    return take_digits(rest) && take_char(rest, "-") && take_pair(rest, 1, 12, &month) &&
           take_char(rest, "-") && take_pair(rest, 1, 31, &day) && day <= days[month - 1];
}

static bool take_offset(struct str *rest)
{
    int unused = 0;
    return take_char(rest, "Zz") || (take_char(rest, "+-") && take_pair(rest, 0, 23, &unused) &&
                                     take_char(rest, ":") && take_pair(rest, 0, 59, &unused));
}

static bool take_time(struct str *rest)
{
    int unused = 0;
    return take_pair(rest, 0, 23, &unused) && take_char(rest, ":") &&
           take_pair(rest, 0, 59, &unused) && take_char(rest, ":") &&
           take_pair(rest, 0, 60, &unused) && (!take_char(rest, ".") || take_digits(rest)) &&
           take_offset(rest);
}

const char *format_fault(const char *format, const char *data, size_t size)
{
    struct str rest = { data, size };
    if (strcmp(format, "date") == 0) {
        return take_date(&rest) && rest.size == 0 ? NULL : "String should be a valid date";
    }
    if (strcmp(format, "time") == 0) {
        return take_time(&rest) && rest.size == 0 ? NULL : "String should be a valid time";
    }
    if (strcmp(format, "date-time") == 0) {
        return take_date(&rest) && take_char(&rest, "Tt") && take_time(&rest) && rest.size == 0
                   ? NULL
                   : "String should be a valid date-time";
    }
    return NULL;
}
