-- Writes how payouts that have changed are now, each under the next sequence; the caller holds the lock, so nobody else
-- does. Changed is what differs from what was told last, whoever wrote it: an index has those rows only. What somebody
-- holds at the moment follows in the next round; and that its content is complete is told after the content.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM payout_change
),

changed AS MATERIALIZED (
    SELECT
        {columns},
        create_time,
        {shown} AS told
    FROM payout
    WHERE
        told IS DISTINCT FROM {shown}
        AND NOT (
            content_complete
            AND EXISTS (
                SELECT FROM balance_transaction AS inside
                WHERE
                    inside.stripe_payout_id = payout.stripe_payout_id
                    AND inside.stripe_payout_id <> ''
                    AND inside.corridor = payout.corridor
                    AND coalesce(inside.told, '') NOT LIKE '% ' || inside.stripe_payout_id
            )
        )
    ORDER BY create_time, id
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
),

numbered AS MATERIALIZED (
    SELECT
        {columns},
        told,
        head.sequence + row_number() OVER (ORDER BY create_time, id) AS sequence
    FROM changed
    CROSS JOIN head
),

written AS (
    INSERT INTO payout_change (sequence, record_time, {columns})
    SELECT
        sequence,
        :now,
        {columns}
    FROM numbered
)

UPDATE payout AS known
SET told = numbered.told
FROM numbered
WHERE known.id = numbered.id
