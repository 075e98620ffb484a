-- Breaks of some corridors, or of none, that are open at a time and are of a day or of days before it.
SELECT
    d.difference_id,
    d.kind,
    d.corridor,
    d.amounts
FROM open_difference AS o
INNER JOIN difference AS d ON o.difference_id = d.difference_id
WHERE
    o.due <= %(now)s
    AND (d.corridor = '' OR d.corridor = any(%(corridors)s))
    AND CASE
        WHEN d.leg IS NULL THEN d.since < %(end)s
        ELSE EXISTS (
            SELECT FROM standing AS s
            INNER JOIN item AS i ON s.item_id = i.ordinal
            WHERE s.difference_id = d.difference_id AND i.book_date <= %(last_day)s
        )
    END
ORDER BY d.difference_id
LIMIT %(limit)s
