#ifndef STORE_FAN_OUT_PRIV_H
#define STORE_FAN_OUT_PRIV_H

/*
 * With the row of a fact the jobs that tell whom it concerns, in its transaction: one for
 * each trigger that rings by such facts. `told` is a WITH entry of (id, type, recorded_at).
 */

#include "store/fan_out_store.h"

/* Version 7, like any job's: newest first is the order of ids. The same for one cause. */
#define FAN_OUT_JOB_ID                                                                          \
    "overlay(overlay(lpad(to_hex((extract(epoch FROM f.recorded_at) * 1000)::bigint), 12, '0')" \
    " || substr(md5(t.id::text || f.id::text), 1, 20) PLACING '7' FROM 13)"                     \
    " PLACING '8' FROM 17)::uuid"

#define FAN_OUT_JOBS                                                                    \
    "INSERT INTO job (workspace_id, id, kind, status, parameters, created_at)"          \
    " SELECT $1, " FAN_OUT_JOB_ID ", '" FAN_OUT_KIND "', 'queued', jsonb_build_object(" \
    "'trigger', t.name, 'trigger_id', t.id, 'event_type', f.type, 'event_id', f.id),"   \
    " f.recorded_at FROM told f JOIN trigger t ON t.workspace_id = $1"                  \
    " AND t.when_kind = 'universal' AND t.when_what = f.type AND t.paused_at IS NULL"

#endif
