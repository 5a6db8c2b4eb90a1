#include "deliver/gate.h"
#include "unit.h"

static const struct id one = { { 1 } };
static const struct id other = { { 2 } };

static void counts_what_is_held(void **state)
{
    (void)state;
    struct gate *gate = gate_create(10);
    assert_non_null(gate);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(gate_room(gate, one, 0), i < 10 ? 10 - i : 0);
        gate_add(gate, one);
    }
    assert_int_equal(gate_room(gate, other, 0), 10);
    for (size_t i = 0; i < 13; i++) {
        gate_remove(gate, one);
    }
    assert_int_equal(gate_room(gate, one, 0), 10);
    gate_destroy(gate);
}

static void is_closed_until_the_instant(void **state)
{
    (void)state;
    struct gate *gate = gate_create(10);
    gate_set(gate, one, 1, 1000);
    assert_int_equal(gate_room(gate, one, 999), 0);
    assert_int_equal(gate_room(gate, one, 1000), 1);
    gate_add(gate, one);
    assert_int_equal(gate_room(gate, one, 1000), 0);
    gate_set(gate, one, 10, 0);
    assert_int_equal(gate_room(gate, one, 0), 9);
    gate_set(gate, one, 1, 1000);
    gate_forget(gate, one);
    assert_int_equal(gate_room(gate, one, 0), 9);
    gate_destroy(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_held),
        cmocka_unit_test(is_closed_until_the_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
