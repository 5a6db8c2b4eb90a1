-- The operator's desk: the brake, endpoints that fail, what became of calls by
-- the hour, and what a replay needs to find a notification.

ALTER TABLE workspace ADD COLUMN held_reason text;

ALTER TABLE subscription
    -- The first of the calls that have all failed since; null: the last one went well.
    ADD COLUMN failing_since timestamptz,
    -- Up to where calls were looked at.
    ADD COLUMN failing_seen  timestamptz,
    -- Per cent of the patience that somebody was told of; 100: that it is disabled.
    ADD COLUMN failing_told  smallint NOT NULL DEFAULT 0;
UPDATE subscription SET failing_told = 100 WHERE status = 'disabled';

-- With the id it is the notification's key; null in attempts from before.
ALTER TABLE attempt ADD COLUMN notification_created_at timestamptz;

CREATE TABLE endpoint_hour (
    workspace_id    uuid NOT NULL,
    subscription_id uuid NOT NULL,
    hour            timestamptz NOT NULL,
    delivered       bigint NOT NULL DEFAULT 0,
    retry           bigint NOT NULL DEFAULT 0,
    gave_up         bigint NOT NULL DEFAULT 0,
    gone            bigint NOT NULL DEFAULT 0,
    aborted         bigint NOT NULL DEFAULT 0,
    -- Calls by how long they took, in the classes of core/trigger/latency.c.
    durations       bigint[] NOT NULL,
    PRIMARY KEY (workspace_id, subscription_id, hour)
) WITH (fillfactor = 70);
