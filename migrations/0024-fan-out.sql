-- Triggers of universal events: whom a fact concerns is rung one by one, by a job
-- ("fan_out") that is made with the fact. And triggers that are asked again before each
-- attempt.
ALTER TABLE trigger
    ADD COLUMN audience text, -- who is concerned; null: all whom the fact names
    ADD COLUMN recheck  boolean NOT NULL DEFAULT false;
