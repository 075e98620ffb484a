-- Nothing here is ever changed: a tree over the first n leaves stays what it is.

-- Signed statements of what the log's first tree_size transactions and the first account_count accounts are.
-- Each names the size of the one before it, once: so of several sealers that go on from one checkpoint only
-- one can write the next, and checkpoints are a line without branches.
CREATE TABLE checkpoints (
    ledger_id bigint NOT NULL,
    tree_size bigint NOT NULL CHECK (tree_size > previous_size),
    -- 0 for the first.
    previous_size bigint NOT NULL CHECK (previous_size >= 0),
    root_hash bytea NOT NULL CHECK (octet_length(root_hash) = 32),
    account_count integer NOT NULL CHECK (account_count >= 0),
    accounts_hash bytea NOT NULL CHECK (octet_length(accounts_hash) = 32),
    -- The same as a signed note, which is what a verifier checks.
    note text COLLATE "C" NOT NULL,
    seal_time timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, tree_size),
    UNIQUE (ledger_id, previous_size),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id),
    FOREIGN KEY (ledger_id, tree_size) REFERENCES transactions (ledger_id, sequence)
);

-- Hashes of complete subtrees of 2^8 leaves and more: subtree `position` of a level covers the leaves from
-- position * 2^level on. Smaller ones are computed from the leaf hashes when a proof asks for them.
CREATE TABLE sealed_nodes (
    ledger_id bigint NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 8 AND 63),
    position bigint NOT NULL CHECK (position >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (ledger_id, level, position),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id)
);

GRANT SELECT, INSERT ON checkpoints, sealed_nodes TO ledger_service;

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['checkpoints', 'sealed_nodes'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
    END LOOP;
END
$$;
