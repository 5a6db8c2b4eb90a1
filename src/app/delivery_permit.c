#include "app/delivery_permit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/trigger/recheck.h"
#include "store/concern_read.h"
#include "store/delivery_permit.h"
#include "store/trigger_store.h"

/*
 * Asked for all that is about to be sent at once, answered with one round trip for each
 * workspace. Of consent, whoever has not said yes has said no: only `subscribed` may be
 * sent to. A filter that is asked again is the one that the subscription has now. A
 * customer who is not there any more was erased, and nothing is sent about them.
 * Notifications of the service itself are about no customer.
 *
 * What cannot be known is not sent: what a filter asks of an event that is not kept any
 * more, a customer who does not decode. That is the end of it, not a failure: a failure
 * comes again and again, and with it all that was asked about together.
 *
 * A reading that does not fit into the arena (a thousand large customers) is cut in half
 * until it does.
 */

#define PERMIT_ARENA_BYTES ((size_t)16 * 1024 * 1024)

struct delivery_permit {
    struct registry *registry;
    struct pg *pg;
    struct arena *arena;
};

enum status delivery_permit_create(const char *database_url, struct registry *registry,
                                   struct delivery_permit **out_permit)
{
    struct delivery_permit *permit = calloc(1, sizeof(*permit));
    if (permit == NULL) {
        return STATUS_BROKEN;
    }
    permit->registry = registry;
    permit->arena = arena_create(PERMIT_ARENA_BYTES);
    if (permit->arena == NULL || pg_open(database_url, true, &permit->pg) != STATUS_OK) {
        delivery_permit_destroy(permit);
        return STATUS_BROKEN;
    }
    *out_permit = permit;
    return STATUS_OK;
}

void delivery_permit_destroy(struct delivery_permit *permit)
{
    if (permit == NULL) {
        return;
    }
    pg_close(permit->pg);
    arena_destroy(permit->arena);
    free(permit);
}

static bool rechecks(const struct registry_subscription *subscription)
{
    const struct rule_program *filter = subscription->filter_program;
    return subscription->recheck && filter != NULL && recheck_is_needed(filter);
}

bool delivery_permit_is_needed(const struct registry_subscription *subscription)
{
    return subscription->channel.size > 0 || rechecks(subscription) ||
           subscription->hears_rechecked;
}

bool delivery_permit_can_ask(const struct registry_subscription *subscription)
{
    return !subscription->recheck || subscription->filter.size == 0 ||
           subscription->filter_program != NULL;
}

#define ERASED_TEXT "the customer was erased"

static struct str consent_reason(const struct consent_question *question)
{
    static const struct {
        const char *state;
        const char *reason;
    } rows[] = {
        { "unsubscribed", "the customer has unsubscribed from the channel" },
        { "pending", "consent for the channel is not confirmed yet" },
        { "invalid", "the customer's address for the channel is invalid" },
        { "never", "the customer never consented to the channel" },
    };
    if (!question->is_known) {
        return STR(ERASED_TEXT);
    }
    if (str_equal(question->state, STR("subscribed"))) {
        return (struct str){ NULL, 0 };
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (str_equal_z(question->state, rows[i].state)) {
            return str_from_z(rows[i].reason);
        }
    }
    return STR("the customer has not consented to the channel");
}

/* The questions of one workspace, and whose they are. */
struct asking {
    struct permit_questions questions;
    size_t *consent_indexes; /* of requests */
    size_t *recheck_indexes;
    const struct rule_program **filters; /* of rechecks; NULL: of a trigger */
    const struct trigger **triggers;
    struct cause_question *causes;
    size_t *cause_indexes;
    size_t cause_count;
};

static bool asking_init(struct asking *asking, struct arena *arena, size_t count)
{
    *asking = (struct asking){
        .questions = { .consents = ARENA_NEW_ARRAY(arena, count, struct consent_question),
                       .rechecks = ARENA_NEW_ARRAY(arena, 2 * count, struct recheck_question) },
        .consent_indexes = ARENA_NEW_ARRAY(arena, count, size_t),
        .recheck_indexes = ARENA_NEW_ARRAY(arena, 2 * count, size_t),
        .filters = ARENA_NEW_ARRAY(arena, 2 * count, const struct rule_program *),
        .triggers = ARENA_NEW_ARRAY(arena, 2 * count, const struct trigger *),
        .causes = ARENA_NEW_ARRAY(arena, count, struct cause_question),
        .cause_indexes = ARENA_NEW_ARRAY(arena, count, size_t),
    };
    return !arena_is_full(arena);
}

