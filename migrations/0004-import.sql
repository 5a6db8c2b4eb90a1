-- Files of history on their way in.

-- What was uploaded, until its job has ended.
CREATE TABLE import_input (
    workspace_id uuid NOT NULL,
    job_id       uuid NOT NULL,
    body         bytea COMPRESSION lz4 NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, job_id)
);

-- Which bytes of the file are in, written by the very transactions that brought
-- them. A chunk's customers are dealt out to lanes, each with a transaction of
-- its own: the chunk is in when all of its lanes have their row. Gone when the
-- job has ended.
CREATE TABLE import_chunk (
    workspace_id uuid NOT NULL,
    job_id       uuid NOT NULL,
    first_byte   bigint NOT NULL,
    lane         smallint NOT NULL,
    lanes        integer NOT NULL, -- bits: those that the chunk has
    end_byte     bigint NOT NULL,
    first_line   bigint NOT NULL,
    line_count   bigint NOT NULL,
    record_count bigint NOT NULL,
    applied      bigint NOT NULL,
    duplicate    bigint NOT NULL,
    rejected     bigint NOT NULL,
    PRIMARY KEY (workspace_id, job_id, first_byte, lane)
);
