#ifndef CORE_TRIGGER_ENVELOPE_H
#define CORE_TRIGGER_ENVELOPE_H

/*
 * What every notification says of itself (contract 3), whatever it is about.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/jsonw.h"
#include "base/str.h"

struct envelope {
    struct id id;
    struct str type;
    int64_t at_ms;
    int64_t recorded_at_ms;
    int64_t expires_at_ms; /* not above 0, or INSTANT_NEVER: the schedule's end */
    struct str workspace;
    int64_t sequence; /* of the profile; 0: it is about none */
    bool test;
};

/* Opens the body and writes all but `cause` and `data`. */
void envelope_open(struct jsonw *json, const struct envelope *envelope);

#endif
