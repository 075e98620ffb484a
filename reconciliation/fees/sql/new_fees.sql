-- What Stripe took fees of, among items of which it had not said before, with the bytes that say so.
SELECT
    i.item_id,
    i.corridor,
    i.book_date,
    b.content
FROM item AS i
INNER JOIN item_bytes AS b ON i.ordinal = b.ordinal
WHERE
    i.ordinal > %(after)s
    AND i.ordinal <= %(upto)s
    AND i.source = 'STRIPE'
    AND i.state <> 'PENDING'
    AND i.fee_minor IS NOT NULL
    AND NOT EXISTS (
        SELECT
        FROM item AS e
        WHERE
            e.source = 'STRIPE'
            AND e.corridor = i.corridor
            AND e.key = i.key
            AND e.ordinal < i.ordinal
            AND e.state <> 'PENDING'
            AND e.fee_minor IS NOT NULL
    )
ORDER BY i.ordinal
