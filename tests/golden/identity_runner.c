#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/*
 * Runs identity.case: each story in a world of its own, one commit an event,
 * a minute apart. Prints every story whose verdict differs; the exit code is
 * the number of them.
 */

enum {
    NAMES_MAX = 32,
    LINE_SIZE = 1024
};

struct story {
    struct str verdict;
    struct str events;
    struct str why;
};

static bool parse_story(struct str line, struct story *out_story)
{
    line = str_trim(line);
    if (line.size == 0 || line.data[0] == '#') {
        return false;
    }
    struct story story = { 0 };
    struct str rest = { 0 };
    bool has_verdict = str_split(line, '<', &story.verdict, &rest);
    assert(has_verdict);
    bool has_why = str_split(str_drop(rest, 1), '#', &story.events, &story.why);
    assert(has_why);
    story.verdict = str_trim(story.verdict);
    story.events = str_trim(story.events);
    story.why = str_trim(story.why);
    *out_story = story;
    return true;
}

static void tell(struct world *world, struct str events)
{
    while (events.size > 0) {
        struct str event = events;
        struct str rest = { 0 };
        if (!str_split(events, ';', &event, &rest)) {
            event = events;
            rest = (struct str){ 0 };
        }
        world_apply_one(world, world_event(world, str_dup_z(world->arena, str_trim(event))));
        world->now_ms += INSTANT_MINUTE_MS;
        events = str_trim(rest);
    }
}

static int compare_strs(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* All that names one profile, sorted. */
static struct str group_of(struct world *world, struct id profile_id)
{
    struct str names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < world->identity_count; i++) {
        if (id_equal(world->identities[i]->profile_id, profile_id)) {
            names[count++] = world->identities[i]->identifier.value;
        }
    }
    for (size_t i = 0; i < world->order_count; i++) {
        if (id_equal(world->orders[i]->profile_id, profile_id)) {
            names[count++] = world->orders[i]->order_ref;
        }
    }
    assert(count > 0);
    qsort(names, count, sizeof(names[0]), compare_strs);
    struct buf buf;
    buf_init(&buf, world->arena, LINE_SIZE);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&buf, "%s%.*s", i > 0 ? " " : "", STR_ARG(names[i]));
    }
    return buf_str(&buf);
}

static void add_count(struct buf *buf, const struct world *world, enum identity_decision_kind kind,
                      const char *name, bool *first)
{
    size_t count = world_count_decisions(world, kind);
    if (count > 0) {
        buf_printf(buf, "%s%s=%zu", *first ? " / " : " ", name, count);
        *first = false;
    }
}

static struct str verdict_of(struct world *world)
{
    struct str groups[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < world->profile_count; i++) {
        if (id_is_zero(world->profiles[i]->merged_into)) {
            groups[count++] = group_of(world, world->profiles[i]->id);
        }
    }
    qsort(groups, count, sizeof(groups[0]), compare_strs);
    struct buf buf;
    buf_init(&buf, world->arena, LINE_SIZE);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&buf, "%s%.*s", i > 0 ? " | " : "", STR_ARG(groups[i]));
    }
    bool first = true;
    add_count(&buf, world, IDENTITY_CONFLICT, "conflict", &first);
    add_count(&buf, world, IDENTITY_MERGED, "merged", &first);
    add_count(&buf, world, IDENTITY_MOVED, "moved", &first);
    return buf_str(&buf);
}

/* Groups are sorted before they are compared: the file may put them as the
 * story tells them. */
static struct str sorted_verdict(struct world *world, struct str verdict)
{
    struct str groups[NAMES_MAX];
    size_t count = 0;
    struct str log = { 0 };
    struct str rest = verdict;
    struct str head = { 0 };
    struct str tail = { 0 };
    if (str_split(verdict, '/', &head, &tail)) {
        rest = str_trim(head);
        log = str_trim(tail);
    }
    while (str_split(rest, '|', &head, &tail)) {
        groups[count++] = str_trim(head);
        rest = str_trim(tail);
    }
    groups[count++] = rest;
    qsort(groups, count, sizeof(groups[0]), compare_strs);
    struct buf buf;
    buf_init(&buf, world->arena, LINE_SIZE);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&buf, "%s%.*s", i > 0 ? " | " : "", STR_ARG(groups[i]));
    }
    if (log.size > 0) {
        buf_printf(&buf, " / %.*s", STR_ARG(log));
    }
    return buf_str(&buf);
}

static bool run_story(const struct story *story, int number)
{
    struct world *world = world_open();
    tell(world, story->events);
    struct str expected = sorted_verdict(world, story->verdict);
    struct str verdict = verdict_of(world);
    bool passed = str_equal(verdict, expected);
    if (!passed) {
        printf("identity.case:%d: %.*s\n  expected %.*s\n  but got  %.*s\n", number,
               STR_ARG(story->why), STR_ARG(expected), STR_ARG(verdict));
    }
    world_close(world);
    return passed;
}

int main(int argc, char **argv)
{
    assert(argc == 2);
    FILE *file = fopen(argv[1], "r");
    assert(file != NULL);
    char line[LINE_SIZE];
    int number = 0;
    int failed = 0;
    int count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        struct story story = { 0 };
        number++;
        if (parse_story(str_from_z(line), &story)) {
            count++;
            failed += run_story(&story, number) ? 0 : 1;
        }
    }
    int closed = fclose(file);
    assert(closed == 0);
    printf("%d stories, %d failed\n", count, failed);
    assert(count > 0);
    return failed;
}
