#include "deliver/port_rule.h"
#include "unit.h"

static void judges_ports(void **state)
{
    (void)state;
    static const struct {
        bool allowed;
        const char *list;
        bool http;
        uint64_t port;
        const char *why;
    } rows[] = {
        { true, NULL, false, 443, "https" },
        { true, NULL, false, 8443, "the other https" },
        { true, NULL, false, 1024, "the first that is free" },
        { true, NULL, false, 65535, "the last" },
        { true, NULL, true, 80, "http, where it is allowed" },
        { true, "", false, 443, "an empty list is none" },
        { true, "22", false, 22, "who lists a port knows" },
        { true, "443, 8000-8999", false, 8000, "first of a range" },
        { true, "443, 8000-8999", false, 8999, "last of a range" },
        { true, "6379", false, 6379, "by name" },
        { false, NULL, false, 80, "http, where it is not" },
        { false, NULL, false, 0, "no port" },
        { false, NULL, false, 65536, "no such port" },
        { false, NULL, false, 65536 + 443, "nor one that is cut to 443" },
        { false, NULL, true, 22, "ssh" },
        { false, NULL, true, 25, "smtp" },
        { false, NULL, true, 1023, "the last of the system's" },
        { false, NULL, true, 2375, "Docker" },
        { false, NULL, true, 2379, "etcd" },
        { false, NULL, true, 3306, "MySQL" },
        { false, NULL, true, 5432, "PostgreSQL" },
        { false, NULL, true, 6000, "X11" },
        { false, NULL, true, 6379, "Redis" },
        { false, NULL, true, 6667, "IRC" },
        { false, NULL, true, 9200, "Elasticsearch" },
        { false, NULL, true, 10250, "kubelet" },
        { false, NULL, true, 11211, "memcached" },
        { false, NULL, true, 27017, "MongoDB" },
        { false, "8443", true, 443, "a list is exact" },
        { false, "8443", true, 80, "for http, too" },
        { false, "443, 8000-8999", false, 7999, "before a range" },
        { false, "443, 8000-8999", false, 9000, "behind a range" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct port_rule rule;
        struct problem problem;
        assert_int_equal(port_rule_init(&rule, rows[i].list, rows[i].http, &problem), STATUS_OK);
        assert_row(port_rule_allows(&rule, rows[i].port) == rows[i].allowed, rows[i].why);
    }
}

static void refuses_lists(void **state)
{
    (void)state;
    static const char *const lists[] = { "https", "443,x",      "0",        "65536",
                                         "443-",  "-443",       "9-8",      "1-2-3",
                                         "443;8", "8000-70000", "443 - 444" };
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct port_rule rule = { .allowed_count = 7 };
        struct problem problem;
        assert_row(port_rule_init(&rule, lists[i], false, &problem) == STATUS_INVALID, lists[i]);
        assert_row(strstr(problem.detail, "allow_ports") != NULL, lists[i]);
        assert_int_equal(rule.allowed_count, 7);
    }
}

static void stands_at_its_limit(void **state)
{
    (void)state;
    char list[PORT_RULE_RANGES_MAX * 3 + 3] = "";
    for (size_t i = 0; i < PORT_RULE_RANGES_MAX; i++) {
        memcpy(list + i * 3, "99,", 4);
    }
    struct port_rule rule;
    struct problem problem;
    assert_int_equal(port_rule_init(&rule, list, false, &problem), STATUS_OK);
    memcpy(list + (size_t)PORT_RULE_RANGES_MAX * 3, "7", 2);
    assert_int_equal(port_rule_init(&rule, list, false, &problem), STATUS_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_ports),
        cmocka_unit_test(refuses_lists),
        cmocka_unit_test(stands_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
