#include "store/delivery_permit.h"

/*
 * Consent as it stands in the row that every change of it is written to, not as a
 * snapshot in memory remembers it: the promise is "read at most a second before", and
 * the change may have been another instance's.
 */

static const struct pg_statement delivery_permit_consent = {
    "delivery_permit_consent",
    "SELECT u.n, r.state FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY"
    " AS u (profile_id, channel, n)"
    " CROSS JOIN LATERAL (SELECT COALESCE(s.consent, p.consent) ->> u.channel AS state"
    " FROM profile p LEFT JOIN LATERAL (SELECT m.consent FROM profile m"
    " WHERE m.workspace_id = $1 AND m.id = p.merged_into OFFSET 0) s ON true"
    " WHERE p.workspace_id = $1 AND p.id = u.profile_id OFFSET 0) r",
};

enum status delivery_permit_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct consent_question *questions, size_t count,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_array profiles;
    struct pg_array channels;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_array_begin(&profiles, &params, PG_UUID, count);
    pg_array_begin(&channels, &params, PG_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&profiles, questions[i].profile_id);
        pg_array_text(&channels, questions[i].channel);
    }
    pg_array_end(&profiles);
    pg_array_end(&channels);
    enum status status = pg_run(pg, arena, &delivery_permit_consent, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        struct consent_question *question = &questions[(size_t)pg_get_i64(result, row, 0) - 1];
        question->is_known = true;
        question->state = pg_is_null(result, row, 1) ? STR("never") : pg_get_text(result, row, 1);
    }
    return status;
}
