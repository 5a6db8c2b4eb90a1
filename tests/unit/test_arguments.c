#include "app/arguments.h"
#include "unit.h"

/* argv against a small table: every verdict, and the words of each refusal. */

static enum status run_nothing(struct cli *cli, struct problem *problem)
{
    (void)cli;
    (void)problem;
    return STATUS_OK;
}

static const struct command_option CREATE[] = {
    { "platform", "NAME", "which one" },
    { "secret-file", "FILE", "its secret" },
    { "topic", "TOPIC", "may be repeated" },
    { NULL, NULL, NULL },
};
static const struct command_option COMMON[] = {
    { "json", NULL, "as JSON" },
    { "workspace", "NAME", "which" },
    { NULL, NULL, NULL },
};
static const struct command_option SETTINGS[] = {
    { "database-url", "URL", "where" },
    { NULL, NULL, NULL },
};
static const struct command COMMANDS[] = {
    { "serve", "", "serves", "shop serve", NULL, 0, 0, run_nothing },
    { "source create", "NAME", "adds", "shop source create web\nshop more", CREATE, 1, 1,
      run_nothing },
    { "source secret add", "NAME", "adds", "shop source secret add web", CREATE, 1, 1,
      run_nothing },
    { "version", "", "says", "shop version", NULL, 0, 0, run_nothing },
};
static const struct command_table TABLE = {
    .program = "shop",
    .summary = "rings",
    .examples = "shop serve",
    .commands = COMMANDS,
    .command_count = ARRAY_COUNT(COMMANDS),
    .common = COMMON,
    .settings = SETTINGS,
    .settings_of = "serve",
};

static struct arguments_answer parse(const char *line, char *storage, size_t storage_size,
                                     struct problem *problem)
{
    static char *argv[32];
    int argc = 0;
    (void)snprintf(storage, storage_size, "shop %s", line);
    for (char *word = storage; *word != '\0' && argc < 32;) {
        argv[argc++] = word;
        word += strcspn(word, " ");
        while (*word == ' ') {
            *word++ = '\0';
        }
    }
    struct arguments_answer answer;
    arguments_parse(&TABLE, argc, argv, &answer, problem);
    return answer;
}

static void understood(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *command;
        const char *positional;
        const char *platform;
        const char *why;
    } ROWS[] = {
        { "serve", "serve", NULL, NULL, "one word" },
        { "source create web --platform shopify", "source create", "web", "shopify", "in order" },
        { "--json source create web --platform=shopify", "source create", "web", "shopify",
          "options first, joined by =" },
        { "--workspace source source create web", "source create", "web", NULL,
          "an option's value is no command" },
        { "source --json secret add web", "source secret add", "web", NULL, "in between" },
        { "source create -- --odd", "source create", "--odd", NULL, "after --, all are words" },
        { "source create - --platform -", "source create", "-", "-", "a dash alone is a word" },
        { "source create web --platform a --platform b", "source create", "web", "b",
          "the last one counts" },
        { "source create serve", "source create", "serve", NULL, "a name may be a command's" },
        { "serve --database-url x", "serve", NULL, NULL, "settings are taken everywhere" },
        { "--version", "version", NULL, NULL, "as everybody tries it" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        char storage[256];
        struct problem problem = { 0 };
        struct arguments_answer answer = parse(ROWS[i].line, storage, sizeof(storage), &problem);
        assert_row(answer.verdict == ARGUMENTS_RUN, ROWS[i].why);
        assert_string_equal(answer.arguments.command->path, ROWS[i].command);
        const char *positional = arguments_positional(&answer.arguments, 0);
        const char *platform = arguments_value(&answer.arguments, "platform");
        assert_row((positional == NULL) == (ROWS[i].positional == NULL), ROWS[i].why);
        assert_row((platform == NULL) == (ROWS[i].platform == NULL), ROWS[i].why);
        if (positional != NULL) {
            assert_string_equal(positional, ROWS[i].positional);
        }
        if (platform != NULL) {
            assert_string_equal(platform, ROWS[i].platform);
        }
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *detail;
    } ROWS[] = {
        { "", "shop needs a command" },
        { "sorce", "there is no command \"sorce\"; did you mean \"source\"?" },
        { "source creat web",
          "there is no command \"source creat\"; did you mean \"source create\"?" },
        { "source", "shop source needs a command" },
        { "xyzzy", "there is no command \"xyzzy\"" },
        { "source create", "usage: shop source create NAME" },
        { "source create a b", "\"b\" is one argument too many" },
        { "source create a --platfrom x",
          "there is no option --platfrom; did you mean --platform?" },
        { "source create a --secret hunter2",
          "there is no option --secret; did you mean --secret-file?" },
        { "serve --platform x", "there is no option --platform" },
        { "serve --json=yes", "--json takes no value" },
        { "source create a --platform", "--platform needs a value: --platform NAME" },
        { "serve -v", "-v: options are long, as in --help" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        char storage[256];
        struct problem problem = { 0 };
        struct arguments_answer answer = parse(ROWS[i].line, storage, sizeof(storage), &problem);
        assert_row(answer.verdict == ARGUMENTS_WRONG, ROWS[i].line);
        assert_string_equal(problem.detail, ROWS[i].detail);
    }
}

static void help_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *topic;
    } ROWS[] = {
        { "--help", "" },
        { "-h", "" },
        { "help", "" },
        { "source --help", "source" },
        { "source create --help", "source create" },
        { "help source secret", "source secret" },
        { "source create --platform --help", "source create" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        char storage[256];
        struct problem problem = { 0 };
        struct arguments_answer answer = parse(ROWS[i].line, storage, sizeof(storage), &problem);
        assert_row(answer.verdict == ARGUMENTS_HELP, ROWS[i].line);
        assert_string_equal(answer.topic, ROWS[i].topic);
    }
}

