-- One table of operations, whatever they are asked for. Before the first release, so that no older
-- code runs beside it.
CREATE TABLE operation (
    id text COLLATE "C" PRIMARY KEY,
    -- Order within a subject: a later operation waits for the earlier ones.
    operation_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- What each kind asks is the code's to know: a process claims those kinds that it has.
    kind text NOT NULL,
    -- The payment, payout, dispute that it is asked for.
    subject_id text COLLATE "C" NOT NULL,
    corridor text NOT NULL,
    -- Empty for the corridor's own account.
    connected_account text NOT NULL,
    -- Text, not jsonb: a resend carries the very bytes that were stored. Emptied at the end.
    params text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'PENDING', 'RUNNING', 'UNKNOWN', 'DEAD_LETTER', 'SUCCEEDED', 'DECLINED', 'FAILED',
        'CANCELED'
    )),
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
    failure_param text NOT NULL,
    create_time timestamptz NOT NULL,
    end_time timestamptz,
    CHECK ((end_time IS NULL) = (state IN ('PENDING', 'RUNNING', 'UNKNOWN', 'DEAD_LETTER'))),
    CHECK (state <> 'RUNNING' OR (lease_until IS NOT NULL AND send_count > 0)),
    CHECK (NOT queued OR kind = 'CHECK'),
    CHECK ((refund_id IS NOT NULL) = (kind = 'REFUND'))
);

INSERT INTO operation (
    id, kind, subject_id, corridor, connected_account, params, state, attempt, send_count,
    first_send_time, last_send_time, lease_until, fencing_token, next_attempt_time, deadline,
    refund_id, amount_minor, expires_payment, queued, failure_code, failure_param, create_time,
    end_time
)
SELECT
    id, kind, payment_id, corridor, '', CASE WHEN end_time IS NULL THEN params ELSE '{}' END, state, attempt, send_count,
    first_send_time, last_send_time, lease_until, fencing_token, next_attempt_time, deadline,
    refund_id, amount_minor, expires_payment, queued, failure_code, '', create_time,
    end_time
FROM payment_operation
ORDER BY operation_number;

INSERT INTO operation (
    id, kind, subject_id, corridor, connected_account, params, state, attempt, send_count,
    first_send_time, last_send_time, lease_until, fencing_token, next_attempt_time, deadline,
    expires_payment, queued, failure_code, failure_param, create_time, end_time
)
SELECT
    id, kind, subject_id, corridor, stripe_account, params, state, attempt, send_count,
    first_send_time, last_send_time, lease_until, fencing_token, next_attempt_time, deadline,
    FALSE, FALSE, failure_code, failure_param, create_time, end_time
FROM stripe_operation
ORDER BY create_time, id;

DROP TABLE payment_operation, stripe_operation;

CREATE INDEX operation_subject ON operation (subject_id, operation_number);
CREATE INDEX operation_open ON operation (subject_id, operation_number) WHERE end_time IS NULL;
-- One thing at a time is asked for a dispute or a payout; operations of a payment take turns.
CREATE UNIQUE INDEX operation_alone ON operation (subject_id)
WHERE end_time IS NULL AND kind IN (
    'SUBMIT_EVIDENCE', 'ACCEPT_DISPUTE', 'CHECK_PAYOUT', 'CREATE_PAYOUT', 'CANCEL_PAYOUT'
);
-- What workers look for: open operations by the time of their next attempt.
CREATE INDEX operation_due ON operation (next_attempt_time)
WHERE end_time IS NULL AND NOT queued AND state <> 'DEAD_LETTER';
-- The queue of each corridor; ids of payments sort by time.
CREATE INDEX operation_queue ON operation (corridor, subject_id)
WHERE end_time IS NULL AND queued;

GRANT SELECT, INSERT, UPDATE ON operation TO gateway_service;
