#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/*
 * Runs engine.case: stories of customers under rules of the story's own. What
 * the rules said, when, why and whether it rang is compared line by line with
 * what the story expects; in the end every profile must say the same as one
 * folded anew out of its history. The exit code is the number of stories that
 * went otherwise. The form of a story is told in engine.case.
 */

enum {
    LINE_SIZE = 4096,
    TEXT_SIZE = 64 * 1024,
    RULES_MAX = 16,
    BATCH_MAX = 16,
};

struct story {
    struct world *world;
    struct str title;
    int line;
    char expected[TEXT_SIZE];
    size_t expected_size;
    struct rule_definition rules[RULES_MAX];
    size_t rule_count;
    bool has_begun; /* the first step: its rules are known */
    bool is_asleep; /* no sweep runs */
    struct event *batch[BATCH_MAX];
    size_t batch_count;
    struct event *last;
};

/* --- instants ----------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t ms;
};

static const struct unit units[] = {
    { "ms", 1 },
    { "d", INSTANT_DAY_MS },
    { "h", INSTANT_HOUR_MS },
    { "m", INSTANT_MINUTE_MS },
    { "s", INSTANT_SECOND_MS },
};

/* "7d", "-1h30m", "90d1ms": since the story began. */
static int64_t parse_instant(struct str text)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t sum_ms = 0;
    text = negative ? str_drop(text, 1) : text;
    while (text.size > 0 && !str_equal_z(text, "0")) {
        int64_t value = 0;
        size_t digits = 0;
        while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
            value = value * 10 + (text.data[digits++] - '0');
        }
        assert(digits > 0);
        text = str_drop(text, digits);
        size_t unit = 0;
        while (unit < ARRAY_COUNT(units) && !str_starts_with(text, str_from_z(units[unit].name))) {
            unit++;
        }
        assert(unit < ARRAY_COUNT(units));
        sum_ms += value * units[unit].ms;
        text = str_drop(text, strlen(units[unit].name));
    }
    return WORLD_START_MS + (negative ? -sum_ms : sum_ms);
}

static void add_instant(struct buf *buf, int64_t at_ms)
{
    int64_t rest_ms = at_ms - WORLD_START_MS;
    if (rest_ms == 0) {
        buf_add_char(buf, '0');
    }
    if (rest_ms < 0) {
        buf_add_char(buf, '-');
        rest_ms = -rest_ms;
    }
    static const struct unit *const largest_first[] = { &units[1], &units[2], &units[3], &units[4],
                                                        &units[0] };
    for (size_t i = 0; i < ARRAY_COUNT(largest_first); i++) {
        int64_t value = rest_ms / largest_first[i]->ms;
        if (value > 0) {
            buf_printf(buf, "%lld%s", (long long)value, largest_first[i]->name);
        }
        rest_ms %= largest_first[i]->ms;
    }
}

/* --- what a story says --------------------------------------------------- */

static struct str take_word(struct str *rest)
{
    struct str word = *rest;
    struct str tail = { 0 };
    if (str_split(*rest, ' ', &word, &tail)) {
        *rest = str_trim(tail);
    } else {
        *rest = (struct str){ 0 };
    }
    return word;
}

/* "segment cart: expression", "tier basket: high = expression | low = ...". */
static void add_rule(struct story *story, struct str text)
{
    struct arena *arena = story->world->arena;
    assert(story->rule_count < RULES_MAX);
    struct rule_definition *rule = &story->rules[story->rule_count++];
    struct str head = { 0 };
    struct str cases = { 0 };
    bool has_cases = str_split(str_dup(arena, text), ':', &head, &cases);
    assert(has_cases);
    rule->kind = rule_kind_from_name(take_word(&head));
    rule->name = head;
    rule->title = head;
    struct rule_case *items = ARENA_NEW_ARRAY(arena, RULE_CASES_MAX, struct rule_case);
    bool has_values = rule->kind == RULE_KIND_TIER || rule->kind == RULE_KIND_LIFECYCLE;
    struct str rest = str_trim(cases);
    while (rest.size > 0) {
        struct str one = rest;
        struct str tail = { 0 };
        if (!str_split(rest, '|', &one, &tail)) {
            one = rest;
        }
        struct rule_case *item = &items[rule->case_count++];
        item->when = str_trim(one);
        if (has_values) {
            item->value = take_word(&item->when);
        }
        rest = str_trim(tail);
    }
    rule->cases = items;
}

