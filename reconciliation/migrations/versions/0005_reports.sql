-- Each comparison of a report of Stripe's with what its API lists. The last one of a report counts.
CREATE TABLE report_check (
    check_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The gateway's.
    report_id text COLLATE "C" NOT NULL,
    corridor text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ACTIVITY', 'PAYOUTS', 'SUMMARY')),
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    -- How many rows the report had, and how many the API listed.
    reported bigint NOT NULL CHECK (reported >= 0),
    listed bigint NOT NULL CHECK (listed >= 0),
    -- All differences, of which the first ones are kept one by one.
    differences bigint NOT NULL CHECK (differences >= 0),
    -- What is told of them: a sentence begins, and by currency what is listed less what is reported.
    says text NOT NULL CHECK ((says = '') = (differences = 0)),
    amounts jsonb NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX report_check_last ON report_check (report_id, check_number);
CREATE INDEX report_check_of_corridor ON report_check (corridor, report_id, check_number);

-- The evidence: what both sides say of a balance transaction, or of a figure. Amounts are minor units; null
-- where a side says nothing.
CREATE TABLE report_difference (
    check_number bigint NOT NULL REFERENCES report_check (check_number),
    position integer NOT NULL CHECK (position > 0),
    kind text NOT NULL,
    key text COLLATE "C" NOT NULL,
    listed jsonb,
    reported jsonb,
    PRIMARY KEY (check_number, position)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON report_check
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE report_check ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON report_difference
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE report_difference ENABLE ALWAYS TRIGGER append_only;

GRANT SELECT, INSERT ON report_check, report_difference TO reconciliation_service;
