-- What waits for a person, or did. The scope is all that it is about, as canonical JSON.
CREATE TABLE review_case (
    case_id text PRIMARY KEY,
    -- The order of opening, which lists go by.
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    state text NOT NULL CHECK (
        state IN ('OPEN', 'APPROVED', 'REFUSED', 'EXPIRED', 'CLEARED', 'SUPERSEDED')
    ),
    kind text NOT NULL CHECK (kind IN ('PAYMENT', 'TRANSFER', 'PAYOUT')),
    reference_id text NOT NULL,
    merchant_id text NOT NULL,
    customer_id text NOT NULL,
    scope text NOT NULL,
    -- Grows with every change of the scope: what was approved is one revision of it.
    revision bigint NOT NULL CHECK (revision > 0),
    assignee text NOT NULL,
    -- Who approved first, where two have to; forgotten when the scope changes.
    first_approver text NOT NULL,
    -- The last decision that found it, the corridor that it was asked for, and its as_of time.
    decision_id text NOT NULL,
    corridor text NOT NULL,
    check_time timestamptz NOT NULL,
    open_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    close_time timestamptz CHECK ((close_time IS NULL) = (state = 'OPEN')),
    closed_by text NOT NULL,
    close_note text NOT NULL,
    -- What checks go by from then on, as canonical JSON.
    ruling text CHECK ((ruling IS NOT NULL) = (state IN ('APPROVED', 'REFUSED', 'EXPIRED')))
);
-- A movement has one open case, however often it is checked.
CREATE UNIQUE INDEX review_case_open ON review_case (kind, reference_id) WHERE state = 'OPEN';
CREATE INDEX review_case_by_reference ON review_case (reference_id, kind, ordinal);
CREATE INDEX review_case_by_state ON review_case (state, ordinal);
CREATE INDEX review_case_by_merchant ON review_case (merchant_id, ordinal);
CREATE INDEX review_case_by_assignee ON review_case (assignee, ordinal) WHERE assignee <> '';
CREATE INDEX review_case_open_customer ON review_case (customer_id) WHERE state = 'OPEN';
CREATE INDEX review_case_to_expire ON review_case (expire_time) WHERE state = 'OPEN';
CREATE INDEX review_case_by_check ON review_case (check_time) WHERE state = 'OPEN';

-- All that happened to a case, and who did it. WatchCases follows the sequence.
CREATE TABLE case_event (
    sequence bigint PRIMARY KEY,
    case_id text NOT NULL REFERENCES review_case (case_id),
    event text NOT NULL CHECK (
        event IN (
            'OPENED', 'CHANGED', 'ASSIGNED', 'NOTED', 'APPROVED_ONCE',
            'APPROVED', 'REFUSED', 'EXPIRED', 'CLEARED', 'SUPERSEDED'
        )
    ),
    revision bigint NOT NULL,
    -- The scope where it changed, else empty.
    scope text NOT NULL,
    client text NOT NULL,
    note text NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX case_event_by_case ON case_event (case_id, sequence);
CREATE INDEX case_event_by_time ON case_event (record_time);

-- Gives each event its place. One writer at a time, and the lock ends with the transaction: who has
-- read up to a sequence has missed none below it. Events are written last in their transaction.
CREATE FUNCTION number_case_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('compliance.case_event', 0));
    NEW.sequence := coalesce((SELECT max(sequence) FROM case_event), 0) + 1;
    PERFORM pg_notify('compliance_case', '');
    RETURN NEW;
END
$$;
CREATE TRIGGER case_event_is_numbered BEFORE INSERT ON case_event
FOR EACH ROW EXECUTE FUNCTION number_case_event();
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION number_case_event() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON case_event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE case_event ENABLE ALWAYS TRIGGER append_only;

GRANT SELECT, INSERT, UPDATE ON review_case TO compliance_service;
GRANT SELECT, INSERT ON case_event TO compliance_service;
