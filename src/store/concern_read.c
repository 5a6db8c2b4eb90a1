#include "store/concern_read.h"

#include "store/interest_read.h"

/*
 * One question for each product, whoever waits for it: causes that were put off together
 * (a fact in quiet hours) are about one. A fact is about its variant; an event of the
 * customer about the product, whichever variant he then buys.
 */

struct asking {
    struct waiting_row *row;
    struct interest_target target;
    bool is_answered;
};

static bool asks(const struct rule_program *program)
{
    return program != NULL && (rule_program_reads(program)->parts & 1u << RULE_PART_INTEREST) != 0;
}

static struct str variant_of(struct arena *arena, const struct event *event)
{
    struct property_view fact = { .is_scanned = false };
    property_view_event(&fact, event);
    struct rule_value id = property_get(arena, &fact, STR("variant_id"));
    return id.type == RULE_TEXT ? id.text : STR("");
}

static bool is_same(const struct interest_target *a, const struct interest_target *b)
{
    return id_equal(a->source_id, b->source_id) && str_equal(a->product_id, b->product_id) &&
           str_equal(a->variant_id, b->variant_id);
}

static size_t find_asking(struct arena *arena, struct id workspace_id,
                          const struct trigger_set *triggers, struct waiting_row *rows,
                          size_t count, struct asking *asking)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct trigger *trigger = trigger_set_find(triggers, rows[i].trigger_id);
        const struct event *event = rows[i].event;
        if (trigger == NULL || event == NULL || event->product_id.size == 0 ||
            !(asks(trigger->program) || asks(trigger->audience_program))) {
            continue;
        }
        bool is_fact = trigger->when == TRIGGER_UNIVERSAL;
        asking[found++] = (struct asking){
            .row = &rows[i],
            .target = { .workspace_id = workspace_id,
                        .source_id = event->source_id,
                        .product_id = event->product_id,
                        .variant_id = is_fact ? variant_of(arena, event) : STR("") },
        };
    }
    return found;
}

/* Of the first, and of all behind it that ask about the same. */
static enum status answer(struct pg *pg, struct arena *arena, struct asking *asking, size_t count,
                          struct problem *problem)
{
    struct interest_target *target = ARENA_NEW(arena, struct interest_target);
    struct id *ids = ARENA_NEW_ARRAY(arena, count, struct id);
    struct interest *interests = ARENA_NEW_ARRAY(arena, count, struct interest);
    struct concern *concerns = ARENA_NEW_ARRAY(arena, count, struct concern);
    size_t same = 0;
    if (target == NULL || ids == NULL || interests == NULL || concerns == NULL) {
        return STATUS_LIMIT;
    }
    *target = asking[0].target;
    for (size_t i = 0; i < count; i++) {
        if (!asking[i].is_answered && is_same(&asking[i].target, &asking[0].target)) {
            asking[i].is_answered = i > 0;
            concerns[same] =
                (struct concern){ .product = &target->product, .interest = &interests[same] };
            ids[same] = asking[i].row->profile_id;
            asking[i].row->concern = &concerns[same++];
        }
    }
    asking[0].is_answered = true;
    enum status status = interest_target_shop(pg, arena, target, problem);
    if (status == STATUS_OK) {
        status = interest_target_read(pg, arena, target, problem);
    }
    return status == STATUS_OK
               ? interest_of_profiles(pg, arena, target, ids, same, interests, problem)
               : status;
}

enum status concerns_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                          const struct trigger_set *triggers, struct waiting_row *rows,
                          size_t count, struct problem *problem)
{
    struct asking *asking = ARENA_NEW_ARRAY(arena, count + 1, struct asking);
    if (triggers == NULL || asking == NULL) {
        return asking == NULL ? STATUS_LIMIT : STATUS_OK;
    }
    size_t found = find_asking(arena, workspace_id, triggers, rows, count, asking);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < found && status == STATUS_OK; i++) {
        if (!asking[i].is_answered) {
            status = answer(pg, arena, &asking[i], found - i, problem);
        }
    }
    return status;
}
