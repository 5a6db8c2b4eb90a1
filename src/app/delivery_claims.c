#include "app/delivery_claims.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/log.h"

/*
 * Problem: ten thousand endpoints, of which two thousand are sick and one has a million
 * messages; every one of the others is to be asked soon, for little, and gets its share.
 *
 * A turn goes on where the last one ended, workspace by workspace and endpoint by
 * endpoint, and asks PROBES_A_TURN of them in one statement for each workspace: only
 * active ones, only those whose gate has room. An endpoint is asked for no more than its
 * share of what is left, which is all of it if few had anything the last time. A round
 * over all endpoints takes at most ROUND_MS while the sender has room; a quiet thousand
 * costs a millisecond each poll.
 *
 * Floors (correctness 15) live in a table by endpoint; two may share a slot, since a lost
 * floor costs time and never a message. Each is forgotten after half a minute, which is
 * how the leases of an instance that died are found.
 */

enum {
    WORKSPACES_A_TURN = 64,
    PROBES_A_TURN = 1024,
    FLOOR_SLOTS = 32768,
    SHARE_MIN = 32,
    BATCHES_MAX = 16, /* of one endpoint in one turn */
};

#define FLOOR_FORGET_MS 30000
#define ROUND_MS 1000

struct floor_slot {
    struct id subscription_id;
    int64_t floor_ms;
    int64_t forget_at_ms; /* monotonic */
};

struct delivery_claims {
    struct registry *registry;
    struct id owner;
    size_t workspace_index; /* whose turn is next */
    size_t interest_index;
    int64_t round_began_ms;
    size_t giving; /* endpoints that had something in the last turn */
    struct floor_slot floors[FLOOR_SLOTS];
};

/* One call. */
struct turn {
    struct delivery_claims *claims;
    struct pg *pg;
    struct arena *arena;
    const struct sender_gate *gate;
    const struct registry_snapshot *snapshot;
    size_t limit; /* what is left of it */
    size_t probes;
    size_t giving;
    bool more;
    struct delivery *rows;
    size_t count;
    size_t capacity;
};

struct delivery_claims *delivery_claims_create(struct registry *registry, struct id owner)
{
    struct delivery_claims *claims = calloc(1, sizeof(*claims));
    if (claims != NULL) {
        claims->registry = registry;
        claims->owner = owner;
    }
    return claims;
}

void delivery_claims_destroy(struct delivery_claims *claims)
{
    free(claims);
}

static struct floor_slot *floor_of(struct delivery_claims *claims, struct id subscription_id)
{
    struct str bytes = { (const char *)subscription_id.bytes, sizeof(subscription_id.bytes) };
    uint64_t hash = hash64(bytes, 0);
    struct floor_slot *slot = &claims->floors[hash % FLOOR_SLOTS];
    int64_t now_ms = clock_monotonic_ms();
    if (!id_equal(slot->subscription_id, subscription_id) || now_ms >= slot->forget_at_ms) {
        /* Not all at once: the look from the beginning is the dear one. */
        int64_t spread_ms = (int64_t)(hash >> 32) % (FLOOR_FORGET_MS / 4);
        *slot = (struct floor_slot){
            .subscription_id = subscription_id,
            .floor_ms = INSTANT_NONE,
            .forget_at_ms = now_ms + FLOOR_FORGET_MS - spread_ms,
        };
    }
    return slot;
}

void delivery_claims_forget_floor(struct delivery_claims *claims, struct id subscription_id)
{
    floor_of(claims, subscription_id)->floor_ms = INSTANT_NONE;
}

static size_t share_of(const struct turn *turn)
{
    size_t share = turn->limit / (turn->claims->giving + 1);
    return share > SHARE_MIN ? share : SHARE_MIN;
}

/* False: it is not to be asked. */
static bool lane_fill(const struct turn *turn, struct id subscription_id, int64_t now_ms,
                      struct claim_lane *out_lane)
{
    const struct registry_subscription *subscription =
        snapshot_subscription(turn->snapshot, subscription_id);
    size_t room = turn->gate->room(turn->gate->context, subscription_id);
    size_t share = share_of(turn);
    bool is_active = subscription != NULL && str_equal_z(subscription->status, "active");
    if (!is_active || room == 0) {
        /* What is given back meanwhile keeps its old instant. */
        delivery_claims_forget_floor(turn->claims, subscription_id);
        return false;
    }
    *out_lane = (struct claim_lane){
        .subscription_id = subscription_id,
        .floor_ms = floor_of(turn->claims, subscription_id)->floor_ms,
        .room = room < share ? room : share,
        .batch_max = subscription->batch_max > 0 ? (size_t)subscription->batch_max : 0,
        .ripe_by_ms = now_ms - subscription->batch_wait_ms,
        .format = native_from_name(subscription->format),
    };
    if (out_lane->batch_max > 0 && out_lane->room > BATCHES_MAX) {
        out_lane->room = BATCHES_MAX;
    }
    return true;
}

