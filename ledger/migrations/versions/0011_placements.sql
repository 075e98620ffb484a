-- A shard is a database and a schema in it, with all the tables; a ledger is whole on one of them. Where it is,
-- each shard says of the ledgers that it has or had, and the default shard of all (docs/adr/0077-shards.md).
CREATE TABLE ledger_placements (
    name text COLLATE "C" NOT NULL,
    -- That of its creation, which is unique over all shards, too.
    request_id text COLLATE "C" NOT NULL,
    -- HERE. LEAVING: here, but nothing is written, while it is copied to another shard. LEFT: at another shard.
    -- ARRIVING: being copied from another shard, which has it still. ARRIVED: here and proven equal, not written yet.
    state text NOT NULL CHECK (state IN ('HERE', 'LEAVING', 'LEFT', 'ARRIVING', 'ARRIVED')),
    -- The other shard; empty if HERE.
    shard text COLLATE "C" NOT NULL,
    -- Where it was made.
    first_shard text COLLATE "C" NOT NULL,
    PRIMARY KEY (name),
    UNIQUE (request_id),
    CHECK ((state = 'HERE') = (shard = ''))
);

INSERT INTO ledger_placements (name, request_id, state, shard, first_shard)
SELECT
    name,
    request_id,
    'HERE',
    '',
    'default'
FROM ledgers;

-- One row, which every change of a placement moves by one: what a process remembers of them holds for as long as this
-- is what it was.
CREATE TABLE placement_version (
    is_only boolean NOT NULL DEFAULT TRUE CHECK (is_only),
    version bigint NOT NULL,
    PRIMARY KEY (is_only)
);
INSERT INTO placement_version (version) VALUES (0);

GRANT SELECT, INSERT, UPDATE ON ledger_placements, placement_version TO ledger_service;

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['ledger_placements', 'placement_version'] LOOP
        EXECUTE format(
            'CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_removed', kept);
    END LOOP;
END
$$;

-- A fenced ledger takes no commit, whichever code asks for it: it is being moved, or has been.
ALTER TABLE ledger_heads ADD COLUMN fenced boolean NOT NULL DEFAULT FALSE;

CREATE FUNCTION refuse_fenced() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'ledger % is fenced: it is being moved to another shard, or has been', OLD.ledger_id
    USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER fenced BEFORE UPDATE ON ledger_heads
FOR EACH ROW WHEN (old.fenced AND new.fenced AND old.revision <> new.revision)
EXECUTE FUNCTION refuse_fenced();
ALTER TABLE ledger_heads ENABLE ALWAYS TRIGGER fenced;

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION refuse_fenced() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;
