#include "base/arena.h"
#include "unit.h"

static void gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(8 * 1024 * 1024);
    static const size_t sizes[] = { 1, 15, 16, 17, 100, 12287, 12288, 12289, 40000, 3, 2000000, 5 };
    uint8_t *pieces[ARRAY_COUNT(sizes)];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        pieces[i] = arena_alloc(arena, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(pieces[i][at], 0);
        }
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_int_equal(pieces[i][0], i + 1);
        assert_int_equal(pieces[i][sizes[i] - 1], i + 1);
    }
}

static void many_small_ones_stay_apart(void **state)
{
    (void)state;
    enum {
        COUNT = 20000
    };
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(16 * 1024 * 1024);
    uint32_t **numbers = ARENA_NEW_ARRAY(arena, COUNT, uint32_t *);
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = ARENA_NEW_ARRAY(arena, i % 37 + 1, uint32_t);
        for (uint32_t at = 0; at <= i % 37; at++) {
            assert_int_equal(numbers[i][at], 0);
            numbers[i][at] = i;
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(numbers[i][0], i);
        assert_int_equal(numbers[i][i % 37], i);
    }
}

static void keeps_its_limit(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(64);
    assert_non_null(arena_alloc(arena, 32));
    assert_non_null(arena_alloc(arena, 32));
    assert_int_equal(arena_used_bytes(arena), 64);
    assert_false(arena_is_full(arena));
    assert_null(arena_alloc(arena, 1));
    assert_true(arena_is_full(arena));
    assert_null(arena_alloc(arena, 0));
    assert_int_equal(arena_used_bytes(arena), 64);
}

static void stays_full_even_for_what_would_fit(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(64);
    assert_null(arena_alloc(arena, 65));
    assert_null(arena_alloc(arena, 1));
    assert_int_equal(arena_used_bytes(arena), 0);
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        size_t size;
    } rows[] = {
        { 1, SIZE_MAX },
        { 1, SIZE_MAX - 8 },
        { SIZE_MAX / 2, 3 },
        { SIZE_MAX, SIZE_MAX },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(SIZE_MAX);
        assert_null(arena_alloc_array(arena, rows[i].count, rows[i].size));
        assert_true(arena_is_full(arena));
    }
}

static void starts_over(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(100000);
    for (int turn = 0; turn < 5; turn++) {
        uint8_t *small = arena_alloc(arena, 1000);
        assert_non_null(small);
        assert_int_equal(small[0], 0);
        assert_int_equal(small[999], 0);
        memset(small, 0xee, 1000);
        assert_non_null(arena_alloc(arena, 90000));
        assert_null(arena_alloc(arena, 90000));
        assert_true(arena_is_full(arena));
        arena_reset(arena);
        assert_false(arena_is_full(arena));
        assert_int_equal(arena_used_bytes(arena), 0);
    }
}

/* Turns of all sizes, so that blocks are kept, asked for again, and let go. */
static void starts_over_with_what_it_kept(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(64 * 1024 * 1024);
    static const size_t counts[] = { 10, 9000, 40, 9000, 2500, 0, 9000 };
    for (size_t turn = 0; turn < ARRAY_COUNT(counts); turn++) {
        uint8_t *large = arena_alloc(arena, 3000000);
        memset(large, 0xee, 3000000);
        for (size_t i = 0; i < counts[turn]; i++) {
            uint8_t *piece = arena_alloc(arena, 1000);
            assert_non_null(piece);
            assert_int_equal(piece[0], 0);
            assert_int_equal(piece[999], 0);
            memset(piece, 0xee, 1000);
        }
        arena_reset(arena);
        assert_int_equal(arena_used_bytes(arena), 0);
    }
}

static void destroys_nothing(void **state)
{
    (void)state;
    arena_destroy(NULL);
    struct arena *arena = arena_create(1);
    arena_destroy_at(&arena);
    assert_null(arena);
    arena_destroy_at(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_aligned_memory),
        cmocka_unit_test(many_small_ones_stay_apart),
        cmocka_unit_test(keeps_its_limit),
        cmocka_unit_test(stays_full_even_for_what_would_fit),
        cmocka_unit_test(refuses_sizes_that_overflow),
        cmocka_unit_test(starts_over),
        cmocka_unit_test(starts_over_with_what_it_kept),
        cmocka_unit_test(destroys_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
