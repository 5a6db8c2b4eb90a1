-- What a subscription is sent instead of the notification's own body: other fields,
-- names or format, or masked. Frozen with the notification (correctness 19); daily
-- partitions, made and dropped where those of notification are.

CREATE TABLE rendition (
    workspace_id    uuid NOT NULL,
    created_at      timestamptz NOT NULL, -- the notification's
    notification_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    target          text NOT NULL,        -- header lines that depend on the message
    body            text COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (workspace_id, created_at, notification_id, subscription_id)
) PARTITION BY RANGE (created_at);
