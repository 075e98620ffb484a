-- Which subject is which customer at Stripe, per corridor. Names and addresses are at Stripe only.
CREATE TABLE customer (
    customer_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    corridor text NOT NULL,
    stripe_customer_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('CREATING', 'ACTIVE', 'FAILED', 'DELETED')),
    failure_code text NOT NULL,
    default_payment_method text NOT NULL,
    create_request_id text NOT NULL UNIQUE,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((stripe_customer_id <> '') = (state IN ('ACTIVE', 'DELETED')))
);

-- One living customer per subject and corridor.
CREATE UNIQUE INDEX customer_living ON customer (customer_id, corridor)
WHERE state IN ('CREATING', 'ACTIVE');
CREATE INDEX customer_subject ON customer (customer_id, corridor, customer_number);
CREATE UNIQUE INDEX customer_stripe ON customer (corridor, stripe_customer_id)
WHERE stripe_customer_id <> '';

-- Every request_id with what it asked for, without personal fields, and what it led to. Kept for
-- good: of SavePaymentMethod it is the record of when the customer's permission was given.
CREATE TABLE customer_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    body bytea NOT NULL,
    fingerprint bytea NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    subject_id text,
    answer bytea,
    failure jsonb,
    create_time timestamptz NOT NULL,
    answer_time timestamptz
);

GRANT SELECT, INSERT, UPDATE ON customer TO gateway_service;
GRANT SELECT, INSERT, UPDATE (answer, failure, answer_time) ON customer_request
TO gateway_service;
