-- What of an item is a fee of Stripe's: of the ledger what is booked on the account of fees, of Stripe what it took.
-- Null where that is not known, as of items from before this column.
ALTER TABLE item ADD COLUMN fee_minor bigint;

-- Matches are looked at by the changes that made and revoked them.
CREATE INDEX item_match_by_change ON item_match (change_number) WHERE leg = 'BOOKED';
CREATE INDEX match_revocation_by_change ON match_revocation (change_number);

-- How far fees were compared: items, and changes of what is matched.
CREATE TABLE fee_look (
    look_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upto_ordinal bigint NOT NULL,
    upto_change bigint NOT NULL
);

-- Matches whose sides agree, and whose fees do not. They count while the match stands.
CREATE TABLE booked_fee_variance (
    match_id bigint NOT NULL REFERENCES item_match (match_id),
    currency text COLLATE "C" NOT NULL,
    corridor text COLLATE "C" NOT NULL,
    book_date date NOT NULL,
    -- Stripe's id of what the fee is of, the first one.
    key text COLLATE "C" NOT NULL,
    told_minor bigint NOT NULL,
    booked_minor bigint NOT NULL CHECK (booked_minor <> told_minor),
    record_time timestamptz NOT NULL,
    PRIMARY KEY (match_id, currency)
);
CREATE INDEX booked_fee_variance_by_day ON booked_fee_variance (corridor, book_date);

-- Fees that were not what the schedule says; the last row of an item counts. One that is right by a later schedule has
-- a row that says so.
CREATE TABLE schedule_fee_check (
    check_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id bigint NOT NULL REFERENCES item (ordinal),
    corridor text COLLATE "C" NOT NULL,
    book_date date NOT NULL,
    told_minor bigint NOT NULL,
    expected_minor bigint NOT NULL,
    is_right boolean NOT NULL,
    -- The price that it was compared with, and the SHA-256 of the schedule; empty where none is stated any more.
    price text NOT NULL,
    schedule text COLLATE "C" NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX schedule_fee_check_by_item ON schedule_fee_check (item_id, check_number);
CREATE INDEX schedule_fee_check_by_day ON schedule_fee_check (corridor, book_date);

-- ALWAYS: also when session_replication_role says that ordinary triggers are off.
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['fee_look', 'booked_fee_variance', 'schedule_fee_check'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
END
$$;
