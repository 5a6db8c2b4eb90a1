#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

/*
 * Who asks, and what they may (contract 6).
 */

#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

enum access_scope {
    SCOPE_INGEST = 1 << 0,
    SCOPE_READ = 1 << 1,
    SCOPE_PII = 1 << 2,
    SCOPE_CONFIGURE = 1 << 3,
    SCOPE_SUBSCRIBE = 1 << 4,
    SCOPE_PRIVACY = 1 << 5,
    SCOPE_ADMIN = 1 << 6,
    SCOPE_INSTANCE = 1 << 7,
};

struct principal {
    struct id key_id;
    struct id workspace_id; /* zero for an instance key */
    struct str workspace_name;
    struct str key_name;
    uint32_t scopes; /* access_scope bits */
};

/* "read" -> SCOPE_READ; 0 when there is no such scope. */
uint32_t access_scope_from_name(struct str name);
/* The name of one bit. Static text. */
const char *access_scope_name(enum access_scope scope);
#define ACCESS_SCOPE_COUNT 8

#endif
