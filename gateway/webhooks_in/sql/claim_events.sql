-- Claims due events, the oldest of each subject only, and counts the attempt.
WITH due AS (
    SELECT candidate.sequence
    FROM webhook_event AS candidate
    WHERE
        candidate.state = 'PENDING'
        AND candidate.next_attempt_time <= :now
        AND (candidate.lease_until IS NULL OR candidate.lease_until <= :now)
        AND NOT EXISTS (
            SELECT 1
            FROM webhook_event AS earlier
            WHERE
                earlier.subject = candidate.subject
                AND earlier.state = 'PENDING'
                AND earlier.sequence < candidate.sequence
        )
    ORDER BY candidate.sequence
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)

UPDATE webhook_event
SET
    attempts = webhook_event.attempts + 1,
    fencing_token = webhook_event.fencing_token + 1,
    lease_until = :lease_until
FROM due
WHERE webhook_event.sequence = due.sequence
RETURNING
    webhook_event.sequence,
    webhook_event.corridor,
    webhook_event.body,
    webhook_event.attempts,
    webhook_event.fencing_token
