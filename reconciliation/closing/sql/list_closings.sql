-- Closed periods, the newest first; all conditions that are given hold.
SELECT
    c.closing_number,
    c.kind,
    c.first_day,
    c.last_day,
    c.change_number,
    c.last_ordinal,
    c.note,
    c.item_count,
    c.late_count,
    c.match_count,
    c.carried,
    c.client,
    c.approver,
    c.remark,
    c.record_time,
    (
        SELECT array_agg(p.corridor ORDER BY p.corridor) FROM closed_period AS p
        WHERE p.closing_number = c.closing_number
    ) AS corridors
FROM closing AS c
WHERE
    c.closing_number < %(before)s
    AND (%(closing_number)s = 0 OR c.closing_number = %(closing_number)s)
    AND (%(kind)s = '' OR c.kind = %(kind)s)
    AND c.last_day >= %(first_day)s
    AND c.first_day <= %(last_day)s
    AND (
        %(corridor)s = ''
        OR EXISTS (
            SELECT FROM closed_period AS p
            WHERE p.closing_number = c.closing_number AND p.corridor = %(corridor)s
        )
    )
ORDER BY c.closing_number DESC
LIMIT %(limit)s
