#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "sources/csv.h"
#include "unit.h"

static struct arena *make_arena(void)
{
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    assert_non_null(arena);
    return arena;
}

/* All records of a text: fields in [], records apart by a space, what is wrong
 * as !column, blank lines as _. */
static struct str read_all(struct arena *arena, struct str text, char separator)
{
    struct buf out;
    buf_init(&out, arena, (size_t)8 * 1024 * 1024);
    for (;;) {
        struct csv_record record = { .used = 0 };
        enum csv_verdict verdict = csv_next(arena, text, separator, true, &record);
        if (verdict == CSV_END) {
            return buf_str(&out);
        }
        buf_add_z(&out, out.size > 0 ? " " : "");
        assert_true(record.used > 0);
        text = str_drop(text, record.used);
        if (verdict == CSV_BAD) {
            buf_printf(&out, "!%zu", record.column);
        } else if (verdict == CSV_BLANK) {
            buf_add_char(&out, '_');
        } else {
            assert_int_equal(verdict, CSV_RECORD);
            for (size_t i = 0; i < record.field_count; i++) {
                buf_printf(&out, "[%.*s]", STR_ARG(record.fields[i]));
            }
        }
    }
}

static void reads_what_rfc_4180_says(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *text;
        const char *records;
    } rows[] = {
        { "plain", "a,b\nc,d\n", "[a][b] [c][d]" },
        { "CRLF", "a,b\r\nc,d\r\n", "[a][b] [c][d]" },
        { "lone CR, as old spreadsheets write", "a,b\rc,d\r", "[a][b] [c][d]" },
        { "no line end at the end", "a,b", "[a][b]" },
        { "empty fields", ",\n,,\n", "[][] [][][]" },
        { "a field at the very end is empty", "a,", "[a][]" },
        { "quoted", "\"a\",\"b\"\n", "[a][b]" },
        { "an empty quoted field is a field, not a blank line", "\"\"\n", "[]" },
        { "the separator within quotes", "\"a,b\",c\n", "[a,b][c]" },
        { "a line end within quotes", "\"a\nb\",c\nd,e\n", "[a\nb][c] [d][e]" },
        { "CRLF within quotes stays", "\"a\r\nb\"\n", "[a\r\nb]" },
        { "doubled quotes", "\"say \"\"yes\"\"\",b\n", "[say \"yes\"][b]" },
        { "nothing but quotes", "\"\"\"\"\n", "[\"]" },
        { "spaces belong to the field", " a , b \n", "[ a ][ b ]" },
        { "blank lines", "a\n\n\r\nb\n", "[a] _ _ [b]" },
        { "beyond ASCII", "\xC3\xA9,\xE2\x82\xAC\n", "[\xC3\xA9][\xE2\x82\xAC]" },
        { "a quote in the middle costs its line", "a,b\"c,d\ne,f\n", "!2 [e][f]" },
        { "text after the closing quote costs its line", "\"a\"b,c\ne,f\n", "!1 [e][f]" },
        { "an unclosed quote costs its first line only", "a,\"b\nc,d\ne,f\n", "!2 [c][d] [e][f]" },
        { "not UTF-8", "a,\xE9,b\nc,d,e\n", "!2 [c][d][e]" },
        { "not UTF-8 in the last field", "a,\xE9\nc,d\n", "!2 [c][d]" },
        { "a fault in a line of CR", "a\"b\rc,d\r", "!1 [c][d]" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = make_arena();
        struct str seen = read_all(arena, str_from_z(rows[i].text), ',');
        if (!str_equal_z(seen, rows[i].records)) {
            fail_msg("%s: %.*s", rows[i].why, STR_ARG(seen));
        }
        arena_destroy(arena);
    }
}

static void nul_is_no_text(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    assert_str_equal(read_all(arena, STR("a,b\0c\nd,e\n"), ','), STR("!2 [d][e]"));
    arena_destroy(arena);
}

