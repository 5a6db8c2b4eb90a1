#include <jansson.h>

#include "api/mask.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/recheck.h"
#include "core/trigger/subscription.h"
#include "profile_priv.h"
#include "store/attempt_read.h"
#include "store/notification_read.h"
#include "store/trigger_store.h"
#include "store/universal_store.h"
#include "subscription_priv.h"

/*
 * Why somebody was told, and who was not (contract 12).
 *
 * Everything is read from what was written down: the cause from the body, the
 * event from the timeline, the change of a verdict from the transitions. Only the
 * tree is evaluated, by the same function that explains a profile, as of the
 * instant at which it became true; where the rule is another by now, that is said.
 *
 * Whom a topic's pattern let in is known for ever; what a filter said then is not
 * kept. So a subscription that was not told is given the first gate that today
 * shows to be shut, or the ones that may have been.
 */

enum {
    EVENTS_LOOKED_AT = 200,
    TRANSITIONS_LOOKED_AT = 200,
    ATTEMPTS_SHOWN = 1000,
};

struct why {
    const struct resource_request *request;
    struct notification_view row;
    json_t *body;
    int64_t at_ms;      /* when it became true */
    struct id *origins; /* of the profile; NULL: not asked for yet */
    size_t origin_count;
    const struct transition_view *transition; /* NULL: it is of no rule */
    const struct interaction_view *event;     /* NULL: of time alone, or out of sight */
    const struct universal_event *fact;       /* the cause, if it is one about the world */
    const struct trigger_row *trigger;        /* as it is today; NULL: none, or it is gone */
    struct subscription_row *subscriptions;
    size_t subscription_count;
    struct delivery_view *pending;
    size_t pending_count;
    struct attempt_page attempts;
};

static struct str member_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (struct str){ json_string_value(value), json_string_length(value) };
}

/* --- reading ------------------------------------------------------------------- */

static enum status read_sent(struct why *why, struct problem *problem)
{
    const struct resource_request *request = why->request;
    struct id workspace_id = request->principal->workspace_id;
    const struct attempt_query attempts = {
        .workspace_id = workspace_id,
        .notification_id = why->row.id,
        .before_ms = INSTANT_LAST_MS,
        .limit = ATTEMPTS_SHOWN,
        .scan_limit = ATTEMPTS_SHOWN,
    };
    enum status status = subscription_list(request->pg, request->arena, workspace_id, ID_ZERO,
                                           STR(""), LIMIT_SUBSCRIPTIONS, &why->subscriptions,
                                           &why->subscription_count, problem);
    if (status == STATUS_OK) {
        status = notification_deliveries(request->pg, request->arena, workspace_id, why->row.id,
                                         &why->pending, &why->pending_count, problem);
    }
    return status == STATUS_OK
               ? attempt_page(request->pg, request->arena, &attempts, &why->attempts, problem)
               : status;
}

static enum status read_origins(struct why *why, struct problem *problem)
{
    char profile[ID_TEXT_SIZE];
    struct id requested = ID_ZERO;
    struct id canonical = ID_ZERO;
    if (why->origins != NULL) {
        return STATUS_OK;
    }
    id_format(why->row.profile_id, profile);
    return profile_resolve(why->request, str_from_z(profile), &requested, &canonical, &why->origins,
                           &why->origin_count, problem);
}

static bool is_of_rule(struct str topic)
{
    return str_starts_with(topic, STR("segment.")) || str_starts_with(topic, STR("tag.")) ||
           str_starts_with(topic, STR("tier.")) || str_starts_with(topic, STR("lifecycle."));
}

static bool is_change(const struct why *why, const struct transition_view *row)
{
    const json_t *data = json_object_get(why->body, "data");
    struct str kind = { NULL, 0 };
    struct str action = { NULL, 0 };
    (void)str_split(why->row.topic, '.', &kind, &action);
    const char *key = str_dup_z(why->request->arena, kind);
    struct str name = key != NULL ? member_text(json_object_get(data, key), "name") : kind;
    return row->occurred_at_ms == why->at_ms && str_equal(row->rule_kind, kind) &&
           (name.size == 0 || str_equal(row->rule, name));
}

