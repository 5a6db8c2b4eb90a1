-- How well a source is served: how late its deliveries come, when they could
-- not be taken, and when one was last believed.

ALTER TABLE source_health ADD COLUMN last_accepted_at timestamptz; -- signed as it should be
UPDATE source_health SET last_accepted_at = last_applied_at;

-- Deliveries by how late they came: logarithmic buckets, the last 24 hours as a
-- ring, so that nothing needs to be deleted.
CREATE TABLE source_lag (
    workspace_id uuid NOT NULL,
    source_id    uuid NOT NULL,
    slot         integer NOT NULL, -- hour of the day
    bucket       integer NOT NULL,
    hour         timestamptz NOT NULL, -- whose counts these are
    deliveries   bigint NOT NULL,
    PRIMARY KEY (workspace_id, source_id, slot, bucket)
);

-- What one source sent is listed by time; of a quiet source beside a busy one
-- that was a search through everything. Another order of the key costs no write.
ALTER TABLE webhook DROP CONSTRAINT webhook_pkey;
ALTER TABLE webhook ADD PRIMARY KEY (workspace_id, source_id, received_at, id);

-- Spans in which deliveries were answered 503.
CREATE TABLE source_gap (
    workspace_id uuid NOT NULL,
    source_id    uuid NOT NULL,
    begun_at     timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL,
    shed         bigint NOT NULL,
    PRIMARY KEY (workspace_id, source_id, begun_at)
);

-- Spans in which some instance lived and reached the database; of the whole
-- installation, so without a workspace.
CREATE TABLE uptime (
    begun_at timestamptz PRIMARY KEY,
    ended_at timestamptz NOT NULL
);
