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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
