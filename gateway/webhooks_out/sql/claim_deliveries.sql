-- Leases deliveries that are due: of each endpoint as many as it has room for, of each payment or
-- incident the first. An endpoint that fails gets one at a time. The caller holds the lock, so none is exceeded.
-- Rows that somebody else is at are left for the next time: who waits for none is in nobody's way.
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
    WHERE coalesce(endpoint.feed_state, endpoint.state) = 'ENABLED'
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
),

free AS (
    SELECT delivery_number
    FROM webhook_delivery
    WHERE
        delivery_number IN (SELECT due.delivery_number FROM due)
        AND state = 'PENDING'
    FOR UPDATE SKIP LOCKED
)

UPDATE webhook_delivery AS delivery
SET
    lease_until = :lease_until,
    fencing_token = delivery.fencing_token + 1
FROM free
WHERE delivery.delivery_number = free.delivery_number
RETURNING
    delivery.delivery_number,
    delivery.endpoint_id,
    delivery.sequence,
    delivery.attempts,
    delivery.fencing_token,
    (
        SELECT endpoint.feed
        FROM webhook_endpoint AS endpoint
        WHERE endpoint.id = delivery.endpoint_id
    ) AS feed
