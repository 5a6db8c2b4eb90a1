#ifndef API_RULE_PRIV_H
#define API_RULE_PRIV_H

/*
 * Shared by the files that read, keep and show rules.
 */

#include "resource_priv.h"
#include "store/job_store.h"
#include "store/rule_store.h"

/* A count beyond this is not counted on. */
#define RULE_MEMBERS_MAX 10000

/* The compiled set that an answer is written by: of the registry where there
 * is one, else compiled here, in an arena of its own. */
struct rule_view {
    struct arena *arena;                      /* NULL: nothing was compiled here */
    const struct registry_snapshot *snapshot; /* held; NULL: not of the registry */
    struct registry *registry;
    const struct ruleset *ruleset; /* NULL: there is none yet */
    struct job job;                /* the open hydrate job */
    bool has_job;
};
NODISCARD enum status rule_view_open(const struct resource_request *request, struct rule_view *view,
                                     struct problem *problem);
/* With the set that a save gave. */
NODISCARD enum status rule_view_open_saved(const struct resource_request *request,
                                           const struct ruleset *ruleset, struct rule_view *view,
                                           struct problem *problem);
void rule_view_close(struct rule_view *view); /* for CLEANUP() */

struct rule_members {
    int64_t count;
    bool exact;
};
void rule_write_json(struct jsonw *json, const struct rule_row *row, const struct rule_view *view,
                     struct rule_members members, struct str warnings_json);

/* A whole rule from its JSON object (taken). `prefix` stands before the
 * members' names in a problem's pointer: "" or "rules/3/". With is_named the
 * member "name" is needed; else `name` is the rule's, and the member may only
 * repeat it. */
struct json_t;
struct rule_reading {
    struct json_t *root_taken;
    const char *prefix;
    bool is_named;
    struct str name;
};
NODISCARD enum status rule_read(const struct resource_request *request,
                                const struct rule_reading *reading, struct rule_change *out_change,
                                struct problem *problem);

/* What a failed save means for the asker: the problem's detail, and the array
 * `errors`. `is_bulk`: pointers begin with /rules/<index>. */
void rule_fault_write(const struct resource_request *request, const struct rule_change *changes,
                      const struct rule_fault *fault, bool is_bulk,
                      struct resource_answer *out_answer, struct problem *problem);

/* The same for an expression that is no rule's: what is wrong with it, told once in
 * words and once in the array `errors`. */
NODISCARD enum status rule_error_refuse(const struct resource_request *request, struct str pointer,
                                        const struct rule_error *error, const char *type,
                                        struct resource_answer *out_answer,
                                        struct problem *problem);

/* "[...]": what the rule asks for and nobody has sent of late. */
NODISCARD enum status rule_warnings(const struct resource_request *request,
                                    const struct ruleset *ruleset, struct str name,
                                    struct str *out_json, struct problem *problem);

/* Queues work and answers with it and where it can be looked up; with validate_only
 * it is shown and not queued. */
NODISCARD enum status job_queue(const struct resource_request *request, struct str kind,
                                struct str parameters_json, struct resource_answer *out_answer,
                                struct problem *problem);
void job_write_json(struct jsonw *json, const struct job *job);

#endif
