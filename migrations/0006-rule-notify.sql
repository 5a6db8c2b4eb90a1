-- A save of a rule may ask that those it concerns be told (notify_existing): the
-- ruleset version whose coming rings for this rule, and the instant of the save,
-- which is when the notifications were created. 0: it rings for nobody.
ALTER TABLE rule
    ADD COLUMN notify_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN notify_at timestamptz;
