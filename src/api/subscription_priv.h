#ifndef API_SUBSCRIPTION_PRIV_H
#define API_SUBSCRIPTION_PRIV_H

/*
 * Shared by the files that keep, read and exercise subscriptions.
 */

#include "api/document.h"
#include "core/trigger/choice.h"
#include "core/trigger/native.h"
#include "deliver/sender.h"
#include "resource_priv.h"
#include "store/subscription_store.h"

/* How long a challenge may be answered. */
#define SUBSCRIPTION_CHALLENGE_MS (3 * INSTANT_DAY_MS)

/* A secret of each scheme of one subscription. */
struct subscription_secrets_new {
    struct {
        struct id id;
        struct str sealed;
    } items[2];
    size_t count;
    struct str shown; /* that of v1, for this one answer; empty: none was made */
};

/* Opened secrets of some subscriptions, in the order of subscription_secret_list. */
struct subscription_keys {
    struct subscription_secret_row *rows;
    struct endpoint_secret *secrets; /* plain: wipe them */
    size_t count;
};
/* What does not open under this master key is left out. */
NODISCARD enum status subscription_keys_open(const struct resource_request *request,
                                             const struct id *ids, size_t id_count,
                                             struct subscription_keys *out_keys,
                                             struct problem *problem);
void subscription_keys_wipe(struct subscription_keys *keys);
/* The array of public keys of one of them. */
void subscription_keys_write(struct jsonw *json, const struct subscription_keys *keys,
                             struct id subscription_id);

NODISCARD enum status subscription_secrets_make(const struct resource_request *request,
                                                const struct str *schemes, size_t scheme_count,
                                                struct subscription_secrets_new *out_secrets,
                                                struct problem *problem);
/* In a transaction. */
NODISCARD enum status subscription_secrets_insert(const struct resource_request *request,
                                                  const struct subscription_row *row,
                                                  const struct subscription_secrets_new *secrets,
                                                  struct problem *problem);

/* Whose subscriptions this key may see: zero means all. */
struct id subscription_owner(const struct resource_request *request);
NODISCARD enum status subscription_load(const struct resource_request *request,
                                        struct subscription_row *out_row, struct problem *problem);

/* Fills what may be set from a whole JSON object (a creation, or the stored
 * one with a patch merged in). */
NODISCARD enum status subscription_read(const struct resource_request *request, struct str body,
                                        bool is_new, struct subscription_row *row,
                                        struct resource_answer *out_answer,
                                        struct problem *problem);
/* What it chose, compiled against the rules of today, whose version is written to
 * row->rules_version. On failure out_answer->errors_json says where. */
NODISCARD enum status subscription_check_choice(const struct resource_request *request,
                                                struct subscription_row *row,
                                                struct choice *out_choice,
                                                struct resource_answer *out_answer,
                                                struct problem *problem);
/* What of a message it wants, in which form, when, and how much at once. */
void subscription_read_choice(struct document *document, struct subscription_row *row);
/* An ESP's own format? */
bool subscription_is_native(const struct subscription_row *row);
/* Then: checks the settings, and fills in url and rate. */
void subscription_read_native(const struct resource_request *request, struct document *document,
                              struct subscription_row *row);
/* The key that came with the request, if one did; a new one needs it, and no other
 * format. `former_format` is empty for a new one. */
NODISCARD enum status subscription_read_auth(const struct resource_request *request,
                                             struct str body, struct str former_format,
                                             const struct subscription_row *row,
                                             struct str *out_auth, struct problem *problem);
NODISCARD enum status subscription_seal_auth(const struct resource_request *request,
                                             struct str auth,
                                             struct subscription_secrets_new *out_secrets,
                                             struct problem *problem);
/* Adds the format and its header lines, the key's among them. */
NODISCARD enum status subscription_endpoint_native(const struct resource_request *request,
                                                   const struct subscription_row *row,
                                                   struct endpoint *endpoint,
                                                   struct problem *problem);
/* Calls the ESP once, changing nothing. */
NODISCARD enum status subscription_probe(const struct resource_request *request,
                                         const struct subscription_row *row,
                                         struct problem *problem);

/* The members that a patch may touch, as JSON. */
struct str subscription_settable_json(struct arena *arena, const struct subscription_row *row);

/* 0.9987 and the like; null of nothing. */
void subscription_put_share(struct jsonw *json, const char *key, int64_t part, int64_t whole);
void subscription_write_json(struct jsonw *json, const struct subscription_row *row,
                             const struct subscription_stats *stats,
                             const struct subscription_keys *keys, struct str shown_secret);
/* With its figures. */
NODISCARD enum status subscription_answer(const struct resource_request *request,
                                          const struct subscription_row *row, struct str shown,
                                          enum resource_effect effect,
                                          struct resource_answer *out_answer,
                                          struct problem *problem);

void subscription_make_challenge(const struct resource_request *request,
                                 struct subscription_row *row);
/* Writes the row back as it now stands; its version grows. */
NODISCARD enum status subscription_save(const struct resource_request *request,
                                        struct subscription_row *row, struct problem *problem);

#endif
