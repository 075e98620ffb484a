-- Ledgers with transactions that no checkpoint covers yet, and how far the newest one goes.
SELECT
    h.ledger_id,
    l.name,
    h.last_sequence,
    coalesce(c.tree_size, 0)
FROM ledger_heads AS h
INNER JOIN ledgers AS l ON h.ledger_id = l.ledger_id
LEFT JOIN LATERAL (
    SELECT n.tree_size
    FROM checkpoints AS n
    WHERE n.ledger_id = h.ledger_id
    ORDER BY n.tree_size DESC
    LIMIT 1
) AS c ON TRUE
WHERE
    h.ledger_id > %(after)s
    AND h.last_sequence > coalesce(c.tree_size, 0)
    AND NOT h.fenced
ORDER BY h.ledger_id
LIMIT %(limit)s
