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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
