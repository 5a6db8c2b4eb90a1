#ifndef APP_REPLAY_WAIT_H
#define APP_REPLAY_WAIT_H

/*
 * The end of a command that asked for a replay. Whoever comes first works on the job: a
 * server that runs, or this command, which then needs none.
 */

#include "api/resource.h"
#include "app/cli.h"

/* One step of such jobs; *out_worked stays false when there was none to do. */
typedef enum status replay_step_fn(void *context, bool *out_worked, struct problem *problem);

/* `made` is the answer that made the job. Works and waits until the job has ended, and
 * shows it; one that did not succeed is a failure. */
NODISCARD enum status replay_wait(struct cli *cli, struct resource_request *request,
                                  struct str made, replay_step_fn *step, void *context,
                                  struct problem *problem);

#endif