static enum status rows_add(struct turn *turn, const struct delivery *rows, size_t count)
{
    if (turn->count + count > turn->capacity) {
        size_t capacity = (turn->count + count) * 2;
        struct delivery *larger = ARENA_NEW_ARRAY(turn->arena, capacity, struct delivery);
        if (larger == NULL) {
            return STATUS_LIMIT;
        }
        if (turn->count > 0) {
            memcpy(larger, turn->rows, turn->count * sizeof(*larger));
        }
        turn->rows = larger;
        turn->capacity = capacity;
    }
    if (count > 0) {
        memcpy(&turn->rows[turn->count], rows, count * sizeof(*rows));
    }
    turn->count += count;
    return STATUS_OK;
}

static void learn(struct turn *turn, const struct claim_lane *lanes, size_t lane_count)
{
    for (size_t i = 0; i < lane_count; i++) {
        floor_of(turn->claims, lanes[i].subscription_id)->floor_ms = lanes[i].floor_ms;
        if (lanes[i].claimed > 0) {
            turn->giving++;
            turn->more = turn->more || lanes[i].claimed >= lanes[i].room;
        }
    }
}

static size_t weight(const struct delivery *rows, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += rows[i].member_count > 0 ? rows[i].member_count : 1;
    }
    return total;
}

static enum status claim(struct turn *turn, const struct registry_workspace *workspace,
                         struct claim_lane *lanes, size_t lane_count, int64_t now_ms)
{
    struct problem problem = { .detail = "" };
    struct delivery *rows = NULL;
    size_t count = 0;
    const struct claim_terms terms = {
        .workspace_id = workspace->id,
        .workspace_name = workspace->name,
        .owner = turn->claims->owner,
        .now_ms = now_ms,
        .lease_until_ms = now_ms + LIMIT_DELIVERY_LEASE_MS,
        .limit = turn->limit,
    };
    enum status status = delivery_store_claim(turn->pg, turn->arena, &terms, lanes, lane_count,
                                              &rows, &count, &problem);
    if (status != STATUS_OK) {
        log_event(LOG_WARN, "claim failed", LOG_Z("status", status_name(status)),
                  LOG_Z("detail", problem.detail));
        return status;
    }
    learn(turn, lanes, lane_count);
    size_t claimed = weight(rows, count);
    turn->limit -= claimed < turn->limit ? claimed : turn->limit;
    turn->more = turn->more || turn->limit == 0;
    return rows_add(turn, rows, count);
}

/* Asks some endpoints of the workspace whose turn it is, and moves on. */
static enum status workspace_turn(struct turn *turn, const struct registry_workspace *workspace)
{
    struct delivery_claims *claims = turn->claims;
    size_t most =
        workspace->interest_count < PROBES_A_TURN ? workspace->interest_count : PROBES_A_TURN;
    struct claim_lane *lanes = ARENA_NEW_ARRAY(turn->arena, most + 1, struct claim_lane);
    int64_t now_ms = clock_now_ms();
    size_t count = 0;
    if (lanes == NULL) {
        return STATUS_LIMIT;
    }
    while (!workspace->held && turn->probes > 0 &&
           claims->interest_index < workspace->interest_count) {
        struct id id = workspace->interests[claims->interest_index++].subscription_id;
        if (lane_fill(turn, id, now_ms, &lanes[count])) {
            count++;
        }
        turn->probes--;
    }
    if (workspace->held || claims->interest_index >= workspace->interest_count) {
        claims->workspace_index++;
        claims->interest_index = 0;
    }
    return count == 0 ? STATUS_OK : claim(turn, workspace, lanes, count, now_ms);
}

static enum status turn_run(struct turn *turn)
{
    struct delivery_claims *claims = turn->claims;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < WORKSPACES_A_TURN && status == STATUS_OK; i++) {
        const struct registry_workspace *workspace =
            snapshot_workspace_at(turn->snapshot, claims->workspace_index);
        if (workspace == NULL) {
            claims->workspace_index = 0;
            claims->interest_index = 0;
            claims->round_began_ms = clock_monotonic_ms();
            workspace = i == 0 ? snapshot_workspace_at(turn->snapshot, 0) : NULL;
        }
        if (workspace == NULL) {
            return STATUS_OK;
        }
        status = workspace_turn(turn, workspace);
        if (turn->limit == 0 || turn->probes == 0) {
            break;
        }
    }
    bool is_late = clock_monotonic_ms() - claims->round_began_ms > ROUND_MS;
    turn->more = turn->more || is_late;
    return status;
}

enum status delivery_claims_run(struct delivery_claims *claims, struct pg *pg, struct arena *arena,
                                const struct sender_gate *gate, size_t limit,
                                struct delivery **out_deliveries, size_t *out_count, bool *out_more)
{
    struct turn turn = {
        .claims = claims,
        .pg = pg,
        .arena = arena,
        .gate = gate,
        .snapshot = registry_hold(claims->registry),
        .limit = limit,
        .probes = PROBES_A_TURN,
    };
    enum status status = turn.snapshot == NULL ? STATUS_OK : turn_run(&turn);
    if (turn.snapshot != NULL) {
        registry_release(claims->registry, turn.snapshot);
    }
    claims->giving = turn.giving;
    /* What was claimed before a failure is leased to us: it must be sent. */
    if (status != STATUS_OK && turn.count == 0) {
        return status;
    }
    *out_deliveries = turn.rows;
    *out_count = turn.count;
    *out_more = turn.more && status == STATUS_OK;
    return STATUS_OK;
}
