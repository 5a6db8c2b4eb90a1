-- Which local time a version of the rules speaks of (habits). Those made before
-- knew none: UTC. A workspace elsewhere gets a new version after migrating.
ALTER TABLE ruleset ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC';
