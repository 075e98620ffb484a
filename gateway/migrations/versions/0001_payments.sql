-- The service's role: what it may do is granted table by table. Roles are shared by all databases
-- of a server, so another migration may make it at the same moment.
DO $$
BEGIN
    -- Where an administrator has made it, the owner needs no right to make roles.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_service') THEN
        CREATE ROLE gateway_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- A superuser may act as any role already; others need to be members of it.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'gateway_service', 'MEMBER') THEN
        EXECUTE format('GRANT gateway_service TO %I', current_user);
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO gateway_service;

-- One row per payment, as it stands now. Amounts are minor units of its currency.
CREATE TABLE payment (
    id text COLLATE "C" PRIMARY KEY,
    request_id text NOT NULL UNIQUE,
    merchant_id text NOT NULL,
    customer_id text NOT NULL,
    corridor text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'RECEIVED', 'COMPLIANCE_CHECKED', 'BLOCKED', 'IN_REVIEW', 'QUEUED', 'AUTHORIZING',
        'REQUIRES_ACTION', 'AUTHORIZED', 'CAPTURING', 'CANCELING', 'SUCCEEDED', 'DECLINED',
        'CANCELED', 'EXPIRED', 'FAILED'
    )),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    payment_method text NOT NULL,
    payment_method_customer text NOT NULL,
    capture_method text NOT NULL CHECK (capture_method IN ('AUTOMATIC', 'MANUAL')),
    off_session boolean NOT NULL,
    return_url text NOT NULL,
    unavailable_policy text NOT NULL CHECK (unavailable_policy IN ('FAIL_FAST', 'QUEUE')),
    queue_timeout interval,
    description text NOT NULL,
    statement_descriptor_suffix text NOT NULL,
    metadata jsonb NOT NULL,
    destination_account text NOT NULL,
    application_fee_minor bigint,
    authorized_minor bigint NOT NULL,
    captured_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    refunding_minor bigint NOT NULL,
    disputed_minor bigint NOT NULL,
    fee_minor bigint,
    fee_currency text NOT NULL,
    payment_intent_id text NOT NULL,
    charge_id text NOT NULL,
    hold_id text NOT NULL,
    decline jsonb,
    failure jsonb,
    next_action jsonb,
    compliance jsonb,
    queue_reason text,
    queue_deadline timestamptz,
    capture_before timestamptz,
    wake_time timestamptz,
    revision bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK (authorized_minor BETWEEN 0 AND amount_minor),
    CHECK (captured_minor BETWEEN 0 AND amount_minor),
    CHECK (refunded_minor >= 0 AND refunding_minor >= 0),
    CHECK (refunded_minor + refunding_minor <= captured_minor),
    CHECK (captured_minor = 0 OR state = 'SUCCEEDED'),
    -- A hold stands in the ledger exactly while money is held at the customer's bank, or may be.
    CHECK ((hold_id <> '') = (
        state IN ('AUTHORIZING', 'REQUIRES_ACTION', 'AUTHORIZED', 'CAPTURING', 'CANCELING')
    ))
);

CREATE INDEX payment_newest ON payment (create_time DESC, id DESC);
CREATE INDEX payment_merchant ON payment (merchant_id, create_time DESC, id DESC);
CREATE INDEX payment_customer ON payment (customer_id, create_time DESC, id DESC);
-- Two payments with one PaymentIntent would be one charge counted twice.
CREATE UNIQUE INDEX payment_intent ON payment (payment_intent_id) WHERE payment_intent_id <> '';
CREATE INDEX payment_charge ON payment (charge_id) WHERE charge_id <> '';
CREATE INDEX payment_wake ON payment (wake_time) WHERE wake_time IS NOT NULL;

