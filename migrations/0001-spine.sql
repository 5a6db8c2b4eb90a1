-- The spine: workspaces, their senders and readers, profiles and their facts,
-- the decisions made, and the messages about them.
--
-- Every table but workspace leads its primary key with workspace_id, and every
-- hot statement names it. So nothing here stands in the way of distributing by
-- it: no foreign key across tables, no trigger, no volatile default, ids made
-- by the program. Times are timestamptz truncated to milliseconds, money is
-- bigint minor units, ids of shops are text. Partitions are made ahead of time
-- by the program (CREATE TABLE LIKE, then ATTACH), never by a default.

CREATE TABLE workspace (
    id             uuid PRIMARY KEY,
    name           text NOT NULL UNIQUE,
    title          text NOT NULL DEFAULT '',
    currency       text NOT NULL,
    time_zone      text NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    held_at        timestamptz,
    -- Grows with every change of configuration; instances poll the sum.
    config_version bigint NOT NULL DEFAULT 1
);

-- Instance keys stand under the zero workspace.
CREATE TABLE api_key (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    name         text NOT NULL,
    prefix       text NOT NULL,  -- "sbk_" and 12 characters: the public half
    secret_hash  bytea NOT NULL, -- keyed hash of the whole key
    scopes       text[] NOT NULL,
    max_topics   text[],
    max_fields   text,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX api_key_prefix ON api_key (prefix);
CREATE UNIQUE INDEX api_key_name ON api_key (workspace_id, name);

CREATE TABLE source (
    workspace_id     uuid NOT NULL,
    id               uuid NOT NULL,
    name             text NOT NULL,
    platform         text NOT NULL,
    settings         jsonb NOT NULL,
    history_complete boolean NOT NULL DEFAULT false,
    history_since    timestamptz,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    deleted_at       timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX source_name ON source (workspace_id, name) WHERE deleted_at IS NULL;

CREATE TABLE source_secret (
    workspace_id uuid NOT NULL,
    source_id    uuid NOT NULL,
    id           uuid NOT NULL,
    label        text NOT NULL,
    sealed       bytea NOT NULL,
    shadow       boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, source_id, id)
);

CREATE TABLE source_health (
    workspace_id     uuid NOT NULL,
    source_id        uuid NOT NULL,
    last_delivery_at timestamptz,
    last_applied_at  timestamptz,
    last_failure     jsonb,
    PRIMARY KEY (workspace_id, source_id)
);

CREATE TABLE source_hour (
    workspace_id uuid NOT NULL,
    source_id    uuid NOT NULL,
    hour         timestamptz NOT NULL,
    applied      bigint NOT NULL DEFAULT 0,
    duplicate    bigint NOT NULL DEFAULT 0,
    ignored      bigint NOT NULL DEFAULT 0,
    quarantined  bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    shed         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, source_id, hour)
);

CREATE TABLE subscription (
    workspace_id         uuid NOT NULL,
    id                   uuid NOT NULL,
    name                 text NOT NULL,
    title                text NOT NULL DEFAULT '',
    url                  text NOT NULL,
    topics               text[] NOT NULL,
    fields               text NOT NULL DEFAULT 'default',
    format               text NOT NULL DEFAULT 'shopbell',
    headers              jsonb NOT NULL DEFAULT '{}',
    concurrency          integer NOT NULL,
    timeout_ms           bigint NOT NULL,
    max_age_ms           bigint,
    status               text NOT NULL, -- pending active paused disabled
    status_reason        text,
    challenge            text,
    challenge_expires_at timestamptz,
    owner_key_id         uuid,           -- the subscribe key that made it
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX subscription_name ON subscription (workspace_id, name);

CREATE TABLE subscription_secret (
    workspace_id    uuid NOT NULL,
    subscription_id uuid NOT NULL,
    id              uuid NOT NULL,
    sealed          bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    PRIMARY KEY (workspace_id, subscription_id, id)
);

CREATE TABLE idempotency (
    workspace_id uuid NOT NULL,
    key          text NOT NULL,
    route        text NOT NULL,
    fingerprint  bytea NOT NULL,
    http_status  integer, -- null while the first is in progress
    answer       text,
    location     text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key, route)
);

