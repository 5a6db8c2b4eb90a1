#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"
#include "subscription_priv.h"

/*
 * Subscriptions: create, list, show, change, delete.
 *
 *   pending --verify--> active <--pause/resume--> paused
 *      ^                  |  \
 *      +--- url changes --+   410 or operator --> disabled --resume--> active
 *
 * Nothing is sent to a URL whose owner has not confirmed that it wants to be
 * called: a new URL makes the subscription pending again, whatever it was.
 * Of a native format the owner is the ESP, and who shows its key may have it called.
 * A key with scope subscribe sees the subscriptions it made and no others; for
 * it the rest do not exist.
 */

struct id subscription_owner(const struct resource_request *request)
{
    return resource_may(request, SCOPE_ADMIN) ? ID_ZERO : request->principal->key_id;
}

enum status subscription_load(const struct resource_request *request,
                              struct subscription_row *out_row, struct problem *problem)
{
    enum status status =
        subscription_find(request->pg, request->arena, request->principal->workspace_id,
                          subscription_owner(request), request->name, out_row, problem);
    return resource_missing(status, "subscription", request->name, problem);
}

void subscription_make_challenge(const struct resource_request *request,
                                 struct subscription_row *row)
{
    char text[21];
    base62_random(text, 20);
    row->challenge = str_dup(request->arena, (struct str){ text, 20 });
    row->challenge_expires_at_ms = request->now_ms + SUBSCRIPTION_CHALLENGE_MS;
}

/* So that no rule goes that the subscription names. */
static enum status subscription_hold(const struct resource_request *request,
                                     const struct subscription_row *row, struct problem *problem)
{
    if (row->rules_version == 0) {
        return STATUS_OK;
    }
    return subscription_hold_rules(request->pg, request->arena, row->workspace_id,
                                   row->rules_version, problem);
}

/* What it is to be known by there: an ESP's key, else secrets of ours to sign with. */
static enum status make_proof(const struct resource_request *request,
                              const struct subscription_row *row, struct str auth,
                              struct subscription_secrets_new *out_secrets, struct problem *problem)
{
    return auth.size > 0 ? subscription_seal_auth(request, auth, out_secrets, problem)
                         : subscription_secrets_make(request, row->signature, row->signature_count,
                                                     out_secrets, problem);
}

struct subscription_creation {
    const struct subscription_row *row;
    const struct subscription_secrets_new *secrets;
};

static enum status insert_subscription(const struct resource_request *request, const void *what,
                                       struct problem *problem)
{
    const struct subscription_creation *creation = what;
    const struct subscription_row *row = creation->row;
    enum status status = subscription_hold(request, row, problem);
    if (status == STATUS_OK) {
        status = subscription_insert(request->pg, request->arena, row, problem);
    }
    if (status == STATUS_RETRY) {
        return status;
    }
    if (status != STATUS_OK) {
        return resource_name_taken(status, "subscription", row->name, problem);
    }
    return subscription_secrets_insert(request, row, creation->secrets, problem);
}

