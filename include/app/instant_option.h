#ifndef APP_INSTANT_OPTION_H
#define APP_INSTANT_OPTION_H

/*
 * An option that is an instant, or how long ago: 2026-11-20T00:00:00Z, 7d.
 */

#include <stdint.h>

#include "app/cli.h"

struct jsonw;

/* INSTANT_NONE when it is not given. */
NODISCARD enum status instant_option_read(const struct cli *cli, const char *option,
                                          int64_t *out_ms, struct problem *problem);
/* As the member of the option's name; nothing when it is not given. */
NODISCARD enum status instant_option_write(const struct cli *cli, struct jsonw *json,
                                           const char *option, struct problem *problem);

#endif
