-- Times are microseconds-exact timestamptz, amounts are bigint minor units.
-- Primary and foreign keys begin with ledger_id and a transaction touches one ledger, so ledgers can be
-- spread over machines without a change of schema.

CREATE TABLE ledgers (
    ledger_id bigint GENERATED ALWAYS AS IDENTITY,
    name text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    metadata jsonb NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (ledger_id),
    UNIQUE (name),
    UNIQUE (request_id)
);

-- One row per ledger: where its log ends. Every commit moves revision by one, which is what a committer
-- compares and swaps.
CREATE TABLE ledger_heads (
    ledger_id bigint NOT NULL,
    revision bigint NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence >= 0),
    last_record_time timestamptz,
    last_account_number integer NOT NULL CHECK (last_account_number >= 0),
    PRIMARY KEY (ledger_id),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id)
) WITH (fillfactor = 10);

CREATE TABLE accounts (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL CHECK (account_number > 0),
    name text COLLATE "C" NOT NULL,
    currency_code text COLLATE "C" NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$'),
    -- 1 debit, 2 credit, as in ledger.v1.NormalBalance.
    normal_balance smallint NOT NULL CHECK (normal_balance IN (1, 2)),
    min_posted bigint,
    max_posted bigint,
    min_available bigint,
    max_available bigint,
    metadata jsonb,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, account_number),
    UNIQUE (ledger_id, name),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id)
);

CREATE TABLE account_closures (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL,
    -- The ledger's last sequence when it was closed: no later entry may name the account.
    last_sequence bigint NOT NULL,
    close_time timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, account_number),
    FOREIGN KEY (ledger_id, account_number) REFERENCES accounts (ledger_id, account_number)
);

-- Projection of entries: the totals after the account's last one.
CREATE TABLE balances (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL,
    posted_debits bigint NOT NULL DEFAULT 0 CHECK (posted_debits >= 0),
    posted_credits bigint NOT NULL DEFAULT 0 CHECK (posted_credits >= 0),
    pending_debits bigint NOT NULL DEFAULT 0 CHECK (pending_debits >= 0),
    pending_credits bigint NOT NULL DEFAULT 0 CHECK (pending_credits >= 0),
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    PRIMARY KEY (ledger_id, account_number),
    FOREIGN KEY (ledger_id, account_number) REFERENCES accounts (ledger_id, account_number)
) WITH (fillfactor = 50);

CREATE TABLE transactions (
    ledger_id bigint NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    -- 1 direct, 2 pending, 3 post, 4 void, 5 expiry, 6 reversal, as in ledger.v1.TransactionKind.
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 6),
    entry_count smallint NOT NULL CHECK (entry_count > 0),
    record_time timestamptz NOT NULL,
    -- NULL where it counts from record_time.
    effective_time timestamptz,
    expire_time timestamptz CHECK (expire_time IS NULL OR kind = 2),
    -- NULL for expiries and for batch items without their own id.
    request_id text COLLATE "C",
    -- The sequence has no gaps, so an earlier one above zero is that of a transaction.
    settles_sequence bigint CHECK (settles_sequence > 0 AND settles_sequence < sequence),
    reverses_sequence bigint CHECK (reverses_sequence > 0 AND reverses_sequence < sequence),
    reference text COLLATE "C",
    -- What the client asked for: the input message of its kind, encoded. Empty for an expiry.
    body bytea NOT NULL,
    -- What the Merkle log has of it: the hash of its leaf (ledger.leaf, docs/proofs.md).
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    -- That the ledger exists is checked by the trigger of 0002, once per statement.
    PRIMARY KEY (ledger_id, sequence),
    CHECK ((settles_sequence IS NOT NULL) = (kind IN (3, 4, 5))),
    CHECK ((reverses_sequence IS NOT NULL) = (kind = 6))
);
CREATE UNIQUE INDEX transactions_request_id ON transactions (ledger_id, request_id)
WHERE request_id IS NOT NULL;
CREATE INDEX transactions_settles ON transactions (ledger_id, settles_sequence, sequence)
WHERE settles_sequence IS NOT NULL;
CREATE INDEX transactions_reverses ON transactions (ledger_id, reverses_sequence, sequence)
WHERE reverses_sequence IS NOT NULL;
CREATE INDEX transactions_reference ON transactions (ledger_id, reference, sequence)
WHERE reference IS NOT NULL;
CREATE INDEX transactions_expire_time ON transactions (ledger_id, expire_time)
WHERE expire_time IS NOT NULL;

