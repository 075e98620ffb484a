-- Leases operations from the head of a corridor's queue, up to the first that cannot be had.
WITH front AS (
    SELECT
        operation.id,
        operation.queue_time,
        operation.subject_id,
        operation.next_attempt_time <= :now
        AND (operation.lease_until IS NULL OR operation.lease_until <= :now) AS ready
    FROM operation
    WHERE
        operation.corridor = :corridor
        AND operation.end_time IS NULL
        AND operation.queued
    ORDER BY operation.queue_time, operation.subject_id
    LIMIT :limit
    FOR UPDATE
),

head AS (
    SELECT
        front.id,
        bool_and(front.ready) OVER (ORDER BY front.queue_time, front.subject_id) AS ready
    FROM front
)

UPDATE operation
SET
    lease_until = :lease_until,
    fencing_token = operation.fencing_token + 1
FROM head
WHERE operation.id = head.id AND head.ready
RETURNING {columns}
