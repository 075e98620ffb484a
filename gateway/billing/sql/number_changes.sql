-- Writes how objects of Billing that have changed are now, each under the next sequence; the caller holds the lock, so
-- nobody else does. What somebody holds at the moment follows in the next round.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM billing_change
),

changed AS MATERIALIZED (
    SELECT
        corridor,
        kind,
        id,
        content,
        digest,
        read_time
    FROM billing_object
    WHERE told IS DISTINCT FROM digest
    ORDER BY read_time, kind, id, corridor
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
),

numbered AS MATERIALIZED (
    SELECT
        changed.corridor,
        changed.kind,
        changed.id,
        changed.content,
        changed.digest,
        head.sequence
        + row_number() OVER (ORDER BY changed.read_time, changed.kind, changed.id, changed.corridor) AS sequence
    FROM changed
    CROSS JOIN head
),

written AS (
    INSERT INTO billing_change (sequence, corridor, kind, id, content, record_time)
    SELECT
        sequence,
        corridor,
        kind,
        id,
        content,
        :now
    FROM numbered
)

UPDATE billing_object AS known
SET
    told = numbered.digest,
    sequence = numbered.sequence,
    first_sequence = coalesce(known.first_sequence, numbered.sequence)
FROM numbered
WHERE known.corridor = numbered.corridor AND known.kind = numbered.kind AND known.id = numbered.id