enum status resource_subscription_create(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row = {
        .workspace_id = request->principal->workspace_id,
        .id = id_create(),
        .status = STR("pending"),
        .status_reason = STR("not_verified"),
        .challenge_expires_at_ms = INSTANT_NONE,
        .owner_key_id = request->principal->key_id,
        .version = 1,
        .created_at_ms = request->now_ms,
        .updated_at_ms = request->now_ms,
    };
    struct subscription_secrets_new secrets = { .count = 0 };
    struct str auth = { NULL, 0 };
    int64_t count = 0;
    enum status status = subscription_read(request, request->body, true, &row, out_answer, problem);
    if (status == STATUS_OK) {
        status = subscription_read_auth(request, request->body, (struct str){ NULL, 0 }, &row,
                                        &auth, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_count(request->pg, request->arena, row.workspace_id, ID_ZERO, &count,
                                    problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_SUBSCRIPTIONS, "subscriptions", problem);
    }
    if (status == STATUS_OK && !subscription_is_native(&row)) {
        subscription_make_challenge(request, &row);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = make_proof(request, &row, auth, &secrets, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        struct subscription_creation creation = { .row = &row, .secrets = &secrets };
        status =
            resource_transact(request, row.workspace_id, insert_subscription, &creation, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_answer(request, &row, secrets.shown,
                                     request->validate_only ? RESOURCE_SHOWN : RESOURCE_CREATED,
                                     out_answer, problem);
    }
    if (status == STATUS_OK) {
        out_answer->location =
            str_printf(request->arena, "/v1/subscriptions/%.*s", STR_ARG(row.name));
    }
    return status;
}

enum status resource_subscription_list(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct id workspace_id = request->principal->workspace_id;
    struct id owner = subscription_owner(request);
    struct subscription_row *rows = NULL;
    struct subscription_stats *stats = NULL;
    struct subscription_keys keys CLEANUP(subscription_keys_wipe) = { .count = 0 };
    size_t count = 0;
    int64_t total = -1;
    enum status status = page_open(&page, request, "subscriptions", STR(""), problem);
    if (status == STATUS_OK) {
        status = subscription_list(request->pg, request->arena, workspace_id, owner, page.cursor,
                                   page.size + 1, &rows, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status =
            subscription_count(request->pg, request->arena, workspace_id, owner, &total, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    struct id *ids = ARENA_NEW_ARRAY(request->arena, shown + 1, struct id);
    for (size_t i = 0; ids != NULL && i < shown; i++) {
        ids[i] = rows[i].id;
    }
    if (ids == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the page is too large");
    }
    status = subscription_stats_read(request->pg, request->arena, workspace_id, ids, shown,
                                     request->now_ms, 1000, &stats, problem);
    if (status == STATUS_OK) {
        status = subscription_keys_open(request, ids, shown, &keys, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < shown; i++) {
        subscription_write_json(&page.json, &rows[i], &stats[i], &keys, (struct str){ NULL, 0 });
    }
    struct str next = count > page.size ? rows[shown - 1].name : (struct str){ NULL, 0 };
    return page_close(&page, next, total, true, out_answer, problem);
}

enum status resource_subscription_show(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct subscription_row row;
    enum status status = subscription_load(request, &row, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, (struct str){ NULL, 0 }, RESOURCE_SHOWN, out_answer,
                               problem);
}

static enum status update_subscription(const struct resource_request *request, const void *what,
                                       struct problem *problem)
{
    enum status status = subscription_hold(request, what, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = subscription_update(request->pg, request->arena, what, problem);
    return resource_changed_meanwhile(status, problem);
}

enum status subscription_save(const struct resource_request *request, struct subscription_row *row,
                              struct problem *problem)
{
    row->updated_at_ms = request->now_ms;
    enum status status =
        resource_transact(request, row->workspace_id, update_subscription, row, problem);
    if (status == STATUS_OK) {
        row->version++;
    }
    return status;
}

struct subscription_change {
    const struct subscription_row *row;
    const struct subscription_keys *former;
    const struct subscription_secrets_new *gained;
};

static bool signs_with(const struct subscription_row *row, enum signature_scheme scheme)
{
    const char *name = scheme == SIGNATURE_V1A ? "v1a" : "v1";
    for (size_t i = 0; i < row->signature_count; i++) {
        if (str_equal_z(row->signature[i], name)) {
            return true;
        }
    }
    return false;
}

/* The secrets follow the schemes: who is not to sign any more ends now. */
static enum status change_subscription(const struct resource_request *request, const void *what,
                                       struct problem *problem)
{
    const struct subscription_change *change = what;
    const struct subscription_row *row = change->row;
    enum status status = update_subscription(request, row, problem);
    for (size_t i = 0; status == STATUS_OK && i < change->former->count; i++) {
        if (!signs_with(row, change->former->secrets[i].scheme)) {
            status = subscription_secret_expire(request->pg, request->arena, row->workspace_id,
                                                &change->former->rows[i], request->now_ms, problem);
        }
    }
    return status == STATUS_OK ? subscription_secrets_insert(request, row, change->gained, problem)
                               : status;
}

static enum status save_schemes(const struct resource_request *request,
                                struct subscription_row *row,
                                const struct subscription_row *former_row,
                                struct subscription_secrets_new *out_gained,
                                struct problem *problem)
{
    struct subscription_keys former CLEANUP(subscription_keys_wipe) = { .count = 0 };
    struct str schemes[2];
    size_t scheme_count = 0;
    for (size_t i = 0; i < row->signature_count; i++) {
        bool is_v1a = str_equal_z(row->signature[i], "v1a");
        if (!signs_with(former_row, is_v1a ? SIGNATURE_V1A : SIGNATURE_V1)) {
            schemes[scheme_count++] = row->signature[i];
        }
    }
    enum status status = subscription_keys_open(request, &row->id, 1, &former, problem);
    if (status == STATUS_OK) {
        status = subscription_secrets_make(request, schemes, scheme_count, out_gained, problem);
    }
    struct subscription_change change = { .row = row, .former = &former, .gained = out_gained };
    row->updated_at_ms = request->now_ms;
    if (status == STATUS_OK) {
        status =
            resource_transact(request, row->workspace_id, change_subscription, &change, problem);
    }
    return status;
}

/* The row as it now stands, and the ESP's new key in place of the old. */
static enum status replace_auth(const struct resource_request *request, const void *what,
                                struct problem *problem)
{
    const struct subscription_creation *change = what;
    const struct subscription_row *row = change->row;
    enum status status = update_subscription(request, row, problem);
    if (status == STATUS_OK) {
        status = subscription_secret_clear(request->pg, request->arena, row->workspace_id, row->id,
                                           problem);
    }
    return status == STATUS_OK ? subscription_secrets_insert(request, row, change->secrets, problem)
                               : status;
}

static enum status save_auth(const struct resource_request *request, struct subscription_row *row,
                             struct str auth, struct problem *problem)
{
    struct subscription_secrets_new secrets = { .count = 0 };
    enum status status = subscription_seal_auth(request, auth, &secrets, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct subscription_creation change = { .row = row, .secrets = &secrets };
    row->updated_at_ms = request->now_ms;
    return resource_transact(request, row->workspace_id, replace_auth, &change, problem);
}

struct subscription_patch {
    const struct subscription_row *former;
    struct str auth; /* empty: the ESP's key stays */
    struct subscription_secrets_new gained;
};

static enum status save_change(const struct resource_request *request, struct subscription_row *row,
                               struct subscription_patch *patch, struct problem *problem)
{
    enum status status = STATUS_OK;
    if (!subscription_is_native(row)) {
        status = save_schemes(request, row, patch->former, &patch->gained, problem);
    } else if (patch->auth.size > 0) {
        status = save_auth(request, row, patch->auth, problem);
    } else {
        return subscription_save(request, row, problem);
    }
    if (status == STATUS_OK) {
        row->version++;
    }
    return status;
}

enum status resource_subscription_update(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row;
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.version, problem);
    }
    struct str merged = { NULL, 0 };
    const struct subscription_row former = row;
    struct subscription_patch patch = { .former = &former };
    if (status == STATUS_OK) {
        status =
            document_merge_patch(request->arena, subscription_settable_json(request->arena, &row),
                                 request->body, &merged, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_read(request, merged, false, &row, out_answer, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_read_auth(request, merged, former.format, &row, &patch.auth, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!str_equal(former.url, row.url)) {
        row.status = STR("pending");
        row.status_reason = STR("not_verified");
        row.challenge = (struct str){ NULL, 0 };
        row.challenge_expires_at_ms = INSTANT_NONE;
        if (!subscription_is_native(&row)) {
            subscription_make_challenge(request, &row);
        }
    }
    if (!request->validate_only) {
        status = save_change(request, &row, &patch, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, patch.gained.shown, RESOURCE_CHANGED, out_answer,
                               problem);
}

static enum status delete_subscription(const struct resource_request *request, const void *what,
                                       struct problem *problem)
{
    const struct subscription_row *row = what;
    enum status status =
        subscription_delete(request->pg, request->arena, row->workspace_id, row->id, problem);
    return resource_missing(status, "subscription", row->name, problem);
}

enum status resource_subscription_delete(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row;
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.version, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, row.workspace_id, delete_subscription, &row, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    }
    return status;
}
