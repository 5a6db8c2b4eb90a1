#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/log.h"
#include "deliver/answer_text.h"
#include "deliver/rejected.h"
#include "sender_priv.h"

/*
 * What became of an attempt: of a message, or of a batch and each of its members.
 *
 * A batch that was not taken comes again as it is, by its own schedule. One that was
 * taken settles all its members but those that the receiver named as rejected: they
 * come again in another batch, each by its own schedule, or are given up with the
 * receiver's reason. A batch of which a member must not be sent any more is none: that
 * member is settled, the others are free for a new one under another id, since the old
 * id may have been seen with all of them.
 */

enum {
    STATUS_TOO_MANY = 429,
    STATUS_UNAVAILABLE = 503,
    STATUS_REJECTED = 422, /* as if the member alone had been refused */
};

static const struct str expired_text = { "expired before it could be sent", 31 };

void verdict_settle(struct sender *sender, const struct settlement *settlement)
{
    struct outcome *outcome = outcome_create(settlement);
    if (outcome == NULL) {
        log_event(LOG_ERROR, "no memory to settle; the delivery will be sent again",
                  LOG_ID("delivery", settlement->attempt.delivery_id));
        return;
    }
    settler_add_take(sender->settler, outcome);
    if (sender->config.ops.observe != NULL) {
        sender->config.ops.observe(sender->config.ops.app, settlement->attempt.outcome,
                                   settlement->attempt.duration_ms);
    }
}

static struct attempt attempt_of(const struct delivery *delivery, int64_t at_ms)
{
    return (struct attempt){
        .workspace_id = delivery->workspace_id,
        .id = id_create(),
        .at_ms = at_ms,
        .delivery_id = delivery->id,
        .notification_id = delivery->notification_id,
        .subscription_id = delivery->subscription_id,
        .profile_id = delivery->profile_id,
        .notification_created_at_ms = delivery->notification_created_at_ms,
        .number = delivery->attempt + 1,
        .next_at_ms = INSTANT_NONE,
        .body_bytes = (uint32_t)delivery->body.size,
    };
}

/* Who asked for it again knows how old it is: its age begins anew. */
static int64_t age_begins_ms(int64_t created_at_ms, int64_t replayed_at_ms)
{
    return replayed_at_ms > 0 ? replayed_at_ms : created_at_ms;
}

static int64_t member_expires_at_ms(const struct delivery_member *member, int64_t max_age_ms)
{
    return delivery_expires_at_ms(
        age_begins_ms(member->notification_created_at_ms, member->replayed_at_ms),
        member->expires_at_ms, max_age_ms);
}

/* Of a batch: when the last of its members expires. */
static int64_t last_expires_at_ms(const struct delivery *delivery, int64_t max_age_ms)
{
    if (delivery->member_count == 0) {
        return delivery_expires_at_ms(
            age_begins_ms(delivery->notification_created_at_ms, delivery->replayed_at_ms),
            delivery->expires_at_ms, max_age_ms);
    }
    int64_t last_ms = 0;
    for (size_t i = 0; i < delivery->member_count; i++) {
        int64_t at_ms = member_expires_at_ms(&delivery->members[i], max_age_ms);
        last_ms = at_ms > last_ms ? at_ms : last_ms;
    }
    return last_ms;
}

bool verdict_is_expired(const struct delivery *delivery, int64_t max_age_ms, int64_t now_ms)
{
    bool is_expired =
        delivery->member_count == 0 && now_ms >= last_expires_at_ms(delivery, max_age_ms);
    for (size_t i = 0; i < delivery->member_count && !is_expired; i++) {
        is_expired = now_ms >= member_expires_at_ms(&delivery->members[i], max_age_ms);
    }
    return is_expired;
}

/* --- nothing is sent ------------------------------------------------------- */

static void drop_alone(struct sender *sender, const struct delivery *delivery,
                       const struct str *reasons, int64_t now_ms)
{
    struct settlement settlement = {
        .attempt = attempt_of(delivery, now_ms),
        .settled = true,
        .is_ordered = delivery->is_ordered,
    };
    bool is_dropped = reasons != NULL && reasons[0].size > 0;
    settlement.attempt.outcome = is_dropped ? ATTEMPT_DROPPED : ATTEMPT_GAVE_UP;
    settlement.attempt.error = is_dropped ? reasons[0] : expired_text;
    verdict_settle(sender, &settlement);
}

