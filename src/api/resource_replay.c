#include "base/instant.h"
#include "resource_priv.h"
#include "rule_priv.h"
#include "store/quarantine_store.h"
#include "store/source_store.h"

/*
 * Asking for a replay. The work is a job's, since a week of deliveries does not fit
 * a request; a dry run is the same job without the writing, so that it says what
 * would come and not what somebody thinks would.
 */

enum {
    TEXT_BYTES_MAX = 256
};

struct wish {
    const char *what; /* "quarantine" or "webhooks" */
    struct id row_id;
    struct source_row source;
    bool has_source;
    struct str topic;
    int64_t since_ms;
    int64_t until_ms;
    bool is_dry;
};

/* Of one row the first, of a source all but the last. */
static const char *const MEMBERS[] = { "dry_run", "since", "until", "topic", "source" };
enum members {
    OF_ROW = 1,
    OF_SOURCE = 4,
    OF_ALL = 5
};

static enum status find_source(const struct resource_request *request, struct str name,
                               struct wish *wish, struct problem *problem)
{
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     name, request->now_ms, &wish->source, problem);
    wish->has_source = status == STATUS_OK;
    return resource_missing(status, "source", name, problem);
}

static void read_filter(struct document *document, struct wish *wish, struct str *out_source)
{
    wish->topic = document_text(document, "topic", TEXT_BYTES_MAX);
    wish->since_ms = document_instant(document, "since");
    wish->until_ms = document_instant(document, "until");
    *out_source = document_text(document, "source", TEXT_BYTES_MAX);
    if (document->status == STATUS_OK && wish->since_ms != INSTANT_NONE &&
        wish->until_ms != INSTANT_NONE && wish->until_ms <= wish->since_ms) {
        document_fail(document, "until", "invalid-field", "until lies behind since");
    }
}

static enum status read_body(const struct resource_request *request, enum members members,
                             struct wish *wish, struct problem *problem)
{
    struct str source = { NULL, 0 };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, MEMBERS, members);
    wish->is_dry = document_bool(&document, "dry_run", false);
    wish->since_ms = INSTANT_NONE;
    wish->until_ms = INSTANT_NONE;
    if (members != OF_ROW) {
        read_filter(&document, wish, &source);
    }
    status = document.status;
    return status == STATUS_OK && source.size > 0 ? find_source(request, source, wish, problem)
                                                  : status;
}

static struct str parameters_of(const struct resource_request *request, const struct wish *wish)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_z(&json, "what", wish->what);
    if (!id_is_zero(wish->row_id)) {
        jsonw_put_id(&json, "id", wish->row_id);
    }
    if (wish->has_source) {
        jsonw_put_str(&json, "source", wish->source.name);
        jsonw_put_id(&json, "source_id", wish->source.id);
    }
    jsonw_put_instant(&json, "since", wish->since_ms);
    jsonw_put_instant(&json, "until",
                      wish->until_ms != INSTANT_NONE ? wish->until_ms : request->now_ms);
    jsonw_put_str_or_null(&json, "topic", wish->topic);
    jsonw_put_bool(&json, "dry_run", wish->is_dry);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status queue(const struct resource_request *request, const struct wish *wish,
                         struct resource_answer *out_answer, struct problem *problem)
{
    return job_queue(request, STR("replay"), parameters_of(request, wish), out_answer, problem);
}

enum status resource_quarantine_replay(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct wish wish = { .what = "quarantine" };
    struct quarantine_row row;
    bool is_of_row = request->name.size > 0;
    enum status status = read_body(request, is_of_row ? OF_ROW : OF_ALL, &wish, problem);
    if (status == STATUS_OK && is_of_row) {
        status = id_parse(request->name, &wish.row_id)
                     ? quarantine_find(request->pg, request->arena,
                                       request->principal->workspace_id, wish.row_id, &row, problem)
                     : STATUS_MISSING;
        status = resource_missing(status, "quarantined delivery", request->name, problem);
    }
    return status == STATUS_OK ? queue(request, &wish, out_answer, problem) : status;
}

enum status resource_source_replay(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct wish wish = { .what = "webhooks" };
    enum status status = find_source(request, request->name, &wish, problem);
    if (status == STATUS_OK) {
        status = read_body(request, OF_SOURCE, &wish, problem);
    }
    return status == STATUS_OK ? queue(request, &wish, out_answer, problem) : status;
}
