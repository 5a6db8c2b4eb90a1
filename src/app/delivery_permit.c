#include "app/delivery_permit.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/delivery_permit.h"

/*
 * Asked for all that is about to be sent at once, answered with one statement for each
 * workspace. Whoever has not said yes has said no: only `subscribed` may be sent to.
 * A customer who is not there any more was erased, and nothing is sent about them.
 * Notifications of the service itself are about no customer.
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

bool delivery_permit_is_needed(const struct registry_subscription *subscription)
{
    return subscription->channel.size > 0;
}

static struct str reason_of(const struct consent_question *question)
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
        return STR("the customer was erased");
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
    struct consent_question *questions;
    size_t *request_indexes;
    size_t count;
};

static void ask_about(struct asking *asking, const struct registry_snapshot *snapshot,
                      const struct permit_request *request, size_t index)
{
    const struct registry_subscription *subscription =
        snapshot_subscription(snapshot, request->subscription_id);
    if (subscription == NULL || subscription->channel.size == 0 ||
        id_is_zero(request->profile_id)) {
        return;
    }
    asking->request_indexes[asking->count] = index;
    asking->questions[asking->count++] = (struct consent_question){
        .profile_id = request->profile_id,
        .channel = subscription->channel,
    };
}

static enum status permit_workspace(struct delivery_permit *permit,
                                    const struct registry_snapshot *snapshot,
                                    const struct permit_request *requests, size_t from, size_t to,
                                    struct str *out_reasons)
{
    struct problem problem = { .detail = "" };
    struct asking asking = {
        .questions = ARENA_NEW_ARRAY(permit->arena, to - from, struct consent_question),
        .request_indexes = ARENA_NEW_ARRAY(permit->arena, to - from, size_t),
    };
    if (asking.questions == NULL || asking.request_indexes == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = from; i < to; i++) {
        ask_about(&asking, snapshot, &requests[i], i);
    }
    if (asking.count == 0) {
        return STATUS_OK;
    }
    enum status status =
        delivery_permit_read(permit->pg, permit->arena, requests[from].workspace_id,
                             asking.questions, asking.count, &problem);
    if (status != STATUS_OK) {
        log_event(LOG_WARN, "consent could not be read", LOG_Z("status", status_name(status)),
                  LOG_Z("detail", problem.detail));
        return status;
    }
    for (size_t i = 0; i < asking.count; i++) {
        out_reasons[asking.request_indexes[i]] = reason_of(&asking.questions[i]);
    }
    return STATUS_OK;
}

enum status delivery_permit_run(struct delivery_permit *permit,
                                const struct permit_request *requests, size_t count,
                                struct str *out_reasons)
{
    enum status status = STATUS_OK;
    arena_reset(permit->arena);
    const struct registry_snapshot *snapshot = registry_hold(permit->registry);
    if (snapshot == NULL) {
        return STATUS_RETRY;
    }
    for (size_t from = 0; from < count && status == STATUS_OK;) {
        size_t to = from;
        while (to < count && id_equal(requests[to].workspace_id, requests[from].workspace_id)) {
            to++;
        }
        status = permit_workspace(permit, snapshot, requests, from, to, out_reasons);
        from = to;
    }
    registry_release(permit->registry, snapshot);
    return status;
}
