#include <stdio.h>

#include <sodium.h>

#include "deliver/key_vault.h"
#include "deliver/sender.h"
#include "unit.h"

enum {
    MANY = 10000
};

static long resident_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    assert_int_equal(fclose(status), 0);
    return kib;
}

static void keeps_the_keys_of_ten_thousand(void **state)
{
    (void)state;
    struct key_vault *vault = key_vault_create();
    struct endpoint_secret **taken = calloc(MANY, sizeof(struct endpoint_secret *));
    assert_non_null(vault);
    assert_non_null(taken);
    long before_kib = resident_kib();
    for (size_t i = 0; i < MANY; i++) {
        taken[i] = key_vault_take(vault);
        assert_non_null(taken[i]);
        memset(taken[i]->key, (int)(i % 251), sizeof(taken[i]->key));
        taken[i]->key_size = i;
    }
    /* With a piece of guarded memory for each they are 80 MiB. */
    assert_true(resident_kib() - before_kib < 8192);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(taken[i]->key_size, i);
        assert_int_equal(taken[i]->key[0], i % 251);
        assert_int_equal(taken[i]->key[63], i % 251);
        key_vault_give_back(vault, taken[i]);
    }
    free(taken);
    key_vault_destroy(vault);
}

static void wipes_and_uses_again(void **state)
{
    (void)state;
    static const uint8_t zeros[32] = { 0 };
    struct key_vault *vault = key_vault_create();
    assert_non_null(vault);
    struct endpoint_secret *first = key_vault_take(vault);
    assert_non_null(first);
    memset(first->key, 0xab, sizeof(first->key));
    const uint8_t *end = first->key + sizeof(first->key) - sizeof(zeros);
    key_vault_give_back(vault, first);
    assert_memory_equal(end, zeros, sizeof(zeros)); /* the vault still has it */
    assert_ptr_equal(key_vault_take(vault), first);
    key_vault_give_back(vault, first);
    key_vault_give_back(vault, NULL);
    key_vault_destroy(vault);
    key_vault_destroy(NULL);
}

int main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_keys_of_ten_thousand),
        cmocka_unit_test(wipes_and_uses_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
