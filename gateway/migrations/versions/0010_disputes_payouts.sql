-- Disputes of payments, as Stripe last described them.
CREATE TABLE dispute (
    id text COLLATE "C" PRIMARY KEY,
    payment_id text COLLATE "C" NOT NULL REFERENCES payment,
    merchant_id text NOT NULL,
    corridor text NOT NULL,
    stripe_dispute_id text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'WARNING_NEEDS_RESPONSE', 'WARNING_UNDER_REVIEW', 'WARNING_CLOSED', 'NEEDS_RESPONSE',
        'UNDER_REVIEW', 'WON', 'LOST', 'PREVENTED', 'APPEAL_NEEDS_RESPONSE',
        'APPEAL_UNDER_REVIEW'
    )),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    network_cause text NOT NULL,
    -- Stripe has the money; and we have once seen it lost.
    is_held boolean NOT NULL,
    was_lost boolean NOT NULL,
    -- When the look at Stripe began that this is from: an earlier one does not overwrite it.
    look_time timestamptz NOT NULL,
    -- What Stripe keeps for the dispute, in the currency of the settlement; null until known.
    fee_minor bigint,
    fee_currency text NOT NULL,
    evidence_due_time timestamptz,
    submission_count integer NOT NULL CHECK (submission_count >= 0),
    effective_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    UNIQUE (corridor, stripe_dispute_id)
);

CREATE INDEX dispute_newest ON dispute (create_time DESC, id DESC);
CREATE INDEX dispute_merchant ON dispute (merchant_id, create_time DESC, id DESC);
CREATE INDEX dispute_payment ON dispute (payment_id, create_time DESC, id DESC);

-- Payouts: those that clients asked for, and those that Stripe's schedule or people made.
CREATE TABLE payout (
    id text COLLATE "C" PRIMARY KEY,
    request_id text NOT NULL,
    -- Both empty for the platform's own payouts.
    merchant_id text NOT NULL,
    account_id text NOT NULL,
    corridor text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'CREATING', 'IN_REVIEW', 'BLOCKED', 'PENDING', 'IN_TRANSIT', 'PAID', 'FAILED', 'CANCELED'
    )),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Below zero where Stripe takes from the bank.
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    statement_descriptor text NOT NULL,
    automatic boolean NOT NULL,
    stripe_payout_id text NOT NULL,
    failure_code text NOT NULL,
    arrival_time timestamptz,
    was_paid boolean NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK (state NOT IN ('PENDING', 'IN_TRANSIT', 'PAID') OR stripe_payout_id <> '')
);

-- Two rows of one payout would be money counted twice.
CREATE UNIQUE INDEX payout_stripe ON payout (corridor, stripe_payout_id)
WHERE stripe_payout_id <> '';
CREATE INDEX payout_newest ON payout (create_time DESC, id DESC);
CREATE INDEX payout_merchant ON payout (merchant_id, create_time DESC, id DESC);

-- What is asked of Stripe or compliance for a dispute or a payout: one row is both the state and
-- the durable job.
CREATE TABLE stripe_operation (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN (
        'SUBMIT_EVIDENCE', 'ACCEPT_DISPUTE', 'CHECK_PAYOUT', 'CREATE_PAYOUT', 'CANCEL_PAYOUT'
    )),
    subject_id text NOT NULL,
    corridor text NOT NULL,
    stripe_account text NOT NULL,
    -- Text, not jsonb: a resend carries the very bytes that were stored. Emptied at the end.
    params text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'PENDING', 'RUNNING', 'UNKNOWN', 'SUCCEEDED', 'FAILED', 'CANCELED'
    )),
    attempt integer NOT NULL CHECK (attempt >= 1),
    send_count integer NOT NULL,
    first_send_time timestamptz,
    last_send_time timestamptz,
    lease_until timestamptz,
    fencing_token bigint NOT NULL,
    next_attempt_time timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    failure_code text NOT NULL,
    failure_param text NOT NULL,
    create_time timestamptz NOT NULL,
    end_time timestamptz,
    CHECK ((end_time IS NULL) = (state IN ('PENDING', 'RUNNING', 'UNKNOWN')))
);

-- One thing at a time is asked for a dispute or a payout.
CREATE UNIQUE INDEX stripe_operation_subject ON stripe_operation (subject_id)
WHERE end_time IS NULL;
CREATE INDEX stripe_operation_due ON stripe_operation (next_attempt_time) WHERE end_time IS NULL;

-- Every request_id with what it came with and what it led to, kept for good.
CREATE TABLE stripe_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    -- Without what may say something of people; the fingerprint is of the whole request.
    body bytea NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    subject_id text NOT NULL,
    operation_id text,
    refusal jsonb,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON dispute, payout, stripe_operation TO gateway_service;
GRANT SELECT, INSERT ON stripe_request TO gateway_service;
