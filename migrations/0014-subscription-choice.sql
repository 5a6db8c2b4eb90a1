-- What a subscription wants of a message, when, how much at once, and in which form.
-- `fields` holds one of four words or a JSON array of names.

ALTER TABLE subscription
    ADD COLUMN filter        text,
    ADD COLUMN channel       text,
    ADD COLUMN ordering      text NOT NULL DEFAULT 'none', -- none profile
    ADD COLUMN batch_max     integer,                      -- with batch_wait_ms, or neither
    ADD COLUMN batch_wait_ms bigint,
    ADD COLUMN rate_count    integer,                      -- with rate_per_ms, or neither
    ADD COLUMN rate_per_ms   bigint,
    ADD COLUMN recheck       boolean NOT NULL DEFAULT false,
    ADD COLUMN signature     text[] NOT NULL DEFAULT '{v1}',
    ADD COLUMN map           jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN settings      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN masked        boolean NOT NULL DEFAULT false; -- made by a key without pii
