-- Parts of balances at Stripe as the gateway's sweeps found them: a row when one has changed, and every hour.
CREATE TABLE balance_reading (
    reading_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    corridor text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    part text COLLATE "C" NOT NULL,
    -- What Stripe said that there is, and what its balance transactions come to.
    stripe_minor bigint NOT NULL,
    sum_minor bigint NOT NULL,
    -- When the gateway asked Stripe.
    sweep_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX balance_reading_of ON balance_reading (corridor, currency, part, reading_number);
CREATE INDEX balance_reading_by_time ON balance_reading (record_time);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON balance_reading
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE balance_reading ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT, INSERT ON balance_reading TO reconciliation_service;
