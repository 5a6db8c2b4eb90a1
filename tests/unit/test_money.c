#include "base/money.h"
#include "unit.h"

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *currency;
        bool good;
        int64_t minor;
        const char *why;
    } rows[] = {
        { "749.95", "EUR", true, 74995, "as shops write" },
        { "0.0", "EUR", true, 0, "one decimal" },
        { "12", "EUR", true, 1200, "none" },
        { "12.3", "EUR", true, 1230, "tenths" },
        { "-12.34", "EUR", true, -1234, "a refund" },
        { "+12.34", "EUR", true, 1234, "plus" },
        { "-0.00", "EUR", true, 0, "minus zero" },
        { "007.50", "EUR", true, 750, "leading zeros" },
        { "0.125", "EUR", true, 13, "half goes away from zero" },
        { "-0.125", "EUR", true, -13, "below zero too" },
        { "0.1249999999999999999999999999", "EUR", true, 12, "just below half" },
        { "9.995", "EUR", true, 1000, "carries" },
        { "1500", "JPY", true, 1500, "no decimals" },
        { "1500.00", "JPY", true, 1500, "decimals that say nothing" },
        { "1499.5", "JPY", true, 1500, "rounds to the yen" },
        { "1.2345", "KWD", true, 1235, "three decimals" },
        { "1.2345", "CLF", true, 12345, "four decimals" },
        { "1.5", "XXX", true, 150, "unknown has two" },
        { "1.5", "", true, 150, "none has two" },
        { "92233720368547758.07", "EUR", true, INT64_MAX, "the largest" },
        { "92233720368547758.074", "EUR", true, INT64_MAX, "rounds down to it" },
        { "92233720368547758.075", "EUR", false, 0, "rounds up past it" },
        { "92233720368547758.08", "EUR", false, 0, "one past it" },
        { "922337203685477580.7", "EUR", false, 0, "overflows by its decimals" },
        { "99999999999999999999999999999", "EUR", false, 0, "far past it" },
        { "1,234.56", "EUR", false, 0, "thousands" },
        { "12,34", "EUR", false, 0, "comma" },
        { "1e3", "EUR", false, 0, "exponent" },
        { ".5", "EUR", false, 0, "nothing before the point" },
        { "5.", "EUR", false, 0, "nothing behind it" },
        { "1.2.3", "EUR", false, 0, "two points" },
        { "1.-2", "EUR", false, 0, "sign inside" },
        { "--1", "EUR", false, 0, "two signs" },
        { "-", "EUR", false, 0, "sign alone" },
        { " 1", "EUR", false, 0, "space" },
        { "1 EUR", "EUR", false, 0, "currency in the text" },
        { "NaN", "EUR", false, 0, "no number" },
        { "", "EUR", false, 0, "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t minor = 77;
        struct str currency = str_from_z(rows[i].currency);
        bool good = money_parse(str_from_z(rows[i].text), currency, &minor);
        assert_row(good == rows[i].good, rows[i].why);
        assert_row(minor == (rows[i].good ? rows[i].minor : 77), rows[i].why);
    }
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *currency;
        const char *text;
    } rows[] = {
        { 12490, "EUR", "124.90" },
        { 0, "EUR", "0.00" },
        { 5, "EUR", "0.05" },
        { -5, "EUR", "-0.05" },
        { 100, "EUR", "1.00" },
        { 1500, "JPY", "1500" },
        { 0, "JPY", "0" },
        { -1, "JPY", "-1" },
        { 1, "KWD", "0.001" },
        { 12345, "CLF", "1.2345" },
        { INT64_MAX, "EUR", "92233720368547758.07" },
        { INT64_MIN, "EUR", "-92233720368547758.08" },
        { INT64_MIN, "CLF", "-922337203685477.5808" },
        { INT64_MIN, "JPY", "-9223372036854775808" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[MONEY_TEXT_SIZE];
        money_format(rows[i].minor, str_from_z(rows[i].currency), text);
        assert_string_equal(text, rows[i].text);
    }
}

static void text_and_back(void **state)
{
    (void)state;
    static const char *const currencies[] = { "EUR", "JPY", "TND", "UYW" };
    for (size_t i = 0; i < ARRAY_COUNT(currencies); i++) {
        struct str currency = str_from_z(currencies[i]);
        for (int64_t minor = -30000; minor < 30000; minor += 7) {
            char text[MONEY_TEXT_SIZE];
            int64_t again = 0;
            money_format(minor, currency, text);
            assert_true(money_parse(str_from_z(text), currency, &again));
            assert_int_equal(again, minor);
        }
    }
}

static void knows_currencies(void **state)
{
    (void)state;
    static const char *const names[5][18] = {
        [0] = { "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI",
                "VND", "VUV", "XAF", "XOF", "XPF" },
        [2] = { "EUR", "USD", "GBP", "CHF", "jpy", "JPYX", "JP" },
        [3] = { "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND" },
        [4] = { "CLF", "UYW" },
    };
    for (unsigned decimals = 0; decimals < 5; decimals++) {
        for (size_t i = 0; names[decimals][i] != NULL; i++) {
            assert_row(money_decimals(str_from_z(names[decimals][i])) == decimals,
                       names[decimals][i]);
        }
    }
    size_t exceptions = 0;
    for (; money_exception(exceptions) != NULL; exceptions++) {
        assert_row(money_decimals(str_from_z(money_exception(exceptions))) != 2,
                   money_exception(exceptions));
    }
    assert_int_equal(exceptions, 26);
    assert_true(money_currency_is_valid(STR("EUR")));
    assert_true(money_currency_is_valid(STR("XXX")));
    assert_false(money_currency_is_valid(STR("eur")));
    assert_false(money_currency_is_valid(STR("EU")));
    assert_false(money_currency_is_valid(STR("EURO")));
    assert_false(money_currency_is_valid(STR("E1R")));
    assert_false(money_currency_is_valid(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(formats),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(knows_currencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
