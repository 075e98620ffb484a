-- A request_id is unique over the methods of one service, and of no other.
CREATE TABLE payout_request (LIKE stripe_request INCLUDING ALL);
INSERT INTO payout_request (
    request_id, method, body, fingerprint, subject_id, operation_id, answer, refusal, create_time
)
SELECT
    request_id,
    method,
    body,
    fingerprint,
    subject_id,
    operation_id,
    answer,
    refusal,
    create_time
FROM stripe_request
WHERE method LIKE '%Payout%';

DELETE FROM stripe_request
WHERE method LIKE '%Payout%';
ALTER TABLE stripe_request RENAME TO dispute_request;

-- What operators asked of corridors and dead letters.
CREATE TABLE corridor_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    body bytea NOT NULL,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT ON payout_request, corridor_request TO gateway_service;
