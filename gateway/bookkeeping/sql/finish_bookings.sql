-- Writes what became of leased facts, except where the lease has gone to another worker since.
UPDATE booking
SET
    state = finished.state,
    revision = booking.revision + finished.renewals,
    ledger = CASE WHEN finished.state = 'BOOKED' THEN :ledger END,
    ledger_sequence = finished.ledger_sequence,
    failure_reason = finished.failure_reason,
    failure_message = finished.failure_message,
    next_attempt_time = finished.next_attempt_time,
    decide_time = CASE WHEN finished.state <> 'PENDING' THEN cast(:now AS timestamptz) END,
    lease_until = NULL
FROM
    unnest(
        cast(:booking_numbers AS bigint []),
        cast(:fencing_tokens AS bigint []),
        cast(:states AS text []),
        cast(:ledger_sequences AS bigint []),
        cast(:failure_reasons AS text []),
        cast(:failure_messages AS text []),
        cast(:next_attempt_times AS timestamptz []),
        cast(:renewals AS integer [])
    ) AS finished (
        booking_number, fencing_token, state, ledger_sequence,
        failure_reason, failure_message, next_attempt_time, renewals
    )
WHERE
    booking.booking_number = finished.booking_number
    AND booking.fencing_token = finished.fencing_token
    AND booking.state = 'PENDING'
RETURNING booking.booking_number
