-- Leases the facts that are due and first of their subject; nobody else gets them meanwhile.
-- None while the booking is stopped because the ledger has not what it had.
WITH due AS (
    SELECT candidate.booking_number
    FROM booking AS candidate
    WHERE
        candidate.state = 'PENDING'
        AND candidate.kind = any(cast(:kinds AS text []))
        AND candidate.next_attempt_time <= :now
        AND (candidate.lease_until IS NULL OR candidate.lease_until <= :now)
        AND NOT EXISTS (
            SELECT 1
            FROM booking AS earlier
            WHERE
                earlier.subject = candidate.subject
                AND earlier.booking_number < candidate.booking_number
                AND earlier.state <> 'BOOKED'
            -- Looked up for each candidate: else the planner may read the whole table to compare with.
            OFFSET 0
        )
        AND NOT EXISTS (
            SELECT 1
            FROM ledger_standing AS standing
            WHERE standing.ledger = :ledger AND standing.stop_time IS NOT NULL
        )
    ORDER BY candidate.booking_number
    LIMIT :max_bookings
    FOR UPDATE OF candidate SKIP LOCKED
)

UPDATE booking
SET
    lease_until = :lease_until,
    fencing_token = booking.fencing_token + 1,
    attempts = booking.attempts + 1,
    -- What builds on a fact that was asked for anew is another request, too.
    revision = CASE
        WHEN booking.attempts = 0 THEN greatest(
            booking.revision,
            (
                SELECT earlier.revision
                FROM booking AS earlier
                WHERE earlier.fact_id = booking.requires AND earlier.state = 'BOOKED'
            )
        )
        ELSE booking.revision
    END
FROM due
WHERE booking.booking_number = due.booking_number
RETURNING
    booking.booking_number,
    booking.fencing_token,
    booking.kind,
    booking.fact,
    booking.revision,
    booking.attempts,
    booking.trace_parent,
    booking.create_time,
    (
        SELECT earlier.revision
        FROM booking AS earlier
        WHERE earlier.fact_id = booking.requires AND earlier.state = 'BOOKED'
    ) AS required_revision,
    EXISTS (
        SELECT 1
        FROM booking AS later
        -- A hold is a payment's, by whose facts it is found: of what they require there is no index.
        WHERE
            later.payment_id = booking.payment_id
            AND later.subject = booking.subject
            AND later.requires = booking.fact_id
            AND later.kind = 'hold_released'
        OFFSET 0
    ) AS is_released
