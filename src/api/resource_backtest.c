#include <jansson.h>

#include "base/instant.h"
#include "candidate_priv.h"
#include "rule_priv.h"
#include "store/job_store.h"
#include "store/profile_base.h"

/*
 * Asking for a backtest: the rule is compiled before the job is queued, so that
 * a slip of the pen is told now and not an hour later. The work is
 * sweep/backtest.c's.
 */

enum {
    BACKTEST_DAYS = 92
};

static int64_t read_day(struct document *document, const char *name)
{
    int64_t at_ms = INSTANT_NONE;
    document_need(document, name);
    struct str text = document_text(document, name, 32);
    if (document->status != STATUS_OK) {
        return at_ms;
    }
    struct str whole = str_printf(document->arena, "%.*sT00:00:00Z", STR_ARG(text));
    if (text.size != sizeof("2026-10-01") - 1 || !instant_parse(whole, true, &at_ms, NULL)) {
        document_fail(document, name, "invalid-field", "%s is a day, like \"2026-10-01\"", name);
    }
    return at_ms;
}

struct period {
    int64_t from_ms;
    struct str from;
    struct str to;
};

static void read_period(struct document *document, int64_t now_ms, struct period *out_period)
{
    int64_t from_ms = read_day(document, "from");
    int64_t to_ms = read_day(document, "to");
    if (document->status != STATUS_OK) {
        return;
    }
    if (to_ms <= from_ms || to_ms - from_ms > BACKTEST_DAYS * INSTANT_DAY_MS) {
        document_fail(document, "to", "invalid-field", "from and to are 1 to %d days apart",
                      BACKTEST_DAYS);
    } else if (to_ms > now_ms) {
        document_fail(document, "to", "invalid-field",
                      "to is the day behind the last one, which must be over (UTC)");
    }
    *out_period = (struct period){ .from_ms = from_ms,
                                   .from = document_text(document, "from", 32),
                                   .to = document_text(document, "to", 32) };
}

static enum status read_body(const struct resource_request *request, json_t **out_root,
                             struct period *out_period, struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    read_period(&document, request->now_ms, out_period);
    if (document.status == STATUS_OK && document_has(&document, "cases")) {
        document_fail(&document, "cases", "invalid-field",
                      "a backtest counts who enters and leaves: it takes one \"when\"");
    }
    if (document.status == STATUS_OK) {
        (void)json_object_del(document.root, "from");
        (void)json_object_del(document.root, "to");
        *out_root = json_incref(document.root);
    }
    return document.status;
}

static struct str parameters_of(struct arena *arena, const struct rule_definition *definition,
                                const struct period *period)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "name", definition->name);
    jsonw_put_str(&json, "when", definition->cases[0].when);
    jsonw_put_str(&json, "from", period->from);
    jsonw_put_str(&json, "to", period->to);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status refuse_second(const struct resource_request *request, struct problem *problem)
{
    struct job job;
    char id[ID_TEXT_SIZE];
    enum status status = job_open_of(request->pg, request->arena, request->principal->workspace_id,
                                     STR("backtest"), &job, problem);
    if (status == STATUS_OK) {
        id_format(job.id, id);
        return problem_set(problem, STATUS_CONFLICT, "job-running",
                           "one backtest at a time: job %s is not finished", id);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

/* Of what retention folded no day is told from another. */
static enum status refuse_early(const struct resource_request *request, const struct period *period,
                                struct problem *problem)
{
    int64_t before_ms = INSTANT_NONE;
    char first[INSTANT_TEXT_SIZE];
    enum status status = base_folded_before(request->pg, request->arena,
                                            request->principal->workspace_id, &before_ms, problem);
    if (status != STATUS_OK || period->from_ms >= before_ms) {
        return status;
    }
    instant_format(before_ms, first);
    (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                      "of facts before %.10s only their sum is kept: that is the first day a"
                      " backtest can begin with",
                      first);
    problem_point(problem, "#/from");
    return STATUS_INVALID;
}

static enum status queue(const struct resource_request *request,
                         const struct rule_definition *definition, const struct period *period,
                         struct resource_answer *out_answer, struct problem *problem)
{
    enum status status = refuse_early(request, period, problem);
    if (status == STATUS_OK) {
        status = refuse_second(request, problem);
    }
    return status == STATUS_OK
               ? job_queue(request, STR("backtest"),
                           parameters_of(request->arena, definition, period), out_answer, problem)
               : status;
}

static enum status backtest_with(const struct resource_request *request,
                                 const struct profile_reader *reader,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct candidate CLEANUP(candidate_close) candidate = { .arena = NULL };
    struct rule_change change;
    struct period period;
    json_t *root = NULL;
    enum status status = read_body(request, &root, &period, problem);
    if (status == STATUS_OK) {
        status = candidate_read(request, reader, root, &change, problem);
    }
    if (status == STATUS_OK) {
        status = candidate_open_change(request, reader, &change, &candidate, out_answer, problem);
    }
    return status == STATUS_OK
               ? queue(request, &change.wanted.definition, &period, out_answer, problem)
               : status;
}

enum status resource_rule_backtest(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_reader reader;
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = backtest_with(request, &reader, out_answer, problem);
        profile_reader_close(&reader);
    }
    return status;
}
