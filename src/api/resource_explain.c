#include "base/instant.h"
#include "core/rule/sentence.h"
#include "core/rule/verdict.h"
#include "explain_priv.h"

/*
 * Why somebody is in a segment, or not: the sentence for people, the tree for
 * those who wrote the rule, the facts for those who doubt both (contract 12).
 *
 * The verdict is evaluated at the moment of asking, from the state that the
 * rules themselves read. So the answer cannot disagree with the engine; where
 * it is ahead of what was decided (an instant that fell due this second), its
 * `since` is null until the sweep has been there.
 *
 * `until` is when the answer turns if nothing arrives. What a rule says of its
 * own is the first instant at which it may; here it is asked again at each of
 * those until it does.
 */

enum {
    TURNS_MAX = 64,
};

struct verdict_now {
    bool holds;
    struct str value;
    int64_t until_ms;
    bool turns; /* at until_ms it is another; else it is asked again then */
};

static bool has_cases(const struct rule *rule)
{
    return rule->definition.kind == RULE_KIND_LIFECYCLE || rule->definition.kind == RULE_KIND_TIER;
}

static struct verdict_now decide(const struct explain *explain, const struct rule *rule)
{
    struct arena *arena = explain->request->arena;
    struct verdict_now now = { .until_ms = INSTANT_NEVER };
    now.holds = rule_verdict(arena, rule, &explain->subject, explain->moment->at_ms, &now.value,
                             &now.until_ms);
    for (int i = 0; i < TURNS_MAX && now.until_ms != INSTANT_NEVER && !now.turns; i++) {
        struct str value = { NULL, 0 };
        int64_t next_ms = INSTANT_NEVER;
        bool holds = rule_verdict(arena, rule, &explain->subject, now.until_ms, &value, &next_ms);
        now.turns = holds != now.holds || !str_equal(value, now.value);
        if (!now.turns) {
            now.until_ms = next_ms;
        }
    }
    return now;
}

/* The case that decides: the first that holds, or the last. */
static size_t deciding_case(const struct rule *rule, const struct verdict_now *now)
{
    for (size_t i = 0; now->holds && i < rule->definition.case_count; i++) {
        if (str_equal(rule->definition.cases[i].value, now->value)) {
            return i;
        }
    }
    return rule->definition.case_count - 1;
}

/* --- the sentence ------------------------------------------------------------ */

static struct str ending(const struct explain *explain, const struct rule *rule,
                         const struct verdict_now *now, bool rests_on_count)
{
    struct arena *arena = explain->request->arena;
    char until[INSTANT_TEXT_SIZE];
    if (now->until_ms == INSTANT_NEVER || !now->turns) {
        return now->holds ? STR(" Stays until something changes.")
                          : STR(" Only something new can change that.");
    }
    instant_format(now->until_ms, until);
    const char *verb = has_cases(rule) ? "Changes" : now->holds ? "Leaves" : "Enters";
    const char *unless =
        now->holds && rests_on_count ? "another one arrives" : "something happens before";
    return str_printf(arena, " %s at %s unless %s.", verb, until, unless);
}

static struct str sentence(const struct explain *explain, const struct rule *rule,
                           const struct verdict_now *now)
{
    struct arena *arena = explain->request->arena;
    size_t index = deciding_case(rule, now);
    struct rule_sentence why =
        rule_sentence(arena, rule->programs[index], rule->trees[index], &explain->subject,
                      explain->moment->at_ms, explain->is_masked);
    struct str end = ending(explain, rule, now, why.rests_on_count);
    if (!has_cases(rule)) {
        return str_printf(arena, "%s, because %.*s.%.*s", now->holds ? "In" : "Not in",
                          STR_ARG(why.text), STR_ARG(end));
    }
    if (now->holds) {
        return str_printf(arena, "It is \"%.*s\", because %.*s.%.*s", STR_ARG(now->value),
                          STR_ARG(why.text), STR_ARG(end));
    }
    struct str last = rule->definition.cases[index].value;
    return str_printf(arena, "No case holds; the last, \"%.*s\", does not, because %.*s.%.*s",
                      STR_ARG(last), STR_ARG(why.text), STR_ARG(end));
}

/* --- the answer -------------------------------------------------------------- */

static void write_rule(struct jsonw *json, const struct rule *rule)
{
    jsonw_key(json, "rule");
    jsonw_open(json);
    jsonw_put_str(json, "name", rule->definition.name);
    jsonw_put_z(json, "kind", rule_kind_name(rule->definition.kind));
    jsonw_put_i64(json, "version", rule->definition.version);
    jsonw_close(json);
}

static void write_verdict(struct jsonw *json, const struct rule *rule,
                          const struct verdict_now *now)
{
    if (!has_cases(rule)) {
        jsonw_put_bool(json, "value", now->holds);
    } else if (now->holds) {
        jsonw_put_str(json, "value", now->value);
    } else {
        jsonw_put_null(json, "value");
    }
}

static void write_case_tree(struct jsonw *json, struct explain *explain, const struct rule *rule,
                            size_t index)
{
    explain->program = rule->programs[index];
    explain->text = rule->definition.cases[index].when;
    jsonw_key(json, "tree");
    explain_write_tree(json, explain, rule->trees[index]);
}

