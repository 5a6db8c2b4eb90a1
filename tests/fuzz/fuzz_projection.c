#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "core/event/event.h"
#include "core/profile/profile.h"
#include "core/trigger/projection.h"

/*
 * Any bytes as what a subscription asks to be sent: by the first byte a template,
 * a list of fields, or a map. What is refused is refused at a place within the
 * text, with words; what is accepted is rendered for a customer whose traits
 * and whose event are as hostile as the bytes, and is JSON.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ARENA_BYTES = 16 * 1024 * 1024
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const struct rule_known known_rules[] = { { { "basket", 6 }, RULE_KIND_TIER } };
static const struct rule_vocabulary names = { .context = RULE_CONTEXT_FILTER,
                                              .rules = known_rules,
                                              .rule_count = 1 };

static void check_error(const struct rule_error *error)
{
    must(error->detail[0] != '\0');
    must(str_is_text(str_from_z(error->detail)) && str_is_text(str_from_z(error->suggestion)));
}

static struct str quoted(struct arena *arena, struct str text)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, ARENA_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_str(&json, str_is_text(text) ? text : STR("\xc3\xa9"));
    return buf_str(&buf);
}

/* Each member once. */
static bool is_json(struct str text)
{
    json_t *root = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    bool is = root != NULL;
    json_decref(root);
    return is;
}

static void render(struct arena *arena, const struct projection *projection, struct str text)
{
    struct profile_fact facts[] = {
        { .kind = FACT_TRAIT, .key = STR("city"), .value_json = quoted(arena, text) },
        { .kind = FACT_TRAIT, .key = STR("email"), .value_json = quoted(arena, text) },
    };
    struct profile profile;
    struct profile_labels labels = { .tier_count = 0 };
    struct property_view fact;
    struct event event = { .id = { { 2 } },
                           .type = EVENT_PRODUCT_VIEWED,
                           .name = STR("product.viewed"),
                           .properties_json = STR("{\"name\":\"x\"}") };
    profile_init(&profile, (struct id){ { 1 } }, 0);
    profile.facts = facts;
    profile.fact_count = ARRAY_COUNT(facts);
    property_view_event(&fact, &event);
    struct message message = { .id = { { 3 } },
                               .topic = STR("product.viewed"),
                               .workspace = STR("aurora"),
                               .currency = STR("EUR"),
                               .sequence = 1,
                               .profile = &profile,
                               .labels = &labels,
                               .event = &event,
                               .fact = &fact,
                               .is_masked = projection->is_masked };
    message.subject =
        (struct rule_subject){ .profile = &profile, .currency = message.currency, .fact = &fact };
    struct rendition rendition = { .body = { NULL, 0 } };
    must(projection_render(arena, projection, &message, &rendition));
    must(is_json(rendition.body));
}

static void fuzz_template(struct arena *arena, struct str text)
{
    struct template template;
    struct rule_error error = { 0 };
    enum status status = template_parse(arena, text, &names, &template, &error);
    if (status == STATUS_INVALID) {
        must(error.line >= 1 && error.column >= 1 && error.line <= text.size + 1);
        check_error(&error);
    } else {
        must(status == STATUS_OK && template.part_count <= TEMPLATE_PARTS_MAX);
    }
}

static void fuzz_projection(struct arena *arena, const struct projection_text *text, struct str raw)
{
    struct projection projection;
    struct projection_error error = { .member = NULL };
    enum status status = projection_parse(arena, text, &projection, &error);
    if (status == STATUS_INVALID) {
        must(error.member != NULL);
        check_error(&error.error);
    } else if (status == STATUS_OK) {
        render(arena, &projection, raw);
    } else {
        must(status == STATUS_LIMIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16u * 1024) {
        return 0;
    }
    struct str raw = { (const char *)data + 1, size - 1 };
    if (!str_is_text(raw)) {
        return 0; /* the JSON border lets none through */
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(ARENA_BYTES);
    must(arena != NULL);
    struct projection_text text = { .fields = STR("default"),
                                    .format = data[0] & 4 ? STR("cloudevents") : STR("shopbell"),
                                    .map_json = STR("{}"),
                                    .is_masked = (data[0] & 8) != 0,
                                    .names = &names };
    switch (data[0] & 3) {
    case 0:
        fuzz_template(arena, raw);
        break;
    case 1:
        text.fields = raw;
        fuzz_projection(arena, &text, raw);
        break;
    case 2:
        text.map_json = raw;
        if (is_json(raw)) { /* as the border and jsonb leave it */
            fuzz_projection(arena, &text, raw);
        }
        break;
    case 3:
        text.fields = STR("full");
        fuzz_projection(arena, &text, raw);
        break;
    }
    return 0;
}
