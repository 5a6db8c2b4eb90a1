#include "app/replay_wait.h"

#include <time.h>

#include <jansson.h>

#include "app/resource_command.h"
#include "store/job_store.h"

/*
 * The job is a row like one asked for by REST, so it can be watched, cancelled and gone
 * on with after a crash; waiting needs nothing but the row.
 */

enum {
    WAIT_MS = 200,
    ROW_ARENA_BYTES = 1024 * 1024, /* a job's parameters, cursor and result */
};

static struct id id_in(struct str json)
{
    struct id id = ID_ZERO;
    json_t *root = json_loadb(json.data, json.size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "id"));
    (void)(text != NULL && id_parse(str_from_z(text), &id));
    json_decref(root);
    return id;
}

static void rest(void)
{
    const struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };
    (void)nanosleep(&pause, NULL);
}

static enum status show(struct cli *cli, struct resource_request *request, const struct job *job,
                        struct problem *problem)
{
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    char id[ID_TEXT_SIZE];
    id_format(job->id, id);
    request->name = str_from_z(id);
    enum status status = resource_job_show(request, &answer, problem);
    if (status == STATUS_OK) {
        status = resource_show(cli, answer.json, NULL, problem);
    }
    if (status == STATUS_OK && job->status != JOB_SUCCEEDED) {
        return problem_set(problem, STATUS_BROKEN, "job", "the replay %s%s%.*s",
                           job_status_name(job->status), job->error.size > 0 ? ": " : "",
                           STR_ARG(str_take_text(job->error, 400)));
    }
    return status;
}

enum status replay_wait(struct cli *cli, struct resource_request *request, struct str made,
                        replay_step_fn *step, void *context, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *row = arena_create(ROW_ARENA_BYTES);
    if (row == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    for (;;) {
        struct job job;
        bool worked = false;
        arena_reset(row);
        enum status status =
            job_find(cli->pg, row, request->principal->workspace_id, id_in(made), &job, problem);
        if (status == STATUS_OK && job.status > JOB_RUNNING) {
            return show(cli, request, &job, problem);
        }
        if (status == STATUS_OK) {
            status = step(context, &worked, problem);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (!worked) {
            rest();
        }
    }
}
