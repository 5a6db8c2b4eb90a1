#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/trigger/choice.h"
#include "golden.h"
#include "shared_payload.h"
#include "world.h"

/*
 * What each kind of bell looks like in each projection and format: a short story,
 * and every byte that would be sent of it. projection.golden says what came out;
 * SHOPBELL_GOLDEN_WRITE=projection (or =all) writes what comes now, for a person to
 * look at.
 */

static const struct {
    const char *fields;
    const char *format;
    const char *map;
    bool is_masked;
} choices[] = {
    { "thin", "shopbell", "{}", false },
    { "full", "shopbell", "{}", false },
    { "changed", "shopbell", "{}", false },
    { "default", "shopbell", "{}", true },
    { "full", "shopbell", "{}", true },
    { "[\"orders.count\",\"profile.email\",\"event.price\",\"segment.name\",\"traits.city\"]",
      "shopbell", "{}", false },
    { "default", "cloudevents", "{}", false },
    { "thin", "cloudevents_binary", "{}", false },
    { "thin", "shopbell",
      "{\"mail\": \"{profile.email}\", \"n\": \"{orders.count}\", \"line\": \"{notification.type} "
      "{transition.rule} {transition.from}>{transition.to} {event.name} {{}\"}",
      false },
    { "[]", "shopbell", "{\"who\": \"{profile.email}/{first_name}/{event.email}\"}", true },
};

static const struct projection *parse(struct world *world, size_t index)
{
    const struct choice_text text = { .fields = str_from_z(choices[index].fields),
                                      .format = str_from_z(choices[index].format),
                                      .map_json = str_from_z(choices[index].map),
                                      .is_masked = choices[index].is_masked };
    struct rule_vocabulary names;
    struct projection_error error;
    struct choice choice;
    bool has_names = choice_vocabulary(world->arena, world_newest_rules(world), &names);
    enum status status = choice_parse(world->arena, &text, &names, &choice, &error);
    if (status != STATUS_OK) {
        printf("%s %s: %s\n", choices[index].fields, error.member, error.error.detail);
    }
    assert(has_names && status == STATUS_OK && choice.projection != NULL);
    return choice.projection;
}

static struct event *view(struct world *world, const char *who, const char *properties)
{
    struct event *event = world_event(world, who);
    event->type = EVENT_PRODUCT_VIEWED;
    event->name = STR("product.viewed");
    event->product_id = STR("p1");
    event->properties_json = str_from_z(properties);
    return event;
}

static void say(struct world *world, struct event *event, const char *key, const char *value)
{
    event->facts = ARENA_NEW(world->arena, struct event_fact);
    event->facts[0] = (struct event_fact){ .kind = FACT_TRAIT,
                                           .key = str_from_z(key),
                                           .value_json = str_from_z(value) };
    event->fact_count = 1;
}

static struct event *order(struct world *world, const char *who)
{
    struct event *event = world_event(world, who);
    struct order_document *document = ARENA_NEW(world->arena, struct order_document);
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = STR("o1"),
        .at_ms = world->now_ms,
        .version_ms = world->now_ms,
        .rank = ORDER_PAID,
        .counts = true,
        .total_minor = 13250,
        .currency = STR("EUR"),
        .placed_at_ms = world->now_ms,
        .body_json = STR("{\"order_id\":\"o1\",\"total\":132.50,\"email\":\"e1@example.com\"}"),
    };
    event->type = EVENT_ORDER_COMPLETED;
    event->name = STR("order.completed");
    event->order = document;
    return event;
}

