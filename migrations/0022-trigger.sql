-- When this happens and this holds, ring with this topic (contract 11).

CREATE TABLE trigger (
    workspace_id      uuid NOT NULL,
    id                uuid NOT NULL,
    name              text NOT NULL,
    version           bigint NOT NULL DEFAULT 1,
    title             text NOT NULL DEFAULT '',
    topic             text NOT NULL,
    mode              text NOT NULL, -- draft test live
    paused_at         timestamptz,
    when_kind         text NOT NULL, -- event enters leaves changes
    when_what         text NOT NULL, -- the event's name, or the rule's
    when_from         text,          -- of changes: null is any
    when_to           text,
    condition         text,          -- "if"
    keeps             boolean NOT NULL DEFAULT false, -- it counts: the ruleset keeps it
    wait_ms           bigint,
    channel           text,
    once              boolean NOT NULL DEFAULT false,
    cooldown_ms       bigint,
    cooldown_per      text NOT NULL DEFAULT 'profile', -- profile product variant
    profile_cap_count bigint,        -- with profile_cap_ms, or neither
    profile_cap_ms    bigint,
    total_cap_count   bigint,
    total_cap_ms      bigint,
    priority          integer NOT NULL DEFAULT 0,
    expires_ms        bigint,
    quiet_from        integer,       -- minutes of the local day; with the rest, or none of it
    quiet_to          integer,
    quiet_zone        text,          -- profile, or an IANA name
    quiet_drops       boolean NOT NULL DEFAULT false,
    holdout           bigint NOT NULL DEFAULT 0, -- millionths
    require_history   boolean NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX trigger_name ON trigger (workspace_id, name);
CREATE INDEX trigger_topic ON trigger (workspace_id, topic);

-- When a trigger last rang for a customer, or for one of his products or variants
-- (part); of the zero profile for everybody, of the zero trigger whatever rang on a
-- channel (part). A merge moves nothing: who reads joins the rows of all that were merged.
CREATE TABLE rung (
    workspace_id uuid NOT NULL,
    trigger_id   uuid NOT NULL,
    profile_id   uuid NOT NULL,
    part         text NOT NULL,
    last_at      timestamptz,   -- null: a row that is only there to be locked
    count        bigint NOT NULL,
    window_at    timestamptz,   -- of total caps: since when window_count counts
    window_count bigint NOT NULL DEFAULT 0,
    recent       bigint[] NOT NULL DEFAULT '{}', -- of caps: the newest instants, in milliseconds
    PRIMARY KEY (workspace_id, trigger_id, profile_id, part)
) WITH (fillfactor = 80);
CREATE INDEX rung_profile ON rung (workspace_id, profile_id);

-- What became of the causes, one for each.
CREATE TABLE trigger_outcome (
    workspace_id uuid NOT NULL,
    trigger_id   uuid NOT NULL,
    day          date NOT NULL,
    mode         text NOT NULL,
    outcome      text NOT NULL,
    count        bigint NOT NULL,
    PRIMARY KEY (workspace_id, trigger_id, day, mode, outcome)
) WITH (fillfactor = 70);

-- How often a customer is rung on one channel, whatever triggers do it.
CREATE TABLE channel_cap (
    workspace_id uuid NOT NULL,
    channel      text NOT NULL,
    count        bigint NOT NULL,
    per_ms       bigint NOT NULL,
    PRIMARY KEY (workspace_id, channel)
);

-- Causes that wait: for a trigger's `wait`, or until quiet hours are over. The event
-- or the change stands here as it was; what is asked of the customer is asked then.
CREATE TABLE trigger_waiting (
    workspace_id    uuid NOT NULL,
    due_at          timestamptz NOT NULL,
    id              uuid NOT NULL, -- the notification's
    trigger_id      uuid NOT NULL,
    profile_id      uuid NOT NULL,
    at              timestamptz NOT NULL, -- when the cause became true
    rule_slot       integer,              -- of a change: null when an event is the cause
    had             boolean NOT NULL DEFAULT false,
    has             boolean NOT NULL DEFAULT false,
    from_value      text,
    to_value        text,
    previous_since  timestamptz,
    event_id        uuid,                 -- null: by time alone
    event_name      text,
    source_id       uuid,
    occurred_at     timestamptz,
    received_at     timestamptz,
    product_id      text,
    category        text,
    currency        text,
    amount_minor    bigint,
    properties      jsonb,
    context         jsonb,
    PRIMARY KEY (workspace_id, due_at, id)
);
CREATE INDEX trigger_waiting_profile ON trigger_waiting (workspace_id, profile_id);
