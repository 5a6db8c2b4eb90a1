-- An ordered delivery waits its turn under the canonical profile of whom it is about.
-- By customer first: a merge finds what is pending of the one who goes by a probe, and
-- the probes of a turn name all three as before.
DROP INDEX delivery_order;
CREATE INDEX delivery_order ON delivery
    (workspace_id, profile_id, subscription_id, sequence, rank, id) WHERE is_ordered;

-- Among those of one sequence the order of decision, which a replay sends them in.
ALTER TABLE notification ADD COLUMN rank integer NOT NULL DEFAULT 0;

-- max_age counts from it; null: was never replayed, and it counts from the notification.
ALTER TABLE delivery ADD COLUMN replayed_at timestamptz;
