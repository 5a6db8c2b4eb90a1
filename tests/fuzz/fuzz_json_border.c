#include <string.h>

#include "adapter.h"

/* What the border lets pass has at most LIMIT_JSON_DEPTH levels, holds no
 * U+0000, and reads back from its own dump as the same value. The walk is this
 * file's own and recursive: the bound under test is what makes that safe. */
static void walk(const json_t *value, unsigned depth)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t i = 0;
    if (json_is_string(value)) {
        must(memchr(json_string_value(value), 0, json_string_length(value)) == NULL);
        return;
    }
    if (!json_is_object(value) && !json_is_array(value)) {
        return;
    }
    must(depth < LIMIT_JSON_DEPTH);
    json_array_foreach(value, i, member)
    {
        walk(member, depth + 1);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        walk(member, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct problem problem;
    json_t *tree = border_parse(input, &problem);
    if (tree == NULL) {
        return 0;
    }
    walk(tree, 0);
    struct arena *arena = arena_create(64u * 1024 * 1024);
    must(arena != NULL);
    struct str text = border_dump(arena, tree, 16u * 1024 * 1024);
    json_t *again = border_parse(text, &problem);
    must(again != NULL);
    /* Reals may lose digits beyond fifteen, once. */
    must(str_equal(border_dump(arena, again, 16u * 1024 * 1024), text));
    int64_t minor = 0;
    if (border_money(tree, "price", STR("EUR"), &minor)) {
        must(minor <= BORDER_MONEY_MINOR_MAX && minor >= -BORDER_MONEY_MINOR_MAX);
    }
    (void)border_instant(tree, "at", NULL);
    (void)border_id(arena, tree, "id");
    border_free(again);
    border_free(tree);
    arena_destroy(arena);
    return 0;
}
