-- Open breaks that became overdue within a time, those of the earliest first; with the last all of its moment.
SELECT
    d.difference_id,
    coalesce(d.leg, '') AS leg,
    d.subject,
    d.kind,
    d.corridor,
    d.amounts,
    d.since,
    d.due,
    d.overdue,
    d.sentence
FROM open_difference AS o
INNER JOIN difference AS d ON o.difference_id = d.difference_id
WHERE
    o.due <= %(now)s
    AND d.overdue > %(overdue_after)s
    AND d.overdue <= %(overdue_until)s
ORDER BY d.overdue
FETCH FIRST %(limit)s ROWS WITH TIES
