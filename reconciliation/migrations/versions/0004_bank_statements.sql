-- A file of a bank that was taken: its bytes are kept whole, in pieces.
CREATE TABLE bank_file (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Its name in the operator's declaration.
    bank_account text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    file_name text NOT NULL,
    byte_count bigint NOT NULL CHECK (byte_count > 0),
    -- Who brought it; empty where it was found in a store.
    client text NOT NULL,
    record_time timestamptz NOT NULL,
    UNIQUE (bank_account, sha256)
);

CREATE TABLE bank_file_piece (
    file_id bigint NOT NULL REFERENCES bank_file (file_id),
    piece integer NOT NULL CHECK (piece >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (file_id, piece)
);

-- A statement. Its number is its place in the order of all: one file is taken at a time.
CREATE TABLE bank_statement (
    statement_id bigint PRIMARY KEY CHECK (statement_id > 0),
    file_id bigint NOT NULL REFERENCES bank_file (file_id),
    -- From 1 on, in its file.
    position integer NOT NULL CHECK (position > 0),
    bank_account text COLLATE "C" NOT NULL,
    corridor text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('BOOKED', 'INTERIM', 'NOTIFICATION')),
    version text NOT NULL,
    -- The bank's id, number and page.
    bank_statement_id text NOT NULL,
    number integer,
    page integer,
    opening_minor bigint,
    opening_date date,
    closing_minor bigint,
    closing_date date,
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day),
    line_count integer NOT NULL CHECK (line_count >= 0),
    note text NOT NULL,
    -- What it was to those before, to which one, and why. Of reports nothing.
    continuity text NOT NULL CHECK (continuity IN ('', 'OK', 'DUPLICATE', 'OVERLAP', 'GAP')),
    other_statement_id bigint REFERENCES bank_statement (statement_id),
    continuity_reason text NOT NULL,
    record_time timestamptz NOT NULL,
    CHECK (
        num_nonnulls(opening_minor, opening_date, closing_minor, closing_date)
        = CASE WHEN kind = 'BOOKED' THEN 4 ELSE 0 END
    ),
    UNIQUE (file_id, position)
);
CREATE INDEX bank_statement_by_day ON bank_statement (bank_account, closing_date) WHERE kind = 'BOOKED';
CREATE INDEX bank_statement_by_account ON bank_statement (bank_account, statement_id);

CREATE TABLE bank_line (
    statement_id bigint NOT NULL REFERENCES bank_statement (statement_id),
    position integer NOT NULL CHECK (position > 0),
    state text NOT NULL CHECK (state IN ('BOOKED', 'REPORTED', 'PENDING', 'INFORMATION')),
    amount_minor bigint NOT NULL,
    booking_date date,
    value_date date,
    bank_reference text NOT NULL,
    customer_reference text NOT NULL,
    end_to_end_id text NOT NULL,
    remittance text NOT NULL,
    counterparty text NOT NULL,
    -- Of what the file says of it.
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    -- Equal in every file that has the same line.
    identity bytea NOT NULL CHECK (octet_length(identity) = 32),
    -- The same in every statement that has it; empty of lines that are not booked. Of those that are compared it is
    -- the key of the item of source BANK.
    line_key text COLLATE "C" NOT NULL CHECK (line_key = '' OR state = 'BOOKED'),
    is_compared boolean NOT NULL CHECK (NOT is_compared OR line_key <> ''),
    PRIMARY KEY (statement_id, position)
);

-- Two statements that have the same lines, which count once.
CREATE TABLE bank_exclusion (
    statement_id bigint NOT NULL REFERENCES bank_statement (statement_id),
    earlier_id bigint NOT NULL REFERENCES bank_statement (statement_id) CHECK (earlier_id < statement_id),
    continuity text NOT NULL CHECK (continuity IN ('DUPLICATE', 'OVERLAP')),
    reason text NOT NULL,
    PRIMARY KEY (statement_id, earlier_id)
);

-- A file that was refused, without what stood in it.
CREATE TABLE bank_refusal (
    refusal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank_account text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    file_name text NOT NULL,
    byte_count bigint NOT NULL,
    problem text NOT NULL,
    place text NOT NULL,
    expected text NOT NULL,
    client text NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX bank_refusal_by_account ON bank_refusal (bank_account, refusal_id);

-- What was found in a store of files and looked into: a name with the version of its content.
CREATE TABLE bank_file_seen (
    bank_account text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    is_refused boolean NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (bank_account, name, version)
);

-- Wakes those who watch statements.
CREATE FUNCTION tell_of_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('reconciliation_statement', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER statements_are_told_of AFTER INSERT ON bank_statement
FOR EACH STATEMENT EXECUTE FUNCTION tell_of_statement();
CREATE TRIGGER refusals_are_told_of AFTER INSERT ON bank_refusal
FOR EACH STATEMENT EXECUTE FUNCTION tell_of_statement();

-- Opening balance and booked lines come to the closing balance, and there are as many lines as it says: whatever
-- wrote them. Checked when the transaction ends, when all lines are there.
CREATE FUNCTION check_bank_statement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lines bigint;
    booked numeric;
BEGIN
    SELECT count(*), coalesce(sum(l.amount_minor) FILTER (WHERE l.state = 'BOOKED'), 0)
    INTO lines, booked
    FROM bank_line AS l
    WHERE l.statement_id = NEW.statement_id;
    IF lines <> NEW.line_count OR (NEW.kind = 'BOOKED' AND NEW.opening_minor + booked <> NEW.closing_minor) THEN
        RAISE EXCEPTION 'the lines of a statement do not come to it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER bank_statement_is_proved AFTER INSERT ON bank_statement
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_bank_statement();

-- A statement's lines are numbered without a gap, so that one that has all of them takes no more.
CREATE FUNCTION check_bank_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN bank_statement AS s ON a.statement_id = s.statement_id
        WHERE a.position > s.line_count
    ) THEN
        RAISE EXCEPTION 'a statement has no such line' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER bank_lines_are_of_their_statement AFTER INSERT ON bank_line REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_bank_lines();

-- ALWAYS: also when session_replication_role says that ordinary triggers are off.
DO $$
DECLARE
    kept text;
    checking regprocedure;
BEGIN
    FOREACH kept IN ARRAY ARRAY[
        'bank_file', 'bank_file_piece', 'bank_statement', 'bank_line', 'bank_exclusion', 'bank_refusal',
        'bank_file_seen'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
    ALTER TABLE bank_statement ENABLE ALWAYS TRIGGER bank_statement_is_proved;
    ALTER TABLE bank_line ENABLE ALWAYS TRIGGER bank_lines_are_of_their_statement;
    -- Names are looked up where nobody can put others in their place.
    FOREACH checking IN ARRAY ARRAY[
        'tell_of_statement()'::regprocedure, 'check_bank_statement()'::regprocedure, 'check_bank_lines()'::regprocedure
    ] LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', checking, current_schema()
        );
    END LOOP;
END
$$;
