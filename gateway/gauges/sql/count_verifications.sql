-- Verifications that are under way, by stage: how many, and since when the oldest has stood so. Of those that wait
-- for their person, the ones that are still looked at. Then when the next look at each was due, by the last one that
-- Stripe answered.
WITH under_way AS (
    SELECT
        update_time AS since,
        next_look_time,
        CASE
            WHEN redaction = 'PROCESSING' THEN 'REDACTING'
            WHEN state = 'REQUIRES_INPUT' AND error_code <> '' THEN 'FAILED_TRY'
            ELSE state
        END AS stage,
        look_time + CASE
            WHEN redaction = 'PROCESSING' THEN cast(:redaction_look AS interval)
            ELSE
                least(
                    greatest((look_time - create_time) / :looks_per_doubling, cast(:first_look AS interval)),
                    cast(:last_look AS interval)
                )
        END AS due
    FROM verification
    WHERE next_look_time IS NOT NULL OR state = 'CREATING'
)

SELECT
    'verifications' AS measure,
    stage AS label,
    count(*) AS number,
    min(since) AS oldest_time
FROM under_way
GROUP BY stage
UNION ALL
SELECT
    'verification looks',
    '',
    count(*),
    min(due)
FROM under_way
WHERE next_look_time IS NOT NULL
