#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

/*
 * Numbered, forward-only migrations, embedded in the binary, each applied in
 * one transaction under an advisory lock, with its checksum recorded. A
 * database that is ahead of the binary, or whose recorded checksum differs, is
 * refused. And the partitions, made ahead of time (correctness 21).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct migration {
    int number;
    const char *slug; /* "spine" */
    const char *sql;
};

/* Embedded, ascending; number 0 ends. Generated at build time. */
extern const struct migration migrations[];

/* Applies what is missing; *out_applied counts them. `report` (may be NULL) is
 * called for each before it runs. */
NODISCARD enum status migrate_apply(struct pg *pg, size_t *out_applied,
                                    void (*report)(void *context, const struct migration *step),
                                    void *context, struct problem *problem);
/* Are all embedded migrations applied, and no others? */
NODISCARD enum status migrate_check(struct pg *pg, struct problem *problem);

/* Makes the partitions for [now - what may still arrive, now + ahead]: daily
 * tables 14 days, monthly ones 3 months, the interaction history before. By
 * CREATE TABLE LIKE and ATTACH. Idempotent, safe beside other instances. */
NODISCARD enum status partition_ensure(struct pg *pg, int64_t now_ms, struct problem *problem);
/* How long days are kept; 0: for ever. */
struct partition_keep {
    int64_t now_ms;
    int64_t webhook_ms;
    int64_t attempt_ms;
    int64_t notification_ms;
};
/* Detaches and drops daily partitions older than that: webhooks, attempts, and
 * notifications unless a delivery of that day or an older one is pending. */
NODISCARD enum status partition_expire(struct pg *pg, const struct partition_keep *keep,
                                       struct problem *problem);

/* Only says which those are. */
typedef void partition_report_fn(void *user, struct str name);
NODISCARD enum status partition_expiring(struct pg *pg, struct arena *arena,
                                         const struct partition_keep *keep,
                                         partition_report_fn *report, void *user,
                                         struct problem *problem);
/* Months of interactions that end at or before `before_ms` become part of the
 * history partition: facts that still come for them find their place there. Only
 * those with next to no row left; *out_merged says how many. When readers hold
 * the table for longer than a moment: none, and no error. */
NODISCARD enum status partition_merge_history(struct pg *pg, int64_t before_ms, size_t *out_merged,
                                              struct problem *problem);
/* Where the month of an instant begins, UTC. */
int64_t partition_month_floor(int64_t at_ms);

#endif