static void help_leads_by_examples(void **state)
{
    (void)state;
    static const char *const TOPICS[] = { "", "serve", "source", "source create", "source secret" };
    for (size_t i = 0; i < ARRAY_COUNT(TOPICS); i++) {
        struct buf text;
        buf_init(&text, NULL, 16384);
        arguments_help(&TABLE, TOPICS[i], &text);
        buf_add_char(&text, '\0');
        const char *examples = strstr(text.data, "\nExamples:\n  shop ");
        assert_row(examples != NULL, TOPICS[i]);
        const char *options = strstr(text.data, "--json");
        assert_row(options != NULL && examples < options, TOPICS[i]);
        bool has_settings = strstr(text.data, "--database-url") != NULL;
        assert_row(has_settings == (strcmp(TOPICS[i], "serve") == 0), TOPICS[i]);
        buf_finish(&text);
    }
}

static void an_option_repeats(void **state)
{
    (void)state;
    char storage[256];
    struct problem problem = { 0 };
    struct arguments_answer answer =
        parse("source create a --topic x --json --topic y", storage, sizeof(storage), &problem);
    size_t index = 0;
    assert_string_equal(arguments_next(&answer.arguments, "topic", &index), "x");
    assert_string_equal(arguments_next(&answer.arguments, "topic", &index), "y");
    assert_null(arguments_next(&answer.arguments, "topic", &index));
    assert_true(arguments_has(&answer.arguments, "json"));
    assert_false(arguments_has(&answer.arguments, "workspace"));
}

static void too_many_options(void **state)
{
    (void)state;
    char *argv[ARGUMENTS_OPTIONS_MAX + 3];
    char program[] = "shop";
    char command[] = "serve";
    char option[] = "--json";
    argv[0] = program;
    argv[1] = command;
    for (size_t i = 2; i < ARRAY_COUNT(argv); i++) {
        argv[i] = option;
    }
    struct problem problem = { 0 };
    struct arguments_answer answer;
    arguments_parse(&TABLE, ARGUMENTS_OPTIONS_MAX + 2, argv, &answer, &problem);
    assert_int_equal(answer.verdict, ARGUMENTS_RUN);
    arguments_parse(&TABLE, ARGUMENTS_OPTIONS_MAX + 3, argv, &answer, &problem);
    assert_int_equal(answer.verdict, ARGUMENTS_WRONG);
    assert_string_equal(problem.detail, "too many options");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understood),        cmocka_unit_test(refused),
        cmocka_unit_test(help_is_found),     cmocka_unit_test(help_leads_by_examples),
        cmocka_unit_test(an_option_repeats), cmocka_unit_test(too_many_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
