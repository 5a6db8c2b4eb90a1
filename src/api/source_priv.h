#ifndef API_SOURCE_PRIV_H
#define API_SOURCE_PRIV_H

/*
 * A source whole: its row, its platform, its secrets, and what the hot path
 * makes of them. Shared by the files that create, show and verify it.
 */

#include "base/jsonw.h"
#include "core/source.h"
#include "resource_priv.h"
#include "sources/platform.h"
#include "store/source_store.h"
#include "store/workspace.h"

struct source_full {
    struct source_row row;
    const struct platform *platform; /* never NULL */
    struct source core;              /* settings parsed; secrets only after source_open_secrets */
    struct source_secret_row *secrets;
    size_t secret_count;
    const struct source_service *service; /* NULL: new, nothing is known */
    /* Shown in this one answer. */
    struct id shown_id;
    struct str shown_secret;
};

/* By request->name. */
NODISCARD enum status source_load(const struct resource_request *request,
                                  struct source_full *out_source, struct problem *problem);
/* How it is served, for its health. */
NODISCARD enum status source_load_service(const struct resource_request *request,
                                          struct source_full *source, struct problem *problem);
/* Checks the settings and fills `core` from row, platform and workspace. */
NODISCARD enum status source_settle(const struct resource_request *request,
                                    const struct workspace *workspace, struct source_full *source,
                                    struct problem *problem);
NODISCARD enum status source_workspace(const struct resource_request *request,
                                       struct workspace *out_workspace, struct problem *problem);
/* Unseals the secrets into core.secrets. */
NODISCARD enum status source_open_secrets(const struct resource_request *request,
                                          struct source_full *source, struct problem *problem);

void source_write_json(struct jsonw *json, const struct resource_request *request,
                       const struct source_full *source);
void source_secret_write_json(struct jsonw *json, const struct source_secret_row *secret,
                              struct str shown);

/* A new secret in the form the platform's scheme wants. */
struct str source_make_secret(struct arena *arena, const struct source_full *source);
/* Seals `plain` into a row. */
NODISCARD enum status source_seal_secret(const struct resource_request *request, struct str plain,
                                         struct source_secret_row *secret, struct problem *problem);

#endif
