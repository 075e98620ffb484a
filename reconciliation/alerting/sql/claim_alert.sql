-- Takes the first alert of a channel that is due and that nobody is at.
WITH first AS (
    SELECT a.alert_number
    FROM alert AS a
    WHERE
        a.channel = %(channel)s
        AND a.state = 'PENDING'
        AND a.next_attempt_time <= %(now)s
        AND (a.lease_until IS NULL OR a.lease_until <= %(now)s)
    ORDER BY a.alert_number
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)

UPDATE alert AS a
SET
    attempts = a.attempts + 1,
    lease_until = %(lease_until)s
FROM first AS f
WHERE a.alert_number = f.alert_number
RETURNING a.alert_number, a.channel, a.about, a.subject, a.body, a.record_time, a.attempts
