-- Leases operations that are due, the first open one of each subject only, the longest due first.
-- A dead letter is not worked, and holds up what comes after it of the same subject.
WITH due AS (
    SELECT candidate.id
    FROM operation AS candidate
    WHERE
        candidate.end_time IS NULL
        AND candidate.state <> 'DEAD_LETTER'
        AND NOT candidate.queued
        AND candidate.kind = any(:kinds)
        AND candidate.next_attempt_time <= :now
        AND (candidate.lease_until IS NULL OR candidate.lease_until <= :now)
        AND NOT EXISTS (
            SELECT 1
            FROM operation AS earlier
            WHERE
                earlier.subject_id = candidate.subject_id
                AND earlier.end_time IS NULL
                AND earlier.operation_number < candidate.operation_number
        )
    ORDER BY candidate.next_attempt_time
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)

UPDATE operation
SET
    lease_until = :lease_until,
    fencing_token = operation.fencing_token + 1
FROM due
WHERE operation.id = due.id
RETURNING {columns}
