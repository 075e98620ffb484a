-- Leases the operation that is first in a corridor's line, if its time has come.
WITH head AS (
    SELECT operation.id
    FROM payment_operation AS operation
    WHERE
        operation.corridor = :corridor
        AND operation.end_time IS NULL
        AND operation.queued
    ORDER BY operation.payment_id
    LIMIT 1
    FOR UPDATE
)

UPDATE payment_operation AS operation
SET
    lease_until = :lease_until,
    fencing_token = operation.fencing_token + 1
FROM head
WHERE
    operation.id = head.id
    AND operation.next_attempt_time <= :now
    AND (operation.lease_until IS NULL OR operation.lease_until <= :now)
RETURNING operation.*
