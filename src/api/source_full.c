#include <stdio.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/instant.h"
#include "source_priv.h"

/*
 * Putting a source together from its rows.
 *
 * The same platform_parse_settings that the registry runs at loading runs here
 * before anything is stored, so a source that was accepted is one that loads.
 */

enum status source_workspace(const struct resource_request *request,
                             struct workspace *out_workspace, struct problem *problem)
{
    char id[ID_TEXT_SIZE];
    id_format(request->principal->workspace_id, id);
    enum status status =
        workspace_find(request->pg, request->arena, str_from_z(id), out_workspace, problem);
    return resource_missing(status, "workspace", request->principal->workspace_name, problem);
}

enum status source_settle(const struct resource_request *request, const struct workspace *workspace,
                          struct source_full *source, struct problem *problem)
{
    source->core = (struct source){
        .id = source->row.id,
        .workspace_id = source->row.workspace_id,
        .name = source->row.name,
        .platform = source->row.platform,
        .workspace_name = workspace->name,
        .currency = workspace->currency,
        .time_zone = workspace->time_zone,
        .settings_json = source->row.settings_json,
    };
    const char *zone = str_dup_z(request->arena, workspace->time_zone);
    if (zone == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    source->core.time_zone.data = zone;
    return platform_parse_settings(request->arena, source->platform, source->row.settings_json,
                                   &source->core, problem);
}

enum status source_load_service(const struct resource_request *request, struct source_full *source,
                                struct problem *problem)
{
    struct source_service *service = ARENA_NEW(request->arena, struct source_service);
    if (service == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    source->service = service;
    return source_service_read(request->pg, request->arena, &source->row, request->now_ms, service,
                               problem);
}

enum status source_load(const struct resource_request *request, struct source_full *out_source,
                        struct problem *problem)
{
    struct workspace workspace;
    struct source_full source = { .platform = NULL };
    struct id workspace_id = request->principal->workspace_id;
    enum status status = source_workspace(request, &workspace, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = source_find(request->pg, request->arena, workspace_id, request->name, request->now_ms,
                         &source.row, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "source", request->name, problem);
    }
    source.platform = platform_find(source.row.platform);
    if (source.platform == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "the source's platform is not known to this version");
    }
    status = source_settle(request, &workspace, &source, problem);
    if (status == STATUS_OK) {
        status = source_secret_list(request->pg, request->arena, workspace_id, source.row.id,
                                    &source.secrets, &source.secret_count, problem);
    }
    if (status == STATUS_OK) {
        status = source_load_service(request, &source, problem);
    }
    if (status == STATUS_OK) {
        *out_source = source;
    }
    return status;
}

enum status source_open_secrets(const struct resource_request *request, struct source_full *source,
                                struct problem *problem)
{
    struct source_secret *secrets =
        ARENA_NEW_ARRAY(request->arena, source->secret_count + 1, struct source_secret);
    if (secrets == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret_row *row = &source->secrets[i];
        secrets[i] = (struct source_secret){
            .id = row->id,
            .shadow = row->shadow,
            .expires_at_ms =
                row->expires_at_ms == INSTANT_NONE ? INSTANT_NEVER : row->expires_at_ms,
        };
        enum status status = seal_open(request->api->seal, request->arena, SOURCE_SECRET_TABLE,
                                       row->id, row->sealed, &secrets[i].value);
        if (status != STATUS_OK) {
            return problem_set(problem, STATUS_BROKEN, "internal",
                               "a secret was sealed under another master key");
        }
    }
    source->core.secrets = secrets;
    source->core.secret_count = source->secret_count;
    return STATUS_OK;
}

struct str source_make_secret(struct arena *arena, const struct source_full *source)
{
    if (platform_signature(source->platform, &source->core)->key_form == SIGNATURE_KEY_WHSEC) {
        uint8_t key[32];
        randombytes_buf(key, sizeof(key));
        struct str text = base64_encode(arena, key, sizeof(key));
        sodium_memzero(key, sizeof(key));
        return str_printf(arena, "whsec_%.*s", STR_ARG(text));
    }
    /* Base62 only: WooCommerce decodes HTML entities before use. */
    char text[33];
    base62_random(text, 32);
    return str_dup(arena, (struct str){ text, 32 });
}

enum status source_seal_secret(const struct resource_request *request, struct str plain,
                               struct source_secret_row *secret, struct problem *problem)
{
    if (seal_close(request->api->seal, request->arena, SOURCE_SECRET_TABLE, secret->id, plain,
                   &secret->sealed) != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the secret could not be sealed");
    }
    return STATUS_OK;
}
