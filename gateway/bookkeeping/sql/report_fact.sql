-- Inserts one fact behind the lock of its subject, unless it is there or what it requires is not.
-- The CASE keeps the planner from asking for the required fact before the lock is had.
WITH locked AS MATERIALIZED (
    SELECT
        cast(:requires AS text) AS requires,
        pg_advisory_xact_lock(hashtextextended('booking.' || cast(:subject AS text), 0))
)

INSERT INTO booking (
    fact_id, kind, fact, subject, requires, payment_id, effective_time, state,
    next_attempt_time, create_time, decide_time, failure_reason, failure_message, trace_parent
)
SELECT
    :fact_id,
    :kind,
    cast(:fact AS jsonb),
    :subject,
    locked.requires,
    :payment_id,
    :effective_time,
    cast(:state AS text),
    :now,
    :now,
    CASE WHEN cast(:state AS text) = 'REFUSED' THEN cast(:now AS timestamptz) END,
    :failure_reason,
    :failure_message,
    :trace_parent
FROM locked
WHERE
    CASE
        WHEN locked.requires IS NULL THEN TRUE
        ELSE EXISTS (SELECT 1 FROM booking AS earlier WHERE earlier.fact_id = locked.requires)
    END
ON CONFLICT (fact_id) DO NOTHING
RETURNING pg_notify(:channel, '')
