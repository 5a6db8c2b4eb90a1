#include "app/arguments.h"

#include <assert.h>

#include "base/str.h"

/*
 * Words, then options: the longest run of leading words that names a command
 * is the command, what follows are its arguments. Options may stand anywhere.
 *
 * Rejected: getopt_long. It reorders argv, prints by itself, knows no
 * suggestions and keeps global state, so its tests would be tests of a
 * process. Abbreviated options are refused on purpose: a script that says
 * --sub today would mean something else the day a second option begins so.
 */

enum {
    TOPIC_WORDS_MAX = 3,
    CANDIDATES_MAX = 96,
    HELP_COLUMN = 30
};

static bool topic_is_prefix(const char *path, const char *topic)
{
    size_t size = strlen(topic);
    return strncmp(path, topic, size) == 0 &&
           (size == 0 || path[size] == ' ' || path[size] == '\0');
}

static const struct command *command_find(const struct command_table *table, const char *path)
{
    for (size_t i = 0; i < table->command_count; i++) {
        if (strcmp(table->commands[i].path, path) == 0) {
            return &table->commands[i];
        }
    }
    return NULL;
}

static bool topic_exists(const struct command_table *table, const char *topic)
{
    for (size_t i = 0; i < table->command_count; i++) {
        if (topic_is_prefix(table->commands[i].path, topic)) {
            return true;
        }
    }
    return false;
}

/* The words that may follow a topic, each once; returns how many. */
static size_t topic_words(const struct command_table *table, const char *topic, char words[][32],
                          size_t capacity)
{
    size_t count = 0;
    size_t skip = strlen(topic) > 0 ? strlen(topic) + 1 : 0;
    for (size_t i = 0; i < table->command_count && count < capacity; i++) {
        const char *path = table->commands[i].path;
        if (!topic_is_prefix(path, topic) || strlen(path) <= skip) {
            continue;
        }
        const char *word = path + skip;
        size_t size = strcspn(word, " ");
        assert(size < 32);
        bool is_new = count == 0 || strncmp(words[count - 1], word, size) != 0 ||
                      words[count - 1][size] != '\0';
        if (is_new) {
            memcpy(words[count], word, size);
            words[count][size] = '\0';
            count++;
        }
    }
    return count;
}

static const struct command_option *option_in(const struct command_option *list, struct str name)
{
    for (size_t i = 0; list != NULL && list[i].name != NULL; i++) {
        if (str_equal_z(name, list[i].name)) {
            return &list[i];
        }
    }
    return NULL;
}

static const struct command_option *option_find(const struct command_table *table,
                                                const struct command *command, struct str name)
{
    const struct command_option *option =
        command != NULL ? option_in(command->options, name) : NULL;
    if (option == NULL) {
        option = option_in(table->common, name);
    }
    return option != NULL ? option : option_in(table->settings, name);
}

static size_t option_collect(const struct command_option *list, const char **candidates,
                             size_t count)
{
    for (size_t i = 0; list != NULL && list[i].name != NULL && count < CANDIDATES_MAX; i++) {
        candidates[count++] = list[i].name;
    }
    return count;
}

static void refuse_option(const struct command_table *table, const struct command *command,
                          struct str name, struct problem *problem)
{
    const char *candidates[CANDIDATES_MAX];
    size_t count = command != NULL ? option_collect(command->options, candidates, 0) : 0;
    count = option_collect(table->common, candidates, count);
    count = option_collect(table->settings, candidates, count);
    const char *nearest = str_nearest(name, candidates, count);
    /* A value where a file belongs is the one mistake that must never work. */
    if (str_equal_z(name, "secret")) {
        nearest = "secret-file";
    }
    if (nearest != NULL) {
        (void)problem_set(problem, STATUS_INVALID, "usage",
                          "there is no option --%.*s; did you mean --%s?", STR_ARG(name), nearest);
        return;
    }
    (void)problem_set(problem, STATUS_INVALID, "usage", "there is no option --%.*s", STR_ARG(name));
}

static void refuse_word(const struct command_table *table, const char *topic, const char *word,
                        struct problem *problem)
{
    char words[CANDIDATES_MAX][32];
    const char *candidates[CANDIDATES_MAX];
    size_t count = topic_words(table, topic, words, CANDIDATES_MAX);
    for (size_t i = 0; i < count; i++) {
        candidates[i] = words[i];
    }
    const char *space = topic[0] != '\0' ? " " : "";
    const char *nearest = str_nearest(str_from_z(word), candidates, count);
    if (nearest != NULL) {
        (void)problem_set(problem, STATUS_INVALID, "usage",
                          "there is no command \"%s%s%.40s\"; did you mean \"%s%s%s\"?", topic,
                          space, word, topic, space, nearest);
        return;
    }
    (void)problem_set(problem, STATUS_INVALID, "usage", "there is no command \"%s%s%.40s\"", topic,
                      space, word);
}