-- The fast guard: one row per event ever taken within the horizon. The id is
-- the hash of (source, dedup key, part), so it is the guard's whole key.
CREATE TABLE receipt (
    workspace_id uuid NOT NULL,
    event_id     uuid NOT NULL,
    source_id    uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, event_id)
);
CREATE INDEX receipt_received ON receipt USING brin (received_at);

CREATE TABLE webhook (
    workspace_id uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    id           uuid NOT NULL,
    source_id    uuid NOT NULL,
    topic        text NOT NULL,
    dedup_key    text NOT NULL,
    headers      text NOT NULL,
    body         bytea COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (workspace_id, received_at, id)
) PARTITION BY RANGE (received_at);

CREATE TABLE quarantine (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    source_id    uuid NOT NULL,
    topic        text NOT NULL,
    dedup_key    text NOT NULL,
    event_id     uuid,
    reason       text NOT NULL,
    headers      text NOT NULL,
    body         bytea COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX quarantine_source ON quarantine (workspace_id, source_id, received_at);

-- A merge never touches these rows: it is an edge between profiles, and who
-- owns an identity now is found through profile.merged_into.
CREATE TABLE identity (
    workspace_id  uuid NOT NULL,
    kind          text NOT NULL,
    source_id     uuid NOT NULL, -- zero for kinds that are not of one source
    value         text NOT NULL,
    profile_id    uuid NOT NULL,
    origin_id     uuid NOT NULL, -- the profile it first had; never changes
    trust         smallint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, kind, source_id, value)
);
-- Led by the profile alone (ids are unique everywhere): an index that began with
-- the workspace would tempt the planner, on an empty table, to scan a whole
-- workspace by it instead of seeking by the primary key.
CREATE INDEX identity_profile ON identity (profile_id);

