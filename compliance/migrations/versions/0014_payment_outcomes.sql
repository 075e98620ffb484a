-- How far the gateway's feed of payments was followed. Whoever counts, or moves windows on, holds this row.
CREATE TABLE outcome_watch (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    -- What the sequence belongs to; higher each time that the gateway was restored from a backup.
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    -- Up to when the feed was followed; not known before the first change, or the first silence.
    follow_time timestamptz
) WITH (fillfactor = 50);
INSERT INTO outcome_watch (epoch, sequence) VALUES (0, 0);

-- What is counted of each payment, and by which change, so that it is once, however often it is told of.
CREATE TABLE payment_outcome (
    payment_id text PRIMARY KEY,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    merchant_id text NOT NULL,
    currency_code text NOT NULL,
    day date NOT NULL,
    captured_minor bigint NOT NULL,
    -- Its refunds in the order in which they were made, as canonical JSON.
    refunds text NOT NULL
);

-- The same of each dispute.
CREATE TABLE dispute_outcome (
    dispute_id text PRIMARY KEY,
    payment_id text NOT NULL,
    merchant_id text NOT NULL,
    currency_code text NOT NULL,
    day date NOT NULL,
    amount_minor bigint NOT NULL,
    is_chargeback boolean NOT NULL
);

-- What that comes to, by merchant, day in UTC and currency.
CREATE TABLE merchant_outcome (
    merchant_id text NOT NULL,
    day date NOT NULL,
    currency_code text NOT NULL,
    payments bigint NOT NULL,
    captured_minor numeric NOT NULL,
    refunds bigint NOT NULL,
    refunded_minor numeric NOT NULL,
    disputes bigint NOT NULL,
    disputed_minor numeric NOT NULL,
    PRIMARY KEY (merchant_id, day, currency_code)
) WITH (fillfactor = 80);

-- The windows that end with a day, so that a check reads one row. By currency, in JSON: payments, captured_minor,
-- refunds, refunded_minor, disputes, disputed_minor, each with a figure for each window.
CREATE TABLE merchant_rates (
    merchant_id text PRIMARY KEY,
    day date NOT NULL,
    figures jsonb NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX merchant_rates_by_day ON merchant_rates (day);

GRANT SELECT, UPDATE ON outcome_watch TO compliance_service;
GRANT SELECT, INSERT, UPDATE ON payment_outcome, dispute_outcome, merchant_outcome TO compliance_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON merchant_rates TO compliance_service;
