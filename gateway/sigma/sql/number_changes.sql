-- Writes how runs of Sigma's queries that have changed are now, each under the next sequence; the caller holds the
-- lock, so nobody else does. What somebody holds at the moment follows in the next round.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM sigma_change
),

changed AS MATERIALIZED (
    SELECT
        corridor,
        id,
        content,
        digest,
        create_time
    FROM sigma_run
    WHERE told IS DISTINCT FROM digest
    ORDER BY create_time, id, corridor
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
),

numbered AS MATERIALIZED (
    SELECT
        changed.corridor,
        changed.id,
        changed.content,
        changed.digest,
        head.sequence + row_number() OVER (ORDER BY changed.create_time, changed.id, changed.corridor) AS sequence
    FROM changed
    CROSS JOIN head
),

written AS (
    INSERT INTO sigma_change (sequence, corridor, id, content, record_time)
    SELECT
        sequence,
        corridor,
        id,
        content,
        :now
    FROM numbered
)

UPDATE sigma_run AS known
SET
    told = numbered.digest,
    sequence = numbered.sequence,
    first_sequence = coalesce(known.first_sequence, numbered.sequence)
FROM numbered
WHERE known.corridor = numbered.corridor AND known.id = numbered.id
