#ifndef CORE_RULE_PROGRAM_PRIV_H
#define CORE_RULE_PROGRAM_PRIV_H

/*
 * The inside of a program, between compile.c, which writes it, eval.c, which
 * runs it, and the ruleset, which numbers its features.
 *
 * A comparison whose one side moves by time alone (an age, a window, the
 * engagement score) is one step that knows at which instant it turns; the side
 * that moves has no step of its own in the main run. For explain its steps
 * stand behind the main run, in fragments that only rule_evaluate_node enters.
 */

#include "core/profile/profile.h"
#include "core/rule/feature.h"
#include "core/rule/program.h"

enum step_code {
    STEP_LITERAL,
    STEP_NAME,
    STEP_MEMBER, /* "x" in tags, "x" in segments */
    STEP_AND_TEST,
    STEP_AND,
    STEP_OR_TEST,
    STEP_OR,
    STEP_NOT,
    STEP_IS_SET,
    STEP_COMPARE,
    STEP_COMPARE_AGE,
    STEP_COMPARE_YEARS,
    STEP_COMPARE_DAYS,
    STEP_COMPARE_SCORE,
    STEP_COMPARE_STAGE, /* of a name that takes few values, one after the other */
    STEP_COMPARE_FEATURE,
    STEP_ARITHMETIC,
    STEP_NEGATE,
    STEP_AGE,
    STEP_YEARS,
    STEP_DAYS,
    STEP_PERCENTILE,
    STEP_FEATURE,
    STEP_FUSED_AGE, /* fuse.c: several of the above in one */
    STEP_FUSED_COMPARE,
    STEP_FUSED_IS_SET,
    STEP_FUSED_FEATURE,
    STEP_CODE_COUNT,
};

struct rule_step {
    enum step_code code;
    enum rule_op op;     /* of comparisons: as if the side that moves stood left */
    bool left_is_open;   /* its type is known at run time only: read as the other side's */
    bool right_is_open;  /* never both: then values are compared as they are */
    bool has_after;      /* of feature steps: the instant is on the stack */
    bool is_mirrored;    /* the side that moves stood right: what "!=" asks to be set */
    enum rule_type type; /* of names and features: what the checker promised; RULE_NULL: open */
    uint32_t jump;       /* of tests: behind the right side */
    union {
        struct rule_value literal;
        struct rule_name name; /* of STEP_MEMBER: RULE_TAGS or RULE_SEGMENTS, and the rule */
        const struct feature *feature;
        struct {
            enum rule_attribute attribute;
            int64_t percent;
        } percentile;
    };
    struct rule_value constant; /* of fused steps */
};

struct step_range { /* the steps of one node */
    const struct rule_node *node;
    uint32_t from;
    uint32_t to;
};

struct program_percentile {
    enum rule_attribute attribute;
    int64_t percent;
};

struct rule_program {
    const struct rule_step *steps;
    uint32_t main_count;           /* fragments for explain stand behind */
    const struct rule_step *fused; /* the main run by shorter ways: fuse.c */
    uint32_t fused_count;
    const struct step_range *ranges;
    size_t range_count;
    struct rule_reads reads;
    uint32_t *feature_numbers; /* reads.features: filled when numbers are given */
    const struct feature **features;
    const struct program_percentile *percentiles;
    size_t percentile_count;
    bool reads_tags;     /* the list as such: every tag */
    bool reads_segments; /* every segment */
    bool reads_lifecycle;
};

enum {
    /* Operands that wait: a right side can be as deep as the tree, a left side
     * waits in one place. */
    RULE_STACK_MAX = RULE_DEPTH_MAX + 2,
};

/* How many operands a step takes off the stack; each but a test puts one there. */
size_t step_takes(const struct rule_step *step);

static inline bool step_is_test(const struct rule_step *step)
{
    return step->code == STEP_AND_TEST || step->code == STEP_OR_TEST;
}

/* After feature_table_finish: the numbers of what the program reads. */
void program_number_features(const struct rule_program *program);

/* Fills `fused` of a program that is otherwise whole. False when the arena is full. */
NODISCARD bool program_fuse(struct arena *arena, struct rule_program *program);

/* A feature against a number, which has nothing to convert. */
static inline bool step_is_usual(const struct rule_step *step)
{
    return step->type == RULE_NUMBER && step->constant.type == RULE_NUMBER &&
           step->op != RULE_OP_NE;
}

/* Is it false, until one of its features has something, whatever else the profile
 * is? False also when that is not known, or the arena is full. */
bool program_is_silent(struct arena *arena, const struct rule_program *program);

/* As rule_evaluate, with the thresholds of percentiles lowered by a share
 * (millionths): for a tier that is held. */
bool program_evaluate(struct arena *arena, const struct rule_program *program,
                      const struct rule_subject *subject, int64_t at_ms, int64_t hysteresis,
                      int64_t *out_until_ms);

/* --- attribute.c: what a name says of the subject ------------------------ */

/* The value at `at_ms`; *out_until_ms (never NULL) is lowered to when it may
 * differ by time alone, and left alone when never. */
struct rule_value attribute_read(struct arena *arena, const struct rule_subject *subject,
                                 const struct rule_name *name, int64_t at_ms,
                                 int64_t *out_until_ms);
/* --- attribute_interest.c: of the product told, and the interest in it ---- */

struct rule_value attribute_of_interest(struct arena *arena, const struct rule_subject *subject,
                                        enum rule_attribute attribute);

/* NULL when there is none. */
const struct profile_fact *attribute_fact(const struct profile *profile, enum fact_kind kind,
                                          struct str key);
/* Does it change by time alone? */
bool attribute_is_timed(enum rule_attribute attribute);
/* Is there a verdict of the tag or segment `name` says? */
bool attribute_is_member(const struct rule_subject *subject, const struct rule_name *name);
/* The profile's verdict of a rule, or NULL. */
struct verdict;
const struct verdict *attribute_verdict(const struct rule_subject *subject, uint32_t slot);

/* --- turn.c: when a comparison turns -------------------------------------- */

/* a + b without overflow: INSTANT_NEVER when it would. */
int64_t turn_add(int64_t a_ms, int64_t b_ms);

/* `at - since op duration`. */
bool turn_age(enum rule_op op, int64_t since_ms, int64_t duration_ms, int64_t at_ms,
              int64_t *out_until_ms);

/* Whole years since a day (UTC), and the instant at which they become more. */
int64_t turn_years(int64_t days, int64_t at_ms, int64_t *out_until_ms);
bool turn_years_compare(enum rule_op op, int64_t days, int64_t constant, int64_t at_ms,
                        int64_t *out_until_ms);

/* Days until the next anniversary of a date (0 on the day itself), or until an
 * instant, rounded up. */
int64_t turn_days(struct rule_value value, int64_t at_ms, int64_t *out_until_ms);
bool turn_days_compare(enum rule_op op, struct rule_value value, int64_t constant, int64_t at_ms,
                       int64_t *out_until_ms);

/* a * b of millionths, rounded half away from zero; false when it does not fit. */
bool turn_multiply(int64_t a, int64_t b, int64_t *out_product);

#endif