static enum status read_transition(struct why *why, struct problem *problem)
{
    struct transition_view *rows = NULL;
    size_t count = 0;
    if (!is_of_rule(why->row.topic)) {
        return STATUS_OK;
    }
    enum status status = read_origins(why, problem);
    if (status == STATUS_OK) {
        status = profile_transitions(
            why->request->pg, why->request->arena, why->request->principal->workspace_id,
            why->origins, why->origin_count, (struct history_place){ .before_ms = why->at_ms + 1 },
            TRANSITIONS_LOOKED_AT, &rows, &count, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < count && why->transition == NULL; i++) {
        why->transition = is_change(why, &rows[i]) ? &rows[i] : NULL;
    }
    return status;
}

static enum status read_fact(struct why *why, struct id event_id, struct problem *problem)
{
    const struct resource_request *request = why->request;
    struct universal_event *fact = ARENA_NEW(request->arena, struct universal_event);
    if (fact == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = universal_find(request->pg, request->arena,
                                        request->principal->workspace_id, event_id, fact, problem);
    why->fact = status == STATUS_OK ? fact : NULL;
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status read_event(struct why *why, struct problem *problem)
{
    const json_t *cause = json_object_get(why->body, "cause");
    struct interaction_view *rows = NULL;
    struct id event_id = ID_ZERO;
    int64_t occurred_at_ms = INSTANT_NONE;
    size_t count = 0;
    if (!id_parse(member_text(cause, "event_id"), &event_id) ||
        !instant_parse(member_text(cause, "occurred_at"), true, &occurred_at_ms, NULL)) {
        return STATUS_OK;
    }
    enum status status = read_origins(why, problem);
    if (status == STATUS_OK) {
        status = profile_interactions(why->request->pg, why->request->arena,
                                      why->request->principal->workspace_id, why->origins,
                                      why->origin_count,
                                      (struct history_place){ .before_ms = occurred_at_ms + 1 },
                                      EVENTS_LOOKED_AT, &rows, &count, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (id_equal(rows[i].id, event_id)) {
            why->event = &rows[i];
        }
    }
    return status == STATUS_OK && why->event == NULL ? read_fact(why, event_id, problem) : status;
}

/* --- the cause ----------------------------------------------------------------- */

static void write_event(struct jsonw *json, const struct why *why)
{
    const struct interaction_view *event = why->event;
    bool is_masked = profile_is_masked(why->request);
    jsonw_key(json, "event");
    if (event == NULL) {
        jsonw_null(json);
        return;
    }
    jsonw_open(json);
    jsonw_put_id(json, "id", event->id);
    jsonw_put_str(json, "type", event->type);
    jsonw_put_str_or_null(json, "source", event->source);
    jsonw_put_instant(json, "occurred_at", event->occurred_at_ms);
    jsonw_put_instant(json, "received_at", event->received_at_ms);
    jsonw_put_raw(json, "properties",
                  is_masked ? mask_json(why->request->arena, event->properties_json)
                            : event->properties_json);
    jsonw_close(json);
}

static void write_fact(struct jsonw *json, const struct universal_event *fact)
{
    jsonw_key(json, "universal_event");
    if (fact == NULL) {
        jsonw_null(json);
        return;
    }
    jsonw_open(json);
    jsonw_put_id(json, "id", fact->id);
    jsonw_put_str(json, "type", fact->type);
    jsonw_put_str_or_null(json, "source", fact->source);
    jsonw_put_instant(json, "occurred_at", fact->occurred_at_ms);
    jsonw_put_instant(json, "recorded_at", fact->recorded_at_ms);
    jsonw_put_raw(json, "selector", fact->selector_json);
    jsonw_put_raw(json, "properties", fact->properties_json);
    jsonw_close(json);
}

static void write_transition(struct jsonw *json, const struct transition_view *row)
{
    jsonw_key(json, "transition");
    if (row == NULL) {
        jsonw_null(json);
        return;
    }
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "rule", row->rule);
    jsonw_put_str(json, "kind", row->rule_kind);
    jsonw_put_i64(json, "rule_version", row->rule_version);
    jsonw_put_str_or_null(json, "from", row->from_value);
    jsonw_put_str_or_null(json, "to", row->to_value);
    jsonw_put_str(json, "cause", row->cause);
    jsonw_put_instant(json, "occurred_at", row->occurred_at_ms);
    jsonw_put_instant(json, "decided_at", row->decided_at_ms);
    jsonw_close(json);
}

static int64_t version_in(struct str explained)
{
    json_t *root = json_loadb(explained.data, explained.size, 0, NULL);
    int64_t version = json_integer_value(json_object_get(json_object_get(root, "rule"), "version"));
    json_decref(root);
    return version;
}

/* The tree with the values of then. What cannot be told any more is no failure of
 * this answer: the words say why. */
static void write_verdict(struct jsonw *json, const struct why *why)
{
    struct resource_answer answer = { .version = 0 };
    struct problem fault = { .type = "" };
    char profile[ID_TEXT_SIZE];
    char at[INSTANT_TEXT_SIZE];
    if (why->transition == NULL) {
        jsonw_put_null(json, "verdict");
        jsonw_put_null(json, "verdict_missing");
        jsonw_put_null(json, "rule_changed_since");
        return;
    }
    id_format(why->row.profile_id, profile);
    instant_format(why->at_ms, at);
    struct resource_request then = *why->request;
    then.name = str_from_z(profile);
    then.rule = why->transition->rule;
    then.as_of = str_from_z(at);
    enum status status = resource_profile_explain(&then, &answer, &fault);
    if (status == STATUS_OK) {
        jsonw_put_raw(json, "verdict", answer.json);
        jsonw_put_null(json, "verdict_missing");
        jsonw_put_bool(json, "rule_changed_since",
                       version_in(answer.json) != why->transition->rule_version);
    } else {
        jsonw_put_null(json, "verdict");
        jsonw_put_z(json, "verdict_missing", fault.detail);
        jsonw_put_null(json, "rule_changed_since");
    }
}

/* --- who was told -------------------------------------------------------------- */

static void write_gate(struct jsonw *json, const char *gate, bool passed, const char *text)
{
    jsonw_open(json);
    jsonw_put_z(json, "gate", gate);
    jsonw_put_bool(json, "passed", passed);
    jsonw_put_z(json, "why", text);
    jsonw_close(json);
}

/* What ended it when the filter was asked again, as its newest attempt says; NULL: it
 * was not that. */
static const char *recheck_end(const struct why *why, struct str name)
{
    static const char *const ends[] = { RECHECK_FALSE, RECHECK_TRIGGER, RECHECK_UNTOLD };
    size_t newest = 0;
    while (newest < why->attempts.count &&
           !str_equal(why->attempts.rows[newest].subscription, name)) {
        newest++;
    }
    for (size_t i = 0; newest < why->attempts.count && i < ARRAY_COUNT(ends); i++) {
        if (str_equal_z(why->attempts.rows[newest].error, ends[i])) {
            return ends[i];
        }
    }
    return NULL;
}

/* Was it let in, as far as it can be told? */
static void write_gates(struct jsonw *json, const struct why *why,
                        const struct subscription_row *row, bool is_told)
{
    const struct subscription_interest interest = { .topics = row->topics,
                                                    .topic_count = row->topic_count };
    bool is_wanted = subscription_wants(&interest, why->row.topic);
    bool is_later = row->created_at_ms > why->row.created_at_ms;
    jsonw_key(json, "gates");
    jsonw_open_array(json);
    write_gate(json, "topic", is_told || is_wanted,
               is_wanted ? "one of its topics matches"
               : is_told ? "one of its topics matched then"
                         : "none of its topics matches");
    if (is_told) {
        write_gate(json, "filter", true,
                   row->filter.size > 0 ? "its filter was true" : "it has none");
        const char *end = recheck_end(why, row->name);
        if (end != NULL || row->recheck) {
            write_gate(json, "recheck", end == NULL,
                       end != NULL ? end : "its filter is asked again before each attempt");
        }
    } else if (is_wanted && is_later) {
        write_gate(json, "since", false, "it was made after the notification");
    } else if (is_wanted && row->filter.size > 0) {
        write_gate(json, "filter", false, "its filter was false then, or it was not active");
    } else if (is_wanted) {
        write_gate(json, "status", false, "it was not active then, or had other topics");
    }
    jsonw_close_array(json);
}

static void write_calls(struct jsonw *json, const struct why *why, struct str name)
{
    jsonw_key(json, "attempts");
    jsonw_open_array(json);
    for (size_t i = why->attempts.count; i > 0; i--) {
        const struct attempt_view *attempt = &why->attempts.rows[i - 1];
        if (!str_equal(attempt->subscription, name)) {
            continue;
        }
        jsonw_open(json);
        jsonw_put_i64(json, "number", attempt->number);
        jsonw_put_instant(json, "at", attempt->at_ms);
        jsonw_put_str(json, "outcome", attempt->outcome);
        jsonw_put_i64(json, "response_status", attempt->response_status);
        jsonw_put_str_or_null(json, "error", attempt->error);
        jsonw_put_instant(json, "next_at", attempt->next_at_ms);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static const struct delivery_view *pending_of(const struct why *why, struct str name)
{
    for (size_t i = 0; i < why->pending_count; i++) {
        if (str_equal(why->pending[i].subscription, name)) {
            return &why->pending[i];
        }
    }
    return NULL;
}

static bool was_called(const struct why *why, struct str name)
{
    for (size_t i = 0; i < why->attempts.count; i++) {
        if (str_equal(why->attempts.rows[i].subscription, name)) {
            return true;
        }
    }
    return false;
}

static void write_subscription(struct jsonw *json, const struct why *why,
                               const struct subscription_row *row)
{
    const struct delivery_view *pending = pending_of(why, row->name);
    bool is_told = pending != NULL || was_called(why, row->name);
    jsonw_open(json);
    jsonw_put_str(json, "name", row->name);
    jsonw_put_str(json, "status", row->status);
    jsonw_put_bool(json, "told", is_told);
    write_gates(json, why, row, is_told);
    jsonw_key(json, "pending");
    if (pending == NULL) {
        jsonw_null(json);
    } else {
        jsonw_open(json);
        jsonw_put_instant(json, "due_at", pending->due_at_ms);
        jsonw_put_i64(json, "attempts", pending->attempts);
        jsonw_close(json);
    }
    write_calls(json, why, row->name);
    jsonw_close(json);
}

/* --- the trigger that rang it ------------------------------------------------------ */

/* As the body names it: name, title, version of that moment; and whether it is still
 * that version. */
static void write_trigger(struct jsonw *json, const struct why *why)
{
    const json_t *told = json_object_get(json_object_get(why->body, "data"), "trigger");
    jsonw_key(json, "trigger");
    if (!json_is_object(told)) {
        jsonw_null(json);
        return;
    }
    json_int_t version = json_integer_value(json_object_get(told, "version"));
    jsonw_open(json);
    jsonw_put_str(json, "name", member_text(told, "name"));
    jsonw_put_str(json, "title", member_text(told, "title"));
    jsonw_put_i64(json, "version", version);
    if (why->trigger != NULL) {
        jsonw_put_bool(json, "is_current", why->trigger->definition.version == version);
        jsonw_put_str_or_null(json, "audience", why->trigger->definition.audience);
        jsonw_put_str_or_null(json, "if", why->trigger->definition.condition);
    }
    jsonw_close(json);
}

/* What rang passed all of them; which there were, the trigger of today says. */
static void write_trigger_gates(struct jsonw *json, const struct why *why)
{
    if (why->trigger == NULL) {
        return;
    }
    const struct trigger *trigger = &why->trigger->definition;
    const struct {
        const char *name;
        bool is_asked;
        const char *words;
    } gates[] = {
        { "audience", trigger->audience.size > 0, "the customer was among those concerned" },
        { "if", trigger->condition.size > 0, "its condition held of the customer as he was" },
        { "wait", trigger->wait_ms > 0, "it was asked when the wait was over" },
        { "history", trigger->require_history, "every source's history was complete" },
        { "consent", trigger->channel.size > 0, "the customer was subscribed to the channel" },
        { "recheck", trigger->recheck, "all of it is asked again before each attempt" },
        { "expires", trigger->expires_ms > 0, "it was not too late" },
        { "quiet", trigger->quiet.is_set, "it was outside of quiet hours" },
        { "cooldown", trigger->once || trigger->cooldown_ms > 0,
          "it had not rung for the customer before, or not lately" },
        { "cap", trigger->profile_cap.count > 0 || trigger->total_cap.count > 0,
          "it had not rung too often" },
        { "holdout", trigger->holdout > 0, "the customer is not among those held out" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(gates); i++) {
        if (gates[i].is_asked) {
            write_gate(json, gates[i].name, true, gates[i].words);
        }
    }
}

static enum status read_trigger(struct why *why, struct problem *problem)
{
    const struct resource_request *request = why->request;
    const json_t *told = json_object_get(json_object_get(why->body, "data"), "trigger");
    struct trigger_row *row = ARENA_NEW(request->arena, struct trigger_row);
    if (!json_is_object(told) || row == NULL) {
        return row == NULL ? STATUS_LIMIT : STATUS_OK;
    }
    enum status status =
        trigger_store_find(request->pg, request->arena, request->principal->workspace_id,
                           member_text(told, "name"), row, problem);
    why->trigger = status == STATUS_OK ? row : NULL;
    return status == STATUS_MISSING ? STATUS_OK : status;
}

/* --- the answer ---------------------------------------------------------------- */

static void write_answer(struct jsonw *json, const struct why *why)
{
    jsonw_open(json);
    jsonw_put_id(json, "notification_id", why->row.id);
    jsonw_put_str(json, "type", why->row.topic);
    jsonw_put_instant(json, "timestamp", why->at_ms);
    jsonw_put_instant(json, "created_at", why->row.created_at_ms);
    jsonw_put_id_or_null(json, "profile_id", why->row.profile_id);
    jsonw_put_i64(json, "sequence", why->row.sequence);
    char *cause = json_dumps(json_object_get(why->body, "cause"), JSON_COMPACT);
    jsonw_put_raw(json, "cause", str_from_z(cause));
    free(cause);
    write_event(json, why);
    write_fact(json, why->fact);
    write_transition(json, why->transition);
    write_verdict(json, why);
    write_trigger(json, why);
    jsonw_key(json, "gates");
    jsonw_open_array(json);
    write_gate(json, "age", true, "its cause was less than a day old when it was decided");
    write_trigger_gates(json, why);
    jsonw_close_array(json);
    jsonw_key(json, "subscriptions");
    jsonw_open_array(json);
    for (size_t i = 0; i < why->subscription_count; i++) {
        write_subscription(json, why, &why->subscriptions[i]);
    }
    jsonw_close_array(json);
    jsonw_close(json);
}

static enum status explain(struct why *why, struct resource_answer *out_answer,
                           struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    why->at_ms = why->row.created_at_ms;
    (void)instant_parse(member_text(why->body, "timestamp"), true, &why->at_ms, NULL);
    enum status status = read_sent(why, problem);
    if (status == STATUS_OK) {
        status = read_transition(why, problem);
    }
    if (status == STATUS_OK) {
        status = read_event(why, problem);
    }
    if (status == STATUS_OK) {
        status = read_trigger(why, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, why->request->arena, (size_t)2 * RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_answer(&json, why);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

enum status resource_notification_explain(const struct resource_request *request,
                                          struct resource_answer *out_answer,
                                          struct problem *problem)
{
    struct why why = { .request = request };
    struct id id = ID_ZERO;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &id)) {
        status = notification_find(request->pg, request->arena, request->principal->workspace_id,
                                   id, &why.row, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "notification", request->name, problem);
    }
    why.body = json_loadb(why.row.body.data, why.row.body.size, 0, NULL);
    status = explain(&why, out_answer, problem);
    json_decref(why.body);
    return status;
}
