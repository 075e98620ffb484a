-- Of transactions in the order given the first ones that stay within the bounds together, at least one.
SELECT s.sequence
FROM (
    SELECT
        w.sequence,
        w.place,
        sum(t.entry_count) OVER so_far AS entry_count,
        sum(octet_length(t.body)) OVER so_far AS body_bytes
    FROM unnest(%(sequences)b) WITH ORDINALITY AS w (sequence, place)
    -- By its key, whatever the planner knows of the table.
    CROSS JOIN LATERAL (
        SELECT
            transactions.entry_count,
            transactions.body
        FROM transactions
        WHERE transactions.ledger_id = %(ledger_id)s AND transactions.sequence = w.sequence
        OFFSET 0
    ) AS t
    WINDOW so_far AS (ORDER BY w.place)
) AS s
WHERE
    s.place = 1
    OR (s.entry_count <= %(max_entries)s AND s.body_bytes <= %(max_body_bytes)s)
ORDER BY s.place
