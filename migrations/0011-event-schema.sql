-- Tracking plans: what the properties of a source's events must look like.

CREATE TABLE event_schema (
    workspace_id      uuid NOT NULL,
    source_id         uuid NOT NULL,
    event_type        text NOT NULL,
    id                uuid NOT NULL, -- a new one when it is deleted and put again
    mode              text NOT NULL, -- reject, quarantine, count
    body              text NOT NULL, -- the JSON Schema
    version           bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    checked           bigint NOT NULL DEFAULT 0, -- events, since it was made
    violated          bigint NOT NULL DEFAULT 0,
    last_violated_at  timestamptz,
    last_violations   jsonb, -- [{"pointer", "detail"}] of the newest bad event
    PRIMARY KEY (workspace_id, source_id, event_type)
);

-- The last 24 hours as a ring, so that nothing needs to be deleted.
CREATE TABLE event_schema_hour (
    workspace_id uuid NOT NULL,
    schema_id    uuid NOT NULL,
    slot         integer NOT NULL, -- hour of the day
    hour         timestamptz NOT NULL, -- whose counts these are
    checked      bigint NOT NULL,
    violated     bigint NOT NULL,
    PRIMARY KEY (workspace_id, schema_id, slot)
);
