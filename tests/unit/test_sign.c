#include "base/codec.h"
#include "deliver/sign.h"
#include "unit.h"

/* Each expected value was computed by openssl dgst -sha256 -mac HMAC; the first
 * is the example of the Standard Webhooks specification. */
static void signs(void **state)
{
    (void)state;
    static const struct {
        const char *key_hex;
        const char *id;
        const char *timestamp_s;
        const char *body;
        const char *expected;
        const char *why;
    } rows[] = {
        { "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0", "msg_p5jXN8AQM9LWM0D4loKWxJek",
          "1614265330", "{\"test\": 2432232314}",
          "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "the specification's example" },
        { "00", "msg_2", "1614265330", "",
          "v1,mY94WMrTDWpYdE6xG8wFL3eJV5/S8ICThiFJ2Ejj0sU=", "short key, empty body" },
        { "abababababababababababababababababababababababababababababababab"
          "abababababababababababababababababababababababababababababababab",
          "msg_3", "1", "x", "v1,23MRPHsTiVrnpVNBLLyOrXq5JMRMZi72af+e5XG2Bik=", "the longest key" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t key[64];
        size_t key_size = 0;
        assert_true(hex_decode(str_from_z(rows[i].key_hex), key, sizeof(key), &key_size));
        char text[SIGN_V1_TEXT_SIZE];
        sign_v1(key, key_size, str_from_z(rows[i].id), str_from_z(rows[i].timestamp_s),
                str_from_z(rows[i].body), text);
        assert_row(strcmp(text, rows[i].expected) == 0, rows[i].why);
    }
}

/* Each expected value was computed by Python's cryptography. */
static void signs_with_a_key_of_ours(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *timestamp_s;
        const char *body;
        const char *expected;
        const char *why;
    } rows[] = {
        { "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "1674087231", "{\"type\": \"contact.created\"}",
          "v1a,kinc2XDb3LqNGshyCpto5vQw4FvYBF35QDEAvmv5LRNKu+"
          "qy3FS1iMV30r0qg0OpiDKfuRYSHZ5Xf4iOAiXjDQ"
          "==",
          "usual" },
        { "m", "1", "",
          "v1a,GTSYMM2qy5CnPerzfK5Z55cDj1eoOxog6g58Wg5vzyQhkfJ319afRnUbH2AT+/"
          "wyJyhbCZjYxj2l4fjRKXz8CQ"
          "==",
          "empty body" },
    };
    uint8_t key[SIGN_V1A_KEY_SIZE];
    size_t key_size = 0;
    assert_true(hex_decode(STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                               "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"),
                           key, sizeof(key), &key_size));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str id = str_from_z(rows[i].id);
        struct str timestamp = str_from_z(rows[i].timestamp_s);
        struct str body = str_from_z(rows[i].body);
        size_t size = sign_v1a_message_size(id, timestamp, body);
        uint8_t message[128] = { 0 };
        assert_true(size < sizeof(message));
        sign_v1a_message(id, timestamp, body, message);
        assert_int_equal(message[size], 0); /* not a byte too far */
        char text[SIGN_V1A_TEXT_SIZE];
        sign_v1a(key, message, size, text);
        assert_row(strcmp(text, rows[i].expected) == 0, rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs),
        cmocka_unit_test(signs_with_a_key_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