static void ask_consent(struct asking *asking, const struct registry_subscription *subscription,
                        const struct permit_request *request, size_t index)
{
    size_t next = asking->questions.consent_count++;
    asking->consent_indexes[next] = index;
    asking->questions.consents[next] = (struct consent_question){
        .profile_id = request->profile_id,
        .channel = subscription->channel,
    };
}

static void ask_filter(struct asking *asking, const struct registry_subscription *subscription,
                       const struct permit_request *request, size_t index)
{
    size_t next = asking->questions.recheck_count++;
    asking->recheck_indexes[next] = index;
    asking->filters[next] = subscription->filter_program;
    asking->questions.rechecks[next] = (struct recheck_question){
        .profile_id = request->profile_id,
        .notification_id = request->notification_id,
        .notification_created_at_ms = request->notification_created_at_ms,
        .asks_event = recheck_asks_event(subscription->filter_program),
        .asks_transition = recheck_asks_transition(subscription->filter_program),
        .properties = rule_program_reads(subscription->filter_program)->properties,
        .property_count = rule_program_reads(subscription->filter_program)->property_count,
    };
}

static void ask_about(struct asking *asking, const struct registry_snapshot *snapshot,
                      const struct permit_request *request, size_t index)
{
    const struct registry_subscription *subscription =
        snapshot_subscription(snapshot, request->subscription_id);
    if (subscription == NULL || id_is_zero(request->profile_id)) {
        return;
    }
    if (subscription->channel.size > 0) {
        ask_consent(asking, subscription, request, index);
    }
    if (rechecks(subscription)) {
        ask_filter(asking, subscription, request, index);
    }
    if (subscription->hears_rechecked) {
        size_t next = asking->cause_count++;
        asking->cause_indexes[next] = index;
        asking->causes[next] = (struct cause_question){
            .notification_id = request->notification_id,
            .notification_created_at_ms = request->notification_created_at_ms,
        };
    }
}

/* --- triggers ---------------------------------------------------------------- */

static const struct trigger *trigger_of(const struct registry_workspace *workspace, struct str name)
{
    for (size_t i = 0; name.size > 0 && i < workspace->trigger_count; i++) {
        if (str_equal(workspace->triggers[i].name, name)) {
            return &workspace->triggers[i];
        }
    }
    return NULL;
}

/* The trigger of today asks. Of an event its own properties are read back; a fact stands
 * in the answer to the first question. */
static void ask_trigger(struct asking *asking, const struct trigger *trigger,
                        const struct permit_request *request, const struct cause_question *cause,
                        size_t index)
{
    size_t next = asking->questions.recheck_count++;
    const struct rule_program *program = trigger->program;
    asking->recheck_indexes[next] = index;
    asking->triggers[next] = trigger;
    asking->questions.rechecks[next] = (struct recheck_question){
        .profile_id = request->profile_id,
        .notification_id = request->notification_id,
        .notification_created_at_ms = request->notification_created_at_ms,
        .asks_event = cause->fact == NULL && program != NULL && recheck_asks_event(program),
        .told = { .event = cause->fact, .source = cause->source },
    };
    if (program != NULL) {
        asking->questions.rechecks[next].properties = rule_program_reads(program)->properties;
        asking->questions.rechecks[next].property_count =
            rule_program_reads(program)->property_count;
    }
}

static enum status ask_triggers(struct delivery_permit *permit,
                                const struct registry_workspace *workspace,
                                const struct permit_request *requests, struct asking *asking,
                                struct problem *problem)
{
    if (asking->cause_count == 0) {
        return STATUS_OK;
    }
    enum status status = delivery_permit_causes(permit->pg, permit->arena, workspace->id,
                                                asking->causes, asking->cause_count, problem);
    for (size_t i = 0; i < asking->cause_count && status == STATUS_OK; i++) {
        size_t index = asking->cause_indexes[i];
        const struct trigger *trigger = trigger_of(workspace, asking->causes[i].trigger);
        if (trigger != NULL && trigger->recheck) {
            ask_trigger(asking, trigger, &requests[index], &asking->causes[i], index);
        }
    }
    return status;
}

