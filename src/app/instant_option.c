#include "app/instant_option.h"

#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"

/*
 * People say "since yesterday"; the resources want an instant. So an option takes
 * either, and the body has the instant.
 */

enum status instant_option_read(const struct cli *cli, const char *option, int64_t *out_ms,
                                struct problem *problem)
{
    const char *text = arguments_value(cli->arguments, option);
    int64_t ago_ms = 0;
    int64_t at_ms = INSTANT_NONE;
    if (text != NULL && duration_parse(str_from_z(text), false, &ago_ms)) {
        at_ms = clock_now_ms() - ago_ms;
    } else if (text != NULL && !instant_parse(str_from_z(text), true, &at_ms, NULL)) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "--%s %.60s: an instant with its offset, or how long ago: "
                           "2026-11-20T00:00:00Z, 7d",
                           option, text);
    }
    *out_ms = at_ms;
    return STATUS_OK;
}

enum status instant_option_write(const struct cli *cli, struct jsonw *json, const char *option,
                                 struct problem *problem)
{
    int64_t at_ms = INSTANT_NONE;
    enum status status = instant_option_read(cli, option, &at_ms, problem);
    if (status == STATUS_OK && at_ms != INSTANT_NONE) {
        jsonw_put_instant(json, option, at_ms);
    }
    return status;
}