static struct member_end end_unsent(const struct delivery_member *member, struct str reason,
                                    int64_t max_age_ms, int64_t now_ms)
{
    struct member_end end = { .member = *member, .fate = MEMBER_FREED, .next_at_ms = INSTANT_NONE };
    if (reason.size > 0) {
        end.fate = MEMBER_SETTLED;
        end.outcome = ATTEMPT_DROPPED;
        end.error = reason;
    } else if (now_ms >= member_expires_at_ms(member, max_age_ms)) {
        end.fate = MEMBER_SETTLED;
        end.outcome = ATTEMPT_GAVE_UP;
        end.error = expired_text;
    }
    return end;
}

void verdict_drop(struct sender *sender, const struct delivery *delivery, const struct str *reasons,
                  int64_t max_age_ms, int64_t now_ms)
{
    if (delivery->member_count == 0) {
        drop_alone(sender, delivery, reasons, now_ms);
        return;
    }
    struct member_end *ends = calloc(delivery->member_count, sizeof(*ends));
    if (ends == NULL) {
        return; /* its lease runs out */
    }
    for (size_t i = 0; i < delivery->member_count; i++) {
        struct str reason = reasons == NULL ? (struct str){ NULL, 0 } : reasons[i];
        ends[i] = end_unsent(&delivery->members[i], reason, max_age_ms, now_ms);
    }
    struct settlement settlement = {
        .attempt = attempt_of(delivery, now_ms),
        .settled = true,
        .is_ordered = delivery->is_ordered,
        .members = ends,
        .member_count = delivery->member_count,
    };
    settlement.attempt.outcome = ATTEMPT_DROPPED;
    verdict_settle(sender, &settlement);
    free(ends);
}

void verdict_unsent(struct sender *sender, const struct delivery *delivery, struct str why,
                    int64_t now_ms)
{
    struct settlement settlement = {
        .attempt = attempt_of(delivery, now_ms),
        .settled = true,
        .is_ordered = delivery->is_ordered,
    };
    settlement.attempt.outcome = ATTEMPT_GAVE_UP;
    settlement.attempt.error = why;
    verdict_settle(sender, &settlement);
}

/* --- something was sent ---------------------------------------------------- */

/* What an ESP's answer means beyond what delivery_next knows. */
static enum attempt_outcome judge_native(enum native_format format, int32_t status,
                                         enum attempt_outcome outcome)
{
    switch (native_meaning(format, status)) {
    case NATIVE_FINAL:
        return ATTEMPT_GAVE_UP;
    case NATIVE_REPEATED:
        return ATTEMPT_DELIVERED;
    case NATIVE_AS_USUAL:
        break;
    }
    return outcome;
}

static struct settlement judge(const struct flight *flight, const struct transfer_result *result,
                               int64_t expires_ms, int64_t now_ms)
{
    const struct delivery *delivery = &flight->queued->delivery;
    struct settlement settlement = { .attempt = attempt_of(delivery, flight->at_ms),
                                     .is_ordered = delivery->is_ordered };
    struct attempt *attempt = &settlement.attempt;
    int64_t wait_ms = 0;
    attempt->response_status = result->status;
    attempt->duration_ms = (clock_monotonic_us() - flight->started_us) / 1000;
    attempt->error = str_from_z(result->error);
    attempt->outcome = delivery_next(result->status, attempt->number, result->retry_after_ms,
                                     result->aborted, randombytes_random(), &wait_ms);
    attempt->outcome = judge_native(flight->format, result->status, attempt->outcome);
    switch (attempt->outcome) {
    case ATTEMPT_RETRY:
        if (now_ms + wait_ms < expires_ms) {
            attempt->next_at_ms = now_ms + wait_ms;
        } else {
            attempt->outcome = ATTEMPT_GAVE_UP;
            settlement.settled = true;
        }
        break;
    case ATTEMPT_GONE:
        settlement.settled = true;
        settlement.disable_subscription = true;
        break;
    case ATTEMPT_DELIVERED:
    case ATTEMPT_GAVE_UP:
    case ATTEMPT_ABORTED:
    case ATTEMPT_DROPPED:
        settlement.settled = true;
        break;
    }
    return settlement;
}

