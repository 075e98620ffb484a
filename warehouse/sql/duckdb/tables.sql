-- What is loaded. A row is never changed: a ledger only grows. A load begins where the last one ended, in one
-- transaction, so no row comes twice; indexes that would say so once more cost more than all rows.
CREATE TABLE IF NOT EXISTS ledger_transaction (
    ledger VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    record_time TIMESTAMPTZ NOT NULL,
    effective_time TIMESTAMPTZ NOT NULL,
    expire_time TIMESTAMPTZ,
    request_id VARCHAR,
    reference VARCHAR,
    settles BIGINT,
    reverses BIGINT,
    metadata VARCHAR,
    exchanges VARCHAR,
    -- The log's leaf, byte for byte: whoever hashes it holds the proof of the row in his hands.
    leaf VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS ledger_entry (
    ledger VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    entry_index INTEGER NOT NULL,
    account VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    effect VARCHAR NOT NULL,
    amount_minor BIGINT NOT NULL,
    description VARCHAR,
    source_entry INTEGER,
    record_time TIMESTAMPTZ NOT NULL,
    effective_time TIMESTAMPTZ NOT NULL
);

CREATE TABLE IF NOT EXISTS ledger_load (
    ledger VARCHAR NOT NULL,
    through_sequence BIGINT NOT NULL,
    leaf_hash BLOB NOT NULL,
    moment TIMESTAMPTZ NOT NULL,
    load_time TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (ledger, through_sequence)
);
