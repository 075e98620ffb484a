-- Takes tasks that nobody leads, up to a number.
WITH vacant AS (
    SELECT task.name
    FROM leader_task AS task
    WHERE task.leader IS NULL AND task.name = any(cast(:names AS text []))
    ORDER BY task.elect_time NULLS FIRST, task.name
    LIMIT :limit
)

UPDATE leader_task AS task
SET
    leader = :candidate,
    epoch = task.epoch + 1,
    elect_time = clock_timestamp()
FROM vacant
WHERE task.name = vacant.name