-- One leg each, with its account's totals right after it, so that every as-of read is one index lookup.
-- The trigger of 0002 stands in for foreign keys to transactions and accounts: it checks a whole statement
-- at once and takes no lock on the rows it looks up, which never change.
CREATE TABLE entries (
    ledger_id bigint NOT NULL,
    sequence bigint NOT NULL,
    entry_index smallint NOT NULL CHECK (entry_index >= 0),
    account_number integer NOT NULL,
    -- 1 debit, 2 credit.
    direction smallint NOT NULL CHECK (direction IN (1, 2)),
    -- 1 post, 2 hold, 3 release.
    effect smallint NOT NULL CHECK (effect IN (1, 2, 3)),
    -- The entry of the transaction settled or reversed that this one belongs to.
    source_entry_index smallint,
    amount bigint NOT NULL CHECK (amount > 0),
    posted_debits bigint NOT NULL CHECK (posted_debits >= 0),
    posted_credits bigint NOT NULL CHECK (posted_credits >= 0),
    pending_debits bigint NOT NULL CHECK (pending_debits >= 0),
    pending_credits bigint NOT NULL CHECK (pending_credits >= 0),
    version bigint NOT NULL CHECK (version > 0),
    -- The transaction's, repeated only where it is not its record_time.
    effective_time timestamptz,
    PRIMARY KEY (ledger_id, sequence, entry_index)
);
CREATE UNIQUE INDEX entries_account
ON entries (ledger_id, account_number, sequence, entry_index);

-- Projection of entries: what is left of each entry held.
CREATE TABLE holds (
    ledger_id bigint NOT NULL,
    sequence bigint NOT NULL,
    entry_index smallint NOT NULL,
    account_number integer NOT NULL,
    direction smallint NOT NULL CHECK (direction IN (1, 2)),
    remaining bigint NOT NULL CHECK (remaining >= 0),
    expire_time timestamptz,
    PRIMARY KEY (ledger_id, sequence, entry_index),
    FOREIGN KEY (ledger_id, sequence) REFERENCES transactions (ledger_id, sequence)
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON holds (ledger_id, account_number, sequence, entry_index)
WHERE remaining > 0;
CREATE INDEX holds_due ON holds (ledger_id, expire_time)
WHERE remaining > 0 AND expire_time IS NOT NULL;

-- What was answered for a request_id, unless it simply made the transaction that carries it.
CREATE TABLE decisions (
    ledger_id bigint NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    -- As in ledger.commands.Operation.
    operation smallint NOT NULL,
    -- What was asked for; of a batch only the items that failed, the others being in transactions.
    body bytea NOT NULL,
    -- Of a batch: SHA-256 of the whole of what was asked for.
    fingerprint bytea,
    failed boolean NOT NULL,
    -- A ledger.v1.ItemFailure if failed, else the response; of a batch with bare sequences.
    answer bytea NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, request_id),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id)
);

-- The last sequence recorded at or before a moment; 0 if none. Sequence and record_time rise together, so
-- it halves the range about log2(n) times and needs no index of its own.
CREATE FUNCTION sequence_at(ledger bigint, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    low bigint := 0;
    high bigint := (SELECT h.last_sequence FROM ledger_heads AS h WHERE h.ledger_id = ledger);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (
            SELECT t.record_time <= moment
            FROM transactions AS t
            WHERE t.ledger_id = ledger AND t.sequence = middle
        ) THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