static struct event *make_event(struct story *story, struct str who, struct str order_ref)
{
    struct arena *arena = story->world->arena;
    struct str spec =
        order_ref.size > 0 ? str_printf(arena, "%.*s %.*s", STR_ARG(who), STR_ARG(order_ref)) : who;
    return world_event(story->world, str_dup_z(arena, spec));
}

static void set_type(struct story *story, struct event *event, struct str name)
{
    event->type = event_type_from_name(name);
    assert(event->type != 0);
    event->name = str_dup(story->world->arena, name);
    event->act = event_type_info(event->type)->act;
}

static struct event *order_event(struct story *story, struct str who, struct str verb,
                                 struct str rest)
{
    struct arena *arena = story->world->arena;
    struct str order_ref = str_dup(arena, take_word(&rest));
    struct event *event = make_event(story, who, order_ref);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    event->order = document;
    document->order_ref = order_ref;
    document->at_ms = story->world->now_ms;
    document->version_ms = story->world->now_ms;
    if (str_equal_z(verb, "cancel")) {
        document->kind = ORDER_CANCELLATION;
        set_type(story, event, STR("order.cancelled"));
        return event;
    }
    bool is_refund = str_equal_z(verb, "refund");
    document->document_ref = is_refund ? str_dup(arena, take_word(&rest)) : (struct str){ 0 };
    int64_t amount_minor = 0;
    bool is_amount = str_to_i64(take_word(&rest), &amount_minor);
    assert(is_amount);
    if (is_refund) {
        document->kind = ORDER_REFUND;
        document->amount_minor = amount_minor * 100;
        set_type(story, event, STR("order.refunded"));
        return event;
    }
    document->kind = ORDER_BODY;
    document->rank = ORDER_PAID;
    document->counts = true;
    document->total_minor = amount_minor * 100;
    document->currency = STR("EUR");
    document->placed_at_ms = story->world->now_ms;
    if (rest.size > 0 && rest.data[0] == '@') {
        document->placed_at_ms = parse_instant(str_drop(take_word(&rest), 1));
    }
    document->body_json = rest.size > 0 ? str_dup(arena, rest) : STR("{}");
    set_type(story, event, STR("order.completed"));
    event->act = false;
    return event;
}

static struct event *fact_event(struct story *story, struct str who, enum fact_kind kind,
                                struct str rest)
{
    struct arena *arena = story->world->arena;
    struct event *event = make_event(story, who, (struct str){ 0 });
    event->facts = ARENA_NEW(arena, struct event_fact);
    event->fact_count = 1;
    event->facts->kind = kind;
    event->facts->key = str_dup(arena, take_word(&rest));
    event->facts->value_json = str_dup(arena, rest);
    set_type(story, event,
             kind == FACT_CONSENT ? STR("consent.updated") : STR("preference.updated"));
    return event;
}

