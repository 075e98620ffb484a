-- Has facts booked again that are booked in a span of the log, and are not there with their id.
WITH missing AS (
    SELECT booked.booking_number
    FROM booking AS booked
    WHERE
        booked.ledger = :ledger
        AND booked.state = 'BOOKED'
        AND booked.ledger_sequence > :after
        AND (cast(:through AS bigint) IS NULL OR booked.ledger_sequence <= :through)
        AND NOT EXISTS (
            SELECT 1
            FROM
                unnest(
                    cast(:sequences AS bigint []), cast(:request_ids AS text [])
                ) AS known (sequence, request_id)
            WHERE
                known.sequence = booked.ledger_sequence
                AND known.request_id = booked.fact_id
                || CASE WHEN booked.revision = 0 THEN '' ELSE ':' || booked.revision END
        )
    ORDER BY booked.ledger_sequence
    LIMIT :limit
    FOR UPDATE
)

UPDATE booking
SET
    state = 'PENDING',
    ledger = NULL,
    ledger_sequence = NULL,
    decide_time = NULL,
    lease_until = NULL,
    fencing_token = booking.fencing_token + 1,
    attempts = 0,
    next_attempt_time = :now
FROM missing
WHERE booking.booking_number = missing.booking_number
RETURNING booking.booking_number, pg_notify(:channel, '')
