#include "app/environment.h"

#include <stdlib.h>

/*
 * The one place that calls getenv: what makes it safe (environment.h) is then
 * a promise about two functions, not about every file.
 */

const char *environment_value(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

void environment_forget(const char *name)
{
    (void)unsetenv(name); /* NOLINT(concurrency-mt-unsafe) */
}
