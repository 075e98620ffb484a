-- How many entries the transactions named have together.
SELECT coalesce(sum(t.entry_count), 0)::bigint
FROM transactions AS t
WHERE
    t.ledger_id = %(ledger_id)s
    AND (t.sequence = ANY(%(sequences)b) OR t.request_id = ANY(%(source_ids)b))