/* What the customers have to do with what it is about, where a trigger asks. */
static enum status read_concerns(struct delivery_permit *permit,
                                 const struct registry_workspace *workspace,
                                 const struct asking *asking, struct problem *problem)
{
    struct recheck_question *questions = asking->questions.rechecks;
    size_t count = asking->questions.recheck_count;
    size_t asked = 0;
    struct waiting_row *rows = ARENA_NEW_ARRAY(permit->arena, count + 1, struct waiting_row);
    size_t *places = ARENA_NEW_ARRAY(permit->arena, count + 1, size_t);
    if (rows == NULL || places == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        if (asking->triggers[i] != NULL && questions[i].profile != NULL) {
            places[asked] = i;
            rows[asked++] = (struct waiting_row){ .trigger_id = asking->triggers[i]->id,
                                                  .profile_id = questions[i].profile->id,
                                                  .event = questions[i].told.event };
        }
    }
    enum status status = asked == 0 ? STATUS_OK
                                    : concerns_read(permit->pg, permit->arena, workspace->id,
                                                    workspace->trigger_set, rows, asked, problem);
    for (size_t i = 0; i < asked; i++) {
        questions[places[i]].told.concern = rows[i].concern;
    }
    return status;
}

/* --- filters ----------------------------------------------------------------- */

static enum status filter_reason(struct decision *decision, const struct recheck_question *question,
                                 const struct rule_program *filter, const struct trigger *trigger,
                                 int64_t now_ms, struct str *out_reason)
{
    bool is_untold = (question->asks_event && !question->has_event) ||
                     (question->asks_transition && !question->has_transition);
    bool holds = false;
    if (!question->is_known) {
        *out_reason = STR(ERASED_TEXT);
        return STATUS_OK;
    }
    if (question->profile == NULL) {
        log_event(LOG_ERROR, "a stored profile does not decode",
                  LOG_ID("profile", question->profile_id));
        *out_reason = STR("the customer's profile cannot be read");
        return STATUS_OK;
    }
    if (is_untold) {
        *out_reason = STR(RECHECK_UNTOLD);
        return STATUS_OK;
    }
    enum status status =
        trigger != NULL
            ? recheck_trigger(decision, question->profile, trigger, &question->told, now_ms, &holds)
            : recheck_filter(decision, question->profile, filter, &question->told, now_ms, &holds);
    if (status == STATUS_OK && !holds) {
        *out_reason = trigger != NULL ? STR(RECHECK_TRIGGER) : STR(RECHECK_FALSE);
    }
    return status;
}

static enum status ask_filters(struct delivery_permit *permit,
                               const struct registry_workspace *workspace,
                               const struct asking *asking, struct str *reasons,
                               struct problem *problem)
{
    const struct recheck_question *questions = asking->questions.rechecks;
    size_t count = asking->questions.recheck_count;
    struct decide_context context;
    registry_decide_context(workspace, &context);
    context.interest_count = 0; /* nothing rings */
    struct decision *decision = decision_create(permit->arena, &context, 0);
    if (decision == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        if (questions[i].profile != NULL) {
            decision_put_profile(decision, questions[i].profile);
        }
    }
    enum status status = registry_catch_up(permit->registry, decision, problem);
    int64_t now_ms = clock_now_ms();
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct str *reason = &reasons[asking->recheck_indexes[i]];
        if (reason->size == 0) {
            status = filter_reason(decision, &questions[i], asking->filters[i], asking->triggers[i],
                                   now_ms, reason);
        }
    }
    return status;
}