/* Takes leading words that make up a command or a group of them; returns how
 * many of argv were taken as such. Options in between are left for later. */
static void words_take(const struct command_table *table, int argc, char *const *argv,
                       bool *is_taken, char topic[80])
{
    topic[0] = '\0';
    size_t taken = 0;
    for (int i = 1; i < argc && taken < TOPIC_WORDS_MAX; i++) {
        if (argv[i][0] == '-') {
            struct str name = str_from_z(argv[i] + strspn(argv[i], "-"));
            const struct command_option *option = option_find(table, NULL, name);
            i += option != NULL && option->value != NULL ? 1 : 0;
            continue;
        }
        char longer[80];
        int size = snprintf(longer, sizeof(longer), "%s%s%s", topic, taken > 0 ? " " : "", argv[i]);
        if (size < 0 || (size_t)size >= sizeof(longer) || !topic_exists(table, longer)) {
            return;
        }
        memcpy(topic, longer, (size_t)size + 1);
        is_taken[i] = true;
        taken++;
    }
}

/* One option at argv[*index]; moves the index over its value. */
static bool option_take(const struct command_table *table, int argc, char *const *argv, int *index,
                        struct arguments *arguments, struct problem *problem)
{
    struct str name = str_drop(str_from_z(argv[*index]), 2);
    struct str value = { NULL, 0 };
    bool is_joined = str_split(name, '=', &name, &value);
    const struct command_option *option = option_find(table, arguments->command, name);
    if (option == NULL || argv[*index][1] != '-') {
        if (argv[*index][1] != '-') {
            (void)problem_set(problem, STATUS_INVALID, "usage",
                              "%.40s: options are long, as in --help", argv[*index]);
            return false;
        }
        refuse_option(table, arguments->command, name, problem);
        return false;
    }
    if (option->value == NULL && is_joined) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "--%s takes no value", option->name);
        return false;
    }
    if (option->value != NULL && !is_joined && *index + 1 >= argc) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "--%s needs a value: --%s %s",
                          option->name, option->name, option->value);
        return false;
    }
    if (arguments->option_count == ARGUMENTS_OPTIONS_MAX) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "too many options");
        return false;
    }
    const char *text = NULL;
    if (option->value != NULL) {
        text = is_joined ? value.data : argv[++*index];
    }
    arguments->options[arguments->option_count].name = option->name;
    arguments->options[arguments->option_count].value = text;
    arguments->option_count++;
    return true;
}

static bool rest_take(const struct command_table *table, int argc, char *const *argv,
                      const bool *is_taken, const char *topic, struct arguments *arguments,
                      struct problem *problem)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        if (is_taken[i]) {
            continue;
        }
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            continue;
        }
        if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!option_take(table, argc, argv, &i, arguments, problem)) {
                return false;
            }
            continue;
        }
        if (arguments->command == NULL) {
            refuse_word(table, topic, argv[i], problem);
            return false;
        }
        if (arguments->positional_count == arguments->command->positional_max) {
            (void)problem_set(problem, STATUS_INVALID, "usage",
                              "\"%.60s\" is one argument too many", argv[i]);
            return false;
        }
        arguments->positionals[arguments->positional_count++] = argv[i];
    }
    return true;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return false;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static void completeness_check(const struct command_table *table, struct arguments_answer *answer,
                               struct problem *problem)
{
    const struct arguments *arguments = &answer->arguments;
    if (arguments->command == NULL) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "%s%s%s needs a command",
                          table->program, answer->topic[0] != '\0' ? " " : "", answer->topic);
        return;
    }
    if (arguments->positional_count < arguments->command->positional_min) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "usage: %s %s %s", table->program,
                          arguments->command->path, arguments->command->usage);
        return;
    }
    answer->verdict = ARGUMENTS_RUN;
}

enum {
    ARGUMENTS_MAX = 256
};

