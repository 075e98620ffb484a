-- Gives committed events their place in the stream; the caller holds the lock, so nobody else does.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM payment_event
),

unnumbered AS (
    SELECT event_number
    FROM payment_event
    WHERE sequence IS NULL
    ORDER BY event_number
    LIMIT :limit
),

numbered AS (
    SELECT
        unnumbered.event_number,
        head.sequence + row_number() OVER (ORDER BY unnumbered.event_number) AS sequence
    FROM unnumbered
    CROSS JOIN head
)

UPDATE payment_event
SET sequence = numbered.sequence
FROM numbered
WHERE payment_event.event_number = numbered.event_number
