#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

/*
 * Idempotency-Key (contract 1): the first request of a key takes its row, a
 * repeat within 24 h gets the stored answer. The answer may hold a secret that
 * is shown once, so the caller seals it before it comes here.
 */

#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

enum idempotency_verdict {
    IDEMPOTENCY_FIRST,       /* go on, then store or forget */
    IDEMPOTENCY_REPEAT,      /* the stored answer is in *out_stored */
    IDEMPOTENCY_IN_PROGRESS, /* the first has not answered yet */
    IDEMPOTENCY_MISMATCH,    /* the key was used for another body */
};

struct idempotency_key {
    struct id workspace_id;
    struct str key;
    struct str route;
    struct str fingerprint; /* of the body */
};

struct idempotency_answer {
    int32_t http_status;
    struct str answer;
    struct str location;
};

NODISCARD enum status idempotency_begin(struct pg *pg, struct arena *arena,
                                        const struct idempotency_key *key, int64_t now_ms,
                                        enum idempotency_verdict *out_verdict,
                                        struct idempotency_answer *out_stored,
                                        struct problem *problem);
NODISCARD enum status idempotency_store(struct pg *pg, struct arena *arena,
                                        const struct idempotency_key *key,
                                        const struct idempotency_answer *answer,
                                        struct problem *problem);
/* The request failed, so its key is free again. */
NODISCARD enum status idempotency_forget(struct pg *pg, struct arena *arena,
                                         const struct idempotency_key *key,
                                         struct problem *problem);

#endif
