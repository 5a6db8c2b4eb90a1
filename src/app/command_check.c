#include "app/app.h"
#include "app/cli.h"
#include "app/commands.h"
#include "base/jsonw.h"
#include "store/check.h"
#include "store/workspace.h"

/*
 * shopbell check: is what is stored of each customer what its history says?
 * Differences are printed as they are found; the exit code is 1 when there is
 * one that was not repaired.
 */

enum {
    CHECK_ARENA_BYTES = 1024 * 1024 * 1024,
    CHECK_JSON_BYTES = 64 * 1024 * 1024,
    SHOWN_MAX = 10000,
};

struct check_shown {
    const struct cli *cli;
    struct jsonw *json;
    int64_t count;
};

static void show(void *user, const struct check_difference *difference)
{
    struct check_shown *shown = user;
    char id[ID_TEXT_SIZE];
    if (++shown->count > SHOWN_MAX) {
        return;
    }
    id_format(difference->profile_id, id);
    if (shown->cli->is_json) {
        jsonw_open(shown->json);
        jsonw_put_z(shown->json, "profile_id", id);
        jsonw_put_str(shown->json, "what", difference->what);
        jsonw_put_str(shown->json, "stored", difference->stored);
        jsonw_put_str(shown->json, "computed", difference->computed);
        jsonw_close(shown->json);
    } else {
        cli_print("%s  %.*s: stored %.*s, computed %.*s\n", id, STR_ARG(difference->what),
                  STR_ARG(difference->stored), STR_ARG(difference->computed));
    }
}

static void print_counts(const struct cli *cli, struct jsonw *json,
                         const struct check_counts *counts)
{
    if (cli->is_json) {
        jsonw_put_i64(json, "checked", counts->checked);
        jsonw_put_i64(json, "differing", counts->differing);
        jsonw_put_i64(json, "waiting", counts->waiting);
        jsonw_put_i64(json, "too_long", counts->too_long);
        jsonw_put_i64(json, "repaired", counts->repaired);
        return;
    }
    cli_print("%lld checked, %lld differ", (long long)counts->checked,
              (long long)counts->differing);
    if (counts->waiting > 0) {
        cli_print(", %lld left out that wait for their history", (long long)counts->waiting);
    }
    if (counts->too_long > 0) {
        cli_print(", %lld left out with more than %d facts", (long long)counts->too_long,
                  CHECK_FACTS_MAX);
    }
    if (counts->repaired > 0) {
        cli_print(", %lld repaired", (long long)counts->repaired);
    }
    cli_print("\n");
}

static enum status sample_of(const struct cli *cli, int64_t *out_sample, struct problem *problem)
{
    const char *text = arguments_value(cli->arguments, "sample");
    int64_t sample = 0;
    if (text != NULL && (!str_to_i64(str_from_z(text), &sample) || sample <= 0)) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "--sample takes a number of customers, not \"%.60s\"", text);
    }
    *out_sample = sample;
    return STATUS_OK;
}

static enum status run_check(struct cli *cli, const struct registry_workspace *workspace,
                             struct arena *arena, struct check_counts *out_counts,
                             struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    struct check_shown shown = { .cli = cli, .json = &json };
    struct check_options options = { .workspace = workspace,
                                     .repair = arguments_has(cli->arguments, "repair"),
                                     .report = show,
                                     .user = &shown };
    enum status status = sample_of(cli, &options.sample, problem);
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, cli->arena, CHECK_JSON_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_key(&json, "differences");
    jsonw_open_array(&json);
    status = check_profiles(cli->pg, arena, &options, out_counts, problem);
    if (status != STATUS_OK) {
        return status;
    }
    jsonw_close_array(&json);
    print_counts(cli, &json, out_counts);
    jsonw_close(&json);
    if (cli->is_json) {
        cli_print_str(buf_str(&buf));
        cli_print("\n");
    }
    return STATUS_OK;
}

static enum status check_workspace(struct cli *cli, struct registry *registry,
                                   struct check_counts *out_counts, struct problem *problem)
{
    struct workspace workspace;
    enum status status = cli_workspace(cli, &workspace, problem);
    if (status == STATUS_OK) {
        status = registry_refresh(registry, true, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(CHECK_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    const struct registry_snapshot *snapshot = registry_hold(registry);
    const struct registry_workspace *found = snapshot_workspace(snapshot, workspace.id);
    status = found != NULL ? run_check(cli, found, arena, out_counts, problem)
                           : problem_set(problem, STATUS_MISSING, "object-not-found",
                                         "there is no such workspace");
    registry_release(registry, snapshot);
    return status;
}

enum status command_check(struct cli *cli, struct problem *problem)
{
    struct registry *registry = NULL;
    struct check_counts counts = { 0 };
    enum status status =
        cli_open(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA | CLI_NEEDS_SEAL, problem);
    if (status == STATUS_OK) {
        status = registry_create(cli->database_url, cli->seal, app_parse_source, &registry);
    }
    if (status == STATUS_OK) {
        status = check_workspace(cli, registry, &counts, problem);
    }
    registry_destroy(registry);
    if (status == STATUS_OK && counts.differing > counts.repaired) {
        return problem_set(problem, STATUS_CONFLICT, "not-what-history-says",
                           "%lld customers are not what their history says",
                           (long long)(counts.differing - counts.repaired));
    }
    return status;
}
