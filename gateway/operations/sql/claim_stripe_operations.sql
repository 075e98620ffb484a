-- Leases operations on disputes and payouts that are due, the longest due first.
WITH due AS (
    SELECT candidate.id
    FROM stripe_operation AS candidate
    WHERE
        candidate.end_time IS NULL
        AND candidate.next_attempt_time <= :now
        AND (candidate.lease_until IS NULL OR candidate.lease_until <= :now)
    ORDER BY candidate.next_attempt_time
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)

UPDATE stripe_operation AS operation
SET
    lease_until = :lease_until,
    fencing_token = operation.fencing_token + 1
FROM due
WHERE operation.id = due.id
RETURNING operation.*