/* The same records, wherever the input happens to be cut. */
static void asks_for_more_rather_than_guess(void **state)
{
    (void)state;
    static const char text[] = "a,\"b\r\n\"\"c\"\"\"\r\nd\"e,f\r\ng,h\r\n";
    static const struct {
        enum csv_verdict verdict;
        size_t used;
    } records[] = { { CSV_RECORD, 14 }, { CSV_BAD, 7 }, { CSV_RECORD, 5 } };
    size_t begin = 0;
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        size_t end = begin + records[i].used;
        for (size_t cut = begin; cut <= sizeof(text) - 1; cut++) {
            struct arena *arena = make_arena();
            struct csv_record record = { .used = 0 };
            enum csv_verdict verdict =
                csv_next(arena, (struct str){ text + begin, cut - begin }, ',', false, &record);
            if (cut < end) {
                assert_int_equal(verdict, CSV_MORE);
            } else {
                assert_int_equal(verdict, records[i].verdict);
                assert_int_equal(record.used, records[i].used);
            }
            arena_destroy(arena);
        }
        begin = end;
    }
    assert_int_equal(begin, sizeof(text) - 1);
}

static void gives_up_at_a_mebibyte(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    size_t size = CSV_RECORD_BYTES_MAX + 16;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    struct csv_record record = { .used = 0 };
    /* One short of the limit may still end. */
    assert_int_equal(
        csv_next(arena, (struct str){ text, CSV_RECORD_BYTES_MAX - 1 }, ',', false, &record),
        CSV_MORE);
    text[CSV_RECORD_BYTES_MAX - 1] = '\n';
    assert_int_equal(csv_next(arena, (struct str){ text, size }, ',', false, &record), CSV_RECORD);
    text[CSV_RECORD_BYTES_MAX - 1] = 'x';
    assert_int_equal(csv_next(arena, (struct str){ text, size }, ',', false, &record), CSV_BAD);
    text[0] = '"';
    text[10] = '\n';
    assert_int_equal(csv_next(arena, (struct str){ text, size }, ',', false, &record), CSV_BAD);
    assert_int_equal(record.used, 11);
    free(text);
    arena_destroy(arena);
}

static void counts_fields_and_lines(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    char text[CSV_FIELDS_MAX + 1];
    memset(text, ',', sizeof(text));
    struct csv_record record = { .used = 0 };
    assert_int_equal(csv_next(arena, (struct str){ text, CSV_FIELDS_MAX - 1 }, ',', true, &record),
                     CSV_RECORD);
    assert_int_equal(record.field_count, CSV_FIELDS_MAX);
    assert_int_equal(csv_next(arena, (struct str){ text, CSV_FIELDS_MAX }, ',', true, &record),
                     CSV_BAD);
    assert_int_equal(csv_next(arena, STR("\"a\n\nb\",c\nd\n"), ',', true, &record), CSV_RECORD);
    assert_int_equal(record.line_count, 3);
    arena_destroy(arena);
}

static void sees_the_separator(void **state)
{
    (void)state;
    assert_int_equal(csv_separator(STR("a,b;c,d\n;;;;;;")), ',');
    assert_int_equal(csv_separator(STR("a;b;c\n")), ';');
    assert_int_equal(csv_separator(STR("a\tb\n")), '\t');
    assert_int_equal(csv_separator(STR("\"a;b;c\",d\n")), ',');
    assert_int_equal(csv_separator(STR("alone\n")), ',');
    assert_int_equal(csv_mark_bytes(STR("\xEF\xBB\xBF"
                                        "a")),
                     3);
    assert_int_equal(csv_mark_bytes(STR("a")), 0);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    static const char *const fields[] = { "plain", "", "a,b", "say \"yes\"", "two\nlines", "\r" };
    struct arena *arena = make_arena();
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        struct buf buf;
        struct csv_record record = { .used = 0 };
        buf_init(&buf, arena, 1024);
        csv_write_field(&buf, str_from_z(fields[i]));
        buf_add_z(&buf, ",end\n");
        assert_int_equal(csv_next(arena, buf_str(&buf), ',', true, &record), CSV_RECORD);
        assert_str_equal(record.fields[0], str_from_z(fields[i]));
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_rfc_4180_says),
        cmocka_unit_test(nul_is_no_text),
        cmocka_unit_test(asks_for_more_rather_than_guess),
        cmocka_unit_test(gives_up_at_a_mebibyte),
        cmocka_unit_test(counts_fields_and_lines),
        cmocka_unit_test(sees_the_separator),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