static void set_rules(struct world *world)
{
    static const struct rule_case viewers = { .when = { "count(product.viewed within 24h) >= 2",
                                                        37 } };
    static const struct rule_case buyers = { .when = { "orders.count >= 1", 17 } };
    static const struct rule_case tiers[] = {
        { .value = { "high", 4 }, .when = { "orders.revenue >= 100", 21 } },
        { .value = { "low", 3 }, .when = { "orders.count >= 0", 17 } },
    };
    static const struct rule_case stages[] = {
        { .value = { "new", 3 }, .when = { "orders.count = 0", 16 } },
        { .value = { "active", 6 }, .when = { "true", 4 } },
    };
    const struct rule_definition rules[] = {
        { .name = STR("viewers"),
          .title = STR("Viewed twice in a day"),
          .kind = RULE_KIND_SEGMENT,
          .version = 7,
          .cases = &viewers,
          .case_count = 1,
          .enabled = true },
        { .name = STR("buyer"),
          .title = STR("Bought"),
          .kind = RULE_KIND_TAG,
          .version = 1,
          .cases = &buyers,
          .case_count = 1,
          .enabled = true },
        { .name = STR("basket"),
          .title = STR("Basket"),
          .kind = RULE_KIND_TIER,
          .version = 1,
          .cases = tiers,
          .case_count = 2,
          .enabled = true },
        { .name = STR("lifecycle"),
          .title = STR("Lifecycle"),
          .kind = RULE_KIND_LIFECYCLE,
          .version = 3,
          .cases = stages,
          .case_count = 2,
          .enabled = true },
    };
    world_set_rules(world, rules, ARRAY_COUNT(rules));
}

static void tell(struct world *world)
{
    struct event *event = view(world, "S e1 a1", "{\"name\":\"Trail runner\",\"price\":132.50}");
    say(world, event, "first_name", "\"Jane\"");
    world_apply_one(world, event);
    world->now_ms += INSTANT_HOUR_MS;
    event = view(world, "S e1", "{\"name\":\"Hat\",\"price\":20,\"email\":\"x@example.com\"}");
    say(world, event, "city", "\"Paris\"");
    world_apply_one(world, event);
    world->now_ms += INSTANT_HOUR_MS;
    world_apply_one(world, order(world, "S e1 c1 o1"));
    world->now_ms += INSTANT_HOUR_MS;
    world_apply_one(world, view(world, "S p1", "{}"));
    world_apply_one(world, view(world, "S p1 e1", "{}"));
    world->now_ms += INSTANT_DAY_MS;
    world_sweep(world);
    /* One that is too large for anybody. */
    char *large = arena_alloc_bytes(world->arena, 300001);
    memset(large, 'x', 300000);
    memcpy(large, "{\"name\":\"", 9);
    memcpy(large + 299998, "\"}", 3);
    world_apply_one(world, view(world, "S e1", large));
}

static void write_row(struct buf *out, const struct world *world,
                      const struct notification_row *row)
{
    buf_printf(out, "## %.*s\n%.*s\n", STR_ARG(row->topic), STR_ARG(row->body));
    for (size_t i = 1; i < row->subscription_count; i++) {
        size_t index = 0;
        while (!id_equal(world->interests[index].subscription_id, row->subscription_ids[i])) {
            index++;
        }
        const struct rendition *own = &row->renditions[i];
        buf_printf(out, "# %s %s %s%s\n%.*s%.*s\n", choices[index - 1].fields,
                   choices[index - 1].format, choices[index - 1].map,
                   choices[index - 1].is_masked ? " masked" : "", STR_ARG(own->target),
                   STR_ARG(own->body));
    }
    buf_add_char(out, '\n');
}

static bool compare(struct str expected, struct str seen)
{
    if (str_equal(expected, seen)) {
        return true;
    }
    size_t i = 0;
    size_t line = 1;
    while (i < expected.size && i < seen.size && expected.data[i] == seen.data[i]) {
        line += expected.data[i++] == '\n' ? 1 : 0;
    }
    printf("line %zu:\n  expected ...%.*s\n  but got  ...%.*s\n", line,
           STR_ARG(str_take(str_drop(expected, i), 200)),
           STR_ARG(str_take(str_drop(seen, i), 200)));
    return false;
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    struct world *world = world_open();
    struct buf out;
    set_rules(world);
    world_subscribe(world, "*");
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
        world_subscribe(world, "*");
        world->interests[i + 1].projection = parse(world, i);
    }
    tell(world);
    buf_init(&out, world->arena, 16u * 1024 * 1024);
    for (size_t i = 0; i < world->notification_count; i++) {
        write_row(&out, world, &world->notifications[i]);
    }
    struct str expected = { NULL, 0 };
    bool was_read = shared_file_read(world->arena, argv[1], &expected);
    assert(was_read && !out.failed);
    bool is_same = compare(expected, buf_str(&out)) || golden_rewrite(argv[1], buf_str(&out));
    printf("%zu notifications\n", world->notification_count);
    world_close(world);
    return is_same ? 0 : 1;
}
