#ifndef APP_REPLAY_PRIV_H
#define APP_REPLAY_PRIV_H

/* Shared by the files of a replay. */

#include "app/replay_run.h"
#include "base/buf.h"
#include "base/str.h"
#include "core/decide.h"
#include "core/event/event.h"
#include "core/source.h"
#include "store/pg.h"

struct replay_counts {
    int64_t deliveries; /* looked at */
    int64_t replayed;   /* of quarantine: taken out; of raw bodies: replaced */
    int64_t unchanged;  /* say today what they said then */
    int64_t unreadable; /* still */
    int64_t refused;    /* readable, and still not to be stored as they are */
    int64_t ignored;    /* of no interest to today's adapter */
    int64_t applied;    /* events */
    int64_t duplicate;  /* events that were in already */
};

struct replay {
    const struct replay_config *config;
    struct job job;
    struct pg *pg;       /* for the work */
    struct arena *arena; /* of the job */
    struct arena *page;  /* of what was read, and its events */
    struct arena *work;  /* of a transaction */

    bool is_of_quarantine;
    bool is_dry;
    struct id row_id; /* of quarantine: this one alone */
    struct id source_id;
    struct str topic;
    int64_t since_ms;
    int64_t until_ms;

    int64_t after_ms; /* the cursor */
    struct id after_id;
    struct replay_counts counts;
    int64_t total;
    bool is_cancelled;
    struct buf rows; /* what a person wants to see of the first rows, JSON */
    size_t row_count;
};

/* --- replay_read.c: a stored delivery as events ------------------------------ */

struct stored_delivery {
    struct id source_id;
    int64_t received_at_ms;
    struct str topic;
    struct str headers_json;
    struct str body;
};

enum reading {
    READ_EVENTS,
    READ_IGNORED,
    READ_UNREADABLE, /* *out_why says why */
    READ_FULL,       /* the arena is */
};
/* By the source as it is configured in this snapshot; events live in the arena. Plans
 * are not asked. */
enum reading replay_read(struct arena *arena, const struct registry_snapshot *snapshot,
                         const struct stored_delivery *delivery, struct event ***out_events,
                         size_t *out_count, struct str *out_why);
/* Not READ_EVENTS when one of the events is not what its tracking plan asks for. */
enum reading replay_follow_plan(struct arena *arena, const struct registry_workspace *workspace,
                                struct id source_id, struct event *const *events, size_t count,
                                struct str *out_why);
/* Did it come to the source's address, so that its adapter reads it? */
bool replay_is_webhook(const struct source *source, struct str topic, struct str headers_json);

/* --- replay_run.c ------------------------------------------------------------ */

/* The context of the workspace as history: nothing rings. */
NODISCARD enum status replay_context(const struct replay *replay,
                                     const struct registry_snapshot *snapshot,
                                     struct decide_context *out_context, struct problem *problem);
/* Remembers one of the first rows. */
void replay_note(struct replay *replay, struct id id, const struct stored_delivery *delivery,
                 struct event *const *events, size_t event_count, struct str why);
/* The cursor and the counts, and the lease anew. STATUS_DENIED: stop here. */
NODISCARD enum status replay_progress(struct replay *replay, struct problem *problem);

/* --- the two walks ------------------------------------------------------------ */

NODISCARD enum status replay_quarantine(struct replay *replay, struct problem *problem);
NODISCARD enum status replay_webhooks(struct replay *replay, struct problem *problem);

#endif
