-- What is left of facts whose time is over: their effect, and their names.

-- The effect, by the origin that the facts were under; hydrate starts from it.
CREATE TABLE profile_base (
    workspace_id uuid NOT NULL,
    origin_id    uuid NOT NULL,
    bytes        bytea NOT NULL,
    PRIMARY KEY (workspace_id, origin_id)
) WITH (fillfactor = 80);
ALTER TABLE profile_base ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- The names: of each event the first eight bytes of its id. One that comes again
-- after years is still known. Rows are only ever added.
CREATE TABLE folded (
    workspace_id uuid NOT NULL,
    origin_id    uuid NOT NULL,
    month        date NOT NULL, -- of occurred_at, UTC
    first_id     uuid NOT NULL,
    names        bytea NOT NULL,
    PRIMARY KEY (workspace_id, origin_id, month, first_id)
);

-- Facts before this instant may have been folded: no one can be told from
-- another. Null: none was.
ALTER TABLE workspace ADD COLUMN folded_before timestamptz;