static void reject(struct member_end *end, const struct rejection *rejection,
                   const struct settlement *settlement, int64_t expires_ms, int64_t now_ms)
{
    uint32_t number = end->member.attempt + settlement->attempt.number;
    int64_t wait_ms = 0;
    end->error = rejection->reason.size > 0 ? rejection->reason : STR("rejected by the receiver");
    end->fate = MEMBER_SETTLED;
    end->outcome = ATTEMPT_GAVE_UP;
    end->next_at_ms = INSTANT_NONE;
    if (rejection->retry &&
        delivery_next(STATUS_REJECTED, number, 0, false, randombytes_random(), &wait_ms) ==
            ATTEMPT_RETRY &&
        now_ms + wait_ms < expires_ms) {
        end->fate = MEMBER_AGAIN;
        end->outcome = ATTEMPT_RETRY;
        end->next_at_ms = now_ms + wait_ms;
    }
}

static void judge_members(const struct delivery *delivery, const struct settlement *settlement,
                          const struct rejected *rejected, int64_t max_age_ms,
                          struct member_end *ends)
{
    int64_t now_ms = clock_now_ms();
    for (size_t i = 0; i < delivery->member_count; i++) {
        const struct delivery_member *member = &delivery->members[i];
        const struct rejection *rejection = rejected_find(rejected, member->notification_id);
        ends[i] = (struct member_end){
            .member = *member,
            .fate = settlement->settled ? MEMBER_SETTLED : MEMBER_KEPT,
            .outcome = settlement->attempt.outcome,
            .next_at_ms = settlement->attempt.next_at_ms,
        };
        if (rejection != NULL) {
            reject(&ends[i], rejection, settlement, member_expires_at_ms(member, max_age_ms),
                   now_ms);
        }
    }
}

static struct rejected *rejected_of(const struct delivery *delivery, enum native_format format,
                                    struct str answer)
{
    const struct native_bulk *bulk = native_bulk(format);
    return bulk == NULL
               ? rejected_read(answer)
               : rejected_read_places(answer, bulk, delivery->members, delivery->member_count);
}

static void settle_batch(struct sender *sender, const struct flight *flight,
                         struct settlement *settlement, const struct transfer_result *result,
                         int64_t max_age_ms)
{
    const struct delivery *delivery = &flight->queued->delivery;
    struct member_end *ends = calloc(delivery->member_count, sizeof(*ends));
    if (ends == NULL) {
        log_event(LOG_ERROR, "no memory to settle; the batch will be sent again",
                  LOG_ID("batch", delivery->id));
        return;
    }
    struct rejected *rejected = settlement->attempt.outcome == ATTEMPT_DELIVERED
                                    ? rejected_of(delivery, flight->format, result->body)
                                    : NULL;
    judge_members(delivery, settlement, rejected, max_age_ms, ends);
    settlement->members = ends;
    settlement->member_count = delivery->member_count;
    verdict_settle(sender, settlement);
    rejected_destroy(rejected);
    free(ends);
}

static struct lane_report report_of(const struct flight *flight,
                                    const struct transfer_result *result)
{
    struct lane_report report = { .news = LANE_HEARD,
                                  .started_ms = flight->started_us / 1000,
                                  .jitter = randombytes_random() };
    if (result->status == 0) {
        report.news = LANE_SILENT;
    } else if (result->status == STATUS_TOO_MANY ||
               (result->status == STATUS_UNAVAILABLE && result->retry_after_ms > 0)) {
        report.news = LANE_THROTTLED;
        report.rest_ms = result->retry_after_ms;
    } else if (result->status >= 500) {
        report.news = LANE_FAILED;
    }
    return report;
}

struct lane_report verdict_of_flight(struct sender *sender, const struct flight *flight,
                                     const struct transfer_result *result, int64_t now_ms)
{
    const struct delivery *delivery = &flight->queued->delivery;
    struct outlet *outlet = lane_data(flight->lane);
    int64_t expires_ms = last_expires_at_ms(delivery, outlet->max_age_ms);
    struct settlement settlement = judge(flight, result, expires_ms, now_ms);
    char text[ANSWER_TEXT_BYTES_MAX];
    settlement.attempt.response =
        (struct str){ text, answer_text_clean(result->body, text, sizeof(text)) };
    if (delivery->member_count > 0) {
        settle_batch(sender, flight, &settlement, result, outlet->max_age_ms);
    } else {
        verdict_settle(sender, &settlement);
    }
    if (settlement.disable_subscription) {
        log_event(LOG_INFO, "an endpoint answered 410 and is disabled",
                  LOG_ID("subscription", delivery->subscription_id));
        outlet->gone_until_ms = clock_monotonic_ms() + ENDPOINT_GONE_MS;
    }
    return report_of(flight, result);
}