-- Refunds, those that were made outside the engine included (request_id is empty then).
CREATE TABLE payment_refund (
    id text COLLATE "C" PRIMARY KEY,
    request_id text NOT NULL,
    payment_id text COLLATE "C" NOT NULL REFERENCES payment,
    state text NOT NULL CHECK (
        state IN ('PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'REQUIRES_ACTION')
    ),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    cause text NOT NULL,
    stripe_refund_id text NOT NULL,
    failure_code text NOT NULL,
    balance text NOT NULL CHECK (balance IN ('pending', 'available')),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);

CREATE INDEX payment_refund_payment ON payment_refund (payment_id, create_time, id);
CREATE UNIQUE INDEX payment_refund_stripe ON payment_refund (stripe_refund_id)
WHERE stripe_refund_id <> '';

-- What is asked of the outside world: one row is both the state and the durable job.
CREATE TABLE payment_operation (
    id text COLLATE "C" PRIMARY KEY,
    -- Order within a payment: a later operation waits for the earlier ones.
    operation_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    payment_id text COLLATE "C" NOT NULL REFERENCES payment,
    kind text NOT NULL CHECK (
        kind IN ('CHECK', 'AUTHORIZE', 'CONFIRM', 'CAPTURE', 'CANCEL', 'REFUND')
    ),
    state text NOT NULL CHECK (
        state IN (
            'PENDING', 'RUNNING', 'UNKNOWN', 'SUCCEEDED', 'DECLINED', 'FAILED', 'CANCELED'
        )
    ),
    corridor text NOT NULL,
    -- Text, not jsonb: a resend carries the very bytes that were stored.
    params text NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 1),
    send_count integer NOT NULL,
    first_send_time timestamptz,
    last_send_time timestamptz,
    lease_until timestamptz,
    fencing_token bigint NOT NULL,
    next_attempt_time timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    refund_id text REFERENCES payment_refund,
    amount_minor bigint,
    expires_payment boolean NOT NULL,
    queued boolean NOT NULL,
    failure_code text NOT NULL,
    create_time timestamptz NOT NULL,
    end_time timestamptz,
    CHECK ((end_time IS NULL) = (state IN ('PENDING', 'RUNNING', 'UNKNOWN'))),
    CHECK (state <> 'RUNNING' OR (lease_until IS NOT NULL AND send_count > 0)),
    CHECK (NOT queued OR kind = 'CHECK'),
    CHECK ((refund_id IS NOT NULL) = (kind = 'REFUND'))
);

CREATE INDEX payment_operation_payment ON payment_operation (payment_id, operation_number);
-- What workers look for: open operations by the time of their next attempt.
CREATE INDEX payment_operation_due ON payment_operation (next_attempt_time)
WHERE end_time IS NULL AND NOT queued;
CREATE INDEX payment_operation_open ON payment_operation (payment_id, operation_number)
WHERE end_time IS NULL;
-- The line of each corridor; ids of payments sort by time.
CREATE INDEX payment_operation_line ON payment_operation (corridor, payment_id)
WHERE end_time IS NULL AND queued;

-- Every request_id with the body it came with and what it led to, kept for good.
CREATE TABLE payment_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    body bytea NOT NULL,
    payment_id text,
    operation_id text,
    refund_id text,
    -- A refusal that was decided, repeated for the same request.
    refusal jsonb,
    create_time timestamptz NOT NULL
);

-- Every change of every payment. The sequence is given after the commit, by one process at a
-- time, so that it is gapless and in the order in which the changes became visible.
CREATE TABLE payment_event (
    event_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence bigint UNIQUE,
    payment_id text COLLATE "C" NOT NULL REFERENCES payment,
    merchant_id text NOT NULL,
    revision bigint NOT NULL,
    transition text NOT NULL,
    previous_state text,
    snapshot bytea NOT NULL,
    record_time timestamptz NOT NULL,
    UNIQUE (payment_id, revision)
);

CREATE INDEX payment_event_unnumbered ON payment_event (event_number) WHERE sequence IS NULL;
CREATE INDEX payment_event_merchant ON payment_event (merchant_id, sequence);

-- Nothing is ever deleted, requests never change, and of events only the sequence is written.
GRANT SELECT, INSERT, UPDATE ON payment, payment_refund, payment_operation TO gateway_service;
GRANT SELECT, INSERT ON payment_request TO gateway_service;
GRANT SELECT, INSERT, UPDATE (sequence) ON payment_event TO gateway_service;
