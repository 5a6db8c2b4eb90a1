#include "base/instant.h"
#include "rule_priv.h"
#include "store/delivery_replay.h"
#include "store/notification_read.h"
#include "subscription_priv.h"

/*
 * Sending again what was settled: one notification at once, many by a job.
 *
 * A replay has the id and the body of the first time: a receiver that has seen it
 * says so by that id. It goes to whom the notification was sent before and to
 * nobody else: what another subscription may see of it was never decided.
 */

/* --- one again ------------------------------------------------------------------ */

struct again {
    const struct notification_view *row;
    const struct replay_target *targets;
    size_t target_count;
    struct jsonw *json;
};

static enum status queue_again(const struct resource_request *request, const struct again *again,
                               const struct replay_target *target, struct problem *problem)
{
    size_t found = 0;
    size_t queued = 0;
    const struct notification_view *row = again->row;
    struct replay_item item = { row->id, row->created_at_ms };
    enum status status = delivery_replay_queue(
        request->pg, request->arena, request->principal->workspace_id, target->subscription_id,
        &item, 1, request->now_ms, &found, &queued, problem);
    jsonw_open(again->json);
    jsonw_put_str(again->json, "subscription", target->name);
    jsonw_put_str(again->json, "subscription_status", target->status);
    jsonw_put_z(again->json, "result", queued > 0 ? "queued" : "pending");
    jsonw_close(again->json);
    return status;
}

static enum status run_statement(const struct resource_request *request,
                                 const struct pg_statement *statement, struct problem *problem)
{
    return pg_run(request->pg, request->arena, statement, NULL, NULL, problem);
}

/* With validate_only the same is done, and undone. */
static enum status queue_all(const struct resource_request *request, const struct again *again,
                             struct problem *problem)
{
    enum status status = run_statement(request, &pg_begin, problem);
    for (size_t i = 0; status == STATUS_OK && i < again->target_count; i++) {
        status = queue_again(request, again, &again->targets[i], problem);
    }
    if (status == STATUS_OK) {
        status =
            run_statement(request, request->validate_only ? &pg_rollback : &pg_commit, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(request->pg);
    }
    return status;
}

/* The one named, or all it was sent to. */
static enum status choose_targets(const struct resource_request *request, struct str name,
                                  struct again *again, struct problem *problem)
{
    struct replay_target *targets = NULL;
    size_t count = 0;
    enum status status = delivery_replay_targets(
        request->pg, request->arena, request->principal->workspace_id, again->row->id,
        subscription_owner(request), &targets, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    again->targets = targets;
    again->target_count = count;
    for (size_t i = 0; name.size > 0 && i < count; i++) {
        char id[ID_TEXT_SIZE];
        id_format(targets[i].subscription_id, id);
        if (str_equal(targets[i].name, name) || str_equal_z(name, id)) {
            again->targets = &targets[i];
            again->target_count = 1;
            return STATUS_OK;
        }
    }
    if (name.size > 0) {
        status = problem_set(problem, STATUS_INVALID, "invalid-field",
                             "it was not sent to a subscription \"%.*s\" yet",
                             STR_ARG(str_take_text(name, 63)));
        problem_point(problem, "#/subscription");
    } else if (count == 0) {
        status = problem_set(problem, STATUS_INVALID, "invalid-field",
                             "it was not sent to anybody who is still subscribed, as far as the"
                             " log reaches");
    }
    return status;
}

enum status resource_notification_replay(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    static const char *const members[] = { "subscription" };
    struct notification_view row = { .id = ID_ZERO };
    struct id id = ID_ZERO;
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    struct str name = document_text(&document, "subscription", ID_TEXT_SIZE + 63);
    status = document.status;
    if (status == STATUS_OK) {
        status = id_parse(request->name, &id)
                     ? notification_find(request->pg, request->arena,
                                         request->principal->workspace_id, id, &row, problem)
                     : STATUS_MISSING;
        status = resource_missing(status, "notification", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    struct again again = { .row = &row, .json = &json };
    if (status == STATUS_OK) {
        status = choose_targets(request, name, &again, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "notification_id", id);
    jsonw_key(&json, "deliveries");
    jsonw_open_array(&json);
    status = queue_all(request, &again, problem);
    jsonw_close_array(&json);
    jsonw_close(&json);
    return status == STATUS_OK
               ? resource_answer_set(&buf,
                                     request->validate_only ? RESOURCE_SHOWN : RESOURCE_ACCEPTED, 0,
                                     out_answer, problem)
               : status;
}

/* --- many again ----------------------------------------------------------------- */

struct wish {
    int64_t since_ms;
    int64_t until_ms;
    struct str status; /* failed or all */
};

static enum status read_wish(const struct resource_request *request, struct wish *wish,
                             struct problem *problem)
{
    static const char *const members[] = { "since", "until", "status" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    document_need(&document, "since");
    wish->since_ms = document_instant(&document, "since");
    wish->until_ms = document_instant(&document, "until");
    wish->status = document_text(&document, "status", 16);
    if (wish->status.size == 0) {
        wish->status = STR("failed");
    }
    if (document.status == STATUS_OK && !str_equal_z(wish->status, "failed") &&
        !str_equal_z(wish->status, "all")) {
        document_fail(&document, "status", "invalid-field", "status is \"failed\" or \"all\"");
    }
    if (wish->until_ms == INSTANT_NONE || wish->until_ms > request->now_ms) {
        wish->until_ms = request->now_ms;
    }
    if (document.status == STATUS_OK && wish->until_ms <= wish->since_ms) {
        document_fail(&document, "since", "invalid-field",
                      "since lies behind until, which is now if left out");
    }
    return document.status;
}

static struct str parameters_of(const struct resource_request *request,
                                const struct subscription_row *row, const struct wish *wish)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "subscription", row->name);
    jsonw_put_id(&json, "subscription_id", row->id);
    jsonw_put_instant(&json, "since", wish->since_ms);
    jsonw_put_instant(&json, "until", wish->until_ms);
    jsonw_put_str(&json, "status", wish->status);
    jsonw_close(&json);
    return buf_str(&buf);
}

enum status resource_subscription_replay(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row;
    struct wish wish = { .since_ms = INSTANT_NONE };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = read_wish(request, &wish, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return job_queue(request, STR("delivery_replay"), parameters_of(request, &row, &wish),
                     out_answer, problem);
}
