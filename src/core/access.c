#include "core/access.h"

#include <stddef.h>

/*
 * The scopes of a key by name (contract 6). The names are part of the
 * contract and of stored keys; the bits are not, so their order may change.
 */

static const struct {
    const char *name;
    enum access_scope scope;
} scopes[ACCESS_SCOPE_COUNT] = {
    { "ingest", SCOPE_INGEST },
    { "read", SCOPE_READ },
    { "pii", SCOPE_PII },
    { "configure", SCOPE_CONFIGURE },
    { "subscribe", SCOPE_SUBSCRIBE },
    { "privacy", SCOPE_PRIVACY },
    { "admin", SCOPE_ADMIN },
    { "instance", SCOPE_INSTANCE },
};

uint32_t access_scope_from_name(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(scopes); i++) {
        if (str_equal_z(name, scopes[i].name)) {
            return scopes[i].scope;
        }
    }
    return 0;
}

const char *access_scope_name(enum access_scope scope)
{
    for (size_t i = 0; i < ARRAY_COUNT(scopes); i++) {
        if (scopes[i].scope == scope) {
            return scopes[i].name;
        }
    }
    return "unknown";
}
