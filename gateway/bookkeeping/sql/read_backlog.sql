-- How many facts are not booked, how many of them were refused, and since when the oldest waits.
SELECT
    count(*) FILTER (WHERE state = 'PENDING') AS pending,
    count(*) FILTER (WHERE state = 'REFUSED') AS refused,
    min(create_time) FILTER (WHERE state = 'PENDING') AS oldest_pending_time
FROM booking
WHERE state <> 'BOOKED'
