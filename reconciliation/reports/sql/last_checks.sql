-- When each of some reports was compared first and last, and how many differences the last one found.
SELECT
    c.report_id,
    min(c.record_time) AS first_time,
    max(c.record_time) AS last_time,
    (array_agg(c.differences ORDER BY c.check_number DESC))[1] AS differences
FROM report_check AS c
WHERE c.report_id = any(%(report_ids)s)
GROUP BY c.report_id
