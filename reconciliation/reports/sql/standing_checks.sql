-- The reports of a corridor whose last comparison found a difference, with what is told of it.
SELECT DISTINCT ON (c.report_id)
    c.report_id,
    c.kind,
    c.start_time,
    c.end_time,
    c.differences,
    c.says,
    c.amounts
FROM report_check AS c
WHERE c.corridor = %(corridor)s
ORDER BY c.report_id ASC, c.check_number DESC
