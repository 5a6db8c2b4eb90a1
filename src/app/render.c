#include "app/render.h"

#include <jansson.h>

/*
 * The API's JSON is the contract; what a person reads in a terminal is only a
 * view of it. So no resource has a printer of its own: a member added to an
 * answer is seen here without a change. Control characters never reach the
 * terminal, since names and titles come from outside.
 */

enum {
    RENDER_DEPTH_MAX = 8,
    RENDER_COLUMNS_MAX = 8,
    RENDER_CELL_MAX = 60
};

static void json_release(json_t **json)
{
    json_decref(*json);
}

static bool is_single_line(const json_t *text)
{
    return strchr(json_string_value(text), '\n') == NULL;
}

static void add_clean(struct buf *text, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        bool is_control = c < 0x20 || c == 0x7f;
        buf_add(text, is_control ? " " : data + i, 1);
    }
}

static void add_scalar(struct buf *text, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        add_clean(text, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        buf_add_i64(text, json_integer_value(value));
        break;
    case JSON_REAL:
        buf_printf(text, "%.15g", json_real_value(value));
        break;
    case JSON_TRUE:
        buf_add_z(text, "yes");
        break;
    case JSON_FALSE:
        buf_add_z(text, "no");
        break;
    case JSON_NULL:
        buf_add_z(text, "-");
        break;
    case JSON_OBJECT:
        buf_printf(text, "{%zu}", json_object_size(value));
        break;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            buf_add_z(text, i > 0 ? ", " : "");
            add_scalar(text, json_array_get(value, i));
        }
        if (json_array_size(value) == 0) {
            buf_add_z(text, "-");
        }
        break;
    }
}

static bool is_flat_array(const json_t *value)
{
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (json_is_object(item) || json_is_array(item) ||
            (json_is_string(item) && json_string_length(item) > RENDER_CELL_MAX)) {
            return false;
        }
    }
    return true;
}

static void indent_to(struct buf *text, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        buf_add_z(text, "  ");
    }
}

static void add_lines(struct buf *text, const char *lines, unsigned depth)
{
    struct str rest = str_from_z(lines);
    struct str line = { NULL, 0 };
    while (rest.size > 0) {
        if (!str_split(rest, '\n', &line, &rest)) {
            line = rest;
            rest = (struct str){ NULL, 0 };
        }
        indent_to(text, depth);
        add_clean(text, line.data, line.size);
        buf_add_char(text, '\n');
    }
}

static void add_members(struct buf *text, json_t *object, bool has_color, unsigned depth);

static void add_items(struct buf *text, json_t *array, bool has_color, unsigned depth)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *item = json_array_get(array, i);
        indent_to(text, depth);
        if (json_is_object(item)) {
            buf_printf(text, "(%zu)\n", i + 1);
            add_members(text, item, has_color, depth + 1);
        } else {
            buf_add_z(text, "- ");
            add_scalar(text, item);
            buf_add_char(text, '\n');
        }
    }
}

static void add_members(struct buf *text, json_t *object, bool has_color, unsigned depth)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        indent_to(text, depth);
        buf_add_z(text, has_color ? "\033[1m" : "");
        add_clean(text, name, strlen(name));
        buf_add_z(text, has_color ? "\033[0m:" : ":");
        if (json_is_object(value) && json_object_size(value) > 0 && depth < RENDER_DEPTH_MAX) {
            buf_add_char(text, '\n');
            add_members(text, value, has_color, depth + 1);
        } else if (json_is_array(value) && !is_flat_array(value) && depth < RENDER_DEPTH_MAX) {
            buf_add_char(text, '\n');
            add_items(text, value, has_color, depth + 1);
        } else if (json_is_string(value) && !is_single_line(value)) {
            buf_add_char(text, '\n');
            add_lines(text, json_string_value(value), depth + 1);
        } else {
            buf_add_char(text, ' ');
            add_scalar(text, value);
            buf_add_char(text, '\n');
        }
    }
}

