#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "core/rule/expression.h"

/*
 * Runs rule.case: each sentence is parsed, and what comes out (its canonical
 * text, or the error) is compared with the verdict in front of it. A sentence
 * that is good is parsed once more from its canonical text, which must be its
 * own. Prints every sentence whose verdict differs; the exit code is 1 then.
 */

enum {
    LINE_SIZE = 8192,
    ARENA_BYTES = 1024 * 1024,
};

struct sentence {
    struct str verdict;
    struct str text;
    struct str why;
    enum rule_context context;
};

static const struct rule_known known_rules[] = {
    { { "lifecycle", 9 }, RULE_KIND_LIFECYCLE },   { { "frequent_buyer", 14 }, RULE_KIND_TAG },
    { { "abandoned_cart", 14 }, RULE_KIND_TAG },   { { "at_risk", 7 }, RULE_KIND_TAG },
    { { "shoes_lovers", 12 }, RULE_KIND_SEGMENT }, { { "basket", 6 }, RULE_KIND_TIER },
};

/* Splits at " :: ". */
static bool cut_at_colons(struct str line, struct str *out_head, struct str *out_tail)
{
    struct str mark = STR(" :: ");
    for (size_t i = 0; i + mark.size <= line.size; i++) {
        if (str_starts_with(str_drop(line, i), mark)) {
            *out_head = str_trim(str_take(line, i));
            *out_tail = str_trim(str_drop(line, i + mark.size));
            return true;
        }
    }
    return false;
}

/* "⏎" stands for a line's end. */
static struct str with_lines(struct arena *arena, struct str text)
{
    struct str mark = STR("\u23ce");
    struct buf buf;
    buf_init(&buf, arena, LINE_SIZE);
    for (size_t i = 0; i < text.size; i++) {
        bool is_mark = str_starts_with(str_drop(text, i), mark);
        buf_add_char(&buf, is_mark ? '\n' : text.data[i]);
        i += is_mark ? mark.size - 1 : 0;
    }
    return buf_str(&buf);
}

static bool take_prefix(struct str *text, struct str prefix)
{
    if (!str_starts_with(*text, prefix)) {
        return false;
    }
    *text = str_trim(str_drop(*text, prefix.size));
    return true;
}

static bool read_sentence(struct arena *arena, struct str line, struct sentence *out_sentence)
{
    line = str_trim(line);
    if (line.size == 0 || line.data[0] == '#') {
        return false;
    }
    struct sentence sentence = { 0 };
    struct str rest = { 0 };
    bool has_verdict = cut_at_colons(line, &sentence.verdict, &rest);
    assert(has_verdict);
    bool has_why = cut_at_colons(rest, &sentence.text, &sentence.why);
    assert(has_why);
    if (take_prefix(&sentence.text, STR("{filter}"))) {
        sentence.context = RULE_CONTEXT_FILTER;
    } else if (take_prefix(&sentence.text, STR("{trigger}"))) {
        sentence.context = RULE_CONTEXT_TRIGGER;
    }
    sentence.text = with_lines(arena, sentence.text);
    *out_sentence = sentence;
    return true;
}

static struct str describe(struct arena *arena, const struct rule_error *error)
{
    return str_printf(arena, "! %u:%u+%u %s%s%s | %s", (unsigned)error->line,
                      (unsigned)error->column, (unsigned)error->length, error->expected,
                      error->suggestion[0] != '\0' ? " -> " : "", error->suggestion, error->detail);
}

static struct str verdict_of(struct arena *arena, enum rule_context context, struct str text)
{
    struct rule_vocabulary vocabulary = { context, known_rules, ARRAY_COUNT(known_rules) };
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    switch (rule_parse(arena, text, &vocabulary, &root, &error)) {
    case STATUS_OK:
        return rule_format(arena, root);
    case STATUS_INVALID:
        return describe(arena, &error);
    default:
        return STR("neither good nor bad");
    }
}

static bool run_sentence(struct arena *arena, const struct sentence *sentence, int number)
{
    struct str verdict = verdict_of(arena, sentence->context, sentence->text);
    struct str wanted = str_equal(sentence->verdict, STR("=")) ? sentence->text : sentence->verdict;
    bool is_good = verdict.size > 0 && verdict.data[0] != '!';
    struct str again = is_good ? verdict_of(arena, sentence->context, verdict) : verdict;
    if (str_equal(verdict, wanted) && str_equal(again, verdict)) {
        return true;
    }
    printf("rule.case:%d: %.*s\n  expected %.*s\n  but got  %.*s\n", number, STR_ARG(sentence->why),
           STR_ARG(wanted), STR_ARG(verdict));
    if (!str_equal(again, verdict)) {
        printf("  again    %.*s\n", STR_ARG(again));
    }
    return false;
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    FILE *file = fopen(argv[1], "r");
    assert(file != NULL);
    static char line[LINE_SIZE];
    int number = 0;
    int failed = 0;
    int count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        struct arena *arena = arena_create(ARENA_BYTES);
        struct sentence sentence = { 0 };
        number++;
        if (read_sentence(arena, str_from_z(line), &sentence)) {
            count++;
            failed += run_sentence(arena, &sentence, number) ? 0 : 1;
        }
        arena_destroy(arena);
    }
    int closed = fclose(file);
    assert(closed == 0);
    printf("%d sentences, %d failed\n", count, failed);
    assert(count > 0);
    return failed > 0;
}
