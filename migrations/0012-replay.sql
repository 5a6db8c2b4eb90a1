-- The facts of a delivery are found by its instant of receipt when it is read anew.
-- Rows lie in the order in which they came, so a summary of each range will do.
CREATE INDEX interaction_received ON interaction USING brin (received_at);