void render_object(struct str json, bool has_color, struct buf *out_text)
{
    CLEANUP(json_release) json_t *root = json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL);
    if (!json_is_object(root)) {
        buf_add_str(out_text, json);
        buf_add_char(out_text, '\n');
        return;
    }
    add_members(out_text, root, has_color, 0);
}

static const json_t *path_get(const json_t *row, struct str path)
{
    const json_t *value = row;
    while (path.size > 0 && json_is_object(value)) {
        struct str head = path;
        if (!str_split(path, '.', &head, &path)) {
            path = (struct str){ NULL, 0 };
        }
        char name[64];
        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(head));
        value = json_object_get(value, name);
    }
    return value;
}

static size_t columns_split(const char *columns, struct str paths[RENDER_COLUMNS_MAX])
{
    struct str rest = str_from_z(columns);
    size_t count = 0;
    while (count + 1 < RENDER_COLUMNS_MAX && str_split(rest, ',', &paths[count], &rest)) {
        count++;
    }
    paths[count++] = rest;
    return count;
}

/* Characters as a terminal counts them, roughly: continuation bytes take none. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

static void cell_write(const json_t *row, struct str path, char cell[256])
{
    struct buf text = { .data = cell, .capacity = 254, .max_bytes = 254 };
    const json_t *value = path_get(row, path);
    if (value == NULL) {
        buf_add_char(&text, '-');
    } else {
        add_scalar(&text, value);
    }
    if (text.failed) {
        (void)snprintf(cell, 256, "...");
        return;
    }
    cell[text.size] = '\0';
}

static void title_write(struct str path, char cell[256])
{
    (void)snprintf(cell, 256, "%.*s", STR_ARG(path));
    for (char *c = cell; *c != '\0'; c++) {
        *c = (char)(*c == '.' || *c == '_' ? ' ' : *c - (*c >= 'a' && *c <= 'z' ? 32 : 0));
    }
}

/* Row -1 is the titles. */
static void row_cell(const json_t *rows, ptrdiff_t row, struct str path, char cell[256])
{
    if (row < 0) {
        title_write(path, cell);
    } else {
        cell_write(json_array_get(rows, (size_t)row), path, cell);
    }
}

static void widths_measure(const json_t *rows, const struct str *paths, size_t column_count,
                           size_t widths[RENDER_COLUMNS_MAX])
{
    char cell[256];
    for (ptrdiff_t row = -1; row < (ptrdiff_t)json_array_size(rows); row++) {
        for (size_t column = 0; column < column_count; column++) {
            row_cell(rows, row, paths[column], cell);
            size_t width = width_of(cell);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
}

static void row_write(const json_t *rows, ptrdiff_t row, const struct str *paths,
                      size_t column_count, const size_t *widths, struct buf *text)
{
    char cell[256];
    for (size_t column = 0; column < column_count; column++) {
        row_cell(rows, row, paths[column], cell);
        buf_add_z(text, cell);
        size_t width = width_of(cell);
        for (; column + 1 < column_count && width < widths[column] + 2; width++) {
            buf_add_char(text, ' ');
        }
    }
}

void render_table(struct str json, const char *columns, bool has_color, struct buf *out_text)
{
    CLEANUP(json_release) json_t *root = json_loadb(json.data, json.size, 0, NULL);
    const json_t *rows = json_object_get(root, "data");
    struct str paths[RENDER_COLUMNS_MAX];
    size_t widths[RENDER_COLUMNS_MAX] = { 0 };
    size_t column_count = columns_split(columns, paths);
    widths_measure(rows, paths, column_count, widths);
    for (ptrdiff_t row = -1; row < (ptrdiff_t)json_array_size(rows); row++) {
        bool is_title = row < 0 && has_color;
        buf_add_z(out_text, is_title ? "\033[1m" : "");
        row_write(rows, row, paths, column_count, widths, out_text);
        buf_add_z(out_text, is_title ? "\033[0m\n" : "\n");
    }
}
