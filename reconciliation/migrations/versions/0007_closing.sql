-- Periods that are closed, each with the signed statement of what was reconciled in it.
CREATE TABLE closing (
    closing_number bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('DAY', 'MONTH')),
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day AND (kind = 'MONTH' OR last_day = first_day)),
    -- What the statement is as of.
    change_number bigint NOT NULL UNIQUE REFERENCES change (change_number),
    -- Of the last item that was looked at by then.
    last_ordinal bigint NOT NULL,
    -- The signed note.
    note text NOT NULL,
    -- Of the text that is signed.
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    item_count bigint NOT NULL CHECK (item_count >= 0),
    late_count bigint NOT NULL CHECK (late_count >= 0),
    match_count bigint NOT NULL CHECK (match_count >= 0),
    carried bigint [] NOT NULL,
    client text NOT NULL CHECK (client <> ''),
    -- The second one. Two people where breaks are carried.
    approver text NOT NULL CHECK (approver <> client AND (approver <> '') = (cardinality(carried) > 0)),
    remark text NOT NULL,
    record_time timestamptz NOT NULL
);

-- What is closed of each corridor.
CREATE TABLE closed_period (
    corridor text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('DAY', 'MONTH')),
    first_day date NOT NULL,
    closing_number bigint NOT NULL REFERENCES closing (closing_number),
    -- As of the closing.
    last_ordinal bigint NOT NULL,
    PRIMARY KEY (corridor, kind, first_day)
);
CREATE INDEX closed_period_by_closing ON closed_period (closing_number);

-- Who wants a period to be closed with these open breaks; a second one who says the same closes it.
CREATE TABLE closing_step (
    step_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('DAY', 'MONTH')),
    first_day date NOT NULL,
    corridors text [] COLLATE "C" NOT NULL,
    carried bigint [] NOT NULL CHECK (cardinality(carried) > 0),
    client text NOT NULL CHECK (client <> ''),
    remark text NOT NULL,
    change_number bigint NOT NULL
);
CREATE INDEX closing_step_by_day ON closing_step (first_day, kind);

-- How far items have been looked at for those that came after their day was closed.
CREATE TABLE late_look (
    upto_ordinal bigint PRIMARY KEY,
    change_number bigint NOT NULL
);

-- A statement is of one change, and follows the one before it.
CREATE FUNCTION check_closings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN change AS c ON a.change_number = c.change_number
        LEFT JOIN closing AS b ON b.closing_number = a.closing_number - 1
        WHERE
            c.last_ordinal <> a.last_ordinal
            OR (a.closing_number > 1 AND (b.closing_number IS NULL OR b.last_ordinal > a.last_ordinal))
    ) THEN
        RAISE EXCEPTION 'a closing follows the one before it and has what its change has'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER closings_are_true AFTER INSERT ON closing REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_closings();

-- Days of a corridor are closed one after the other, each with all that came before it was closed; a month once
-- all its days are, from the first that is closed at all.
CREATE FUNCTION check_closed_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN closing AS c ON a.closing_number = c.closing_number
        WHERE
            (c.kind, c.first_day, c.last_ordinal) <> (a.kind, a.first_day, a.last_ordinal)
            OR (
                a.kind = 'DAY'
                AND EXISTS (
                    SELECT FROM closed_period AS o
                    WHERE o.corridor = a.corridor AND o.kind = 'DAY' AND o.first_day <> a.first_day
                )
                AND NOT EXISTS (
                    SELECT FROM closed_period AS b
                    WHERE
                        b.corridor = a.corridor
                        AND b.kind = 'DAY'
                        AND b.first_day = a.first_day - 1
                        AND b.last_ordinal <= a.last_ordinal
                )
            )
            OR (
                a.kind = 'MONTH'
                AND NOT EXISTS (
                    SELECT FROM closed_period AS b
                    WHERE b.corridor = a.corridor AND b.kind = 'DAY' AND b.first_day = c.last_day
                )
            )
    ) THEN
        RAISE EXCEPTION 'a period is closed after those before it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER closed_periods_are_true AFTER INSERT ON closed_period REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_closed_periods();

