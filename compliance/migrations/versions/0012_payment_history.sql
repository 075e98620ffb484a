-- What was let through of one customer, merchant or card in one currency: buckets of time, as canonical JSON that
-- compliance/checks/history.py reads. One row for each, which changes with each of its payments and has a bound.
CREATE TABLE payment_history (
    scope text NOT NULL CHECK (scope IN ('CUSTOMER', 'MERCHANT', 'CARD')),
    key text NOT NULL,
    currency_code text NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (scope, key, currency_code)
) WITH (fillfactor = 70);

-- How each payment counts, so that it does once, however often it is checked.
CREATE TABLE counted_payment (
    reference_id text PRIMARY KEY,
    content text NOT NULL
);

-- Written by whoever holds the lock of the decision log, in the decision's own transaction.
GRANT SELECT, INSERT, UPDATE ON payment_history, counted_payment TO compliance_service;
