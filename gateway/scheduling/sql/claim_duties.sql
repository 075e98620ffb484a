-- Takes duties that nobody leads, up to a number.
WITH vacant AS (
    SELECT duty.name
    FROM scheduling_duty AS duty
    WHERE duty.leader IS NULL AND duty.name = any(cast(:names AS text []))
    ORDER BY duty.elect_time NULLS FIRST, duty.name
    LIMIT :limit
)

UPDATE scheduling_duty AS duty
SET
    leader = :candidate,
    term = duty.term + 1,
    elect_time = clock_timestamp()
FROM vacant
WHERE duty.name = vacant.name