void arguments_parse(const struct command_table *table, int argc, char *const *argv,
                     struct arguments_answer *out_answer, struct problem *problem)
{
    bool is_taken[ARGUMENTS_MAX] = { false };
    *out_answer = (struct arguments_answer){ .verdict = ARGUMENTS_WRONG };
    if (argc > ARGUMENTS_MAX) {
        (void)problem_set(problem, STATUS_INVALID, "usage", "more than %d arguments",
                          ARGUMENTS_MAX);
        return;
    }
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        argc--;
        argv++;
        words_take(table, argc, argv, is_taken, out_answer->topic);
        out_answer->verdict = ARGUMENTS_HELP;
        return;
    }
    words_take(table, argc, argv, is_taken, out_answer->topic);
    if (asks_for_help(argc, argv)) {
        out_answer->verdict = ARGUMENTS_HELP;
        return;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        (void)snprintf(out_answer->topic, sizeof(out_answer->topic), "version");
        is_taken[1] = true;
    }
    out_answer->arguments.command = command_find(table, out_answer->topic);
    if (rest_take(table, argc, argv, is_taken, out_answer->topic, &out_answer->arguments,
                  problem)) {
        completeness_check(table, out_answer, problem);
    }
}

static void help_line(struct buf *text, const char *left, const char *right)
{
    buf_printf(text, "  %-*s %s\n", HELP_COLUMN, left, right);
}

static void help_options(struct buf *text, const char *title, const struct command_option *list)
{
    if (list == NULL || list[0].name == NULL) {
        return;
    }
    buf_printf(text, "\n%s:\n", title);
    for (size_t i = 0; list[i].name != NULL; i++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", list[i].name,
                       list[i].value != NULL ? " " : "",
                       list[i].value != NULL ? list[i].value : "");
        help_line(text, left, list[i].help);
    }
}

static void help_examples(struct buf *text, const char *examples)
{
    buf_add_z(text, "\nExamples:\n");
    struct str rest = str_from_z(examples);
    struct str line = { NULL, 0 };
    while (str_split(rest, '\n', &line, &rest)) {
        buf_printf(text, "  %.*s\n", STR_ARG(line));
    }
    if (rest.size > 0) {
        buf_printf(text, "  %.*s\n", STR_ARG(rest));
    }
}

static void help_group(const struct command_table *table, const char *topic, struct buf *text)
{
    bool is_root = topic[0] == '\0';
    if (is_root) {
        buf_printf(text, "%s: %s\n", table->program, table->summary);
        help_examples(text, table->examples);
    } else {
        buf_printf(text, "%s %s COMMAND\n", table->program, topic);
        buf_add_z(text, "\nExamples:\n");
        for (size_t i = 0; i < table->command_count; i++) {
            const struct command *command = &table->commands[i];
            if (topic_is_prefix(command->path, topic)) {
                struct str line = str_from_z(command->examples);
                (void)str_split(line, '\n', &line, &(struct str){ NULL, 0 });
                buf_printf(text, "  %.*s\n", STR_ARG(line));
            }
        }
    }
    buf_add_z(text, "\nCommands:\n");
    for (size_t i = 0; i < table->command_count; i++) {
        if (topic_is_prefix(table->commands[i].path, topic)) {
            help_line(text, table->commands[i].path, table->commands[i].summary);
        }
    }
    help_options(text, "All commands take", table->common);
    if (is_root) {
        buf_printf(text, "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, "
                         "4 not confirmed, 75 try again later.\n");
    }
}

void arguments_help(const struct command_table *table, const char *topic, struct buf *out_text)
{
    const struct command *command = command_find(table, topic);
    if (command == NULL) {
        help_group(table, topic, out_text);
        return;
    }
    buf_printf(out_text, "%s %s: %s\n", table->program, command->path, command->summary);
    help_examples(out_text, command->examples);
    buf_printf(out_text, "\nUsage: %s %s %s\n", table->program, command->path, command->usage);
    help_options(out_text, "Options", command->options);
    if (strcmp(command->path, table->settings_of) == 0) {
        help_options(out_text, "Settings (also in the file and the environment)", table->settings);
    }
    help_options(out_text, "All commands take", table->common);
    if (strcmp(command->path, table->settings_of) != 0) {
        buf_printf(out_text, "\nEvery setting of \"%s %s --help\" is taken here too.\n",
                   table->program, table->settings_of);
    }
}

const char *arguments_value(const struct arguments *arguments, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < arguments->option_count; i++) {
        if (strcmp(arguments->options[i].name, name) == 0) {
            value = arguments->options[i].value;
        }
    }
    return value;
}

bool arguments_has(const struct arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->option_count; i++) {
        if (strcmp(arguments->options[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *arguments_next(const struct arguments *arguments, const char *name, size_t *index)
{
    for (; *index < arguments->option_count; ++*index) {
        if (strcmp(arguments->options[*index].name, name) == 0) {
            return arguments->options[(*index)++].value;
        }
    }
    return NULL;
}

const char *arguments_positional(const struct arguments *arguments, size_t index)
{
    return index < arguments->positional_count ? arguments->positionals[index] : NULL;
}
