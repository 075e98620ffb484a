-- Open cases by kind and stage: how many, since when the oldest is open, and how many are older than they should be.
SELECT
    kind,
    CASE
        WHEN first_approver <> '' THEN 'second_approval'
        WHEN assignee <> '' THEN 'assigned'
        ELSE 'unassigned'
    END AS stage,
    count(*) AS number,
    min(open_time) AS oldest_time,
    count(*) FILTER (WHERE open_time < :late_before) AS late
FROM review_case
WHERE state = 'OPEN'
GROUP BY 1, 2
