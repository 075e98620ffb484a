-- Leases operations that are due, the first open one of each payment only, oldest first.
WITH due AS (
    SELECT candidate.id
    FROM payment_operation AS candidate
    WHERE
        candidate.end_time IS NULL
        AND NOT candidate.queued
        AND candidate.next_attempt_time <= :now
        AND (candidate.lease_until IS NULL OR candidate.lease_until <= :now)
        AND NOT EXISTS (
            SELECT 1
            FROM payment_operation AS earlier
            WHERE
                earlier.payment_id = candidate.payment_id
                AND earlier.end_time IS NULL
                AND earlier.operation_number < candidate.operation_number
        )
    ORDER BY candidate.next_attempt_time
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)

UPDATE payment_operation AS operation
SET
    lease_until = :lease_until,
    fencing_token = operation.fencing_token + 1
FROM due
WHERE operation.id = due.id
RETURNING operation.*
