CREATE INDEX delivery_by_subscription ON delivery (workspace_id, subscription_id, due_at);
