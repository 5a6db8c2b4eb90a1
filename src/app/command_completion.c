#include "app/cli.h"
#include "app/commands.h"

/*
 * shopbell completion bash|zsh: written from the command table, so it knows
 * every command and option there is and none that is not. zsh runs bash's
 * function through bashcompinit: one script to keep right instead of two.
 */

enum {
    SCRIPT_BYTES_MAX = 64 * 1024
};

static void add_options(struct buf *text, const struct command_option *list)
{
    for (size_t i = 0; list != NULL && list[i].name != NULL; i++) {
        buf_printf(text, " --%s", list[i].name);
    }
}

/* The words that may follow `topic`; each once, as siblings stand together. */
static void add_words(struct buf *text, const struct command_table *table, const char *topic)
{
    size_t skip = strlen(topic);
    char last[64] = "";
    for (size_t i = 0; i < table->command_count; i++) {
        const char *path = table->commands[i].path;
        if (strncmp(path, topic, skip) != 0 || (skip > 0 && path[skip] != ' ')) {
            continue;
        }
        const char *word = path + skip + (skip > 0 ? 1 : 0);
        int size = (int)strcspn(word, " ");
        if (strncmp(last, word, (size_t)size) != 0 || last[size] != '\0') {
            buf_printf(text, " %.*s", size, word);
            (void)snprintf(last, sizeof(last), "%.*s", size, word);
        }
    }
}

static void add_case(struct buf *text, const struct command_table *table, const char *topic,
                     const struct command *command)
{
    buf_printf(text, "    \"%s\"%s) words=\"", topic, command != NULL ? "*" : "");
    if (command == NULL) {
        add_words(text, table, topic);
    } else if (strcmp(command->path, "completion") == 0) {
        buf_add_z(text, " bash zsh");
    }
    if (command != NULL) {
        add_options(text, command->options);
        if (strcmp(command->path, table->settings_of) == 0) {
            add_options(text, table->settings);
        }
    }
    add_options(text, table->common);
    buf_add_z(text, "\" ;;\n");
}

/* "source secret" of "source secret add"; false when it is one word. */
static bool parent_of(const char *path, char parent[64])
{
    const char *space = strrchr(path, ' ');
    if (space == NULL) {
        return false;
    }
    (void)snprintf(parent, 64, "%.*s", (int)(space - path), path);
    return true;
}

static void add_cases(struct buf *text, const struct command_table *table)
{
    /* Longer paths first: a pattern that ends in * would swallow them. */
    for (int words = 3; words > 0; words--) {
        char last[64] = "";
        for (size_t i = 0; i < table->command_count; i++) {
            const struct command *command = &table->commands[i];
            int spaces = 0;
            for (const char *c = command->path; *c != '\0'; c++) {
                spaces += *c == ' ' ? 1 : 0;
            }
            if (spaces + 1 == words) {
                add_case(text, table, command->path, command);
            }
            char parent[64];
            if (spaces == words && parent_of(command->path, parent) && strcmp(parent, last) != 0) {
                add_case(text, table, parent, NULL);
                (void)snprintf(last, sizeof(last), "%s", parent);
            }
        }
    }
    add_case(text, table, "", NULL);
}

enum status command_completion(struct cli *cli, struct problem *problem)
{
    const char *shell = arguments_positional(cli->arguments, 0);
    bool is_zsh = strcmp(shell, "zsh") == 0;
    if (!is_zsh && strcmp(shell, "bash") != 0) {
        return problem_set(problem, STATUS_INVALID, "usage", "completion for bash or zsh");
    }
    struct buf text;
    buf_init(&text, cli->arena, SCRIPT_BYTES_MAX);
    if (is_zsh) {
        buf_add_z(&text, "#compdef shopbell\nautoload -U +X bashcompinit && bashcompinit\n");
    }
    buf_add_z(&text, "_shopbell() {\n"
                     "    local path=\"\" words=\"\" i current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
                     "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                     "        case \"${COMP_WORDS[i]}\" in\n"
                     "        -*) ;;\n"
                     "        *) path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n"
                     "        esac\n"
                     "    done\n"
                     "    case \"$path\" in\n");
    add_cases(&text, cli->table);
    buf_add_z(&text, "    esac\n"
                     "    # shellcheck disable=SC2207 # words without spaces\n"
                     "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                     "}\n"
                     "complete -o default -F _shopbell shopbell\n");
    cli_print_str(buf_str(&text));
    return STATUS_OK;
}
