#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/decide.h"
#include "fan_out_priv.h"
#include "store/batch.h"
#include "store/fan_out_store.h"
#include "store/interest_read.h"
#include "store/universal_audience.h"

/*
 * A chunk: the next page of those whom the fact may concern, the audience asked of what the
 * page itself says, then the rest of them locked, decided, and saved together with the
 * cursor.
 *
 *   a fact of the catalogue, or a selector of products   the interested of each product
 *   any other selector                                   universal_audience
 *
 * Invariant (correctness 25): nobody is passed over and nobody is rung twice, whatever
 * merges meanwhile. A page is read before its customers are locked; if one of them was
 * merged in between, the page is read again. Pages of interest give a customer once, under
 * the least of his origins. A selector's page may meet him again after a merge: then the
 * fact's notification to whoever was merged into him stands there already, and is looked
 * for. Of several products a customer is rung once, for the first: it is one fact.
 *
 * A fact that is over (it expired, or the opposite was told since) ends the job where it
 * stands.
 */

enum {
    LIMIT_MAX = 5000,
    MATCHES_WANTED = 200, /* a transaction of some 20 ms */
};

struct chunk {
    const struct fan_out_turn *turn;
    const struct trigger *trigger;
    struct universal_event fact;
    struct event event; /* the same, as rules and messages read it */
    struct fan_out_cursor cursor;
    int64_t now_ms;

    struct interest_target target;
    bool has_target;
    bool has_selected_products;
    struct id *profile_ids;
    struct interest *interests; /* of each; NULL: no product */
    size_t count;
    bool is_end;

    struct decide_context context;
    struct decision *decision;
    struct batch batch;
};

/* --- who ------------------------------------------------------------------------- */

static enum status read_target(struct chunk *chunk, struct id source_id, struct str product_id,
                               struct str variant_id, struct problem *problem)
{
    chunk->target = (struct interest_target){ .workspace_id = chunk->turn->job->workspace_id,
                                              .source_id = source_id,
                                              .product_id = product_id,
                                              .variant_id = variant_id };
    chunk->has_target = true;
    return interest_target_read(chunk->turn->pg, chunk->turn->arena, &chunk->target, problem);
}

static enum status read_interested(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    struct interest_page page = { .count = 0 };
    enum status status =
        interest_page_read(turn->pg, turn->arena, &chunk->target, chunk->cursor.after_id,
                           turn->job->limit, &page, problem);
    if (status != STATUS_OK) {
        return status;
    }
    chunk->profile_ids = ARENA_NEW_ARRAY(turn->arena, page.count + 1, struct id);
    chunk->interests = ARENA_NEW_ARRAY(turn->arena, page.count + 1, struct interest);
    if (chunk->profile_ids == NULL || chunk->interests == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page.count; i++) {
        chunk->profile_ids[i] = page.items[i].profile_id;
        chunk->interests[i] = page.items[i].interest;
    }
    chunk->count = page.count;
    chunk->cursor.walked += (int64_t)page.walked;
    chunk->cursor.after_id = page.last_id;
    chunk->is_end = page.is_end;
    return STATUS_OK;
}

/* The product at which the walk stands, or the next one. */
static enum status read_selected(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    enum status status = STATUS_OK;
    if (id_is_zero(chunk->cursor.after_id)) {
        status = fan_out_product(turn->pg, turn->arena, turn->job->workspace_id,
                                 chunk->fact.selector_json, chunk->cursor.product_source_id,
                                 chunk->cursor.product_id, &chunk->cursor.product_source_id,
                                 &chunk->cursor.product_id, problem);
    }
    if (status == STATUS_MISSING) {
        chunk->is_end = true;
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = read_target(chunk, chunk->cursor.product_source_id, chunk->cursor.product_id,
                             STR(""), problem);
    }
    if (status == STATUS_OK) {
        status = read_interested(chunk, problem);
    }
    if (status == STATUS_OK && chunk->is_end) {
        chunk->cursor.after_id = ID_ZERO; /* of the next product from its beginning */
        chunk->is_end = false;
    }
    chunk->event.source_id = chunk->cursor.product_source_id;
    chunk->event.product_id = chunk->cursor.product_id;
    return status;
}