/* What its trigger undid, counted; a count that fails is no reason to send. */
static void count_undone(struct delivery_permit *permit, const struct registry_workspace *workspace,
                         const struct asking *asking, const struct str *reasons)
{
    struct problem problem = { .detail = "" };
    size_t filled = 0;
    size_t most = asking->questions.recheck_count;
    struct outcome_row *rows = ARENA_NEW_ARRAY(permit->arena, most + 1, struct outcome_row);
    for (size_t i = 0; rows != NULL && i < most; i++) {
        const struct trigger *trigger = asking->triggers[i];
        if (trigger == NULL ||
            !str_equal(reasons[asking->recheck_indexes[i]], STR(RECHECK_TRIGGER))) {
            continue;
        }
        size_t at = 0;
        while (at < filled && !id_equal(rows[at].trigger_id, trigger->id)) {
            at++;
        }
        rows[at] = (struct outcome_row){ .trigger_id = trigger->id,
                                         .at_ms = clock_now_ms(),
                                         .mode = trigger->mode,
                                         .outcome = OUTCOME_UNDONE,
                                         .count = (at < filled ? rows[at].count : 0) + 1 };
        filled += at == filled ? 1 : 0;
    }
    if (filled > 0 && trigger_store_add_outcomes(permit->pg, permit->arena, workspace->id, rows,
                                                 filled, &problem) != STATUS_OK) {
        pg_reset(permit->pg);
        log_event(LOG_WARN, "what was undone is not counted", LOG_Z("detail", problem.detail));
    }
}

/* --- the whole --------------------------------------------------------------- */

static enum status permit_workspace(struct delivery_permit *permit,
                                    const struct registry_snapshot *snapshot,
                                    const struct permit_request *requests, size_t from, size_t to,
                                    struct str *out_reasons)
{
    struct problem problem = { .detail = "" };
    struct asking asking;
    const struct registry_workspace *workspace =
        snapshot_workspace(snapshot, requests[from].workspace_id);
    arena_reset(permit->arena);
    if (workspace == NULL) {
        return STATUS_RETRY;
    }
    if (!asking_init(&asking, permit->arena, to - from)) {
        return STATUS_LIMIT;
    }
    for (size_t i = from; i < to; i++) {
        ask_about(&asking, snapshot, &requests[i], i);
    }
    enum status status = ask_triggers(permit, workspace, requests, &asking, &problem);
    if (status == STATUS_OK) {
        status = delivery_permit_read(permit->pg, permit->arena, workspace->id, &asking.questions,
                                      &problem);
    }
    for (size_t i = 0; i < asking.questions.consent_count && status == STATUS_OK; i++) {
        out_reasons[asking.consent_indexes[i]] = consent_reason(&asking.questions.consents[i]);
    }
    if (status == STATUS_OK && asking.questions.recheck_count > 0) {
        status = read_concerns(permit, workspace, &asking, &problem);
    }
    if (status == STATUS_OK && asking.questions.recheck_count > 0) {
        status = ask_filters(permit, workspace, &asking, out_reasons, &problem);
    }
    if (status == STATUS_OK) {
        count_undone(permit, workspace, &asking, out_reasons);
    }
    if (status != STATUS_OK && status != STATUS_LIMIT) {
        log_event(LOG_WARN, "what may be sent could not be read",
                  LOG_Z("status", status_name(status)), LOG_Z("detail", problem.detail));
    }
    return status;
}

/* Where the next reading ends: of one workspace. */
static size_t run_end(const struct permit_request *requests, size_t from, size_t count)
{
    size_t to = from;
    while (to < count && id_equal(requests[to].workspace_id, requests[from].workspace_id)) {
        to++;
    }
    return to;
}

enum status delivery_permit_run(struct delivery_permit *permit,
                                const struct permit_request *requests, size_t count,
                                struct str *out_reasons)
{
    enum status status = STATUS_OK;
    const struct registry_snapshot *snapshot = registry_hold(permit->registry);
    if (snapshot == NULL) {
        return STATUS_RETRY;
    }
    for (size_t from = 0; from < count && status == STATUS_OK;) {
        size_t to = run_end(requests, from, count);
        status = permit_workspace(permit, snapshot, requests, from, to, out_reasons);
        while (status == STATUS_LIMIT && to - from > 1) {
            to = from + (to - from) / 2;
            status = permit_workspace(permit, snapshot, requests, from, to, out_reasons);
        }
        from = to;
    }
    registry_release(permit->registry, snapshot);
    return status;
}
