-- Payouts as they were known at a moment that had not failed and that no line of the bank went with, by day.
WITH known AS (
    SELECT DISTINCT ON (i.item_id)
        i.item_id,
        i.corridor,
        i.currency,
        i.amount_minor,
        i.book_date,
        i.state
    FROM item AS i
    INNER JOIN intake AS n ON i.intake_number = n.intake_number
    WHERE
        i.source = 'PAYOUT'
        AND n.record_time <= %(time)s
        AND (%(corridor)s = '' OR i.corridor = %(corridor)s)
        AND (%(currency)s = '' OR i.currency = %(currency)s)
    ORDER BY i.item_id ASC, i.revision DESC
)

SELECT
    k.corridor,
    k.currency,
    k.book_date AS day,
    cast(sum(k.amount_minor) AS bigint) AS amount_minor,
    count(*) AS payouts
FROM known AS k
WHERE
    k.state = 'BOOKED'
    AND NOT EXISTS (
        SELECT
        FROM standing AS s
        LEFT JOIN item_match AS m ON s.match_id = m.match_id
        LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
        LEFT JOIN ignore_step AS g ON s.is_ignored AND s.leg = g.leg AND s.item_id = g.item_id AND g.step = 2
        WHERE
            s.leg = 'BANKED'
            AND s.item_id = k.item_id
            AND coalesce(m.change_number, g.change_number) <= %(change_number)s
            AND coalesce(r.change_number > %(change_number)s, true)
    )
GROUP BY k.corridor, k.currency, k.book_date
ORDER BY k.corridor, k.currency, k.book_date
