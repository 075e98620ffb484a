-- Facts about money that the ledger shall know: one row is both the fact and the durable job.
CREATE TABLE booking (
    -- Order of reporting; within one subject also the order of commit and of booking.
    booking_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fact_id text NOT NULL UNIQUE,
    kind text NOT NULL,
    fact jsonb NOT NULL,
    subject text NOT NULL,
    -- The fact that must be booked before this one, which it posts, voids or reverses.
    requires text REFERENCES booking (fact_id),
    payment_id text,
    effective_time timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'BOOKED', 'REFUSED')),
    -- Raised by an operator who retries a decided refusal: the ledger keeps refusals for good,
    -- so the retry needs another request id.
    revision integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL,
    lease_until timestamptz,
    fencing_token bigint NOT NULL DEFAULT 0,
    -- Where it is in the ledger: the ledger's name and the transaction's sequence.
    ledger text,
    ledger_sequence bigint,
    -- Why the last attempt failed; kept for good once the ledger refused.
    failure_reason text,
    failure_message text,
    -- W3C traceparent of the report, so that the booking shows in the payment's trace.
    trace_parent text,
    create_time timestamptz NOT NULL,
    decide_time timestamptz,
    CHECK ((state = 'BOOKED') = (ledger IS NOT NULL AND ledger_sequence IS NOT NULL)),
    CHECK ((state = 'PENDING') = (decide_time IS NULL)),
    CHECK (state <> 'REFUSED' OR failure_reason IS NOT NULL)
);

-- What a worker looks for: open rows, and whether an earlier one of the same subject is open.
CREATE INDEX booking_open ON booking (subject, booking_number) WHERE state <> 'BOOKED';
CREATE INDEX booking_pending ON booking (booking_number) WHERE state = 'PENDING';
CREATE INDEX booking_refused ON booking (booking_number) WHERE state = 'REFUSED';
CREATE INDEX booking_payment ON booking (payment_id, booking_number) WHERE payment_id IS NOT NULL;

-- No DELETE: a fact about money is never dropped.
GRANT SELECT, INSERT, UPDATE ON booking TO gateway_service;
