-- The queue by endpoint: a claim asks each endpoint that may be sent to for its
-- own rows, so another's million of pending ones is never walked.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (workspace_id, subscription_id, due_at);

-- Order about one customer: sequence, then the order of decision within a commit.
-- Only rows of endpoints that asked for order are in the index.
ALTER TABLE delivery
    ADD COLUMN rank       integer NOT NULL DEFAULT 0,
    ADD COLUMN is_ordered boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz, -- null: the retry schedule's end
    ADD COLUMN batch_id   uuid;        -- not indexed: freezing a batch stays a HOT update
CREATE INDEX delivery_order ON delivery
    (workspace_id, subscription_id, profile_id, sequence, rank, id) WHERE is_ordered;

-- A frozen batch: these deliveries, in this order, under this id, whatever happens
-- between here and the answer. The unit that is claimed, sent and settled.
CREATE TABLE delivery_batch (
    workspace_id    uuid NOT NULL,
    id              uuid NOT NULL, -- hash of the members and of their attempts
    subscription_id uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    members         uuid[] NOT NULL,
    attempt         integer NOT NULL DEFAULT 0,
    lease_owner     uuid,
    lease_until     timestamptz,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_batch_due ON delivery_batch (workspace_id, subscription_id, due_at);

ALTER TABLE attempt ADD COLUMN batch_id uuid; -- null: sent alone