static struct event *parse_event(struct story *story, struct str who, struct str what)
{
    struct arena *arena = story->world->arena;
    struct str verb = take_word(&what);
    if (str_equal_z(verb, "order") || str_equal_z(verb, "refund") || str_equal_z(verb, "cancel")) {
        return order_event(story, who, verb, what);
    }
    if (str_equal_z(verb, "merchant")) {
        struct event *event = parse_event(story, who, what);
        set_type(story, event, STR("customer.updated"));
        return event;
    }
    if (str_equal_z(verb, "trait")) {
        return fact_event(story, who, FACT_TRAIT, what);
    }
    if (str_equal_z(verb, "preference")) {
        return fact_event(story, who, FACT_PREFERENCE, what);
    }
    if (str_equal_z(verb, "consent")) {
        return fact_event(story, who, FACT_CONSENT, what);
    }
    struct event *event = make_event(story, who, (struct str){ 0 });
    if (str_equal_z(verb, "cart")) {
        set_type(story, event, STR("cart.updated"));
        event->cart_json = str_dup(arena, what);
        return event;
    }
    set_type(story, event, verb);
    event->properties_json = str_dup(arena, what);
    return event;
}

/* "orders.average_value 33.3=40 66.7=80". */
static void set_statistics(struct story *story, struct str rest)
{
    struct arena *arena = story->world->arena;
    struct statistics *statistics = ARENA_NEW(arena, struct statistics);
    struct statistic *item = ARENA_NEW(arena, struct statistic);
    int64_t *percents = ARENA_NEW_ARRAY(arena, RULES_MAX, int64_t);
    int64_t *thresholds = ARENA_NEW_ARRAY(arena, RULES_MAX, int64_t);
    const struct statistics *before = story->world->context.statistics;
    struct rule_name name = { 0 };
    const char *nearest = NULL;
    bool found = rule_name_resolve(take_word(&rest), &name, &nearest);
    assert(found);
    while (rest.size > 0) {
        struct str percent = { 0 };
        struct str threshold = { 0 };
        bool is_pair = str_split(take_word(&rest), '=', &percent, &threshold);
        assert(is_pair);
        bool parsed = rule_number_parse(percent, &percents[item->count]) &&
                      rule_number_parse(threshold, &thresholds[item->count]);
        assert(parsed);
        item->count++;
    }
    item->attribute = name.attribute;
    item->n = STATISTIC_COUNT_MIN;
    item->percents = percents;
    item->thresholds = thresholds;
    *statistics = (struct statistics){ .version = before != NULL ? before->version + 1 : 1,
                                       .items = item,
                                       .count = 1 };
    story->world->context.statistics = statistics;
}

/* --- telling it ----------------------------------------------------------- */

static void commit(struct story *story)
{
    if (story->batch_count > 0) {
        world_apply(story->world, story->batch, story->batch_count);
        story->batch_count = 0;
    }
}

static void begin(struct story *story)
{
    if (!story->has_begun) {
        story->has_begun = true;
        world_set_rules(story->world, story->rules, story->rule_count);
    }
}

static void add_event(struct story *story, struct str text, int64_t occurred_at_ms)
{
    struct str who = { 0 };
    struct str what = { 0 };
    bool has_act = str_split(text, '|', &who, &what);
    assert(has_act);
    struct event *event = parse_event(story, str_trim(who), str_trim(what));
    event->occurred_at_ms = occurred_at_ms;
    event->claimed_at_ms = occurred_at_ms;
    story->last = event;
    assert(story->batch_count < BATCH_MAX);
    story->batch[story->batch_count++] = event;
}

/* The clock goes on, and the sweep with it: at each instant that falls due. */
static void advance(struct story *story, int64_t now_ms)
{
    struct world *world = story->world;
    int64_t due_at_ms = story->is_asleep ? INSTANT_NEVER : world_due_at(world);
    while (due_at_ms <= now_ms) {
        world->now_ms = due_at_ms > world->now_ms ? due_at_ms : world->now_ms;
        world_sweep(world);
        due_at_ms = world_due_at(world);
    }
    world->now_ms = now_ms;
}

