#ifndef DELIVER_PORT_RULE_H
#define DELIVER_PORT_RULE_H

/*
 * Which TCP ports may be called? Pure; a plain value, any thread once set up.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* An operator names a few ports and ranges; 32 is a mistake in the file. */
enum {
    PORT_RULE_RANGES_MAX = 32
};

struct port_range {
    uint16_t first;
    uint16_t last;
};

struct port_rule {
    struct port_range allowed[PORT_RULE_RANGES_MAX];
    size_t allowed_count;
    bool is_listed;  /* an operator's list: exactly that, and nothing else */
    bool allow_http; /* without a list: port 80, too */
};

/* `allow_ports` lists ports and ranges ("443, 8000-8999"), parted by commas or
 * blanks; NULL or empty is the default. STATUS_INVALID names the bad one,
 * STATUS_LIMIT says there are too many. */
NODISCARD enum status port_rule_init(struct port_rule *rule, const char *allow_ports,
                                     bool allow_http, struct problem *problem);

bool port_rule_allows(const struct port_rule *rule, uint64_t port);

#endif
