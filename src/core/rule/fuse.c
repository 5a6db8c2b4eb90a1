#include "program_priv.h"

/*
 * Shorter ways through a program: what nearly every rule does (a name or a count
 * against a constant) as one step instead of three.
 *
 * An event asks four rules on average and most of what they cost was pushing
 * constants and popping them again. The shorter steps say exactly what the steps
 * do that they stand for, which stay where they are, since explain runs any part
 * by itself.
 *
 * Invariant: a jump never leads into what was put together. Where it would, the
 * steps stay apart.
 */

struct fusing {
    const struct rule_program *program;
    const bool *is_target;
};

static bool is_at(const struct fusing *fusing, uint32_t at, enum step_code code)
{
    return at < fusing->program->main_count && fusing->program->steps[at].code == code;
}

/* A step that stands between others. */
static bool is_inside(const struct fusing *fusing, uint32_t at, enum step_code code)
{
    return is_at(fusing, at, code) && !fusing->is_target[at];
}

/* name literal comparison; name is set */
static uint32_t fuse_name(const struct fusing *fusing, uint32_t at, struct rule_step *out_step)
{
    const struct rule_step *steps = fusing->program->steps;
    if (is_inside(fusing, at + 1, STEP_IS_SET)) {
        *out_step = steps[at];
        out_step->code = STEP_FUSED_IS_SET;
        return 2;
    }
    if (!is_inside(fusing, at + 1, STEP_LITERAL)) {
        return 0;
    }
    bool is_age = is_inside(fusing, at + 2, STEP_COMPARE_AGE);
    if (!is_age && !is_inside(fusing, at + 2, STEP_COMPARE)) {
        return 0;
    }
    *out_step = steps[at + 2];
    out_step->code = is_age ? STEP_FUSED_AGE : STEP_FUSED_COMPARE;
    out_step->type = steps[at].type;
    out_step->name = steps[at].name;
    out_step->constant = steps[at + 1].literal;
    return 3;
}

/* literal comparison-of-feature */
static uint32_t fuse_literal(const struct fusing *fusing, uint32_t at, struct rule_step *out_step)
{
    const struct rule_step *steps = fusing->program->steps;
    if (!is_inside(fusing, at + 1, STEP_COMPARE_FEATURE) || steps[at + 1].has_after) {
        return 0;
    }
    *out_step = steps[at + 1];
    out_step->code = STEP_FUSED_FEATURE;
    out_step->constant = steps[at].literal;
    return 2;
}

/* How many steps `out_step` stands for: at least itself. */
static uint32_t fuse(const struct fusing *fusing, uint32_t at, struct rule_step *out_step)
{
    uint32_t count = 0;
    if (is_at(fusing, at, STEP_NAME)) {
        count = fuse_name(fusing, at, out_step);
    } else if (is_at(fusing, at, STEP_LITERAL)) {
        count = fuse_literal(fusing, at, out_step);
    }
    if (count == 0) {
        *out_step = fusing->program->steps[at];
        count = 1;
    }
    return count;
}

bool program_fuse(struct arena *arena, struct rule_program *program)
{
    uint32_t count = program->main_count;
    struct rule_step *steps = ARENA_NEW_ARRAY(arena, count, struct rule_step);
    bool *is_target = ARENA_NEW_ARRAY(arena, (size_t)count + 1, bool);
    uint32_t *places = ARENA_NEW_ARRAY(arena, (size_t)count + 1, uint32_t);
    if (steps == NULL || is_target == NULL || places == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (step_is_test(&program->steps[i])) {
            is_target[program->steps[i].jump] = true;
        }
    }
    const struct fusing fusing = { program, is_target };
    uint32_t size = 0;
    for (uint32_t i = 0; i < count;) {
        places[i] = size;
        i += fuse(&fusing, i, &steps[size]);
        size++;
    }
    places[count] = size;
    for (uint32_t i = 0; i < size; i++) {
        if (step_is_test(&steps[i])) {
            steps[i].jump = places[steps[i].jump];
        }
    }
    program->fused = steps;
    program->fused_count = size;
    return true;
}