static void tell(struct story *story, struct str line)
{
    struct world *world = story->world;
    struct str when = take_word(&line);
    begin(story);
    if (str_equal_z(when, "+")) {
        add_event(story, line, world->now_ms);
        return;
    }
    commit(story);
    struct str now = when;
    struct str occurred = { 0 };
    bool is_late = str_split(when, '@', &now, &occurred);
    if (!is_late) {
        now = when;
        occurred = when;
    }
    advance(story, parse_instant(now));
    struct str rest = line;
    struct str verb = take_word(&rest);
    if (str_equal_z(verb, "sweep")) {
        world_sweep(world);
    } else if (str_equal_z(verb, "asleep")) {
        story->is_asleep = true;
    } else if (str_equal_z(verb, "hydrate")) {
        world_hydrate(world);
    } else if (str_equal_z(verb, "unmerge")) {
        world_unmerge(world, str_dup_z(world->arena, rest));
    } else if (str_equal_z(verb, "statistics")) {
        set_statistics(story, rest);
    } else if (str_equal_z(verb, "again")) {
        assert(story->last != NULL);
        world_apply_one(world, story->last);
    } else {
        add_event(story, line, parse_instant(occurred));
    }
}

/* --- what came of it ------------------------------------------------------ */

/* A profile is called by the least of the identifiers that it first had. */
static struct str name_of(const struct world *world, struct id profile_id)
{
    struct str name = STR("?");
    for (size_t i = 0; i < world->identity_count; i++) {
        const struct identity_row *row = world->identities[i];
        if (id_equal(row->origin_id, profile_id) &&
            (str_equal_z(name, "?") || str_compare(row->identifier.value, name) < 0)) {
            name = row->identifier.value;
        }
    }
    return name;
}

static bool contains(struct str text, struct str part)
{
    for (size_t i = 0; i + part.size <= text.size; i++) {
        if (str_starts_with(str_drop(text, i), part)) {
            return true;
        }
    }
    return false;
}

static struct str topic_of(struct world *world, const struct transition_row *row)
{
    bool is_lifecycle = row->rule->definition.kind == RULE_KIND_LIFECYCLE;
    char since[INSTANT_TEXT_SIZE];
    instant_format(row->at_ms, since);
    struct str says_rule = is_lifecycle ? STR("\"lifecycle\"")
                                        : str_printf(world->arena, "\"name\":\"%.*s\"",
                                                     STR_ARG(row->rule->definition.name));
    struct str says_since = str_printf(world->arena, "\"since\":\"%s\"", since);
    for (size_t i = 0; i < world->notification_count; i++) {
        const struct notification_row *bell = &world->notifications[i];
        if (id_equal(bell->profile_id, row->profile_id) &&
            id_equal(bell->event_id, row->event_id) && contains(bell->body, says_rule) &&
            contains(bell->body, says_since)) {
            return bell->topic;
        }
    }
    return STR("silent");
}

static const char *cause_name(enum cause_kind cause)
{
    switch (cause) {
    case CAUSE_EVENT:
        return "event";
    case CAUSE_TIME:
        return "time";
    case CAUSE_MERGE:
        return "merge";
    case CAUSE_IMPORT:
        return "import";
    case CAUSE_MANUAL:
        return "manual";
    case CAUSE_RULE:
        return "rule";
    case CAUSE_STATISTIC:
        return "statistic";
    }
    return "?";
}

static void add_transition(struct world *world, struct buf *buf, const struct transition_row *row)
{
    add_instant(buf, row->at_ms);
    if (world->profile_count > 1) {
        buf_printf(buf, " %.*s:", STR_ARG(name_of(world, row->profile_id)));
    }
    buf_printf(buf, " %.*s", STR_ARG(row->rule->definition.name));
    if (row->from.size + row->to.size > 0) {
        buf_printf(buf, " %.*s>%.*s", STR_ARG(row->from), STR_ARG(row->to));
    } else {
        buf_add_char(buf, row->has ? '+' : '-');
    }
    buf_printf(buf, " %s %.*s\n", cause_name(row->cause), STR_ARG(topic_of(world, row)));
}

