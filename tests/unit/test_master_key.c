#include <sys/stat.h>
#include <unistd.h>

#include "app/file.h"
#include "app/master_key.h"
#include "unit.h"

/* The file that guards all others: made once, read strictly. */

static char directory[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/test_master_key.XXXXXX");
    return mkdtemp(directory) != NULL && unsetenv("CREDENTIALS_DIRECTORY") == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/master.key", directory);
    (void)unlink(path);
    return rmdir(directory);
}

static void made_once_and_read_back(void **state)
{
    (void)state;
    char path[128];
    uint8_t first[SEAL_MASTER_KEY_SIZE];
    uint8_t again[SEAL_MASTER_KEY_SIZE];
    struct problem problem = { .detail = "" };
    struct stat found;
    (void)snprintf(path, sizeof(path), "%s/master.key", directory);
    assert_int_equal(master_key_create(path, 0400, &problem), STATUS_OK);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0400);
    assert_int_equal(master_key_read(path, first, &problem), STATUS_OK);
    assert_int_equal(master_key_create(path, 0400, &problem), STATUS_CONFLICT);
    assert_int_equal(master_key_read(path, again, &problem), STATUS_OK);
    assert_memory_equal(first, again, sizeof(first));
}

static void forms_and_refusals(void **state)
{
    (void)state;
    const struct {
        struct str text;
        mode_t mode;
        enum status status;
        const char *why;
    } ROWS[] = {
        { STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), 0600,
          STATUS_OK, "hex with a line end" },
        { STR("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"), 0400, STATUS_OK,
          "hex without" },
        { STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0600, STATUS_OK, "base64" },
        { STR("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13"
              "\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"),
          0600, STATUS_OK, "raw" },
        { STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), 0640,
          STATUS_DENIED, "its group may read it" },
        { STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), 0604,
          STATUS_DENIED, "all may read it" },
        { STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e\n"), 0600,
          STATUS_INVALID, "a byte short" },
        { STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\n"), 0600,
          STATUS_INVALID, "a byte long" },
        { STR(""), 0600, STATUS_INVALID, "empty" },
        { STR("correct horse battery staple\n"), 0600, STATUS_INVALID, "a password" },
    };
    static const uint8_t WANTED[SEAL_MASTER_KEY_SIZE] = { 0,  1,  2,  3,  4,  5,  6,  7,
                                                          8,  9,  10, 11, 12, 13, 14, 15,
                                                          16, 17, 18, 19, 20, 21, 22, 23,
                                                          24, 25, 26, 27, 28, 29, 30, 31 };
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/master.key", directory);
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        uint8_t key[SEAL_MASTER_KEY_SIZE] = { 0 };
        struct problem problem = { .detail = "" };
        (void)unlink(path);
        assert_int_equal(file_create(path, ROWS[i].mode, ROWS[i].text, &problem), STATUS_OK);
        assert_row(master_key_read(path, key, &problem) == ROWS[i].status, ROWS[i].why);
        if (ROWS[i].status == STATUS_OK) {
            assert_memory_equal(key, WANTED, sizeof(key));
        }
    }
}

static void found_by_precedence(void **state)
{
    (void)state;
    char path[MASTER_KEY_PATH_SIZE];
    char credential[128];
    struct config config = { 0 };
    struct problem problem = { .detail = "" };
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        config.texts[i] = "";
    }
    assert_int_equal(master_key_find(&config, NULL, path, &problem), STATUS_MISSING);
    assert_int_equal(master_key_find(&config, "/data", path, &problem), STATUS_OK);
    assert_string_equal(path, "/data/master.key");
    config.texts[CONFIG_MASTER_KEY_FILE] = "/etc/key";
    config.origins[CONFIG_MASTER_KEY_FILE] = CONFIG_FROM_FILE;
    assert_int_equal(master_key_find(&config, "/data", path, &problem), STATUS_OK);
    assert_string_equal(path, "/etc/key");
    (void)snprintf(credential, sizeof(credential), "%s/master.key", directory);
    (void)unlink(credential);
    assert_int_equal(file_create(credential, 0400, STR("x"), &problem), STATUS_OK);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    assert_int_equal(master_key_find(&config, "/data", path, &problem), STATUS_OK);
    assert_string_equal(path, credential);
    config.origins[CONFIG_MASTER_KEY_FILE] = CONFIG_FROM_FLAG;
    assert_int_equal(master_key_find(&config, "/data", path, &problem), STATUS_OK);
    assert_string_equal(path, "/etc/key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_once_and_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(forms_and_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(found_by_precedence, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
