#include <sodium.h>

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

enum status subscription_make_secret(const struct resource_request *request,
                                     struct subscription_secret_new *out_secret,
                                     struct problem *problem)
{
    uint8_t key[32];
    randombytes_buf(key, sizeof(key));
    struct str text = base64_encode(request->arena, key, sizeof(key));
    sodium_memzero(key, sizeof(key));
    struct subscription_secret_new secret = { .id = id_create() };
    secret.plain = str_printf(request->arena, "whsec_%.*s", STR_ARG(text));
    if (text.size == 0 || seal_close(request->api->seal, request->arena, "subscription_secret",
                                     secret.id, secret.plain, &secret.sealed) != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the secret could not be sealed");
    }
    *out_secret = secret;
    return STATUS_OK;
}

void subscription_make_challenge(const struct resource_request *request,
                                 struct subscription_row *row)
{
    char text[21];
    base62_random(text, 20);
    row->challenge = str_dup(request->arena, (struct str){ text, 20 });
    row->challenge_expires_at_ms = request->now_ms + SUBSCRIPTION_CHALLENGE_MS;
}

struct subscription_creation {
    const struct subscription_row *row;
    const struct subscription_secret_new *secret;
};

static enum status insert_subscription(const struct resource_request *request, const void *what,
                                       struct problem *problem)
{
    const struct subscription_creation *creation = what;
    const struct subscription_row *row = creation->row;
    enum status status = subscription_insert(request->pg, request->arena, row, problem);
    if (status != STATUS_OK) {
        return resource_name_taken(status, "subscription", row->name, problem);
    }
    return subscription_secret_insert(request->pg, request->arena, row->workspace_id, row->id,
                                      creation->secret->id, creation->secret->sealed,
                                      row->created_at_ms, problem);
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
        .owner_key_id = request->principal->key_id,
        .version = 1,
        .created_at_ms = request->now_ms,
        .updated_at_ms = request->now_ms,
    };
    struct subscription_secret_new secret = { .plain = { NULL, 0 } };
    int64_t count = 0;
    enum status status = subscription_read(request, request->body, true, &row, problem);
    if (status == STATUS_OK) {
        status = subscription_count(request->pg, request->arena, row.workspace_id, ID_ZERO, &count,
                                    problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_SUBSCRIPTIONS, "subscriptions", problem);
    }
    subscription_make_challenge(request, &row);
    if (status == STATUS_OK && !request->validate_only) {
        status = subscription_make_secret(request, &secret, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        struct subscription_creation creation = { .row = &row, .secret = &secret };
        status =
            resource_transact(request, row.workspace_id, insert_subscription, &creation, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_answer(request, &row, secret.plain,
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
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < shown; i++) {
        subscription_write_json(&page.json, &rows[i], &stats[i], (struct str){ NULL, 0 });
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
    enum status status = subscription_update(request->pg, request->arena, what, problem);
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
    struct str former_url = row.url;
    if (status == STATUS_OK) {
        status =
            document_merge_patch(request->arena, subscription_settable_json(request->arena, &row),
                                 request->body, &merged, problem);
    }
    if (status == STATUS_OK) {
        status = subscription_read(request, merged, false, &row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!str_equal(former_url, row.url)) {
        row.status = STR("pending");
        row.status_reason = STR("not_verified");
        subscription_make_challenge(request, &row);
    }
    if (!request->validate_only) {
        status = subscription_save(request, &row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, (struct str){ NULL, 0 }, RESOURCE_CHANGED, out_answer,
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