DO $$
DECLARE
    kept text;
    checking text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['closing', 'closed_period', 'closing_step', 'late_look'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
    ALTER TABLE closing ENABLE ALWAYS TRIGGER closings_are_true;
    ALTER TABLE closed_period ENABLE ALWAYS TRIGGER closed_periods_are_true;
    FOREACH checking IN ARRAY ARRAY['check_closings', 'check_closed_periods'] LOOP
        EXECUTE format(
            'ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp', checking, current_schema()
        );
    END LOOP;
END
$$;

-- Differences of breaks that people want posted in the ledger.
CREATE TABLE adjustment (
    adjustment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    difference_id bigint NOT NULL REFERENCES difference (difference_id),
    -- The request_id in the ledger: a transaction is posted once.
    ledger_request_id text COLLATE "C" NOT NULL UNIQUE,
    corridor text COLLATE "C" NOT NULL,
    -- By currency: what the break differs by.
    amounts jsonb NOT NULL,
    -- Currency, account of the balance, the other account.
    accounts jsonb NOT NULL,
    item_ids bigint [] NOT NULL,
    -- By what the break's items are known.
    token text NOT NULL,
    needs_two boolean NOT NULL,
    client text NOT NULL CHECK (client <> ''),
    remark text NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX adjustment_by_difference ON adjustment (difference_id);

-- How far each is; decided, then posted, then completed, or failed.
CREATE TABLE adjustment_step (
    adjustment_id bigint NOT NULL REFERENCES adjustment (adjustment_id),
    step smallint NOT NULL CHECK (step IN (1, 2, 3)),
    state text NOT NULL CHECK (state IN ('DECIDED', 'POSTED', 'COMPLETED', 'FAILED')),
    -- The second person, of DECIDED.
    approver text NOT NULL,
    -- In the ledger, of POSTED.
    ledger_sequence bigint NOT NULL,
    failure text NOT NULL CHECK ((failure <> '') = (state = 'FAILED')),
    record_time timestamptz NOT NULL,
    PRIMARY KEY (adjustment_id, step),
    CHECK (
        CASE step
            WHEN 1 THEN state = 'DECIDED'
            WHEN 2 THEN state IN ('POSTED', 'FAILED')
            ELSE state IN ('COMPLETED', 'FAILED')
        END
    )
);
CREATE INDEX adjustment_step_by_time ON adjustment_step (record_time);

-- Two people where it needs two; a step follows the one before it, and nothing one that failed.
CREATE FUNCTION check_adjustment_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN adjustment AS j ON a.adjustment_id = j.adjustment_id
        LEFT JOIN adjustment_step AS b ON a.adjustment_id = b.adjustment_id AND b.step = a.step - 1
        WHERE
            CASE
                WHEN a.step = 1 THEN (a.approver <> '') <> j.needs_two OR a.approver = j.client
                ELSE b.state IS NULL OR b.state = 'FAILED'
            END
    ) THEN
        RAISE EXCEPTION 'an adjustment is decided by as many people as it needs, and goes on step by step'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER adjustment_steps_are_true AFTER INSERT ON adjustment_step REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_adjustment_steps();

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['adjustment', 'adjustment_step'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
    ALTER TABLE adjustment_step ENABLE ALWAYS TRIGGER adjustment_steps_are_true;
    EXECUTE format(
        'ALTER FUNCTION check_adjustment_steps() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;

-- How far breaks were looked at for what is to be told outside.
CREATE TABLE alert_look (
    look_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_sequence bigint NOT NULL,
    overdue_until timestamptz NOT NULL,
    record_time timestamptz NOT NULL
);

-- What is told outside, once by each channel.
CREATE TABLE alert (
    alert_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL CHECK (channel IN ('WEBHOOK', 'MAIL')),
    about text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    record_time timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'SENT', 'DEAD')),
    attempts integer NOT NULL CHECK (attempts >= 0),
    next_attempt_time timestamptz NOT NULL,
    -- While a process is at it.
    lease_until timestamptz,
    failure text NOT NULL,
    UNIQUE (channel, about)
);
CREATE INDEX alert_pending ON alert (channel, alert_number) WHERE state = 'PENDING';
GRANT SELECT, INSERT, UPDATE ON alert TO reconciliation_service;
GRANT SELECT, INSERT ON alert_look TO reconciliation_service;
