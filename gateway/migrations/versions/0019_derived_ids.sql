-- Ids are derived from requests, and no longer sort by time.
ALTER TABLE operation ADD COLUMN queue_time timestamptz;
UPDATE operation SET queue_time = payment.create_time
FROM payment
WHERE operation.subject_id = payment.id AND operation.kind = 'CHECK';
ALTER TABLE operation ADD CHECK (NOT queued OR queue_time IS NOT NULL);
DROP INDEX operation_queue;
CREATE INDEX operation_queue ON operation (corridor, queue_time, subject_id)
WHERE end_time IS NULL AND queued;

-- What an operation's idempotency keys begin with, where that is not its id.
ALTER TABLE operation ADD COLUMN key_prefix text NOT NULL DEFAULT '';

-- What Stripe keeps of the request that asked for a payment.
ALTER TABLE payment ADD COLUMN request_metadata jsonb NOT NULL DEFAULT '{}';

-- When it was found that this database knows less than Stripe, and when that was mended. While one
-- is open nothing is begun.
CREATE TABLE database_gap (
    gap_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason text NOT NULL,
    -- The last change that the database had when it was found; NULL if it had none.
    known_until timestamptz,
    found_time timestamptz NOT NULL,
    recover_time timestamptz
);
CREATE UNIQUE INDEX database_gap_open ON database_gap ((TRUE)) WHERE recover_time IS NULL;

-- A request that is known from what Stripe kept of it has no body, but its fingerprint.
ALTER TABLE payment_request ADD COLUMN fingerprint text;

GRANT SELECT, INSERT, UPDATE (recover_time) ON database_gap TO gateway_service;
