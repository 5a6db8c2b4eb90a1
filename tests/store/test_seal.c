#include "store/seal.h"
#include "unit.h"

enum {
    ARENA_BYTES = 1024 * 1024
};

static const uint8_t MASTER[SEAL_MASTER_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t OTHER_MASTER[SEAL_MASTER_KEY_SIZE] = { 1, 2, 4 };
static const struct id ROW = { { 7 } };
static const struct id OTHER_ROW = { { 8 } };

struct sealed_fixture {
    struct arena *arena;
    struct seal *seal;
    struct seal *other;
};

static int setup(void **state)
{
    static struct sealed_fixture fixture;
    fixture.arena = arena_create(ARENA_BYTES);
    if (seal_create(MASTER, &fixture.seal) != STATUS_OK ||
        seal_create(OTHER_MASTER, &fixture.other) != STATUS_OK) {
        return -1;
    }
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct sealed_fixture *fixture = *state;
    seal_destroy(fixture->seal);
    seal_destroy(fixture->other);
    seal_destroy(NULL);
    arena_destroy(fixture->arena);
    return 0;
}

static struct str seal_text(struct sealed_fixture *fixture, struct str plain)
{
    struct str sealed = { 0 };
    assert_int_equal(
        seal_close(fixture->seal, fixture->arena, "source_secret", ROW, plain, &sealed), STATUS_OK);
    return sealed;
}

static void what_was_sealed_opens(void **state)
{
    struct sealed_fixture *fixture = *state;
    static const struct str PLAINS[] = {
        { "", 0 }, { "x", 1 }, { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 38 }, { "\0\xff", 2 }
    };
    for (size_t i = 0; i < ARRAY_COUNT(PLAINS); i++) {
        struct str plain = { 0 };
        struct str sealed = seal_text(fixture, PLAINS[i]);
        assert_int_equal(sealed.size, PLAINS[i].size + 1 + 24 + 16);
        assert_int_equal(sealed.data[0], 1);
        assert_int_equal(
            seal_open(fixture->seal, fixture->arena, "source_secret", ROW, sealed, &plain),
            STATUS_OK);
        assert_str_equal(plain, PLAINS[i]);
    }
}

static void the_same_text_never_looks_the_same(void **state)
{
    struct sealed_fixture *fixture = *state;
    struct str first = seal_text(fixture, STR("secret"));
    struct str second = seal_text(fixture, STR("secret"));
    assert_false(str_equal(first, second));
    for (size_t i = 0; i + 6 <= first.size; i++) {
        assert_int_not_equal(memcmp(first.data + i, "secret", 6), 0);
    }
}

static void a_record_opens_in_its_own_row_only(void **state)
{
    struct sealed_fixture *fixture = *state;
    struct str sealed = seal_text(fixture, STR("secret"));
    struct str plain = STR("untouched");
    assert_int_equal(
        seal_open(fixture->seal, fixture->arena, "source_secret", OTHER_ROW, sealed, &plain),
        STATUS_DENIED);
    assert_int_equal(
        seal_open(fixture->seal, fixture->arena, "subscription_secret", ROW, sealed, &plain),
        STATUS_DENIED);
    assert_int_equal(
        seal_open(fixture->other, fixture->arena, "source_secret", ROW, sealed, &plain),
        STATUS_DENIED);
    assert_str_equal(plain, STR("untouched"));
}

static void no_byte_may_change(void **state)
{
    struct sealed_fixture *fixture = *state;
    struct str sealed = seal_text(fixture, STR("secret"));
    struct str plain = { 0 };
    char *copy = arena_alloc(fixture->arena, sealed.size);
    for (size_t i = 0; i < sealed.size; i++) {
        memcpy(copy, sealed.data, sealed.size);
        copy[i] = (char)(copy[i] ^ 1);
        assert_int_equal(seal_open(fixture->seal, fixture->arena, "source_secret", ROW,
                                   (struct str){ copy, sealed.size }, &plain),
                         STATUS_DENIED);
    }
    for (size_t size = 0; size < sealed.size; size++) {
        assert_int_equal(seal_open(fixture->seal, fixture->arena, "source_secret", ROW,
                                   str_take(sealed, size), &plain),
                         STATUS_DENIED);
    }
}

static void a_full_arena_is_a_limit(void **state)
{
    struct sealed_fixture *fixture = *state;
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(16);
    struct str out = { 0 };
    assert_int_equal(seal_close(fixture->seal, small, "t", ROW, STR("secret"), &out), STATUS_LIMIT);
}

static void hashes_depend_on_key_and_purpose(void **state)
{
    struct sealed_fixture *fixture = *state;
    uint8_t hash[SEAL_HASH_SIZE];
    uint8_t again[SEAL_HASH_SIZE];
    uint8_t other[SEAL_HASH_SIZE];
    uint8_t mac[16];
    seal_key_hash(fixture->seal, STR("sbk_a"), hash);
    seal_key_hash(fixture->seal, STR("sbk_a"), again);
    assert_memory_equal(hash, again, sizeof(hash));
    seal_key_hash(fixture->seal, STR("sbk_b"), other);
    assert_memory_not_equal(hash, other, sizeof(hash));
    seal_key_hash(fixture->other, STR("sbk_a"), other);
    assert_memory_not_equal(hash, other, sizeof(hash));
    seal_token_mac(fixture->seal, STR("sbk_a"), mac);
    assert_memory_not_equal(hash, mac, sizeof(mac));
}

/* The stored hash of a key must stay valid from version to version. The values
 * are those of another implementation of BLAKE2b. */
static void the_derivation_is_frozen(void **state)
{
    struct sealed_fixture *fixture = *state;
    static const uint8_t HASH_BEGIN[] = { 0x9b, 0xe4, 0x79, 0x28, 0xb3, 0x91, 0xf8, 0x4b };
    static const uint8_t MAC_BEGIN[] = { 0x11, 0x57, 0xb7, 0x73, 0x99, 0x12, 0x66, 0x29 };
    uint8_t hash[SEAL_HASH_SIZE];
    uint8_t mac[16];
    seal_key_hash(fixture->seal, STR("sbk_a"), hash);
    seal_token_mac(fixture->seal, STR("token"), mac);
    assert_memory_equal(hash, HASH_BEGIN, sizeof(HASH_BEGIN));
    assert_memory_equal(mac, MAC_BEGIN, sizeof(MAC_BEGIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(the_same_text_never_looks_the_same),
        cmocka_unit_test(a_record_opens_in_its_own_row_only),
        cmocka_unit_test(no_byte_may_change),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(hashes_depend_on_key_and_purpose),
        cmocka_unit_test(the_derivation_is_frozen),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
