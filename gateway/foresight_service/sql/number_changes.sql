-- Writes how incidents that have changed are now, each under the next sequence; the caller holds the lock, so nobody
-- else does. What somebody holds at the moment follows in the next round.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM foresight_change
),

changed AS MATERIALIZED (
    SELECT
        corridor,
        raise_minute,
        state,
        foreseen,
        acted,
        breach_minute,
        end_minute
    FROM foresight_alarm
    WHERE is_incident AND told IS DISTINCT FROM state
    ORDER BY raise_minute, corridor
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
),

numbered AS MATERIALIZED (
    SELECT
        changed.corridor,
        changed.raise_minute,
        changed.state,
        changed.foreseen,
        changed.acted,
        changed.breach_minute,
        changed.end_minute,
        head.sequence + row_number() OVER (ORDER BY changed.raise_minute, changed.corridor) AS sequence
    FROM changed
    CROSS JOIN head
),

written AS (
    INSERT INTO foresight_change (
        sequence, corridor, raise_minute, state, foreseen, acted, breach_minute, end_minute, record_time
    )
    SELECT
        sequence,
        corridor,
        raise_minute,
        state,
        foreseen,
        acted,
        breach_minute,
        end_minute,
        :now
    FROM numbered
)

UPDATE foresight_alarm AS known
SET
    told = numbered.state,
    sequence = numbered.sequence,
    first_sequence = coalesce(known.first_sequence, numbered.sequence)
FROM numbered
WHERE known.corridor = numbered.corridor AND known.raise_minute = numbered.raise_minute
