-- What is loaded. A row is never changed: a ledger only grows.
CREATE TABLE IF NOT EXISTS ledger_transaction (
    ledger text NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    record_time timestamptz NOT NULL,
    effective_time timestamptz NOT NULL,
    expire_time timestamptz,
    request_id text,
    reference text,
    settles bigint,
    reverses bigint,
    metadata text,
    exchanges text,
    -- The log's leaf, byte for byte: whoever hashes it holds the proof of the row in his hands.
    leaf text NOT NULL,
    PRIMARY KEY (ledger, sequence)
);

CREATE TABLE IF NOT EXISTS ledger_entry (
    ledger text NOT NULL,
    sequence bigint NOT NULL,
    entry_index integer NOT NULL,
    account text NOT NULL,
    currency text NOT NULL,
    direction text NOT NULL,
    effect text NOT NULL,
    amount_minor bigint NOT NULL,
    description text,
    source_entry integer,
    record_time timestamptz NOT NULL,
    effective_time timestamptz NOT NULL,
    PRIMARY KEY (ledger, sequence, entry_index)
);

CREATE TABLE IF NOT EXISTS ledger_load (
    ledger text NOT NULL,
    through_sequence bigint NOT NULL,
    leaf_hash bytea NOT NULL,
    moment timestamptz NOT NULL,
    load_time timestamptz NOT NULL,
    PRIMARY KEY (ledger, through_sequence)
);
