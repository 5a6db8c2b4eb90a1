#include "core/trigger/choice.h"
#include "registry_priv.h"

/*
 * What the subscriptions of a snapshot chose, compiled once per load.
 *
 * Nearly all choose nothing and cost a comparison of words. One whose choice does
 * not compile (a newer program saved it; a rule it names is no more, which its
 * deletion refuses) hears nothing: what it would get otherwise is what it asked not
 * to get. It is counted and told like a secret that does not open.
 *
 * Subscriptions of a workspace that want the same share one projection, so that a
 * notification is rendered once for all of them.
 */

struct choosing {
    struct registry_snapshot *snapshot;
    const struct registry_workspace *workspace; /* whose names these are */
    struct rule_vocabulary names;
    size_t first; /* subscription of the workspace */
};

static struct choice_text text_of(const struct registry_subscription *subscription)
{
    return (struct choice_text){ .filter = subscription->filter,
                                 .fields = subscription->fields,
                                 .format = subscription->format,
                                 .map_json = subscription->map_json,
                                 .settings_json = subscription->settings_json,
                                 .is_masked = subscription->is_masked };
}

static bool wants_the_same(const struct registry_subscription *a,
                           const struct registry_subscription *b)
{
    return a->is_masked == b->is_masked && str_equal(a->fields, b->fields) &&
           str_equal(a->format, b->format) && str_equal(a->map_json, b->map_json) &&
           str_equal(a->settings_json, b->settings_json);
}

/* Of a neighbour that was here before; else its own. */
static const struct projection *shared(const struct choosing *choosing, size_t index,
                                       const struct projection *own)
{
    const struct registry_subscription *all = choosing->snapshot->subscriptions;
    for (size_t i = choosing->first; own != NULL && i < index; i++) {
        if (all[i].projection != NULL && wants_the_same(&all[i], &all[index])) {
            return all[i].projection;
        }
    }
    return own;
}

static enum status choose(struct choosing *choosing, size_t index,
                          struct subscription_interest *interest)
{
    struct arena *arena = choosing->snapshot->arena;
    struct registry_subscription *subscription = &choosing->snapshot->subscriptions[index];
    struct choice_text text = text_of(subscription);
    struct choice choice = { .root = NULL };
    struct projection_error unseen;
    enum status status = choice_parse(arena, &text, &choosing->names, &choice, &unseen);
    if (status == STATUS_INVALID) {
        interest->is_closed = true;
        choosing->snapshot->unreadable_choice_count++;
        return STATUS_OK;
    }
    subscription->filter_program = choice.filter;
    subscription->projection = shared(choosing, index, choice.projection);
    interest->filter = subscription->filter_program;
    interest->projection = subscription->projection;
    return status;
}

static enum status enter_workspace(struct choosing *choosing, size_t *cursor, size_t index)
{
    struct registry_snapshot *snapshot = choosing->snapshot;
    struct id workspace_id = snapshot->subscriptions[index].workspace_id;
    if (choosing->workspace != NULL && id_equal(choosing->workspace->id, workspace_id)) {
        return STATUS_OK;
    }
    choosing->workspace = registry_workspace_of(snapshot, cursor, workspace_id);
    choosing->first = index;
    if (choosing->workspace == NULL) {
        return STATUS_BROKEN; /* load_subscriptions took only those that have one */
    }
    size_t count = choosing->workspace->ruleset_count;
    const struct ruleset *newest = count > 0 ? choosing->workspace->rulesets[count - 1] : NULL;
    return choice_vocabulary(snapshot->arena, newest, &choosing->names) ? STATUS_OK : STATUS_LIMIT;
}

static bool chooses(const struct registry_subscription *subscription)
{
    return subscription->filter.size > 0 || subscription->is_masked ||
           !str_equal(subscription->fields, STR("default")) ||
           !str_equal(subscription->format, STR("shopbell")) ||
           !str_equal(subscription->map_json, STR("{}"));
}

enum status registry_choices_load(struct registry_snapshot *snapshot)
{
    struct choosing choosing = { .snapshot = snapshot };
    size_t cursor = 0;
    size_t next = 0;
    for (size_t i = 0; i < snapshot->subscription_count; i++) {
        const struct registry_subscription *subscription = &snapshot->subscriptions[i];
        bool is_heard = next < snapshot->interest_count &&
                        id_equal(snapshot->interests[next].subscription_id, subscription->id);
        if (!is_heard) {
            continue; /* paused, pending: nothing rings for it */
        }
        struct subscription_interest *interest = &snapshot->interests[next++];
        if (!chooses(subscription)) {
            continue;
        }
        enum status status = enter_workspace(&choosing, &cursor, i);
        if (status == STATUS_OK) {
            status = choose(&choosing, i, interest);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}