/* A tier that is held is left a share below its threshold: a case may hold
 * though its tree, read without that, does not. */
static void write_cases(struct jsonw *json, struct explain *explain, const struct rule *rule,
                        const struct verdict_now *now)
{
    size_t last = deciding_case(rule, now);
    jsonw_key(json, "cases");
    jsonw_open_array(json);
    for (size_t i = 0; i <= last; i++) {
        jsonw_open(json);
        jsonw_put_str(json, "value", rule->definition.cases[i].value);
        jsonw_put_bool(json, "result", now->holds && i == last);
        write_case_tree(json, explain, rule, i);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static bool reads(const struct ruleset *ruleset, const struct rule *rule, size_t feature)
{
    size_t index = (size_t)(rule - ruleset->rules);
    return (ruleset->by_feature[feature].words[index / 64] >> (index % 64) & 1) != 0;
}

/* Since when the rule's aggregates know every fact: retention may have folded
 * facts before there was the aggregate. INSTANT_NONE: of all that it looks at. */
static int64_t facts_since(struct explain *explain, const struct rule *rule)
{
    const struct ruleset *ruleset = explain->moment->ruleset;
    int64_t since_ms = INSTANT_NONE;
    explain_read_beside(explain);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        const struct feature *feature = &ruleset->features[i];
        /* Orders stay. */
        if (feature->event_type == EVENT_ORDER_COMPLETED || !reads(ruleset, rule, i)) {
            continue;
        }
        int64_t its_ms =
            bases_complete_since(explain->facts.bases, explain->facts.base_count, feature);
        bool has_passed =
            feature->within_ms > 0 && its_ms <= explain->moment->at_ms - feature->within_ms;
        since_ms = its_ms > since_ms && !has_passed ? its_ms : since_ms;
    }
    return since_ms;
}

static void write_answer(struct jsonw *json, struct explain *explain, const struct rule *rule)
{
    const struct moment *moment = explain->moment;
    int64_t since_ms = facts_since(explain, rule);
    struct verdict_now now = decide(explain, rule);
    jsonw_open(json);
    jsonw_put_id(json, "profile_id", moment->whole.view.id);
    if (!id_is_zero(moment->whole.requested_id)) {
        jsonw_put_id(json, "requested_id", moment->whole.requested_id);
    }
    write_rule(json, rule);
    jsonw_put_instant(json, "as_of", moment->at_ms);
    write_verdict(json, rule, &now);
    jsonw_put_instant(json, "since", moment_since(moment, rule, now.holds, now.value));
    jsonw_put_instant(json, "until", now.until_ms == INSTANT_NEVER ? INSTANT_NONE : now.until_ms);
    jsonw_put_str(json, "text", sentence(explain, rule, &now));
    jsonw_put_bool(json, "stale", moment->is_stale);
    jsonw_put_bool(json, "partial_history",
                   !moment->whole.history_complete || since_ms != INSTANT_NONE);
    jsonw_put_instant(json, "facts_since", since_ms);
    if (has_cases(rule)) {
        jsonw_put_null(json, "tree");
        write_cases(json, explain, rule, &now);
    } else {
        write_case_tree(json, explain, rule, 0);
        jsonw_put_null(json, "cases");
    }
    jsonw_close(json);
}

/* The rule as the profile stands to it; if it is newer than the profile's
 * rules, as it will. */
static const struct rule *find_rule(const struct resource_request *request,
                                    const struct profile_reader *reader, struct moment *moment)
{
    const struct rule *rule =
        moment->ruleset != NULL ? ruleset_rule(moment->ruleset, request->rule) : NULL;
    if (rule == NULL && reader->newest != NULL) {
        rule = ruleset_rule(reader->newest, request->rule);
        moment->ruleset = reader->newest;
    }
    return rule;
}

static enum status answer(const struct resource_request *request,
                          const struct profile_reader *reader, struct resource_answer *out_answer,
                          struct problem *problem)
{
    struct moment moment;
    enum status status = moment_open(request, reader, &moment, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct rule *rule = find_rule(request, reader, &moment);
    if (rule == NULL) {
        return resource_missing(STATUS_MISSING, "enabled rule", request->rule, problem);
    }
    struct explain explain = {
        .request = request,
        .reader = reader,
        .moment = &moment,
        .subject = { .profile = moment.profile,
                     .ruleset = moment.ruleset,
                     .statistics = moment.statistics,
                     .currency = reader->workspace->currency },
        .is_masked = profile_is_masked(request),
        .status = STATUS_OK,
        .problem = problem,
    };
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_answer(&json, &explain, rule);
    return explain.status == STATUS_OK
               ? resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem)
               : explain.status;
}

enum status resource_profile_explain(const struct resource_request *request,
                                     struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_reader reader;
    if (request->rule.size == 0) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                          "rule is needed: the name of the rule to explain");
        problem_point(problem, "#/query/rule");
        return STATUS_INVALID;
    }
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = answer(request, &reader, out_answer, problem);
        profile_reader_close(&reader);
    }
    return status;
}
