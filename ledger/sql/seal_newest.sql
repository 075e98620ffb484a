-- The newest checkpoint, and where the log ends.
SELECT
    h.last_sequence,
    c.tree_size,
    c.root_hash,
    c.account_count,
    c.accounts_hash,
    c.note,
    c.seal_time
FROM ledger_heads AS h
LEFT JOIN LATERAL (
    SELECT n.*
    FROM checkpoints AS n
    WHERE n.ledger_id = h.ledger_id
    ORDER BY n.tree_size DESC
    LIMIT 1
) AS c ON TRUE
WHERE h.ledger_id = %(ledger_id)s
