#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/trigger/choice.h"
#include "draw.h"

/*
 * Who hears a bell is who a naive reader of the message would say: the default
 * body tells all that the filters here ask, so they are asked again of its JSON,
 * by code that knows neither programs nor profiles. One subscription without a
 * filter hears everything; each bell must be heard by exactly those whose filter
 * the oracle says holds.
 */

enum {
    SEEDS = 60,
    FILTERS = 30,
    DEPTH = 3,
};

struct told { /* a message as the oracle reads it */
    const json_t *body;
    const json_t *data;
    const json_t *profile;
    const char *topic;
    int64_t at_ms; /* as of when it was decided */
};

static const char *member(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_text(const json_t *object, const char *key, const char *text)
{
    const char *value = member(object, key);
    return value != NULL && strcmp(value, text) == 0;
}

static const char *kind_of(const struct told *told)
{
    static const char *const kinds[] = { "segment", "tag", "tier", "lifecycle" };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        size_t size = strlen(kinds[i]);
        if (strncmp(told->topic, kinds[i], size) == 0 && told->topic[size] == '.') {
            return kinds[i];
        }
    }
    return NULL;
}

static bool says_active(const struct told *told)
{
    return is_text(told->profile, "lifecycle", "active");
}

static bool has_two_orders(const struct told *told)
{
    return json_integer_value(json_object_get(json_object_get(told->profile, "orders"), "count")) >=
           2;
}

static bool spent_thirty(const struct told *told)
{
    return json_number_value(json_object_get(json_object_get(told->profile, "orders"), "revenue")) >
           30.0;
}

static bool has_email(const struct told *told)
{
    return member(told->profile, "email") != NULL;
}

static bool may_be_mailed(const struct told *told)
{
    return is_text(json_object_get(told->profile, "consent"), "email", "subscribed");
}

static bool is_of_view(const struct told *told)
{
    return is_text(json_object_get(told->body, "cause"), "event_type", "product.viewed");
}

static bool is_of_shop_one(const struct told *told)
{
    return is_text(json_object_get(told->body, "cause"), "source", "shop_one");
}

static bool is_of_tag(const struct told *told)
{
    return kind_of(told) != NULL && strcmp(kind_of(told), "tag") == 0;
}

static bool holds_now(const struct told *told)
{
    const char *kind = kind_of(told);
    if (kind == NULL) {
        return false;
    }
    if (strcmp(kind, "tag") == 0 || strcmp(kind, "segment") == 0) {
        return strstr(told->topic, ".added") != NULL || strstr(told->topic, ".entered") != NULL;
    }
    return member(json_object_get(told->data, kind), "to") != NULL;
}

static bool ordered_long_ago(const struct told *told)
{
    const char *last = member(json_object_get(told->profile, "orders"), "last_at");
    int64_t last_ms = 0;
    return last != NULL && instant_parse(str_from_z(last), true, &last_ms, NULL) &&
           told->at_ms - last_ms > 5 * INSTANT_DAY_MS;
}

static const struct atom {
    const char *text;
    bool (*holds)(const struct told *told);
} atoms[] = {
    { "lifecycle = \"active\"", says_active },
    { "orders.count >= 2", has_two_orders },
    { "profile.orders.revenue > 30", spent_thirty },
    { "email is set", has_email },
    { "consent.email = \"subscribed\"", may_be_mailed },
    { "event.type = \"product.viewed\"", is_of_view },
    { "event.source = \"shop_one\"", is_of_shop_one },
    { "transition.kind = \"tag\"", is_of_tag },
    { "transition.to is set", holds_now },
    { "age(orders.last_at) > 5d", ordered_long_ago },
};

/* An atom, "x" in tags or segments, or a sentence of two. */
struct sentence {
    enum {
        ATOM,
        LABEL,
        NOT,
        AND,
        OR
    } kind;
    const struct atom *atom;
    struct str rule;
    const char *list;
    struct sentence *left;
    struct sentence *right;
};

static struct sentence *draw_sentence(struct generator *generator, int depth)
{
    struct arena *arena = generator->world->arena;
    struct sentence *sentence = ARENA_NEW(arena, struct sentence);
    const struct ruleset *rules = world_newest_rules(generator->world);
    uint32_t choice = draw(generator, depth > 0 ? 6 : 3);
    if (choice == 2) {
        const struct rule *rule = &rules->rules[draw(generator, (uint32_t)rules->rule_count)];
        bool is_tag = rule->definition.kind == RULE_KIND_TAG;
        sentence->kind = LABEL;
        sentence->rule = rule->definition.name;
        sentence->list = is_tag ? "tags" : "segments";
        if (is_tag || rule->definition.kind == RULE_KIND_SEGMENT) {
            return sentence;
        }
    }
    if (choice <= 2) {
        sentence->kind = ATOM;
        sentence->atom = &atoms[draw(generator, ARRAY_COUNT(atoms))];
        return sentence;
    }
    sentence->kind = choice == 3 ? NOT : choice == 4 ? AND : OR;
    sentence->left = draw_sentence(generator, depth - 1);
    sentence->right = choice == 3 ? NULL : draw_sentence(generator, depth - 1);
    return sentence;
}

