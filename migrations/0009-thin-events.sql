-- Events that name a resource of the shop and say nothing of what is in it: how
-- many came, so that a source can say what was not read.

ALTER TABLE source_hour ADD COLUMN thin bigint NOT NULL DEFAULT 0;