static enum status read_audience(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    struct universal_audience audience = { .count = 0 };
    enum status status = universal_audience(turn->pg, turn->arena, turn->job->workspace_id,
                                            chunk->fact.selector_json, &chunk->cursor.place,
                                            turn->job->limit, &audience, problem);
    if (status == STATUS_OK) {
        chunk->profile_ids = audience.profile_ids;
        chunk->count = audience.count;
        chunk->cursor.walked += (int64_t)audience.count;
        chunk->cursor.place = audience.next;
        chunk->is_end = audience.is_end;
    }
    return status;
}

static bool names_products(struct str selector_json)
{
    json_t *root = json_loadb(selector_json.data, selector_json.size, 0, NULL);
    bool names =
        json_object_get(root, "products") != NULL || json_object_get(root, "categories") != NULL;
    json_decref(root);
    return names;
}

static enum status read_page(struct chunk *chunk, struct problem *problem)
{
    if (chunk->fact.product_id.size > 0) {
        enum status status = read_target(chunk, chunk->fact.source_id, chunk->fact.product_id,
                                         chunk->fact.variant_id, problem);
        return status == STATUS_OK ? read_interested(chunk, problem) : status;
    }
    chunk->has_selected_products = names_products(chunk->fact.selector_json);
    return chunk->has_selected_products ? read_selected(chunk, problem)
                                        : read_audience(chunk, problem);
}

/* --- who of them ------------------------------------------------------------------- */

static void keep(struct chunk *chunk, size_t *kept, size_t index)
{
    chunk->profile_ids[*kept] = chunk->profile_ids[index];
    if (chunk->interests != NULL) {
        chunk->interests[*kept] = chunk->interests[index];
    }
    *kept += 1;
}

static struct concern concern_of(const struct chunk *chunk, size_t index)
{
    return (struct concern){
        .product = chunk->has_target ? &chunk->target.product : NULL,
        .interest = chunk->interests != NULL ? &chunk->interests[index] : NULL,
    };
}

static bool audience_holds(const struct chunk *chunk, struct property_view *fact,
                           const struct interest *interest)
{
    const struct rule_subject subject = {
        .currency = chunk->turn->workspace->currency,
        .fact = fact,
        .source = chunk->fact.source,
        .interest = interest,
        .product = chunk->has_target ? &chunk->target.product : NULL,
    };
    return rule_evaluate(chunk->turn->arena, chunk->trigger->audience_program, &subject,
                         chunk->now_ms, NULL);
}

/* Before it is known what was bought instead: whom the audience leaves out either way.
 * "waiting" is all that the answer decides then, and both values are tried. */
static bool may_be_concerned(const struct chunk *chunk, struct property_view *fact, size_t index)
{
    if (chunk->interests == NULL) {
        return audience_holds(chunk, fact, NULL);
    }
    struct interest interest = chunk->interests[index];
    if (audience_holds(chunk, fact, &interest)) {
        return true;
    }
    interest.substitute_bought_at_ms = INSTANT_LAST_MS;
    return rule_program_reads(chunk->trigger->audience_program)->waiting &&
           audience_holds(chunk, fact, &interest);
}

static bool asks_substitutes(const struct rule_program *program)
{
    const struct rule_reads *reads = program != NULL ? rule_program_reads(program) : NULL;
    return reads != NULL && (reads->waiting || reads->substitutes);
}

static bool is_concerned(const struct chunk *chunk, struct property_view *fact, size_t index)
{
    return audience_holds(chunk, fact, chunk->interests != NULL ? &chunk->interests[index] : NULL);
}

typedef bool keeps_fn(const struct chunk *chunk, struct property_view *fact, size_t index);

static void keep_those(struct chunk *chunk, keeps_fn *keeps)
{
    struct property_view fact = { .is_scanned = false };
    size_t kept = 0;
    property_view_event(&fact, &chunk->event);
    for (size_t i = 0; i < chunk->count; i++) {
        if (keeps(chunk, &fact, i)) {
            keep(chunk, &kept, i);
        }
    }
    chunk->count = kept;
}

/* An audience that asks about the fact and the interest alone leaves out most before
 * anybody's profile is read, and most of those before it is asked what they bought instead. */
static enum status ask_audience(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    const struct rule_program *audience = chunk->trigger->audience_program;
    bool decides = audience != NULL && !chunk->trigger->audience_asks_profile;
    bool asks = chunk->interests != NULL &&
                (asks_substitutes(audience) || asks_substitutes(chunk->trigger->program));
    enum status status = STATUS_OK;
    if (decides && !(asks && rule_program_reads(audience)->substitutes)) {
        keep_those(chunk, may_be_concerned);
    }
    if (asks) {
        status =
            interest_substitutes_read(turn->pg, turn->arena, &chunk->target, chunk->profile_ids,
                                      chunk->interests, chunk->count, problem);
    }
    if (status == STATUS_OK && decides && asks) {
        keep_those(chunk, is_concerned);
    }
    return status;
}

