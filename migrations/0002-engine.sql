-- The profile engine: rules as versioned sets, statistics they compare with,
-- who is a member of what, and long work as jobs.

CREATE TABLE rule (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    name          text NOT NULL,
    slot          integer NOT NULL, -- stable number; profile.state speaks of it
    kind          text NOT NULL,    -- tag segment lifecycle tier
    title         text NOT NULL DEFAULT '',
    cases         jsonb NOT NULL,   -- [{"value": "high", "when": "..."}]; value null for tag, segment
    hysteresis    bigint NOT NULL DEFAULT 0, -- millionths
    enabled       boolean NOT NULL DEFAULT true,
    expose        text[] NOT NULL DEFAULT '{}',
    shipped       boolean NOT NULL DEFAULT false,
    version       bigint NOT NULL,  -- of this rule
    since_version bigint NOT NULL,  -- the ruleset version that last changed its meaning
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX rule_name ON rule (workspace_id, name);
CREATE UNIQUE INDEX rule_slot ON rule (workspace_id, slot);

-- Each version as it was compiled: kept while profiles still stand at it, and
-- for as_of. Numbers of features are given once and never to another.
CREATE TABLE ruleset (
    workspace_id uuid NOT NULL,
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    rules        jsonb NOT NULL,    -- definitions, with id, slot and versions
    features     jsonb NOT NULL,    -- [{"key", "number", "version", "keep"}]
    next_feature integer NOT NULL,
    next_slot    integer NOT NULL,
    -- Every profile has reached it: older versions are no longer needed.
    settled_at   timestamptz,
    PRIMARY KEY (workspace_id, version)
);

-- A refresh writes the whole set under one version; the greatest is in force.
CREATE TABLE statistic (
    workspace_id uuid NOT NULL,
    version      bigint NOT NULL,
    name         text NOT NULL, -- the attribute: orders.average_value
    computed_at  timestamptz NOT NULL,
    n            bigint NOT NULL,
    percents     bigint[] NOT NULL, -- millionths of 0 to 100, ascending
    thresholds   bigint[] NOT NULL, -- millionths; milliseconds for instants
    PRIMARY KEY (workspace_id, version, name)
);

-- Who has which verdict now. The value is "" for tags and segments.
CREATE TABLE membership (
    workspace_id uuid NOT NULL,
    rule_id      uuid NOT NULL,
    value        text NOT NULL,
    profile_id   uuid NOT NULL,
    since        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, rule_id, value, profile_id)
);

-- Long work: resumable, with progress. One instance at a time holds the lease.
CREATE TABLE job (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    kind         text NOT NULL, -- hydrate import backtest statistics
    status       text NOT NULL, -- queued running succeeded failed cancelled
    parameters   jsonb NOT NULL DEFAULT '{}',
    cursor       jsonb NOT NULL DEFAULT '{}',
    done         bigint NOT NULL DEFAULT 0,
    total        bigint,
    result       jsonb NOT NULL DEFAULT '{}',
    error        text,
    cancel       boolean NOT NULL DEFAULT false,
    lease_owner  uuid,
    lease_until  timestamptz,
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX job_open ON job (workspace_id, created_at) WHERE status IN ('queued', 'running');

-- Rejected lines of an import, each with its place and reason.
CREATE TABLE job_reject (
    workspace_id uuid NOT NULL,
    job_id       uuid NOT NULL,
    line         bigint NOT NULL,
    field        text NOT NULL DEFAULT '',
    reason       text NOT NULL,
    PRIMARY KEY (workspace_id, job_id, line)
);

-- Which rules and statistics the profile was last decided by; 0: before rules
-- were text. The labels as they stand, for readers; membership lists the other
-- way round.
ALTER TABLE profile
    ADD COLUMN ruleset_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN statistics_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN segments text[] NOT NULL DEFAULT '{}',
    ADD COLUMN tiers jsonb NOT NULL DEFAULT '{}';
-- A negative version waits for its history; so does 0.
CREATE INDEX profile_behind ON profile (workspace_id, id)
    WHERE ruleset_version <= 0 AND merged_into IS NULL;

-- The rule's kind beside its name, so that a timeline needs no join; the rule's
-- version that decided.
ALTER TABLE transition
    ADD COLUMN kind text NOT NULL DEFAULT 'lifecycle',
    ADD COLUMN rule_version bigint NOT NULL DEFAULT 1,
    ADD COLUMN ruleset_version bigint NOT NULL DEFAULT 0;

-- Was it the customer's own act? Null: as the event's type says (contract 2).
ALTER TABLE interaction ADD COLUMN act boolean;
