-- How many entries the transactions named have together, each looked up by its key.
SELECT coalesce(sum(t.entry_count), 0)::bigint
FROM (
    SELECT
        n.sequence,
        s.entry_count
    FROM unnest(%(sequences)b) AS n (sequence)
    CROSS JOIN LATERAL (
        SELECT transactions.entry_count
        FROM transactions
        WHERE transactions.ledger_id = %(ledger_id)s AND transactions.sequence = n.sequence
        OFFSET 0
    ) AS s
    UNION
    SELECT
        s.sequence,
        s.entry_count
    FROM unnest(%(source_ids)b) AS n (request_id)
    CROSS JOIN LATERAL (
        SELECT
            transactions.sequence,
            transactions.entry_count
        FROM transactions
        WHERE transactions.ledger_id = %(ledger_id)s AND transactions.request_id = n.request_id
        OFFSET 0
    ) AS s
) AS t
