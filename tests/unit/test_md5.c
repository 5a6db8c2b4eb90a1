#include "base/md5.h"
#include "unit.h"

/* RFC 1321, appendix A.5; and a size at each edge of the last block. */
static void the_standards_own_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hash;
    } rows[] = {
        { "", "d41d8cd98f00b204e9800998ecf8427e" },
        { "a", "0cc175b9c0f1b6a831c399e269772661" },
        { "abc", "900150983cd24fb0d6963f7d28e17f72" },
        { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
        { "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
          "d174ab98d277d9f5a5611c2c9f419d9f" },
        { "1234567890123456789012345678901234567890123456789012345678901234567890123456789"
          "0",
          "57edf4a22be3c955ac49da2e2107b67a" },
        /* What Mailchimp's documentation gives for its example. */
        { "urist.mcvankab@freddiesjokes.com", "62eeb292278cc15f5817cb78f7790b08" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char hash[MD5_HEX_SIZE];
        md5_hex(str_from_z(rows[i].text), hash);
        assert_row(str_equal_z(str_from_z(rows[i].hash), hash), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_standards_own_vectors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