static struct str text_of(struct arena *arena, const struct sentence *sentence)
{
    switch (sentence->kind) {
    case ATOM:
        return str_from_z(sentence->atom->text);
    case LABEL:
        return str_printf(arena, "\"%.*s\" in %s", STR_ARG(sentence->rule), sentence->list);
    case NOT:
        return str_printf(arena, "not (%.*s)", STR_ARG(text_of(arena, sentence->left)));
    case AND:
    case OR:
        break;
    }
    return str_printf(arena, "(%.*s) %s (%.*s)", STR_ARG(text_of(arena, sentence->left)),
                      sentence->kind == AND ? "and" : "or",
                      STR_ARG(text_of(arena, sentence->right)));
}

static bool list_has(const json_t *list, struct str name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (str_equal_z(name, json_string_value(json_array_get(list, i)))) {
            return true;
        }
    }
    return false;
}

static bool holds(const struct sentence *sentence, const struct told *told)
{
    switch (sentence->kind) {
    case ATOM:
        return sentence->atom->holds(told);
    case LABEL:
        return list_has(json_object_get(told->profile, sentence->list), sentence->rule);
    case NOT:
        return !holds(sentence->left, told);
    case AND:
        return holds(sentence->left, told) && holds(sentence->right, told);
    case OR:
        return holds(sentence->left, told) || holds(sentence->right, told);
    }
    return false;
}

static void subscribe(struct generator *generator, struct sentence **out_sentence)
{
    struct world *world = generator->world;
    struct rule_vocabulary names;
    struct choice choice;
    struct projection_error error;
    *out_sentence = draw_sentence(generator, DEPTH);
    const struct choice_text text = { .filter = text_of(world->arena, *out_sentence),
                                      .fields = STR("default"),
                                      .format = STR("shopbell"),
                                      .map_json = STR("{}") };
    bool has_names = choice_vocabulary(world->arena, world_newest_rules(world), &names);
    assert(has_names);
    enum status status = choice_parse(world->arena, &text, &names, &choice, &error);
    if (status != STATUS_OK) {
        printf("%.*s: %s\n", STR_ARG(text.filter), error.error.detail);
        exit(1);
    }
    world_subscribe(world, "*");
    world->interests[world->context.interest_count - 1].filter = choice.filter;
}

static bool heard(const struct world *world, const struct notification_row *row, size_t index)
{
    for (size_t i = 0; i < row->subscription_count; i++) {
        if (id_equal(row->subscription_ids[i], world->interests[index].subscription_id)) {
            return true;
        }
    }
    return false;
}

static int64_t decided_at(const json_t *body)
{
    int64_t at_ms = 0;
    bool is_timed = is_text(json_object_get(body, "cause"), "kind", "time");
    const char *text = member(body, is_timed ? "timestamp" : "recorded_at");
    bool was_read = instant_parse(str_from_z(text), true, &at_ms, NULL);
    assert(was_read);
    return at_ms;
}

static size_t check(struct generator *generator, struct sentence **sentences)
{
    struct world *world = generator->world;
    size_t let_through = 0;
    for (size_t i = 0; i < world->notification_count; i++) {
        const struct notification_row *row = &world->notifications[i];
        json_t *body = json_loadb(row->body.data, row->body.size, 0, NULL);
        assert(body != NULL);
        const json_t *data = json_object_get(body, "data");
        const struct told told = { body, data, json_object_get(data, "profile"),
                                   member(body, "type"), decided_at(body) };
        assert(heard(world, row, 0));
        for (size_t k = 0; k < FILTERS; k++) {
            bool expected = holds(sentences[k], &told);
            let_through += expected ? 1 : 0;
            if (heard(world, row, k + 1) != expected) {
                struct str text = text_of(world->arena, sentences[k]);
                printf("seed %llu: %.*s is %s of\n%.*s\n", (unsigned long long)generator->seed,
                       STR_ARG(text), expected ? "true" : "false", STR_ARG(row->body));
                exit(1);
            }
        }
        json_decref(body);
    }
    return let_through;
}

static size_t run(uint64_t seed, size_t *out_bells)
{
    struct world *world = world_open();
    struct generator *generator = generator_open(world, seed);
    struct sentence *sentences[FILTERS];
    draw_rules(generator);
    world_subscribe(world, "*");
    for (size_t i = 0; i < FILTERS; i++) {
        subscribe(generator, &sentences[i]);
    }
    draw_events(generator);
    for (size_t i = 0; i < generator->count; i++) {
        world->now_ms = generator->events[i]->received_at_ms;
        world_apply(world, &generator->events[i], 1);
    }
    world->now_ms += INSTANT_DAY_MS;
    world_sweep(world);
    size_t let_through = check(generator, sentences);
    *out_bells += world->notification_count;
    world_close(world);
    return let_through;
}

int main(void)
{
    const char *only = getenv("SHOPBELL_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only != NULL ? first : SEEDS;
    size_t let_through = 0;
    size_t bells = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        let_through += run(seed, &bells);
    }
    printf("%zu bells, %zu let through by %d filters each\n", bells, let_through, (int)FILTERS);
    assert(only != NULL || (let_through > bells && let_through < bells * FILTERS));
    return 0;
}