static bool is_among(const struct id *sorted, size_t count, struct id id)
{
    for (size_t low = 0, high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = id_compare(sorted[middle], id);
        if (order == 0) {
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return false;
}

/* A selector of products and of places, say: who does not fit all of it is left out. */
static enum status ask_selector(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    if (!chunk->has_selected_products || chunk->count == 0) {
        return STATUS_OK;
    }
    struct id *fitting = ARENA_NEW_ARRAY(turn->arena, chunk->count, struct id);
    size_t fitting_count = chunk->count;
    size_t kept = 0;
    if (fitting == NULL) {
        return STATUS_LIMIT;
    }
    memcpy(fitting, chunk->profile_ids, chunk->count * sizeof(*fitting));
    enum status status =
        universal_fitting(turn->pg, turn->arena, turn->job->workspace_id, chunk->fact.selector_json,
                          fitting, &fitting_count, problem);
    for (size_t i = 0; status == STATUS_OK && i < chunk->count; i++) {
        if (is_among(fitting, fitting_count, chunk->profile_ids[i])) {
            keep(chunk, &kept, i);
        }
    }
    chunk->count = kept;
    return status;
}

/* Whose notification of the fact would have which id: of each customer, and of whoever was
 * merged into him. */
struct persons {
    struct id *ids;
    struct id *owners;
    size_t count;
};

static enum status find_persons(const struct chunk *chunk, struct persons *out_persons,
                                struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    struct id workspace_id = turn->job->workspace_id;
    struct fan_out_merged *merged = NULL;
    size_t merged_count = 0;
    enum status status = fan_out_merged(turn->pg, turn->arena, workspace_id, chunk->profile_ids,
                                        chunk->count, &merged, &merged_count, problem);
    struct persons persons = { .count = chunk->count + merged_count };
    persons.ids = ARENA_NEW_ARRAY(turn->arena, persons.count + 1, struct id);
    persons.owners = ARENA_NEW_ARRAY(turn->arena, persons.count + 1, struct id);
    if (status != STATUS_OK || persons.ids == NULL || persons.owners == NULL) {
        return status != STATUS_OK ? status : STATUS_LIMIT;
    }
    for (size_t i = 0; i < persons.count; i++) {
        bool is_own = i < chunk->count;
        struct id person = is_own ? chunk->profile_ids[i] : merged[i - chunk->count].from_id;
        persons.owners[i] = is_own ? person : merged[i - chunk->count].profile_id;
        persons.ids[i] = decide_universal_id(workspace_id, chunk->trigger, chunk->fact.id, person);
    }
    *out_persons = persons;
    return STATUS_OK;
}

/* The owners of those ids that exist, ascending. */
static enum status find_told(const struct chunk *chunk, const struct persons *persons,
                             struct id **out_told, size_t *out_count, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    struct id *rung = ARENA_NEW_ARRAY(turn->arena, persons->count + 1, struct id);
    struct id *told = ARENA_NEW_ARRAY(turn->arena, persons->count + 1, struct id);
    size_t rung_count = persons->count;
    size_t told_count = 0;
    if (rung == NULL || told == NULL) {
        return STATUS_LIMIT;
    }
    memcpy(rung, persons->ids, persons->count * sizeof(*rung));
    enum status status = fan_out_rung(turn->pg, turn->arena, turn->job->workspace_id,
                                      chunk->fact.recorded_at_ms, rung, &rung_count, problem);
    rung_count = status == STATUS_OK ? id_sort_unique(rung, rung_count) : 0;
    for (size_t i = 0; i < persons->count; i++) {
        if (is_among(rung, rung_count, persons->ids[i])) {
            told[told_count++] = persons->owners[i];
        }
    }
    *out_told = told;
    *out_count = id_sort_unique(told, told_count);
    return status;
}

/* Whom the fact has rung already: under his own id, met again for another product or after
 * he moved, or under that of whoever was merged into him since. */
static enum status leave_out_rung(struct chunk *chunk, struct problem *problem)
{
    struct persons persons;
    struct id *told = NULL;
    size_t told_count = 0;
    size_t kept = 0;
    if (chunk->fact.product_id.size > 0 || chunk->count == 0) {
        return STATUS_OK;
    }
    enum status status = find_persons(chunk, &persons, problem);
    if (status == STATUS_OK) {
        status = find_told(chunk, &persons, &told, &told_count, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < chunk->count; i++) {
        if (!is_among(told, told_count, chunk->profile_ids[i])) {
            keep(chunk, &kept, i);
        }
    }
    chunk->count = kept;
    return status;
}

/* --- deciding ------------------------------------------------------------------------ */

static struct profile *find_profile(struct profile **profiles, size_t count, struct id id)
{
    for (size_t low = 0, high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = id_compare(profiles[middle]->id, id);
        if (order == 0) {
            return profiles[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

static enum status decide_each(struct chunk *chunk, struct profile **profiles, size_t count)
{
    int64_t expires_at_ms =
        chunk->fact.expires_at_ms != INSTANT_NONE ? chunk->fact.expires_at_ms : 0;
    enum status status = STATUS_OK;
    struct concern *concerns =
        ARENA_NEW_ARRAY(chunk->turn->arena, chunk->count + 1, struct concern);
    if (concerns == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < chunk->count && status == STATUS_OK; i++) {
        struct profile *profile = find_profile(profiles, count, chunk->profile_ids[i]);
        bool is_concerned = false;
        concerns[i] = concern_of(chunk, i);
        if (profile != NULL) { /* else it does not decode, which is counted */
            status = decide_universal(chunk->decision, profile, chunk->trigger, &chunk->event,
                                      &concerns[i], expires_at_ms, chunk->now_ms, &is_concerned);
        }
        chunk->cursor.concerned += is_concerned ? 1 : 0;
    }
    return status;
}

/* In a transaction that stays open; RETRY when somebody was merged meanwhile. */
static enum status lock_and_decide(struct chunk *chunk, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    struct profile **profiles = NULL;
    size_t count = 0;
    registry_decide_context(turn->workspace, &chunk->context);
    randombytes_buf(chunk->context.random, sizeof(chunk->context.random));
    chunk->decision = decision_create(turn->arena, &chunk->context, chunk->count);
    if (chunk->decision == NULL) {
        return STATUS_LIMIT;
    }
    enum status status =
        batch_init(&chunk->batch, turn->pg, turn->arena, turn->job->workspace_id, NULL, 0);
    chunk->batch.decision = chunk->decision;
    if (status == STATUS_OK) {
        status = batch_lock_ids(&chunk->batch, chunk->profile_ids, chunk->count, &profiles, &count,
                                problem);
    }
    if (status == STATUS_OK && count + chunk->batch.unreadable < chunk->count) {
        return STATUS_RETRY;
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        decision_put_profile(chunk->decision, profiles[i]);
    }
    if (status == STATUS_OK) {
        status = registry_catch_up(turn->config->registry, chunk->decision, problem);
    }
    return status == STATUS_OK ? decide_each(chunk, profiles, count) : status;
}

/* --- saving ---------------------------------------------------------------------------- */

static enum status progress(struct chunk *chunk, struct str cursor, bool *out_cancel,
                            struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    if (cursor.size == 0 || cursor.size >= sizeof(turn->job->cursor)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the cursor does not fit");
    }
    const struct job_progress row = {
        .workspace_id = turn->job->workspace_id,
        .job_id = turn->job->id,
        .owner = turn->config->sender.instance_id,
        .cursor_json = cursor,
        .done = chunk->cursor.walked,
        .total = -1,
        .lease_until_ms = clock_now_ms() + FAN_OUT_LEASE_MS,
    };
    return job_progress(turn->pg, turn->arena, &row, out_cancel, problem);
}

static void count_outcomes(struct chunk *chunk, const struct decision_rows *rows)
{
    for (size_t i = 0; i < rows->outcome_count; i++) {
        chunk->cursor.outcomes[rows->outcomes[i].outcome] += rows->outcomes[i].count;
    }
    chunk->cursor.outcomes[OUTCOME_WAITING] += (int64_t)rows->waiting_count;
}

static enum status decide_and_save(struct chunk *chunk, struct str *out_cursor, bool *out_cancel,
                                   struct problem *problem)
{
    struct decision_rows rows = { 0 };
    if (chunk->count == 0) {
        *out_cursor = fan_out_cursor_write(&chunk->cursor, chunk->turn->arena);
        return progress(chunk, *out_cursor, out_cancel, problem);
    }
    enum status status = lock_and_decide(chunk, problem);
    if (status == STATUS_OK) {
        status = batch_fire(&chunk->batch, problem);
    }
    if (status == STATUS_OK) {
        status = decision_finish(chunk->decision, clock_now_ms(), &rows);
    }
    if (status == STATUS_OK) {
        count_outcomes(chunk, &rows);
        *out_cursor = fan_out_cursor_write(&chunk->cursor, chunk->turn->arena);
        status = progress(chunk, *out_cursor, out_cancel, problem);
    }
    return status == STATUS_OK
               ? sweep_save(&chunk->turn->config->sender, &chunk->batch, &rows, problem)
               : status;
}

static void adapt(struct fan_out_job *job, size_t matched)
{
    size_t limit = matched > MATCHES_WANTED       ? job->limit / 2
                   : matched < MATCHES_WANTED / 2 ? job->limit * 2
                                                  : job->limit;
    job->limit = limit < FAN_OUT_LIMIT_FIRST ? FAN_OUT_LIMIT_FIRST
                 : limit > LIMIT_MAX         ? LIMIT_MAX
                                             : limit;
}

/* Why there is nothing more to do; NULL: there is. */
static enum status why_over(const struct chunk *chunk, const char **out_ended,
                            struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    bool is_overtaken = false;
    *out_ended = NULL;
    if (chunk->fact.expires_at_ms != INSTANT_NONE && chunk->fact.expires_at_ms <= chunk->now_ms) {
        *out_ended = "expired";
        return STATUS_OK;
    }
    enum status status = fan_out_is_overtaken(turn->pg, turn->arena, turn->job->workspace_id,
                                              &chunk->fact, &is_overtaken, problem);
    *out_ended = is_overtaken ? "overtaken" : NULL;
    return status;
}

static enum status chunk_open(struct chunk *chunk, const char **out_ended, struct problem *problem)
{
    const struct fan_out_turn *turn = chunk->turn;
    const struct trigger_set *set = turn->workspace != NULL ? turn->workspace->trigger_set : NULL;
    chunk->trigger = set != NULL ? trigger_set_find(set, turn->job->trigger_id) : NULL;
    if (chunk->trigger == NULL) {
        *out_ended = "the trigger rests, or is no more";
        return STATUS_OK;
    }
    enum status status = universal_find(turn->pg, turn->arena, turn->job->workspace_id,
                                        turn->job->event_id, &chunk->fact, problem);
    if (status == STATUS_MISSING) {
        *out_ended = "the fact is no longer kept";
        return STATUS_OK;
    }
    chunk->event = (struct event){
        .id = chunk->fact.id,
        .source_id = chunk->fact.source_id,
        .type = EVENT_CUSTOM,
        .name = chunk->fact.type,
        .occurred_at_ms = chunk->fact.occurred_at_ms,
        .received_at_ms = chunk->fact.recorded_at_ms,
        .product_id = chunk->fact.product_id,
        .properties_json = chunk->fact.properties_json,
    };
    return status == STATUS_OK ? why_over(chunk, out_ended, problem) : status;
}

enum status fan_out_chunk(const struct fan_out_turn *turn, struct problem *problem)
{
    struct chunk chunk = { .turn = turn, .now_ms = clock_now_ms() };
    struct id owner = turn->config->sender.instance_id;
    struct str cursor = { NULL, 0 };
    const char *ended = NULL;
    bool is_cancelled = false;
    enum status status = chunk_open(&chunk, &ended, problem);
    if (status != STATUS_OK || ended != NULL) {
        return status != STATUS_OK
                   ? status
                   : fan_out_end(turn, owner, JOB_SUCCEEDED, ended, STR(""), problem);
    }
    fan_out_cursor_read(&chunk.cursor, turn);
    status = read_page(&chunk, problem);
    if (status == STATUS_OK) {
        status = ask_audience(&chunk, problem);
    }
    if (status == STATUS_OK) {
        status = ask_selector(&chunk, problem);
    }
    if (status == STATUS_OK) {
        status = leave_out_rung(&chunk, problem);
    }
    if (status == STATUS_OK) {
        status = decide_and_save(&chunk, &cursor, &is_cancelled, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(turn->job->cursor, cursor.data, cursor.size);
    turn->job->cursor[cursor.size] = '\0';
    adapt(turn->job, chunk.count);
    if (is_cancelled) {
        return fan_out_end(turn, owner, JOB_CANCELLED, NULL, STR(""), problem);
    }
    return chunk.is_end ? fan_out_end(turn, owner, JOB_SUCCEEDED, NULL, STR(""), problem)
                        : STATUS_OK;
}
