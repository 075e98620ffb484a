-- Each change of an account's snapshot until the forecasts have taken it in: an account that stops and goes on again
-- between two looks is seen. Written by a trigger, so that whoever stores a snapshot, of a release before too, says so.
CREATE TABLE account_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connected_account_id text NOT NULL,
    content_hash text NOT NULL,
    fetch_time timestamptz NOT NULL,
    -- One that could not be taken in is tried again from then on.
    retry_time timestamptz
);
CREATE INDEX account_change_by_account ON account_change (connected_account_id, change_id);

CREATE FUNCTION note_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.content_hash <> OLD.content_hash THEN
        INSERT INTO account_change (connected_account_id, content_hash, fetch_time)
        VALUES (NEW.connected_account_id, NEW.content_hash, NEW.fetch_time);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER account_change_is_noted AFTER INSERT OR UPDATE ON account_latest
FOR EACH ROW EXECUTE FUNCTION note_account_change();
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION note_account_change() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;
INSERT INTO account_change (connected_account_id, content_hash, fetch_time)
SELECT
    connected_account_id,
    content_hash,
    fetch_time
FROM account_latest;

-- What an account was when it was last looked at, and when that was.
CREATE TABLE freeze_watch (
    connected_account_id text PRIMARY KEY,
    content_hash text NOT NULL,
    look_time timestamptz NOT NULL
);
CREATE INDEX freeze_watch_by_look_time ON freeze_watch (look_time);

-- For how long a requirement was whose turn: reviews and answers are learnt from it.
CREATE TABLE requirement_span (
    span_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connected_account_id text NOT NULL,
    field text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('LATER', 'DUE', 'PENDING')),
    begin_time timestamptz NOT NULL,
    end_time timestamptz,
    -- The stage that came next; empty if the requirement was gone.
    became text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX requirement_span_open
ON requirement_span (connected_account_id, field) WHERE end_time IS NULL;
CREATE INDEX requirement_span_ended ON requirement_span (end_time) WHERE end_time IS NOT NULL;

-- What each merchant charged a day, by the checks of payments that were allowed. Days are UTC's.
CREATE TABLE merchant_volume (
    merchant_id text NOT NULL,
    currency_code text NOT NULL,
    day date NOT NULL,
    amount_minor numeric NOT NULL,
    payment_count bigint NOT NULL,
    PRIMARY KEY (merchant_id, currency_code, day)
);

-- One forecast of one account and kind, from its first cause to its end; episode is canonical JSON.
CREATE TABLE freeze_forecast (
    forecast_id text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    connected_account_id text NOT NULL,
    merchant_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('CHARGES', 'PAYOUTS')),
    outcome text NOT NULL CHECK (outcome IN ('OPEN', 'FROZE', 'CLEARED')),
    appear_time timestamptz NOT NULL,
    end_time timestamptz CHECK ((end_time IS NULL) = (outcome = 'OPEN')),
    expected_time timestamptz NOT NULL,
    is_alarm boolean NOT NULL,
    was_alarm boolean NOT NULL,
    episode jsonb NOT NULL,
    money jsonb NOT NULL
);
CREATE UNIQUE INDEX freeze_forecast_open ON freeze_forecast (connected_account_id, kind) WHERE outcome = 'OPEN';
CREATE INDEX freeze_forecast_by_urgency ON freeze_forecast (expected_time, forecast_id) WHERE outcome = 'OPEN';
CREATE INDEX freeze_forecast_by_merchant ON freeze_forecast (merchant_id, ordinal);
CREATE INDEX freeze_forecast_by_time ON freeze_forecast (appear_time);

-- Each forecast as it was told, and what happened. Only who holds freeze_progress writes, so that who has read up to a
-- sequence has missed none below it.
CREATE TABLE freeze_forecast_change (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    forecast_id text NOT NULL REFERENCES freeze_forecast (forecast_id),
    change text NOT NULL CHECK (change IN ('APPEARED', 'WORSENED', 'EASED', 'CLEARED', 'FROZE')),
    episode jsonb NOT NULL,
    money jsonb NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX freeze_forecast_change_by_forecast ON freeze_forecast_change (forecast_id, sequence);

-- Everything that stopped, foreseen or not.
CREATE TABLE account_freeze (
    connected_account_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('CHARGES', 'PAYOUTS')),
    stop_time timestamptz NOT NULL,
    merchant_id text NOT NULL,
    disabled_reason text NOT NULL,
    -- Since when an alarm had stood; NULL if none did.
    alarm_time timestamptz,
    PRIMARY KEY (connected_account_id, kind, stop_time)
);
CREATE INDEX account_freeze_by_time ON account_freeze (stop_time);

-- Who forecasts holds this row; how far the decisions are counted.
CREATE TABLE freeze_progress (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    decision_sequence bigint NOT NULL
);
INSERT INTO freeze_progress (decision_sequence) VALUES (0);

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['freeze_forecast_change', 'account_freeze'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO compliance_service', kept);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON
freeze_watch, requirement_span, merchant_volume, freeze_forecast
TO compliance_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON account_change TO compliance_service;
GRANT SELECT, UPDATE ON freeze_progress TO compliance_service;