-- Merges, conflicts and moves in commit order. (An attach is the identity row.)
CREATE TABLE identity_decision (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    kind         text NOT NULL, -- merged conflict moved
    event_id     uuid NOT NULL,
    from_id      uuid NOT NULL,
    into_id      uuid NOT NULL,
    because      text NOT NULL,
    at           timestamptz NOT NULL,
    undone_at    timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX identity_decision_into ON identity_decision (workspace_id, into_id);
CREATE INDEX identity_decision_from ON identity_decision (workspace_id, from_id);

-- Hot row. Indexed columns change seldom, so that updates stay HOT: due_at is
-- only lowered by a write, last_seen is indexed as a day.
CREATE TABLE profile (
    workspace_id          uuid NOT NULL,
    id                    uuid NOT NULL,
    merged_into           uuid,
    sequence              bigint NOT NULL,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    decided_at            timestamptz NOT NULL,
    first_seen_at         timestamptz NOT NULL,
    last_seen_at          timestamptz,
    last_seen_day         date,
    signed_up_at          timestamptz,
    identified            boolean NOT NULL,
    email                 text,
    phone                 text,
    external_id           text,
    lifecycle             text,
    lifecycle_since       timestamptz,
    due_at                timestamptz,
    orders_count          bigint NOT NULL DEFAULT 0,
    orders_foreign_count  bigint NOT NULL DEFAULT 0,
    orders_gross_minor    bigint NOT NULL DEFAULT 0,
    orders_refunded_minor bigint NOT NULL DEFAULT 0,
    orders_largest_minor  bigint NOT NULL DEFAULT 0,
    orders_first_at       timestamptz,
    orders_last_at        timestamptz,
    traits                jsonb NOT NULL DEFAULT '{}',
    preferences           jsonb NOT NULL DEFAULT '{}',
    consent               jsonb NOT NULL DEFAULT '{}',
    cart                  jsonb,
    state                 bytea NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 80);
ALTER TABLE profile ALTER COLUMN state SET STORAGE EXTERNAL;
CREATE INDEX profile_due ON profile (workspace_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX profile_merged ON profile (workspace_id, merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX profile_lifecycle ON profile (workspace_id, lifecycle, id) WHERE merged_into IS NULL;
CREATE INDEX profile_last_seen ON profile (workspace_id, last_seen_day, id) WHERE merged_into IS NULL;

CREATE TABLE interaction (
    workspace_id uuid NOT NULL,
    origin_id    uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    id           uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    source_id    uuid NOT NULL,
    type         text NOT NULL,
    trust        smallint NOT NULL,
    product_id   text,
    category     text,
    currency     text,
    amount_minor bigint,
    order_ref    text,
    facts        bytea,
    properties   jsonb,
    context      jsonb,
    PRIMARY KEY (workspace_id, origin_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE orders (
    workspace_id    uuid NOT NULL,
    source_id       uuid NOT NULL,
    order_ref       text NOT NULL,
    origin_id       uuid NOT NULL,
    profile_id      uuid NOT NULL,
    has_body        boolean NOT NULL,
    version_at      timestamptz,
    rank            text NOT NULL,
    counts          boolean NOT NULL,
    placed_at       timestamptz,
    number          text NOT NULL,
    status          text NOT NULL,
    currency        text NOT NULL,
    total_minor     bigint NOT NULL,
    refunded_minor  bigint NOT NULL, -- max(the body's figure, the sum of refunds)
    cancelled_at    timestamptz,
    deleted         boolean NOT NULL,
    completed       boolean NOT NULL,
    counted         boolean NOT NULL, -- the contribution, as it stands on the owner
    counted_foreign boolean NOT NULL,
    counted_gross_minor    bigint NOT NULL,
    counted_refunded_minor bigint NOT NULL,
    documents       bytea NOT NULL,
    body            jsonb,
    PRIMARY KEY (workspace_id, source_id, order_ref)
) WITH (fillfactor = 80);
CREATE INDEX orders_profile ON orders (profile_id, placed_at);

CREATE TABLE transition (
    workspace_id uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    id           uuid NOT NULL,
    profile_id   uuid NOT NULL,
    rule         text NOT NULL,
    from_value   text,
    to_value     text,
    cause        text NOT NULL, -- event time universal rule statistic import merge manual erase
    event_id     uuid,
    decided_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX transition_profile ON transition (workspace_id, profile_id, occurred_at);

CREATE TABLE notification (
    workspace_id uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    id           uuid NOT NULL,
    profile_id   uuid NOT NULL,
    topic        text NOT NULL,
    sequence     bigint NOT NULL,
    body         text COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (workspace_id, created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX notification_profile ON notification (workspace_id, profile_id, created_at);

-- The small hot queue: a row is deleted when it is settled.
CREATE TABLE delivery (
    workspace_id            uuid NOT NULL,
    id                      uuid NOT NULL,
    notification_id         uuid NOT NULL,
    notification_created_at timestamptz NOT NULL,
    subscription_id         uuid NOT NULL,
    profile_id              uuid NOT NULL,
    sequence                bigint NOT NULL,
    due_at                  timestamptz NOT NULL,
    attempt                 integer NOT NULL DEFAULT 0,
    lease_owner             uuid,
    lease_until             timestamptz,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON delivery (workspace_id, due_at);

CREATE TABLE attempt (
    workspace_id    uuid NOT NULL,
    at              timestamptz NOT NULL,
    id              uuid NOT NULL,
    notification_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    profile_id      uuid NOT NULL,
    number          integer NOT NULL,
    outcome         text NOT NULL,
    response_status integer NOT NULL,
    duration_ms     bigint NOT NULL,
    next_at         timestamptz,
    body_bytes      integer NOT NULL,
    error           text NOT NULL,
    response        text NOT NULL,
    PRIMARY KEY (workspace_id, at, id)
) PARTITION BY RANGE (at);
CREATE INDEX attempt_notification ON attempt (workspace_id, notification_id, at);
CREATE INDEX attempt_subscription ON attempt (workspace_id, subscription_id, at);
CREATE INDEX attempt_profile ON attempt (workspace_id, profile_id);
