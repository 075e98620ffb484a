-- How many facts are not booked, how many of them were refused, and since when the oldest waits. Each by
-- an equality, of which the planner expects few rows, and so the index of them, without knowing the table.
SELECT
    pending.facts AS pending,
    refused.facts AS refused,
    pending.oldest_time AS oldest_pending_time
FROM (
    SELECT
        count(*) AS facts,
        min(create_time) AS oldest_time
    FROM booking
    WHERE state = 'PENDING'
) AS pending
CROSS JOIN (
    SELECT count(*) AS facts
    FROM booking
    WHERE state = 'REFUSED'
) AS refused
