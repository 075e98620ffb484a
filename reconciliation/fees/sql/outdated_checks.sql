-- Items whose fee was not what a schedule of before says, with the bytes that say so.
SELECT
    n.item_id,
    n.corridor,
    n.book_date,
    b.content
FROM (
    SELECT DISTINCT ON (c.item_id)
        c.item_id,
        c.corridor,
        c.book_date,
        c.is_right,
        c.schedule
    FROM schedule_fee_check AS c
    ORDER BY c.item_id ASC, c.check_number DESC
) AS n
CROSS JOIN LATERAL (
    SELECT k.content
    FROM item AS f
    INNER JOIN item AS r ON f.source = r.source AND f.corridor = r.corridor AND f.key = r.key
    INNER JOIN item_bytes AS k ON r.ordinal = k.ordinal
    WHERE f.ordinal = n.item_id AND r.fee_minor IS NOT NULL
    ORDER BY r.ordinal DESC
    LIMIT 1
) AS b
WHERE NOT n.is_right AND n.schedule <> %(schedule)s
ORDER BY n.item_id
LIMIT %(limit)s
