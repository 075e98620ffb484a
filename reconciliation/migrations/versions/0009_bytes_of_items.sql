-- What Stripe's items were made of: the bytes that their hashes are of, as the gateway's feed gave them. Items of the
-- ledger are in its own log, and lines of banks in their files. Items from before this table have none.
CREATE TABLE item_bytes (
    ordinal bigint PRIMARY KEY REFERENCES item (ordinal),
    content bytea NOT NULL CHECK (octet_length(content) > 0)
);

-- How a bank's file was read, so that others read the same: the account as it was declared, and what was told of the
-- file. JSON, as its reader was asked. Files from before this table have none.
CREATE TABLE bank_file_reading (
    file_id bigint PRIMARY KEY REFERENCES bank_file (file_id),
    asked text NOT NULL CHECK (asked <> '')
);

-- How many of the files of an account, from its first one on, a closing names.
CREATE TABLE closing_bank_files (
    closing_number bigint NOT NULL,
    bank_account text COLLATE "C" NOT NULL,
    files integer NOT NULL CHECK (files > 0),
    PRIMARY KEY (bank_account, closing_number)
);

CREATE FUNCTION check_item_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN item AS i ON a.ordinal = i.ordinal
        WHERE i.sha256 <> sha256(a.content)
    ) THEN
        RAISE EXCEPTION 'the bytes of an item are not those that its hash is of' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER item_bytes_are_those_of_the_hash AFTER INSERT ON item_bytes REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_item_bytes();

-- ALWAYS: also when session_replication_role says that ordinary triggers are off.
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['item_bytes', 'bank_file_reading', 'closing_bank_files'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
    ALTER TABLE item_bytes ENABLE ALWAYS TRIGGER item_bytes_are_those_of_the_hash;
    -- Names are looked up where nobody can put others in their place.
    EXECUTE format('ALTER FUNCTION check_item_bytes() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
