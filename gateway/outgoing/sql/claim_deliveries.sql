-- Leases deliveries that are due: of each endpoint as many as it has room for, of each payment the
-- first. An endpoint that fails gets one at a time. The caller holds the lock, so none is exceeded.
WITH room AS (
    SELECT
        endpoint.id,
        CASE WHEN endpoint.failing_since IS NULL THEN endpoint.max_in_flight ELSE 1 END - (
            SELECT count(*)
            FROM webhook_delivery AS leased
            WHERE
                leased.endpoint_id = endpoint.id
                AND leased.state = 'PENDING'
                AND leased.lease_until > :now
        ) AS places
    FROM webhook_endpoint AS endpoint
    WHERE endpoint.state = 'ENABLED'
),

due AS (
    SELECT candidate.delivery_number
    FROM room
    CROSS JOIN LATERAL (
        SELECT delivery.delivery_number
        FROM webhook_delivery AS delivery
        WHERE
            delivery.endpoint_id = room.id
            AND delivery.state = 'PENDING'
            AND delivery.next_attempt_time <= :now
            AND (delivery.lease_until IS NULL OR delivery.lease_until <= :now)
            AND NOT EXISTS (
                SELECT 1
                FROM webhook_delivery AS earlier
                WHERE
                    earlier.endpoint_id = delivery.endpoint_id
                    AND earlier.payment_id = delivery.payment_id
                    AND earlier.state = 'PENDING'
                    AND earlier.sequence < delivery.sequence
            )
        ORDER BY delivery.next_attempt_time, delivery.sequence
        LIMIT greatest(room.places, 0)
    ) AS candidate
    LIMIT :limit
)

UPDATE webhook_delivery AS delivery
SET
    lease_until = :lease_until,
    fencing_token = delivery.fencing_token + 1
FROM due
WHERE delivery.delivery_number = due.delivery_number
RETURNING
    delivery.delivery_number,
    delivery.endpoint_id,
    delivery.sequence,
    delivery.attempts,
    delivery.fencing_token