static struct str outcome_of(struct world *world)
{
    struct buf buf;
    size_t bells = 0;
    buf_init(&buf, world->arena, TEXT_SIZE);
    for (size_t i = 0; i < world->transition_count; i++) {
        add_transition(world, &buf, &world->transitions[i]);
        bells += str_equal_z(topic_of(world, &world->transitions[i]), "silent") ? 0 : 1;
    }
    if (bells != world->notification_count) {
        buf_printf(&buf, "and %zu bells for %zu transitions\n", world->notification_count, bells);
    }
    return buf_str(&buf);
}

/* Everyone says what a fold from nothing says. */
static bool agrees_with_history(struct world *world)
{
    bool agrees = true;
    for (size_t i = 0; i < world->profile_count; i++) {
        const struct profile *profile = world->profiles[i];
        if (!id_is_zero(profile->merged_into)) {
            continue;
        }
        const struct profile *folded = world_hydrated(world, profile);
        agrees = agrees && folded->verdicts.count == profile->verdicts.count;
        for (size_t j = 0; agrees && j < folded->verdicts.count; j++) {
            const struct verdict *a = &folded->verdicts.items[j];
            const struct verdict *b = &profile->verdicts.items[j];
            agrees = a->slot == b->slot && str_equal(a->value, b->value);
        }
    }
    return agrees;
}

static bool end_story(struct story *story)
{
    struct world *world = story->world;
    commit(story);
    world_sweep(world);
    struct str expected = { story->expected, story->expected_size };
    struct str outcome = outcome_of(world);
    bool same = str_equal(expected, outcome);
    bool agrees = agrees_with_history(world);
    if (!same) {
        printf("engine.case:%d: %.*s\n  expected\n%.*s  but got\n%.*s", story->line,
               STR_ARG(story->title), STR_ARG(expected), STR_ARG(outcome));
    }
    if (!agrees) {
        printf("engine.case:%d: %.*s\n  the history says otherwise\n", story->line,
               STR_ARG(story->title));
    }
    world_close(world);
    return same && agrees;
}

static void begin_story(struct story *story, struct str title, int number)
{
    static const char *const topics[] = { "segment.*", "tag.*", "tier.*", "lifecycle.*" };
    memset(story, 0, sizeof(*story));
    story->world = world_open();
    story->title = str_dup(story->world->arena, title);
    story->line = number;
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        world_subscribe(story->world, topics[i]);
    }
}

static void expect(struct story *story, struct str line)
{
    assert(story->expected_size + line.size + 1 < sizeof(story->expected));
    memcpy(story->expected + story->expected_size, line.data, line.size);
    story->expected_size += line.size;
    story->expected[story->expected_size++] = '\n';
}

static void read_line(struct story *story, struct str line)
{
    if (str_starts_with(line, STR("= "))) {
        expect(story, str_trim(str_drop(line, 2)));
    } else if (str_starts_with(line, STR("rule "))) {
        add_rule(story, str_drop(line, 5));
    } else if (str_starts_with(line, STR("zone "))) {
        story->world->zone = instant_zone(str_dup_z(story->world->arena, str_drop(line, 5)));
        assert(story->world->zone != NULL);
    } else {
        tell(story, line);
    }
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    FILE *file = fopen(argv[1], "r");
    assert(file != NULL);
    static struct story story;
    char text[LINE_SIZE];
    int number = 0;
    int failed = 0;
    int count = 0;
    while (fgets(text, sizeof(text), file) != NULL) {
        struct str line = str_trim(str_from_z(text));
        number++;
        if (line.size == 0 || line.data[0] == '#') {
            continue;
        }
        if (str_starts_with(line, STR("story "))) {
            failed += count > 0 && !end_story(&story) ? 1 : 0;
            begin_story(&story, str_drop(line, 6), number);
            count++;
        } else {
            assert(count > 0);
            read_line(&story, line);
        }
    }
    assert(count > 0);
    failed += end_story(&story) ? 0 : 1;
    int closed = fclose(file);
    assert(closed == 0);
    printf("%d stories, %d failed\n", count, failed);
    return failed;
}
