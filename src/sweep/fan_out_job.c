#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "fan_out_priv.h"

/*
 * A job's row: what it is about, how far it has come, and how it ended.
 *
 * The cursor is JSON that each chunk commits with what it decided. It holds the place of
 * the walk and the counts so far, so whoever claims the job next needs nothing else, and a
 * count never differs from what was saved.
 */

static bool read_id(const json_t *root, const char *name, struct id *out_id)
{
    const char *text = json_string_value(json_object_get(root, name));
    return text != NULL && id_parse(str_from_z(text), out_id);
}

bool fan_out_job_open(struct fan_out_job *out_job, const struct job *row)
{
    struct fan_out_job job = { .workspace_id = row->workspace_id,
                               .id = row->id,
                               .limit = FAN_OUT_LIMIT_FIRST };
    json_t *root = json_loadb(row->parameters_json.data, row->parameters_json.size, 0, NULL);
    bool is_ok = read_id(root, "trigger_id", &job.trigger_id) &&
                 read_id(root, "event_id", &job.event_id) &&
                 row->cursor_json.size < sizeof(job.cursor);
    json_decref(root);
    if (is_ok) {
        memcpy(job.cursor, row->cursor_json.data, row->cursor_json.size);
        *out_job = job;
    }
    return is_ok;
}

/* --- the cursor ---------------------------------------------------------------- */

static struct str text_of(struct arena *arena, const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);
    return str_dup(arena, (struct str){ json_string_value(value), json_string_length(value) });
}

void fan_out_cursor_read(struct fan_out_cursor *cursor, const struct fan_out_turn *turn)
{
    json_t *root = json_loads(turn->job->cursor, 0, NULL);
    const json_t *outcomes = json_object_get(root, "outcomes");
    (void)read_id(root, "product_source", &cursor->product_source_id);
    (void)read_id(root, "after", &cursor->after_id);
    (void)read_id(root, "place_id", &cursor->place.id);
    cursor->product_id = text_of(turn->arena, root, "product");
    cursor->place.value = text_of(turn->arena, root, "place_value");
    cursor->place.place = (size_t)json_integer_value(json_object_get(root, "place"));
    cursor->walked = json_integer_value(json_object_get(root, "walked"));
    cursor->concerned = json_integer_value(json_object_get(root, "concerned"));
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        cursor->outcomes[i] = json_integer_value(
            json_object_get(outcomes, trigger_outcome_name((enum trigger_outcome)i)));
    }
    json_decref(root);
}

static void put_id(json_t *root, const char *name, struct id id)
{
    char text[ID_TEXT_SIZE];
    if (!id_is_zero(id)) {
        id_format(id, text);
        json_object_set_new(root, name, json_string(text));
    }
}

static void put_text(json_t *root, const char *name, struct str text)
{
    if (text.size > 0) {
        json_object_set_new(root, name, json_stringn(text.data, text.size));
    }
}

/* What is counted, of answers and of the cursor. */
static void put_counts(json_t *root, const struct fan_out_cursor *cursor)
{
    json_t *outcomes = json_object();
    for (int i = OUTCOME_WAITING; i < OUTCOME_COUNT; i++) {
        if (cursor->outcomes[i] > 0) {
            json_object_set_new(outcomes, trigger_outcome_name((enum trigger_outcome)i),
                                json_integer(cursor->outcomes[i]));
        }
    }
    json_object_set_new(root, "walked", json_integer(cursor->walked));
    json_object_set_new(root, "concerned", json_integer(cursor->concerned));
    json_object_set_new(root, "outcomes", outcomes);
}

static struct str dump(struct arena *arena, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    struct str copy = text != NULL ? str_dup(arena, str_from_z(text)) : (struct str){ NULL, 0 };
    free(text);
    json_decref(root);
    return copy;
}

struct str fan_out_cursor_write(const struct fan_out_cursor *cursor, struct arena *arena)
{
    json_t *root = json_object();
    put_counts(root, cursor);
    put_id(root, "product_source", cursor->product_source_id);
    put_text(root, "product", cursor->product_id);
    put_id(root, "after", cursor->after_id);
    json_object_set_new(root, "place", json_integer((json_int_t)cursor->place.place));
    put_text(root, "place_value", cursor->place.value);
    put_id(root, "place_id", cursor->place.id);
    return dump(arena, root);
}

/* --- the end ------------------------------------------------------------------- */

enum status fan_out_end(const struct fan_out_turn *turn, struct id owner, enum job_status ending,
                        const char *ended, struct str error, struct problem *problem)
{
    struct fan_out_cursor cursor = { .walked = 0 };
    json_t *result = json_object();
    fan_out_cursor_read(&cursor, turn);
    put_counts(result, &cursor);
    if (ended != NULL) {
        json_object_set_new(result, "ended", json_string(ended));
    }
    const struct job_end end = {
        .workspace_id = turn->job->workspace_id,
        .job_id = turn->job->id,
        .owner = owner,
        .status = ending,
        .result_json = dump(turn->arena, result),
        .error = error,
        .at_ms = clock_now_ms(),
    };
    turn->job->has_ended = true;
    return job_finish(turn->pg, turn->arena, &end, problem);
}
