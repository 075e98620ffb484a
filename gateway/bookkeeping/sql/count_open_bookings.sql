-- How many facts up to a number wait for the ledger; not those behind one that it refused.
SELECT count(*) AS open
FROM booking AS waiting
WHERE
    waiting.state = 'PENDING'
    AND waiting.booking_number <= :through_number
    AND NOT EXISTS (
        SELECT 1
        FROM booking AS earlier
        WHERE
            earlier.subject = waiting.subject
            AND earlier.booking_number < waiting.booking_number
            AND earlier.state = 'REFUSED'
        OFFSET 0
    )
