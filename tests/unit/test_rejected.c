#include "deliver/rejected.h"
#include "unit.h"

#define ID "20000000-0000-0000-0000-000000000001"

/* What a receiver may say, and what is made of it. */
static void reads_what_is_meant(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int found; /* 0: taken; 1: comes again; 2: given up */
        const char *reason;
        const char *why;
    } rows[] = {
        { "", 0, "", "an empty body accepts all" },
        { "OK", 0, "", "no JSON" },
        { "{}", 0, "", "none named" },
        { "{\"rejected\":[]}", 0, "", "none named" },
        { "{\"rejected\":{\"id\":\"" ID "\"}}", 0, "", "no list" },
        { "[\"rejected\"]", 0, "", "no object" },
        { "{\"rejected\":[7,null,{},{\"id\":7},{\"id\":\"x\"}]}", 0, "", "no ids" },
        { "{\"rejected\":[{\"id\":\"" ID "\"}]}", 1, "", "again, unless it says no" },
        { "{\"rejected\":[{\"id\":\"" ID "\",\"retry\":true,\"reason\":\"a\\nb\"}]}", 1, "a b",
          "printable" },
        { "{\"rejected\":[{\"id\":\"" ID "\",\"retry\":false,\"reason\":7}]}", 2, "",
          "a reason that is none" },
        { "{\"rejected\":[{\"id\":\"" ID "\",\"retry\":\"no\"}]}", 1, "", "only false is no" },
    };
    struct id id;
    assert_true(id_parse(STR(ID), &id));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rejected *rejected = rejected_read(str_from_z(rows[i].answer));
        const struct rejection *found = rejected_find(rejected, id);
        assert_row((found != NULL) == (rows[i].found != 0), rows[i].why);
        if (found != NULL) {
            assert_row(found->retry == (rows[i].found == 1), rows[i].why);
            assert_row(str_equal_z(found->reason, rows[i].reason), rows[i].why);
        }
        rejected_destroy(rejected);
    }
}

/* An ESP names places of its list, and changes its mind about none. */
static void reads_the_places_of_a_list(void **state)
{
    (void)state;
    static const struct {
        enum native_format format;
        const char *answer;
        bool is_first;
        bool is_second;
        const char *reason; /* of the second */
    } rows[] = {
        { NATIVE_BRAZE, "{\"message\":\"success\",\"events_processed\":2}", false, false, "" },
        { NATIVE_BRAZE,
          "{\"message\":\"success\",\"errors\":[{\"type\":\"'name' is required\","
          "\"input_array\":\"events\",\"index\":1}]}",
          false, true, "'name' is required" },
        { NATIVE_CUSTOMERIO,
          "{\"errors\":[{\"batch_index\":1,\"reason\":\"invalid\",\"field\":\"identifiers.email\","
          "\"message\":\"no email\"},{\"batch_index\":0}]}",
          true, true, "no email" },
        { NATIVE_CUSTOMERIO, "{\"errors\":[{\"batch_index\":2},{\"batch_index\":-1}]}", false,
          false, "" },
        { NATIVE_CUSTOMERIO, "{\"errors\":[{\"batch_index\":\"1\"},{\"index\":1},7]}", false, false,
          "" },
        { NATIVE_BRAZE, "{\"rejected\":[{\"id\":\"" ID "\"}]}", false, false, "" },
    };
    const struct delivery_member members[] = { { .notification_id = { { 1 } } },
                                               { .notification_id = { { 2 } } } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rejected *rejected = rejected_read_places(
            str_from_z(rows[i].answer), native_bulk(rows[i].format), members, ARRAY_COUNT(members));
        const struct rejection *first = rejected_find(rejected, members[0].notification_id);
        const struct rejection *second = rejected_find(rejected, members[1].notification_id);
        assert_row((first != NULL) == rows[i].is_first, rows[i].answer);
        assert_row((second != NULL) == rows[i].is_second, rows[i].answer);
        assert_row(second == NULL || !second->retry, rows[i].answer);
        assert_row(second == NULL || str_equal_z(second->reason, rows[i].reason), rows[i].answer);
        rejected_destroy(rejected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_meant),
        cmocka_unit_test(reads_the_places_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
