#include "base/arena.h"
#include "core/rule/sql.h"
#include "unit.h"

/*
 * An expression as SQL, to the letter where the letter matters: nothing of the
 * asker's is text of the statement, no comparison can be null, an age leaves its
 * column alone. That both find the same rows is tests/store/test_rule_sql.c's.
 */

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */

static const struct row {
    const char *filter;
    const char *text; /* NULL: refused */
    const char *first;
    size_t count;
    const char *why;
} rows[] = {
    { "email = \"x' OR true --\"", "COALESCE(p.email COLLATE \"C\" = $10::text, false)",
      "x' OR true --", 1, "a value is a parameter" },
    { "traits.a is set and tiers.basket = \"high\"", NULL, NULL, 0, "no such tier" },
    { "consent.email = \"subscribed\"",
      "COALESCE(COALESCE(p.consent ->> $10::text, 'never') COLLATE \"C\" = $11::text, false)",
      "email", 2, "a key is a parameter, too" },
    { "not orders.count >= 2", "NOT (COALESCE(p.orders_count::numeric >= $10::numeric, false))",
      "2", 1, "not of null is true" },
    { "age(last_seen_at) > 30d", "COALESCE(p.last_seen_at < $10::timestamptz, false)",
      "2026-10-23T14:05:00.000Z", 1, "the column stands alone" },
    { "30d < age(last_seen_at)", "COALESCE(p.last_seen_at < $10::timestamptz, false)",
      "2026-10-23T14:05:00.000Z", 1, "turned round when it was checked" },
    { "count(product.viewed within 1d) > 1", NULL, NULL, 0, "no column" },
    { "orders.count >= 2 and engagement.score > 1", NULL, NULL, 0, "one part is enough" },
};

static void an_expression_becomes_sql(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *CLEANUP(arena_destroy_at) arena = arena_create((size_t)8 << 20);
        const struct rule_vocabulary vocabulary = { .context = RULE_CONTEXT_RULE };
        const struct rule_sql_options options = { .currency = STR("EUR"),
                                                  .at_ms = NOW_MS,
                                                  .first_parameter = 10 };
        struct rule_node *root = NULL;
        struct rule_error error = { .line = 0 };
        struct rule_sql sql = { .parameter_count = 0 };
        struct problem problem = { .type = "" };
        enum status status =
            rule_parse(arena, str_from_z(rows[i].filter), &vocabulary, &root, &error);
        if (status == STATUS_OK) {
            status = rule_sql(arena, root, &options, &sql, &problem);
        }
        if (rows[i].text == NULL) {
            assert_row(status == STATUS_INVALID, rows[i].why);
            continue;
        }
        assert_row(status == STATUS_OK, rows[i].why);
        assert_str_equal(sql.text, str_from_z(rows[i].text));
        assert_row(sql.parameter_count == rows[i].count, rows[i].why);
        assert_str_equal(sql.parameters[0], str_from_z(rows[i].first));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_expression_becomes_sql) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
