-- How a shadow secret does beside live traffic, and which silence was told of.

ALTER TABLE source_secret ADD COLUMN shadow_tried bigint NOT NULL DEFAULT 0;
ALTER TABLE source_secret ADD COLUMN shadow_matches bigint NOT NULL DEFAULT 0;
ALTER TABLE source_secret ADD COLUMN shadow_since timestamptz;
ALTER TABLE source_secret ADD COLUMN shadow_missed_at timestamptz;

-- The last_accepted_at after which the silence began. Null: none was told of.
ALTER TABLE source_health ADD COLUMN silence_told_of timestamptz;
