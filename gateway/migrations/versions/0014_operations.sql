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
    id, kind, payment_id, corridor, '',
    CASE WHEN end_time IS NULL THEN params ELSE '{}' END, state, attempt, send_count,
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

-- Requests about merchants and customers begin operations, too, and are kept as the others are.
ALTER TABLE stripe_request ADD COLUMN answer bytea;

ALTER TABLE merchant_request ADD COLUMN operation_id text;
ALTER TABLE merchant_request RENAME COLUMN merchant_id TO subject_id;
ALTER TABLE merchant_request RENAME COLUMN failure TO refusal;
ALTER TABLE customer_request ADD COLUMN operation_id text;
ALTER TABLE customer_request RENAME COLUMN failure TO refusal;

-- What is undecided was sent under keys of before: it is not sent again, but looked up.
UPDATE merchant_request AS request
SET operation_id = 'op_' || upper(left(md5(request.request_id), 26))
FROM merchant
WHERE
    merchant.create_request_id = request.request_id
    AND merchant.state = 'CREATING'
    AND request.method = 'CreateMerchant'
    AND request.answer_time IS NULL;
UPDATE customer_request AS request
SET operation_id = 'op_' || upper(left(md5('customer.' || request.request_id), 26))
FROM customer
WHERE
    customer.create_request_id = request.request_id
    AND customer.state = 'CREATING'
    AND request.method = 'CreateCustomer'
    AND request.answer_time IS NULL;

INSERT INTO operation (
    id, kind, subject_id, corridor, connected_account, params, state, attempt, send_count,
    first_send_time, last_send_time, fencing_token, next_attempt_time, deadline,
    expires_payment, queued, failure_code, failure_param, create_time
)
SELECT
    made.id, made.kind, made.subject_id, made.corridor, '', '{}', 'UNKNOWN', 1, 1,
    made.request_time AS first_send_time,
    least(now(), made.request_time + interval '23 hours') AS last_send_time,
    0, now(), made.request_time AS deadline, FALSE, FALSE, '', '',
    made.request_time AS create_time
FROM (
    SELECT
        request.operation_id AS id,
        'CREATE_ACCOUNT' AS kind,
        'merchant.' || merchant.merchant_id AS subject_id,
        merchant.corridor,
        request.create_time AS request_time
    FROM merchant_request AS request
    INNER JOIN merchant ON request.request_id = merchant.create_request_id
    WHERE request.operation_id IS NOT NULL
    UNION ALL
    SELECT
        request.operation_id,
        'CREATE_CUSTOMER',
        'customer.' || customer.customer_number,
        customer.corridor,
        request.create_time
    FROM customer_request AS request
    INNER JOIN customer ON request.request_id = customer.create_request_id
    WHERE request.operation_id IS NOT NULL
) AS made;

-- The others are begun anew when they come again: what they ask can be asked twice.
DELETE FROM merchant_request
WHERE answer_time IS NULL AND operation_id IS NULL AND method <> 'CreateMerchant';
DELETE FROM customer_request
WHERE answer_time IS NULL AND operation_id IS NULL AND method <> 'CreateCustomer';

UPDATE merchant_request
SET method = method || 'Request', subject_id = coalesce(subject_id, '');
UPDATE customer_request
SET method = method || 'Request', subject_id = coalesce(subject_id, '');

ALTER TABLE merchant_request
DROP COLUMN idempotency_key, DROP COLUMN answer_time, ALTER COLUMN subject_id SET NOT NULL;
ALTER TABLE customer_request
DROP COLUMN idempotency_key, DROP COLUMN answer_time, ALTER COLUMN subject_id SET NOT NULL;

CREATE UNIQUE INDEX merchant_request_operation ON merchant_request (operation_id)
WHERE operation_id IS NOT NULL;
CREATE UNIQUE INDEX customer_request_operation ON customer_request (operation_id)
WHERE operation_id IS NOT NULL;

-- Of a request only the first answer is written later.
REVOKE UPDATE ON merchant_request FROM gateway_service;
GRANT UPDATE (answer) ON merchant_request TO gateway_service;
REVOKE UPDATE ON customer_request FROM gateway_service;
GRANT UPDATE (answer) ON customer_request TO gateway_service;
