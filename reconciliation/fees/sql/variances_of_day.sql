-- All fees of a corridor's day that are not as they should be.
SELECT
    'LEDGER' AS against,
    v.currency,
    v.key,
    v.told_minor,
    v.booked_minor AS expected_minor
FROM booked_fee_variance AS v
WHERE
    v.corridor = %(corridor)s
    AND v.book_date = %(day)s
    AND NOT EXISTS (SELECT FROM match_revocation AS r WHERE r.match_id = v.match_id)
UNION ALL
SELECT
    'SCHEDULE' AS against,
    i.currency,
    i.key,
    n.told_minor,
    n.expected_minor
FROM (
    SELECT DISTINCT ON (c.item_id)
        c.item_id,
        c.told_minor,
        c.expected_minor,
        c.is_right
    FROM schedule_fee_check AS c
    WHERE c.corridor = %(corridor)s AND c.book_date = %(day)s
    ORDER BY c.item_id ASC, c.check_number DESC
) AS n
INNER JOIN item AS i ON n.item_id = i.ordinal
WHERE NOT n.is_right
