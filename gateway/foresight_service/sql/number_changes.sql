-- Gives changes of incidents that are committed their sequence, in the order in which they were written; the caller
-- holds the lock, so nobody else does. A release before writes no changes, only incidents: what it has changed is told
-- as it is now, after the others.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM foresight_change
),

unnumbered AS MATERIALIZED (
    SELECT
        change_number,
        corridor,
        raise_minute
    FROM foresight_change
    WHERE sequence IS NULL
    ORDER BY change_number
    LIMIT :limit
),

numbered AS MATERIALIZED (
    SELECT
        unnumbered.change_number,
        unnumbered.corridor,
        unnumbered.raise_minute,
        head.sequence + row_number() OVER (ORDER BY unnumbered.change_number) AS sequence
    FROM unnumbered
    CROSS JOIN head
),

unwritten AS MATERIALIZED (
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

added AS MATERIALIZED (
    SELECT
        unwritten.corridor,
        unwritten.raise_minute,
        unwritten.state,
        unwritten.foreseen,
        unwritten.acted,
        unwritten.breach_minute,
        unwritten.end_minute,
        head.sequence
        + (SELECT count(*) FROM unnumbered)
        + row_number() OVER (ORDER BY unwritten.raise_minute, unwritten.corridor) AS sequence
    FROM unwritten
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
    FROM added
),

shown AS (
    SELECT
        corridor,
        raise_minute,
        max(added_state) AS added_state,
        min(sequence) AS first_sequence,
        max(sequence) AS last_sequence
    FROM (
        SELECT
            corridor,
            raise_minute,
            NULL AS added_state,
            sequence
        FROM numbered
        UNION ALL
        SELECT
            corridor,
            raise_minute,
            state AS added_state,
            sequence
        FROM added
    ) AS told
    GROUP BY corridor, raise_minute
),

known AS (
    UPDATE foresight_alarm AS alarm
    SET
        told = coalesce(shown.added_state, alarm.told),
        sequence = shown.last_sequence,
        first_sequence = coalesce(alarm.first_sequence, shown.first_sequence)
    FROM shown
    WHERE alarm.corridor = shown.corridor AND alarm.raise_minute = shown.raise_minute
)

UPDATE foresight_change AS change
SET
    sequence = numbered.sequence,
    record_time = :now
FROM numbered
WHERE change.change_number = numbered.change_number
